// Which rows of the token table are ticked, and the bar that acts on them.

import { matching, revoke, setActive } from "./actions.js";
import { changing, h, icon, refocus } from "./dom.js";
import { number } from "./format.js";

export class Picking {
  picked = new Map();

  /** screen: app, rows (on the page), total (null if unknown), filter, body, all (the heading's box), reloaded(). */
  constructor(screen) {
    this.screen = screen;
    const { app } = screen;
    const act = (spec, name, run) =>
      changing(`button.btn.sm${spec}`, name, () => run(app, this.choice(), this.done));
    this.size = h("b", { "aria-live": "polite" });
    this.more = h("button.link", { click: this.everyone });
    this.bar = h("div.bulk", { role: "region", "aria-label": "Selected tokens" }, this.size, this.more, h("span.sep"),
      act("", "Activate", (...how) => setActive(true, ...how)),
      act("", "Deactivate", (...how) => setActive(false, ...how)),
      act(".danger", "Revoke…", revoke),
      h("button.btn.quiet.sm.icon", { "aria-label": "Clear selection", click: () => this.clear() }, icon("close")));
  }

  done = () => {
    this.clear();
    return this.screen.reloaded();
  };

  everyone = async () => {
    const { screen } = this;
    try {
      screen.total ??= await matching(screen.filter);
      this.mark(true);
    } catch (problem) {
      screen.app.notices.fail(problem, this.everyone);
    }
  };

  choice() {
    const { filter, total } = this.screen;
    const tokens = [...this.picked.values()];
    return this.everything ? { tokens, filter, expected: total } : { tokens };
  }

  /** Tick or untick one token, or every one from the last ticked to it, or a list of them. */
  pick = (given, on, range) => {
    const { rows } = this.screen;
    const at = rows.indexOf(given);
    const from = range && this.last >= 0 ? this.last : at;
    for (const token of Array.isArray(given) ? given : rows.slice(Math.min(from, at), Math.max(from, at) + 1)) {
      if (on) this.picked.set(token.id, token);
      else this.picked.delete(token.id);
    }
    this.last = at;
    this.mark();
  };

  clear() {
    const held = document.activeElement;
    this.picked.clear();
    this.last = -1;
    this.mark();
    // The bar disappears, and with it the button that had the focus.
    if (this.bar.contains(held)) refocus(this.screen.all);
  }

  lines = () => [...this.screen.body.querySelectorAll("[data-id]")];

  /** Show what is ticked: in the rows, in the heading, in the bar. everything: all that the filter finds. */
  mark(everything) {
    const { picked, more, screen: { total, all, app } } = this;
    this.everything = everything;
    this.bar.hidden = !picked.size;
    this.size.textContent = everything ? `All ${number(total)} selected` : `${number(picked.size)} selected`;
    more.hidden = everything || (total ?? Infinity) <= picked.size;
    more.textContent = `Select all ${total ? number(total) : "that match"}`;
    const lines = this.lines();
    const ticked = lines.filter((one) => {
      const on = everything || picked.has(one.dataset.id);
      one.classList.toggle("sel", on);
      one.querySelector("input").checked = on;
      return on;
    }).length;
    all.checked = ticked > 0 && ticked === lines.length;
    all.indeterminate = ticked > 0 && !all.checked;
    app.lock();
    if (everything) this.bar.querySelector("[data-change]").focus();
  }

  /** Where the focus is among the rows, or -1. */
  at = () => this.lines().indexOf(document.activeElement.closest("tr"));

  step(by) {
    const lines = this.lines();
    const to = this.at() < 0 ? 0 : Math.max(0, Math.min(lines.length - 1, this.at() + by));
    lines[to]?.querySelector("a").focus();
  }

  tick(range) {
    const token = this.screen.rows[this.at()];
    if (token) this.pick(token, range || !this.picked.has(token.id), range);
  }
}
