// A screen that asks the service once and draws the answer: grey while it waits, drawn again on request.

import { announce, fill, h } from "./dom.js";
import { Screen } from "./screen.js";
import { pageHead } from "./shell.js";

const grey = () => h("section.card", h("div.pad.stack", [3, 5, 4].map((width) => h(`span.sk.w${width}`))));

export class Page extends Screen {
  place = h("div.stack");

  /** title as in the top bar; lead below it; at its end, buttons. load() and draw(answer) are the screen's own. */
  constructor(app, title, lead, ...actions) {
    super();
    Object.assign(this, { app, title });
    this.node = [pageHead(app, title, lead, actions), this.place];
  }

  update = () => this.ask(() => this.load(), (answer) => fill(this.place, this.draw(answer)), (problem) => {
    if (this.place.ariaBusy === "true") fill(this.place);
    this.app.notices.fail(problem, this.update);
  });

  wait() {
    super.wait();
    if (this.place.firstChild) return;
    announce("Loading");
    fill(this.place, grey());
  }
}
