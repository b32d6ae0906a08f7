// The page as a whole: who is signed in, which screen the URL names, and what every screen gets.

import { BASE, get, send, whole } from "./api.js";
import { closeDialog, dialogObjects } from "./dialog.js";
import { announce, fill, h } from "./dom.js";
import { listenForKeys, showKeys } from "./keys.js";
import { SESSION, loginScreen } from "./login.js";
import { closeMenu } from "./menu.js";
import { CANNOT_CHANGE, Notices } from "./notices.js";
import { brand, topBar } from "./shell.js";
import { tokensScreen } from "./tokens.js";

// The end of a path: the name of a screen, or a token's id.
const PLACE = /\/dashboard\/([\w-]*)(?:\/(.+))?$/;
const root = document.getElementById("app");

class App {
  notices = new Notices(this);
  last = root;

  constructor() {
    addEventListener("popstate", () => this.cameBack());
    addEventListener("click", (event) => this.pressed(event), true);
    addEventListener("click", (event) => this.clicked(event));
    listenForKeys(this);
    this.start();
  }

  start = async () => {
    try {
      this.signedIn(await get(SESSION));
    } catch (problem) {
      if (problem.status === 401) return this.login(problem.answer);
      // It is not known who is signed in, so only the parts of the bar that are the same for all.
      fill(root, h("header.top", h("div", brand())),
        h("main", { id: "main", tabindex: -1 }, h("h1.sr", "Token Service"), this.notices.slot));
      this.notices.fail(problem, this.start);
    }
  };

  /** The URL stays, so that signing in leads back. */
  login(why) {
    this.leave();
    this.session = null;
    fill(root, loginScreen(why, (session) => this.signedIn(session)));
    document.title = "Sign in · Token Service";
    root.querySelector("input").focus();
  }

  signedIn(session) {
    this.session = session;
    this.main = h("main", { id: "main", tabindex: -1 });
    fill(root, topBar(this, showKeys), this.main);
    this.route();
  }

  signOut = () => this.notices.change(async () => {
    await send("DELETE", SESSION);
    history.replaceState(null, "", `${BASE}/dashboard/`);
    this.login({});
  });

  cameBack() {
    // A panel with an uncopied secret is asked first; until then the page stays where it is.
    if (dialogObjects()) return history.pushState(null, "", this.address);
    closeDialog();
    if (this.session) this.route();
  }

  /** The second half of a double click is for what the first was on, not for what stands there by now. */
  pressed(event) {
    const pressed = event.target.closest("a, button, label, summary") ?? event.target;
    const { focus } = pressed.dataset;
    if (event.detail < 2 || pressed === this.last || (focus && focus === this.last.dataset.focus)) this.last = pressed;
    else {
      event.preventDefault();
      event.stopPropagation();
    }
  }

  clicked(event) {
    const link = event.target.closest?.(`a[href^='${BASE}/dashboard/']`);
    if (!link || !this.session || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    this.go(link.href);
  }

  /** state: what only this history entry needs, the cursors of a list's pages. */
  go(url, replace, state = null) {
    // The same address again adds no entry to the history.
    const here = whole(url) === this.address && history.state === state;
    history[replace || here ? "replaceState" : "pushState"](state, "", whole(url));
    this.route();
  }

  leave() {
    closeDialog();
    closeMenu();
    this.screen?.leave();
    this.screen = null;
    this.notices.toast();
    this.notices.clear();
  }

  async route() {
    const { href, pathname: path } = location;
    this.address = href;
    if (this.screen && this.path === path) return this.screen.update();
    const [, place, id] = PLACE.exec(path) ?? ["", "lost"];
    let make = tokensScreen;
    if (place) {
      // All screens except the list are fetched when one is first shown: webhooksScreen, killSwitchScreen.
      const name = place.replace("-s", "S");
      make = await this.fetched(id ? place === "tokens" && "tokenScreen" : `${name}Screen`, "lostScreen");
      // Meanwhile the page may have moved on.
      if (!make || !this.session || this.address !== href || (this.screen && this.path === path)) return;
    }
    const first = !this.screen;
    this.leave();
    this.path = path;
    this.screen = make(this, id);
    fill(this.main, this.screen.node);
    const { title } = this.screen;
    for (const place of root.querySelectorAll(".top nav a")) {
      place.ariaCurrent = place.textContent === title ? "page" : null;
    }
    this.lock();
    this.titled(title);
    scrollTo(0, 0);
    if (!first) this.main.focus({ preventScroll: true });
  }

  /** What the second script exports, or null where nobody answers or with a newer build than that of this page. */
  async fetched(name, other) {
    try {
      const found = await import("./screens.js");
      return found[name] ?? found[other];
    } catch {
      if (!this.screen) fill(this.main, h("h1.sr", "Token Service"), this.notices.slot);
      this.notices.say("This page was not loaded. ", h("button.link", { click: () => location.reload() }, "Reload"));
      return null;
    }
  }

  titled(title) {
    document.title = `${title} · Token Service`;
    announce(title);
  }

  /** Why nothing may be changed at the moment, or "". */
  cannotChange() {
    if (this.session?.role !== "admin") return CANNOT_CHANGE;
    return this.notices.paused ? "Changes are paused." : "";
  }

  /** Switch what changes something off, with the reason as its tooltip, or on again. */
  lock() {
    const why = this.cannotChange();
    for (const control of root.querySelectorAll("[data-change]")) {
      control.disabled = Boolean(why);
      control.title = why;
    }
  }

  async copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      this.notices.toast("Copied.");
    } catch {
      // Plain http has no clipboard; the text can still be selected by hand.
      this.notices.toast("Select the text. Press Ctrl+C to copy.");
    }
  }
}

new App();
