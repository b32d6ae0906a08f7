// One token: what it is, how it is used, what happened to it.

import { revoke, rotate, setActive } from "./actions.js";
import { TOKENS, absent, get, send } from "./api.js";
import { chart } from "./chart.js";
import { card, facts, fill, h, icon, note, refocus } from "./dom.js";
import { label, origin, sentence } from "./events.js";
import { createToken, editToken } from "./form.js";
import { compact, day, masked, moment, number, relative, state, time } from "./format.js";
import { perPeriod, rateInWords } from "./rate.js";

const DAYS_SHOWN = 30;
const ENTRIES_SHOWN = 20;

const tags = (values, none = "none") => (values.length ? values.flatMap((value) => [h("span.tag", value), " "]) : none);

function details(app, token) {
  const { id, rateLimits, expiresAt } = token;
  const copy = h("button.btn.quiet.sm.icon", { "aria-label": "Copy ID", click: () => app.copy(id) }, icon("copy", 15));
  const rows = [
    ["ID", [h("code", id), copy]],
    ["Description", token.description || "none"],
    ["Created", `${day(token.createdAt)} by ${token.createdBy}`],
    ["Expires", expiresAt ? [time(expiresAt, day(expiresAt)), h("span.muted", ` (${relative(expiresAt)})`)] : "never"],
    ["Speaks for", token.subject || "nobody"],
    ["Scopes", tags(token.scopes)],
    ["Uses", token.maxUses ? `${number(token.usesLeft)} of ${number(token.maxUses)} left` : "any number"],
    ["Rate limits", rateLimits[0] ? rateLimits.map((rate) => h("div",
      `${rate.name}: ${number(rate.limit)} ${perPeriod(rate.periodSeconds)}, ${number(rate.remaining)} left`,
      h("span.muted", ` (${rateInWords(rate)})`))) : "none"],
    ["Networks", tags(token.allowedNetworks, "any")],
    ["Metadata", tags(Object.entries(token.metadata).map((pair) => pair.join("=")))],
  ];
  return card("Details", h("a.end.small", { href: `/dashboard/explain?id=${id}` }, "Explain"), facts(rows));
}

/** usage is null where the server does not count; then the last use is all there is to say. */
function usageCard(token, usage) {
  const { days, lastUsedAt: last, lastAddress, lastUserAgent: agent } = usage
    ?? { days: [], lastUsedAt: token.lastUsedAt };
  const [allowed, denied] = ["allowed", "denied"].map((name) => days.reduce((sum, one) => sum + one[name], 0));
  const total = allowed + denied;
  if (!total) {
    const help = h("a", { href: "/dashboard/help" }, "Help");
    return card("Usage", null, h("span.muted", last ? ["Last used ", time(last), ". Nothing is counted for these days."]
      : ["Never used. Paste the snippet from ", help, " to make the first call."]));
  }
  const kpis = [[compact(total), `checks, ${days.length} days`], [`${(100 * denied / total).toFixed(2)}%`, "denied"],
    [last ? time(last) : "never", "last used"], [lastAddress ?? "–", ["last address", agent && `, ${agent}`]]];
  return card("Usage", h("span.end.legend", h("span", h("i"), "Allowed"), h("span", h("i.deny"), "Denied")),
    h("div.kpis", kpis.map(([value, about]) => h("div", h("b", value), h("span", about)))),
    chart(days, allowed, denied));
}

function historyCard({ id, createdBy: actor, createdAt: at }, audit) {
  const entries = audit?.entries[0] ? audit.entries : [{ action: "token.created", actor, at }];
  const more = h("a.end.small", { href: `/dashboard/audit?target=${id}&period=all` }, "Open in audit");
  return card("History", more, h("ol.timeline", entries.map((entry) => h(`li.${label(entry.action)}`, sentence(entry),
    h("small", [moment(entry.at), origin(entry)].filter(Boolean).join(" · "))))));
}

class Token {
  title = "Tokens";
  node = h("div");

  constructor(app, id) {
    Object.assign(this, { app, id });
    this.frame("Token", [h("span.sr", "Loading"), h("span.sk.w4")]);
    this.update();
  }

  leave() {
    this.left = true;
  }

  update = async () => {
    const { app, id } = this;
    const path = `${TOKENS}/${id}`;
    try {
      const answers = await Promise.all([get(path), get(`${path}/usage`, { days: DAYS_SHOWN }).catch(absent),
        get("/api/admin/audit", { target: id, limit: ENTRIES_SHOWN }).catch(absent)]);
      if (this.left) return;
      app.notices.loadedAt = Date.now();
      app.notices.clear();
      this.draw(...answers);
    } catch (problem) {
      if (this.left) return;
      if (problem.status === 404) this.missing();
      else app.notices.fail(problem, this.update);
    }
  };

  missing() {
    this.frame("Not found", "Not found", null, null, h("section.card.empty", h("h2", "No token with this ID."),
      h("p", "It may have been removed after its retention time."), h("a.btn", { href: "/dashboard/" }, "All tokens")));
  }

  frame(place, title, about, buttons, ...rest) {
    const crumb = h("nav.crumb", { "aria-label": "Breadcrumb" }, h("a", { href: "/dashboard/" }, "Tokens"),
      icon("right", 12), h("span", { "aria-current": "page" }, place));
    fill(this.node, crumb, h("div.page-head", h("div", h("h1", title), about), buttons), this.app.notices.slot, rest);
  }

  draw(token, usage, audit) {
    const { app } = this;
    const held = document.activeElement;
    app.titled(token.name);
    this.frame(token.name, token.name, h("p", state(token.status, "pill"), "  ", masked(token)),
      this.buttons(token), this.oldSecret(token),
      h("div.cols", h("div.stack", usageCard(token, usage), historyCard(token, audit)), details(app, token)));
    app.lock();
    if (!held.isConnected) refocus(held);
  }

  buttons(token) {
    const { app, update } = this;
    const choice = { tokens: [token] };
    const toggle = { active: "Deactivate", inactive: "Activate" }[token.status];
    const act = (focus, name, click, spec = "") => h(`button.btn${spec}`,
      { "data-change": true, "data-focus": focus, click }, name);
    return token.status !== "revoked" && h("div.actions",
      act("edit", "Edit", () => editToken(app, token, update)),
      act("like", "Create like this…", () => createToken(app, update, token)),
      act("rotate", "Rotate…", () => rotate(app, token, update)),
      toggle && act("toggle", toggle, () => setActive(!token.isActive, app, choice, update)),
      act("revoke", "Revoke…", () => revoke(app, choice, update), ".danger"));
  }

  oldSecret({ oldSecretValidUntil: until }) {
    return until && h("div.slot", note("info", `Old secret works until ${moment(until)}. `,
      h("button.link", { "data-change": true, click: this.endOld }, "End it now")));
  }

  endOld = async () => {
    try {
      await send("DELETE", `${TOKENS}/${this.id}/rotate`);
      this.app.notices.toast("The old secret has ended.");
      this.update();
    } catch (problem) {
      this.app.notices.fail(problem, this.endOld, false);
    }
  };
}

export const tokenScreen = (app, id) => new Token(app, id);
