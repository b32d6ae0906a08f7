// A screen with a form on one side and the last answer to it on the other.

import { h } from "./dom.js";
import { Screen } from "./screen.js";
import { pageHead } from "./shell.js";

export class Asking extends Screen {
  /** called: the form and the answer, to screen readers; parts: of the form. submit() is the screen's own. */
  constructor(app, title, lead, [question, answer], ...parts) {
    super();
    const submit = (event) => {
      event.preventDefault();
      this.submit();
    };
    this.form = h("form.pad.asks", { submit, novalidate: true, "aria-label": question }, parts);
    this.place = h("div", { role: "region", "aria-label": answer });
    Object.assign(this, { app, title, node: [pageHead(app, title, lead),
      h("div.cols.even", h("section.card", { "aria-label": question }, this.form), this.place)] });
  }
}
