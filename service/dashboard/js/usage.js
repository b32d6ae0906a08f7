// Usage of the whole service: checks by hour or day, reasons of refusals, the most used tokens, and unneeded ones.

import { setActive } from "./actions.js";
import { TOKENS, get, hereAsked, send, withQuery } from "./api.js";
import { checksCard, sumOf } from "./chart.js";
import { card, changing, facts, fill, h, tile } from "./dom.js";
import { compact, number, sum, time } from "./format.js";
import { Page } from "./page.js";

const [FEW_HOURS, MANY_HOURS] = [48, 2400];
const LISTED = 10;
const READ = 200;
const SPANS_SHOWN = [["", "48 hours"], ["days", "100 days"]];
const REASONS = { rate_limited: "Over its rate limit", insufficient_scope: "Lacked a scope", expired: "Had expired",
  network_denied: "From another network", uses_exhausted: "All uses spent", inactive: "Was deactivated",
  revoked: "Was revoked" };
const NEEDLESS = {
  unused: { status: "active", unusedForDays: 90 },
  // A recently created token may still be put to use.
  never: { status: "active", neverUsed: true, unusedForDays: 30 },
};

/** Hours as the days they belong to; the first day, of which only a part was read, is left out. */
function byDay(hours) {
  const days = Map.groupBy(hours, ({ hour }) => hour.slice(0, 10));
  return [...days].slice(-MANY_HOURS / 24).map(([date, counts]) =>
    ({ date, allowed: sumOf(counts, "allowed"), denied: sumOf(counts, "denied") }));
}

/** [[reason, how often]], the most frequent first. */
function reasonsIn(hours) {
  const sums = {};
  for (const [name, times] of hours.flatMap(({ reasons }) => Object.entries(reasons))) {
    sums[name] = (sums[name] ?? 0) + times;
  }
  return Object.entries(sums).sort(([, one], [, other]) => other - one);
}

const inWords = (reason) => REASONS[reason] ?? reason.replaceAll("_", " ");

function reasonsCard(hours) {
  const found = reasonsIn(hours);
  return card("Why denied", null, found.length
    ? facts(found.map(([reason, times]) => [inWords(reason), h("span.num", number(times))]))
    : h("p.muted", "Nothing was denied."),
  h("p.hint", "Of known tokens. Unknown secrets are counted in the metrics alone."));
}

/** rows: tokens, each with what is said of it at the end of its line. */
const ranking = (title, lead, rows, none) => card(title, null, h("p.muted.small.lead", lead), rows.length
  ? h("ol.rank", rows.map(([{ id, name }, said]) =>
    h("li", h("a.name", { href: `/dashboard/tokens/${id}` }, name), h("span.muted.num", said))))
  : h("p.muted", none));

class ServiceUsage extends Page {
  constructor(app) {
    const spans = h("div.seg", { role: "group", "aria-label": "Period" });
    super(app, "Usage", "How often tokens are checked, and which nobody seems to need.", spans);
    this.spans = spans;
    this.update();
  }

  load() {
    this.daily = hereAsked().by === "days";
    const active = { status: "active" };
    return Promise.all([get("/api/admin/usage", { hours: this.daily ? MANY_HOURS : FEW_HOURS }),
      get(`${TOKENS}/hygiene`), get(TOKENS, { ...active, sort: "-lastUsedAt", limit: READ }),
      get(TOKENS, { ...active, unusedForDays: 1, sort: "lastUsedAt", limit: LISTED })]);
  }

  draw([{ hours }, hygiene, { tokens: lately }, { tokens: idle }]) {
    const busy = lately.map((token) => [token, sum(token.usage14d)])
      .filter(([, checks]) => checks).sort(([, one], [, other]) => other - one).slice(0, LISTED)
      .map(([token, checks]) => [token, compact(checks)]);
    const [, span] = SPANS_SHOWN[Number(this.daily)];
    fill(this.spans, SPANS_SHOWN.map(([by, label]) => h("a", { href: withQuery("/dashboard/usage", { by }),
      "data-focus": `by-${by}`, "aria-current": (by === "days") === this.daily && "true" }, label)));
    return [this.tiles(hygiene),
      h("div.cols", checksCard("Checks", this.daily ? byDay(hours) : hours, span, [],
        ["No token was checked in the last ", span, ". ", h("a", { href: "/dashboard/help" }, "Help"),
          " shows how a gateway asks."]), reasonsCard(hours)),
      h("div.halves",
        ranking("Busiest", `Checks in 14 days, of the ${READ} tokens used last.`, busy, "No token was used."),
        ranking("Idlest", "Active tokens not used since yesterday, the longest unused first.",
          idle.map((token) => [token, time(token.lastUsedAt)]), "Every token is in use."))];
  }

  tiles({ idle, neverUsed, expiring, neverExpire }) {
    const off = (name, label) => changing("button.link", label, () => this.deactivate(NEEDLESS[name]), name);
    const tiles = [
      ["Unused for 90 days", idle["90d"], "status=active&activity=unused", off("unused", "Deactivate them")],
      ["Never used", neverUsed, "status=active&activity=never", off("never", "Deactivate those over 30 days old")],
      ["Expire within 14 days", expiring["14d"], "status=active&activity=expiring", "give them a later date in time"],
      ["Never expire", neverExpire, "status=active&sort=-expiresAt", "prefer a date"],
    ];
    return h("section.tiles", { "aria-label": "Hygiene" }, tiles.map(([name, total, query, small]) =>
      tile(`/dashboard/?${query}`, name, number(total), total ? small : "none")));
  }

  /** What a filter finds, as many as it finds now; Undo brings them back. */
  deactivate = async (filter) => {
    const { app } = this;
    try {
      const { matched } = await send("POST", `${TOKENS}/deactivate`, { filter, dryRun: true });
      if (!matched) return app.notices.toast("There is none any more.");
      await setActive(false, app, { tokens: [], filter, expected: matched }, this.update);
    } catch (problem) {
      app.notices.fail(problem, () => this.deactivate(filter));
    }
  };
}

export const usageScreen = (app) => new ServiceUsage(app);
