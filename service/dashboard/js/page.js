// A screen that asks the service once and draws what it answers: grey while it waits, drawn again when asked to.

import { announce, fill, h, note, refocus } from "./dom.js";
import { CANNOT_CHANGE } from "./notices.js";

const GREY_AFTER_MILLISECONDS = 150;

const grey = () => h("section.card", h("div.pad.stack", [3, 5, 4].map((width) => h(`span.sk.w${width}`))));

export class Page {
  asked = 0;
  body = h("div.stack");

  /** title as in the top bar; lead below it; at its end, buttons. load() and draw(answer) are the screen's own. */
  constructor(app, title, lead, ...actions) {
    Object.assign(this, { app, title });
    this.node = [
      h("div.page-head", h("div", h("h1", title), h("p", lead)), h("div.actions", actions)),
      app.session.role !== "admin" && h("div.slot", note("info", CANNOT_CHANGE)),
      app.notices.slot, this.body,
    ];
  }

  leave() {
    this.asked += 1;
  }

  update = async () => {
    const { app, body } = this;
    this.asked += 1;
    const { asked } = this;
    const waiting = setTimeout(() => this.wait(), GREY_AFTER_MILLISECONDS);
    try {
      const answer = await this.load();
      if (asked !== this.asked) return;
      app.notices.loadedAt = Date.now();
      app.notices.clear();
      const held = document.activeElement;
      fill(body, this.draw(answer));
      app.lock();
      if (document.activeElement !== held) refocus(held);
    } catch (problem) {
      if (asked !== this.asked) return;
      if (body.ariaBusy === "true") fill(body);
      app.notices.fail(problem, this.update);
    } finally {
      clearTimeout(waiting);
    }
    body.ariaBusy = "false";
  };

  wait() {
    this.body.ariaBusy = "true";
    if (this.body.firstChild) return;
    announce("Loading");
    fill(this.body, grey());
  }
}
