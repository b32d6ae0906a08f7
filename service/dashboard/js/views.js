// What the list shows: further filters and columns in the URL, views that this browser keeps, and CSV.

import { closeDialog } from "./dialog.js";
import { h, icon } from "./dom.js";
import { field, required, ticks } from "./fields.js";
import { formDialog } from "./formdialog.js";
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
  const fields = Object.fromEntries(FURTHER.map(([name, label, placeholder]) =>
    [name, field(label, { value: query[name], placeholder, maxlength: 256, autofocus: true })]));
  const shown = ticks("Columns", COLUMNS, columns.map(([name]) => name));
  formDialog(app, { title: "Filters and columns", fields: { ...fields, columns: shown }, go: "Show",
    body: [h("div.ticks.wide", Object.values(fields).map(({ node }) => node)), shown.node] }, (values) => {
    closeDialog();
    app.go(url({ ...values, columns: values.columns.join() || "name" }));
  });
}

function save(app, query) {
  const name = field("Name", { required: true, maxlength: LONGEST_NAME, autofocus: true }, "",
    required("Give the view a name."));
  formDialog(app, { title: "Save this view", lead: "Its filters, order and columns, under View in this browser.",
    fields: { name }, go: "Save" }, (values) => {
    keep({ ...views(), [values.name]: query });
    closeDialog();
    app.notices.toast(`${values.name} saved.`);
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
      app.notices.toast(`${current} forgotten.`, () => keep({ ...views(), [current]: here }));
    };
    return [
      ...Object.entries(all).map(([name, query]) => [name, () => app.go(`/dashboard/?${query}`)]),
      ["Filters and columns…", () => choose(screen), "", "rule"],
      current === undefined ? ["Save this view…", () => save(app, here)] : [`Forget ${current}`, forget],
      ["Download CSV", screen.download]];
  });
}
