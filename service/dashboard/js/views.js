// What the list shows and how: further filters and columns in the address, views that this browser keeps, and CSV.

import { cancel, closeDialog, openDialog } from "./dialog.js";
import { field, h, icon } from "./dom.js";
import { menu } from "./menu.js";
import { COLUMNS } from "./rows.js";
import { kept } from "./shell.js";

/** Filters without a place in the bar, with what they are called and an example. */
export const FURTHER = [["createdBy", "Creator", "maria"], ["scope", "Scope", "orders:write"],
  ["subject", "Subject", "svc:checkout"], ["lastAddress", "Last address", "10.4.8.21"]];
const LONGEST_NAME = 40;

/** Addresses by name. */
function views() {
  try {
    return JSON.parse(kept("views")) ?? {};
  } catch {
    return {};
  }
}

const keep = (all) => kept("views", JSON.stringify(all));

function choose({ app, query, columns, url }) {
  const fields = FURTHER.map(([name, label, placeholder]) =>
    field(label, { value: query[name], placeholder, maxlength: 256 }));
  const ticks = COLUMNS.map((column) => h("label.tick",
    h("input", { type: "checkbox", value: column[0], checked: columns.includes(column) }), column[1]));
  openDialog({
    title: "Filters and columns",
    body: [h("div.ticks.wide", fields.map(({ node }) => node)),
      h("fieldset", h("legend", "Columns"), h("div.ticks", ticks))],
    buttons: [cancel(), h("button.btn.primary", { type: "submit" }, "Show")],
    submit() {
      const given = Object.fromEntries(FURTHER.map(([name], at) => [name, fields[at].read()]));
      const shown = ticks.map((tick) => tick.firstChild).filter(({ checked }) => checked).map(({ value }) => value);
      closeDialog();
      app.go(url({ ...given, columns: shown.join() || "name" }));
    },
  });
}

function save(app, query) {
  const name = field("Name", { required: true, maxlength: LONGEST_NAME, autofocus: true });
  openDialog({
    title: "Save this view", lead: "Its filters, order and columns, under View in this browser.", body: name.node,
    buttons: [cancel(), h("button.btn.primary", { type: "submit" }, "Save")],
    submit() {
      const called = name.read();
      if (!called) return name.fail("Give the view a name.");
      keep({ ...views(), [called]: query });
      closeDialog();
      app.notices.toast(`${called} saved.`);
    },
  });
}

/** screen: app, query, columns, url() and download() of the list. */
export function viewMenu(screen) {
  const { app } = screen;
  return menu(h("button.btn", { "data-focus": "view" }, "View", icon("down", 14)), () => {
    const here = location.search.slice(1);
    const all = views();
    const current = Object.keys(all).find((name) => all[name] === here);
    const forget = () => {
      delete all[current];
      keep(all);
    };
    return [
      ...Object.entries(all).map(([name, query]) => [name, () => app.go(`/dashboard/?${query}`)]),
      ["Filters and columns…", () => choose(screen), "", "rule"],
      current === undefined ? ["Save this view…", () => save(app, here)] : [`Forget ${current}`, forget],
      ["Download CSV", screen.download]];
  });
}
