// Help and settings: examples with this server's address, shortcuts, the server's state, the theme.

import { get } from "./api.js";
import { card, codeBlock, command, facts, fill, h, uniqueId } from "./dom.js";
import { chips } from "./fields.js";
import { keyList } from "./keys.js";
import { kept, pageHead, setTheme } from "./shell.js";
import { SNIPPETS, commands } from "./snippets.js";

/** The tabs pattern: one tab stop, arrows move, the panel follows. */
function examples(app) {
  const panel = h("div.pad", { role: "tabpanel", id: uniqueId(), tabindex: 0 });
  const select = (at) => {
    const [name, lead, text] = SNIPPETS[at];
    tabs.forEach((tab, other) => {
      tab.ariaSelected = String(other === at);
      tab.tabIndex = other === at ? 0 : -1;
    });
    panel.ariaLabel = name;
    fill(panel, h("p.muted.small.lead", lead), codeBlock(`${name} example`, text, () => app.copy(text)));
  };
  const tabs = SNIPPETS.map(([name], at) => {
    const last = SNIPPETS.length - 1;
    const keydown = (event) => {
      const to = { ArrowRight: at < last ? at + 1 : 0, ArrowLeft: at ? at - 1 : last, Home: 0, End: last }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      select(to);
      tabs[to].focus();
    };
    return h("button", { role: "tab", "aria-controls": panel.id, click: () => select(at), keydown }, name);
  });
  select(0);
  return h("section.card", h("div.tabs", { role: "tablist", "aria-label": "Integrations" }, tabs), panel);
}

/** /readyz tells the same whether the service is ready or not: what is wrong may be no reason to ask it nothing. */
function redis() {
  const place = h("span.status");
  const asked = performance.now();
  get("/readyz").catch(({ answer }) => answer).then(({ status, checks = [] }) => {
    const faults = checks.filter((one) => one.status === "failed").map(({ detail }) => detail).join("; ");
    const style = faults || !status ? "revoked" : "active";
    place.classList.add(style);
    const took = Math.max(1, Math.round(performance.now() - asked));
    fill(place, h(`span.dot.${style}`), faults || (status ? `Ready, answered in ${took} ms` : "Not answering"));
  });
  return place;
}

function settings() {
  const choice = chips([["", "System"], ["light", "Light"], ["dark", "Dark"]], kept("theme") ?? "");
  choice.addEventListener("change", () => setTheme(choice.value()));
  const change = () => kept("keys", box.checked ? "on" : "off");
  const box = h("input", { type: "checkbox", checked: kept("keys") !== "off", change });
  return card("Settings", null, h("fieldset", h("legend", "Theme"), choice),
    h("label.tick", box, "Single-key shortcuts"));
}

export function helpScreen(app) {
  const { username, version, retentionDays } = app.session;
  const rows = [
    ["Version", version], ["Redis", redis()], ["Retention", `${retentionDays} days`],
    ["Metrics", h("code", "/metrics")],
  ];
  return { title: "Help", leave() {}, update() {}, node: [
    pageHead(app, "Help", "Connect a gateway or a service in two minutes.",
      h("a.btn", { href: "/docs" }, "API reference")),
    h("div.cols", h("div.stack", examples(app), card("Command line", null, command(app, commands(username)))),
      h("div.stack", card("Keyboard", null, keyList()), settings(), card("This server", null, facts(rows)))),
  ] };
}
