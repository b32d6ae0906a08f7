// The parts around every screen: the top bar, and the preferences that this browser keeps.

import { h, icon, note } from "./dom.js";
import { menu } from "./menu.js";
import { CANNOT_CHANGE } from "./notices.js";

/** Read, or write and read, a preference; a browser that refuses storage just forgets it. Never anything else. */
export function kept(name, value) {
  try {
    if (value !== undefined) localStorage.setItem(name, value);
    return localStorage.getItem(name);
  } catch {
    return value;
  }
}

const { dataset: data } = document.documentElement;
const systemDark = matchMedia("(prefers-color-scheme: dark)");
const otherTheme = () => ((data.theme || (systemDark.matches ? "dark" : "light")) === "dark" ? "light" : "dark");

/** "light", "dark" or "" for the system's. */
export function setTheme(name) {
  data.theme = kept("theme", name);
  dispatchEvent(new Event("theme"));
}

function themeButton() {
  const control = h("button.btn.quiet.icon", { click: () => setTheme(otherTheme()) }, icon("moon"));
  const draw = () => { control.title = control.ariaLabel = `Use ${otherTheme()} theme`; };
  draw();
  addEventListener("theme", draw);
  systemDark.addEventListener("change", draw);
  return control;
}

export const brand = () => h("a.brand", { href: "/dashboard/", "aria-label": "Token Service, home" },
  icon("key", 22), h("span", "Token Service"));

/** The beginning of a screen. Who may only read is told so where there is something to change. */
export const pageHead = (app, title, lead, ...actions) => [
  h("div.page-head", h("div", h("h1", title), h("p", lead)), h("div.actions", actions)),
  app.session.role !== "admin" && h("div.slot.role", note("info", CANNOT_CHANGE)), app.notices.slot];

/** What each is called, the end of its address, and the key behind g. As many stand in the bar as fit, the first ones
 * on a narrow screen; the others are behind More. */
export const PLACES = [["Tokens", "", "t"], ["Usage", "usage", "u"], ["Explain", "explain", "e"],
  ["Audit", "audit", "a"], ["Help", "help", "h"], ["Shared limits", "limits", "l"], ["Webhooks", "webhooks", "w"],
  ["Sessions", "sessions", "s"], ["Import and export", "import", "i"], ["Kill switch", "kill-switch", "k"]];

function places(app) {
  const links = PLACES.map(([label, path]) => h("a", { href: `/dashboard/${path}` }, label));
  const hidden = () => links.filter((link) => !link.getClientRects().length);
  const more = h("button.more-places", "More", icon("down", 14));
  return h("nav", { "aria-label": "Main" }, links,
    menu(more, () => hidden().map((link) => [link.textContent, () => app.go(link.href)])));
}

export function topBar(app, showKeys) {
  const { username, label } = app.session;
  return h("header.top", h("div", brand(),
    places(app),
    h("div.end", label && h("span.env", { title: "This environment" }, label),
      h("button.btn.quiet.icon.w2", { "aria-label": "Keyboard shortcuts", title: "Keyboard shortcuts (?)",
        click: showKeys }, icon("question")),
      themeButton(),
      menu(h("button.btn.quiet.sm", h("span.who", username), icon("down", 14)),
        () => [["Sign out", app.signOut]]))));
}
