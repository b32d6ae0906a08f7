// One token: what it is, how it is used, what happened to it.

import { revoke, rotate, setActive } from "./actions.js";
import { TOKENS, absent, get, send, withQuery } from "./api.js";
import { checksCard } from "./chart.js";
import { derivedCard, derivedOne, endDerived, under } from "./derived.js";
import { card, changing, emptyCard, facts, fill, h, icon, note } from "./dom.js";
import { label, origin, sentence } from "./events.js";
import { createToken, editToken } from "./form.js";
import { day, masked, moment, number, relative, state, time } from "./format.js";
import { standings } from "./rate.js";
import { Screen } from "./screen.js";
import { pageHead } from "./shell.js";

const DAYS_SHOWN = 30;
const ENTRIES_SHOWN = 20;
// A token and the tokens derived from it, at most three levels.
const MOST_LEVELS = 4;
const DERIVES = "self:derive";

const tags = (values, none = "none") => (values.length ? values.flatMap((value) => [h("span.tag", value), " "]) : none);

const anchor = (href, ...words) => h("a", { href }, words);

/** above: the address of the token that it is derived from, if it is. */
function details(app, token, above) {
  const { id, subject, limits, subjectLimits, expiresAt } = token;
  const copy = h("button.btn.quiet.sm.icon", { "aria-label": "Copy ID", click: () => app.copy(id) }, icon("copy", 15));
  const rows = [
    ["ID", [h("code", id), copy]],
    above && ["Derived from", anchor(above, token.name)],
    ["Description", token.description || "none"],
    ["Created", `${day(token.createdAt)} by ${token.createdBy}`],
    ["Expires", [time(expiresAt, day(expiresAt)), expiresAt && h("span.muted", ` (${relative(expiresAt)})`)]],
    ["Speaks for", subject || "nobody"],
    ["Scopes", tags(token.scopes)],
    ["Uses", token.maxUses ? `${number(token.usesLeft)} of ${number(token.maxUses)} left` : "any number"],
    subjectLimits[0] && ["Shared limits", [standings(subjectLimits),
      anchor(withQuery("/dashboard/limits", { subject }), "Open in shared limits")]],
    ["Rate limits", limits[0] ? standings(limits) : "none"],
    ["Networks", tags(token.allowedNetworks, "any")],
    ["Metadata", tags(Object.entries(token.metadata).map((pair) => pair.join("=")))],
  ];
  return card("Details", !above && h("a.end.small", { href: `/dashboard/explain?id=${id}` }, "Explain"),
    facts(rows.filter(Boolean)));
}

/** usage is null where the server does not count; then the last use is all there is to say. */
function usageCard(token, usage) {
  const { days, lastUsedAt: last, lastAddress, lastUserAgent: agent } = usage
    ?? { days: [], lastUsedAt: token.lastUsedAt };
  return checksCard("Usage", days, `${days.length} days`, [[time(last), "last used"],
    [lastAddress ?? "–", ["last address", agent && `, ${agent}`]]],
  last ? ["Last used ", time(last), ". Nothing is counted for these days."]
    : ["Never used. Paste the snippet from ", anchor("/dashboard/help", "Help"), " to make the first call."]);
}

function historyCard({ id, createdBy: actor, createdAt: at }, audit) {
  const entries = audit?.entries[0] ? audit.entries : [{ action: "token.created", actor, at }];
  const more = h("a.end.small", { href: `/dashboard/audit?target=${id}&period=all` }, "Open in audit");
  return card("History", more, h("ol.timeline", entries.map((entry) => h(`li.${label(entry.action)}`, sentence(entry),
    h("small", [moment(entry.at), origin(entry)].filter(Boolean).join(" · "))))));
}

class Token extends Screen {
  title = "Tokens";
  place = h("div");
  node = this.place;

  /** path: the token's id; of a derived one those of all that it comes from before it, as its address has them. */
  constructor(app, path) {
    super();
    const ids = path.split("/");
    const [parent, id] = [ids.at(-2), ids.at(-1)];
    const address = (depth) => `/dashboard/tokens/${ids.slice(0, depth).join("/")}`;
    Object.assign(this, { app, id, ids, parent, address, above: parent && address(-1) });
    this.frame("Token", [h("span.sr", "Loading"), h("span.sk.w4")]);
    this.update();
  }

