// What the two lists share: filters in the URL, a search box, pages by cursor.

import { get, hereAsked, withQuery } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { Screen } from "./screen.js";

const TYPING_PAUSE = 250;

export class List extends Screen {
  body = h("tbody", { role: "rowgroup" });
  foot = h("div.foot");

  /** path and address: of the API and of the page; name and placeholder of the search box. */
  constructor(app, path, address, name, placeholder) {
    super();
    Object.assign(this, { app, path, address });
    const find = () => {
      clearTimeout(this.typing);
      app.go(this.url({ q: this.search.value.trim() }), true);
    };
    const input = () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(find, TYPING_PAUSE);
    };
    const submit = (event) => {
      event.preventDefault();
      find();
    };
    this.search = h("input", { type: "search", "aria-label": `Search ${name}`, placeholder, maxlength: 80, input });
    this.box = h("form.search", { role: "search", submit }, icon("search"), this.search,
      h("kbd", { "aria-hidden": "true" }, "/"));
    this.keys = { "/": () => this.search.focus() };
  }

  leave() {
    super.leave();
    clearTimeout(this.typing);
  }

  /** The page's address with some filters changed, at its first page. */
  url = (changes) => withQuery(this.address, { ...this.query, ...changes });

  /** A choice whose value goes into the URL. */
  select(name, label, style = "") {
    const change = ({ target }) => this.app.go(this.url({ [name]: target.value }));
    return h(`select${style}`, { "aria-label": label, change });
  }

  /** Take over what the URL says; called again on every change of it. */
  update() {
    this.query = hereAsked();
    this.cursors = history.state ?? [];
    if (document.activeElement !== this.search) this.search.value = this.query.q ?? "";
    this.drawFilters();
    return this.reload();
  }

  /** unasked: by no person, who is then told nothing of it. */
  reload = (unasked) => this.ask(() => this.load(), (answer) => {
    this.shown = this.asked;
    this.draw(answer, unasked);
  }, (problem) => {
    if (!this.shown) fill(this.body);
    this.app.notices.fail(problem, () => this.reload());
  });

  page(query, limit) {
    return get(this.path, { ...query, limit, cursor: this.cursors.at(-1) });
  }

  /** The range shown, and the buttons to the pages before and after. */
  drawFoot(limit, rows, total, next, [back, on], extra) {
    const first = this.cursors.length * limit;
    // While an answer is awaited, the cursors still belong to the previous list.
    const turn = (label, cursors, disabled) => h("button.btn.sm", { disabled, "data-focus": label,
      click: () => this.shown === this.asked && this.app.go(location.href, false, cursors) }, label);
    fill(this.foot, h("span.num", rows ? `${first + 1}–${first + rows}` : "0", total), h("span.end", extra,
      turn(back, this.cursors.slice(0, -1), !first), turn(on, [...this.cursors, next], !next)));
  }
}

// Explicit roles, because the phone's layout would otherwise take the table's meaning away.
export const cell = (spec, ...parts) => h(`td${spec}`, { role: "cell" }, parts);
export const line = (...parts) => h("tr", { role: "row" }, parts);
export const head = (spec, ...parts) => h(`th${spec}`, { role: "columnheader", scope: "col" }, parts);
const group = (tag, rows) => h(tag, { role: "rowgroup" }, rows);
/** heads: names, or what is a heading already. */
export const headings = (heads) => line(heads.map((one) => (typeof one === "string" ? head("", one) : one)));
export const table = (spec, caption, heads, rows) => h(`table.cards${spec}`, { role: "table" },
  h("caption.sr", caption), group("thead", heads), rows.map ? group("tbody", rows) : rows);
export const nothing = (...parts) => line(h("td.none", { role: "cell", colspan: 8 }, h("div.empty", parts)));
