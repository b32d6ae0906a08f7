// Success as a toast with Undo; failure as a line at the top of the page.

import { fill, h, note, say } from "./dom.js";
import { clock } from "./format.js";

const TOAST_MILLISECONDS = 8000;
const FIRST_WAIT_SECONDS = 2;
const LONGEST_WAIT_SECONDS = 30;

export const CANNOT_CHANGE = "Your role can read tokens but not change them.";
export const CHECK_FIRST = "It may have been done all the same: check before you try again.";

const link = (label, click) => h("button.link", { "data-focus": label, click }, label);

/** Of a change that failed: it may have been made though no answer came. */
export const whatFailed = ({ away, done = "", requestId }) => done + (away
  ? `${away} ${CHECK_FIRST} `
  : `That did not work.${done ? "" : " Nothing was changed."} `) + requestId;

export class Notices {
  wait = FIRST_WAIT_SECONDS;
  // Each screen places the slot below its heading.
  slot = h("div.slot");
  toaster = document.getElementById("toast");

  constructor(app) {
    this.app = app;
    const { toaster } = this;
    addEventListener("pending", ({ detail }) => { this.doubt = detail; });
    for (const event of ["pointerenter", "focusin"]) toaster.addEventListener(event, () => clearTimeout(this.fading));
    for (const event of ["pointerleave", "focusout"]) toaster.addEventListener(event, () => this.fade());
  }

  /** Say what was done; without a text the toast goes. */
  toast(text, undo) {
    this.undo = undo && (() => {
      this.toast();
      undo();
    });
    this.pop(text, "Undo", this.undo);
  }

  pop(text, label, click, lasts = TOAST_MILLISECONDS) {
    const doubt = text && this.doubt && ` Not confirmed yet: ${this.doubt}. To do it again is harmless.`;
    if (doubt) this.doubt = "";
    fill(this.toaster, text && h("div.toast", h("span", text, doubt),
      click && h("button", { "data-focus": label, click }, label)));
    this.lasts = lasts;
    this.fade();
  }

  /** Say how far something is that may be stopped, until it is done or has failed. */
  busy(text, stop) {
    this.pop(text, "Stop", stop, 0);
  }

  fade() {
    clearTimeout(this.fading);
    if (this.lasts) this.fading = setTimeout(() => this.toast(), this.lasts);
  }

  /** All is well again. Called after each successful load. */
  clear() {
    clearTimeout(this.timer);
    this.wait = FIRST_WAIT_SECONDS;
    fill(this.slot);
    this.pause(false);
  }

  pause(paused) {
    this.paused = paused;
    this.app.lock();
  }

  /** A line of its own at the top of the page. */
  say(...parts) {
    say(this.slot, note("bad", h("span", { role: "alert" }, parts)));
  }

  /** Show a failed request, which retry runs again; a question by itself after a while, a change when it is told to.
   * Anything else that was thrown is a defect and is thrown on. */
  fail(problem, retry, asked = true) {
    clearTimeout(this.timer);
    const { status, away, answer: { detail } = {} } = problem;
    if (status === undefined) throw problem;
    if (this.lasts === 0) this.toast();
    if (status === 401) this.app.login({ over: true });
    else if (detail && status < 500) this.say(detail);
    else if (away && asked) this.away(away, retry);
    // Only a person repeats a change.
    else this.say(whatFailed(problem), link("Try again", () => {
      this.clear();
      retry();
    }));
  }

  /** Make a change; where it fails a person may have it made again. */
  change = (act) => act().catch((problem) => this.fail(problem, () => this.change(act), false));

  away(who, retry) {
    this.pause(true);
    let left = this.wait;
    this.wait = Math.min(left * 2, LONGEST_WAIT_SECONDS);
    // The count-down is outside the alert, because it would be read aloud every second.
    const held = this.slot.querySelector(".away");
    const alert = held?.textContent.startsWith(who) ? held : h("span.away", { role: "alert" },
      h("b", `${who} `), this.loadedAt && `Showing the list from ${clock(this.loadedAt)}. `,
      "Changes are paused. ");
    const seconds = h("span");
    const now = () => {
      clearTimeout(this.timer);
      retry();
    };
    fill(this.slot, note("bad", alert, seconds, link("Try now", now)));
    const tick = () => {
      seconds.textContent = `Trying again in ${left} s. `;
      this.timer = setTimeout(left ? tick : now, 1000);
      left -= 1;
    };
    tick();
  }
}
