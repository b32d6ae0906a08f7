// Every change, who made it and from where.

import { TOKENS, absent, get, withQuery } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { ACTIONS, changes, label, origin } from "./events.js";
import { options } from "./fields.js";
import { DAY, fromNow, precise, upper } from "./format.js";
import { List, cell, head, headings, line, nothing, table } from "./list.js";
import { menu } from "./menu.js";
import { pageHead } from "./shell.js";

const AT_ONCE = 50;
const PERIODS = [["1", "Last 24 hours"], ["7", "Last 7 days"], ["30", "Last 30 days"], ["all", "All time"]];

const ofToken = ({ action }) => action.startsWith("token.");

/** The entry, and below it, once expanded, the values before and after. known: tokens, as most entries lack a name. */
function entryRows(entry, known) {
  const { at, action, actor, target, before, after, requestId } = entry;
  const values = changes(entry);
  const more = line({ hidden: true }, h("td", { role: "cell", colspan: 6 }, values.length
    ? h("dl.changes", values.map(([name, from, to]) => [h("dt", name), h("dd", h("span.muted", from), " → ", to)]))
    : h("p.muted.small", "No values changed.")));
  const toggle = h("button.plain", { "aria-expanded": "false", click: () => {
    more.hidden = !more.hidden;
    toggle.ariaExpanded = String(!more.hidden);
  } }, label(action), after?.first && `, ${after.count} times`, icon("right", 13));
  const name = (after ?? before)?.name || known.find(({ id }) => id === target)?.name || target || "—";
  const place = after?.parent ? `${after.parent}/${target}` : target;
  const about = ofToken(entry) ? h("a", { href: `/dashboard/tokens/${place}` }, name) : name;
  return [line(cell(".num.muted", h("time", { datetime: at }, precise(at))), cell("", actor || "—"), cell("", toggle),
    cell("", about), cell(".w3.muted", origin(entry)), cell(".w3", h("span.mono", requestId))), more];
}

class Audit extends List {
  title = "Audit";
  only = h("p.slot.small");

  constructor(app) {
    super(app, "/api/admin/audit", "/dashboard/audit", "audit", "Token, actor or request ID");
    this.actors = new Set([app.session.username]);
    this.selects = ["action", "actor", "period"].map((name) => this.select(name, upper(name)));
    const heads = headings(["When (UTC)", "Actor", "Action", "Target", head(".w3", "From"), head(".w3", "Request")]);
    this.place = h("section.card", { "aria-label": "Audit events" }, h("div.bar", this.selects, this.box),
      table(".log", "Audit events, newest first", heads, this.body), this.foot);
    const exports = () => ["csv", "ndjson"].map((format) => [format.toUpperCase(), () => this.download(format)]);
    this.node = [
      pageHead(app, "Audit", "Every change, who made it and from where.",
        menu(h("button.btn", icon("export", 16), "Export"), exports)),
      this.only, this.place,
    ];
    this.update();
  }

  drawFilters() {
    const { action, actor, period = "7", target } = this.query;
    const [byAction, byActor, byPeriod] = this.selects;
    fill(byAction, options([["", "All actions"], ...ACTIONS.map((name) => [name, label(name)])], action));
    fill(byActor, options([["", "Anyone"], ...[...this.actors].map((name) => [name, name])], actor));
    fill(byPeriod, options(PERIODS, period));
    const everything = h("a", { href: this.url({ target: "" }) }, "Show everything");
    fill(this.only, target && ["Only the token ", h("code", target), ". ", everything]);
  }

  filters() {
    const { period = 7, ...query } = this.query;
    // A URL may name any period: anything but a number of days means all time.
    return /^\d{1,4}$/.test(period) ? { ...query, from: fromNow(-period * DAY) } : query;
  }

  /** A browser does not tell the page why a download failed: what would refuse it is asked before. */
  download(format) {
    return this.app.notices.change(async () => {
      await this.page(this.filters(), 1);
      h("a", { href: withQuery(this.path, { ...this.filters(), format }), download: `audit.${format}` }).click();
    });
  }

  /** A server without an audit answers nothing, which is shown as an empty list. */
  async load() {
    const answer = await this.page(this.filters(), AT_ONCE).catch(absent) ?? { entries: [] };
    const ids = [...new Set(answer.entries.filter(ofToken).map(({ target }) => target))];
    const { tokens } = ids[0] ? await get(TOKENS, { ids, status: "all", limit: AT_ONCE }) : { tokens: [] };
    return [answer, tokens];
  }

  draw([{ entries, nextCursor }, known]) {
    for (const { actor } of entries) this.actors.add(actor);
    this.drawFilters();
    fill(this.body, entries.map((entry) => entryRows(entry, known)),
      !entries.length && nothing(h("h2", "Nothing happened in this period.")));
    this.drawFoot(AT_ONCE, entries.length, ", newest first", nextCursor, ["Newer", "Older"]);
  }
}

export const auditScreen = (app) => new Audit(app);