  update = () => {
    const { app, id, parent, ids } = this;
    // For a derived token this is the token at the top only if the address begins with that.
    const top = `${TOKENS}/${ids[0]}`;
    return this.ask(() => Promise.all([parent ? derivedOne(parent, id) : get(top),
      parent ? get(top) : get(`${top}/usage`, { days: DAYS_SHOWN }).catch(absent),
      get("/api/admin/audit", { target: id, limit: ENTRIES_SHOWN }).catch(absent), under(id)]),
    (answers) => this.draw(...answers),
    (problem) => (problem.status === 404 ? this.missing() : app.notices.fail(problem, this.update)));
  };

  /** A derived token is known below what it came from alone: of one that is asked for by itself the audit tells it. */
  async missing() {
    const { app, parent, above, id, ids, asked } = this;
    const derived = { target: ids[0], action: "token.derived", limit: 1 };
    const [made] = (await get("/api/admin/audit", derived).catch(() => ({ entries: [] }))).entries;
    if (asked !== this.asked) return;
    if (made) return app.go(`/dashboard/tokens/${made.after.parent}/${ids.join("/")}`, true);
    this.frame("Not found", "Not found", null, null, emptyCard(`No ${parent ? "living " : ""}token with this ID.`,
      h("p", parent ? "It has expired, or ended with what it was derived from. "
        : "It may have been removed after its retention time. ",
      anchor(`/dashboard/audit?target=${id}&period=all`, "Its entries in the audit")),
      h("a.btn", { href: above || "/dashboard/" }, above ? "What it was derived from" : "All tokens")));
  }

  frame(place, title, about, buttons, ...rest) {
    const { ids, address, name } = this;
    const onTheWay = ids.slice(0, -1).map((id, at) => [icon("right", 12),
      anchor(address(at + 1), at ? id : name ?? id)]);
    const crumb = h("nav.crumb", { "aria-label": "Breadcrumb" }, anchor("/dashboard/", "Tokens"), onTheWay,
      icon("right", 12), h("span", { "aria-current": "page" }, place));
    fill(this.node, crumb, pageHead(this.app, title, about, buttons), rest);
  }

  draw(token, usage, audit, derived) {
    const { app, above, update } = this;
    this.name = token.name;
    const title = above ? `Derived from ${token.name}` : token.name;
    app.titled(title);
    const below = (above ? this.ids.length < MOST_LEVELS : token.derived || token.scopes.includes(DERIVES))
      && derivedCard(app, token, derived, this.address(), update);
    this.frame(above ? this.id : title, title, [state(token.status, "pill"), "  ", above ? null : masked(token)],
      this.buttons(token), this.oldSecret(token), h("div.cols", h("div.stack",
        above ? note("info", "Its checks are counted as those of ", anchor(this.address(1), "the token at the top"),
          ".") : usageCard(token, usage),
        below, historyCard(token, audit)), details(app, token, above)));
  }

  buttons(token) {
    const { app, update, above, parent, id } = this;
    const choice = { tokens: [token] };
    const toggle = { active: "Deactivate", inactive: "Activate" }[token.status];
    const act = (focus, name, click, spec = "") => changing(`button.btn${spec}`, name, click, focus);
    const end = () => endDerived(app, { ...token, id: parent }, id, update);
    if (above) return act("end", "End…", end, ".danger");
    return token.status !== "revoked" && [
      act("edit", "Edit", () => editToken(app, token, update)),
      act("like", "Create like this…", () => createToken(app, update, token)),
      act("rotate", "Rotate…", () => rotate(app, token, update)),
      toggle && act("toggle", toggle, () => setActive(!token.isActive, app, choice, update)),
      act("revoke", "Revoke…", () => revoke(app, choice, update), ".danger")];
  }

  oldSecret({ oldSecretValidUntil: until }) {
    return until && h("div.slot", note("info", `Old secret works until ${moment(until)}. `,
      changing("button.link", "End it now", this.endOld)));
  }

  endOld = () => this.app.notices.change(async () => {
    await send("DELETE", `${TOKENS}/${this.id}/rotate`);
    this.app.notices.toast("The old secret has ended.");
    this.update();
  });
}

export const tokenScreen = (app, path) => new Token(app, path);
