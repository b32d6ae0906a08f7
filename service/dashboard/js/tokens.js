// The home screen: tiles, filters and the table of tokens.

import { revoke, rotate, setActive } from "./actions.js";
import { TOKENS, get } from "./api.js";
import { dialogIsOpen } from "./dialog.js";
import { announce, changing, command, fill, h, icon, refocus, tile } from "./dom.js";
import { options } from "./fields.js";
import { createToken } from "./form.js";
import { count, fromNow, number } from "./format.js";
import { List, head, line, nothing, table } from "./list.js";
import { menuIsOpen } from "./menu.js";
import { Picking } from "./picking.js";
import { COLUMNS, SOON, USUAL, greyRows, row } from "./rows.js";
import { pageHead } from "./shell.js";
import { FURTHER, viewMenu } from "./views.js";

const REFRESH = 30_000;
const STATES = [["", "All"], ["active", "Active"], ["inactive", "Inactive"], ["expired", "Expired"],
  ["revoked", "Revoked"]];
const ACTIVITIES = [["", "Any activity"], ["unused", "Unused for 90 days"], ["never", "Never used"],
  ["expiring", "Expires in 14 days"]];
const SORTED = ["createdAt", "lastUsedAt", "expiresAt"];
const ROWS = ["25", "50", "100"];
const SEEN_AT_ONCE = 25;

const COMMAND = "token-service create checkout-api --expires 90d";

const labelOf = (pairs, value) => pairs.find(([known]) => value && known === value)?.[1];

const createButton = (create) => changing("button.btn.primary", [icon("plus", 16), "Create token"], create);

/** The home screen before the first token exists. */
const nothingYet = (app, create) => h("section.card.empty",
  h("span.art", icon("key", 28)), h("h2", "No tokens yet."),
  h("p", "Create the first one here, from the command line, or import a list you already have."),
  h("div.row", createButton(create),
    h("a.btn", { href: "/dashboard/import" }, "Import…")),
  command(app, COMMAND));

class Tokens extends List {
  title = "Tokens";
  tiles = h("section.tiles", { "aria-label": "Statistics" });
  states = h("div.seg", { role: "group", "aria-label": "Filter by status" });
  heads = line();
  lately = h("span", " ");
  only = h("p.only.small");

  constructor(app) {
    super(app, TOKENS, "/dashboard/", "tokens", "Name, creator or last characters");
    this.activity = this.select("activity", "More filters");
    this.perPage = this.select("rows", "Rows per page", ".sm");
    this.picking = new Picking(this);
    this.card = h("section.card", { "aria-label": "Token list" }, h("div.bar", this.states, this.box, this.activity,
      viewMenu(this)), this.only, table("", "API tokens", this.heads, this.body), this.foot);
    this.place = h("div", this.tiles, this.card);
    this.node = [
      pageHead(app, "Tokens", "Keys your services use to call your APIs.", createButton(this.create)),
      this.place, this.picking.bar,
    ];
    this.addKeys();
    this.drawTiles();
    this.countExpired();
    this.timer = setInterval(this.refresh, REFRESH);
    document.addEventListener("visibilitychange", this.refresh);
    this.update();
  }

  addKeys() {
    const { picking } = this;
    Object.assign(this.keys, { c: this.create, j: () => picking.step(1), k: () => picking.step(-1),
      x: () => picking.tick(false), X: () => picking.tick(true), Escape: () => picking.clear() });
  }

  leave() {
    super.leave();
    clearInterval(this.timer);
    document.removeEventListener("visibilitychange", this.refresh);
  }

  /** By the clock, and when the tab is shown again. */
  refresh = () => {
    const busy = document.hidden || dialogIsOpen() || menuIsOpen() || this.app.notices.paused;
    if (busy || this.picking.picked.size) return;
    this.reload(true);
    this.countExpired();
  };

  /** Apart from the list: it may take a moment. */
  countExpired() {
    const tell = ({ expired }) => fill(this.lately, `${number(expired["7d"])} in the last 7 days`);
    get(`${TOKENS}/hygiene`).then(tell, () => null);
  }

  create = () => this.app.cannotChange() || createToken(this.app, this.reloaded);

  reloaded = () => this.reload();

  drawFilters() {
    const { status = "", activity, rows = "25", columns } = this.query;
    this.limit = Number(ROWS.find((size) => size === rows) ?? ROWS[0]);
    this.columns = COLUMNS.filter(([name], at) => (columns ? columns.split(",").includes(name) : at < USUAL));
    this.card.classList.toggle("many", this.columns.length > USUAL);
    fill(this.states, STATES.map(([value, name]) =>
      h("a", { href: this.url({ status: value }), "aria-current": value === status && "true", "data-focus": name },
        name)));
    fill(this.activity, options(ACTIVITIES, activity));
    fill(this.perPage, options(ROWS.map((size) => [size, `${size} rows`]), rows));
    const given = FURTHER.filter(([name]) => this.query[name]);
    fill(this.only, given[0] && ["Only ", given.map(([name, label], at) =>
      [at > 0 && ", ", label.toLowerCase(), " ", h("code", this.query[name])]), ". ",
    h("a", { href: this.url(Object.fromEntries(FURTHER.map(([name]) => [name, ""]))) }, "Show everything")]);
    this.all = h("input", { type: "checkbox", "aria-label": "Select all on this page", "data-focus": "all",
      click: () => this.picking.pick(this.rows, this.all.checked) });
    fill(this.heads, head(".check", this.all), this.sorter("Name", "name"),
      this.columns.map(([name, label, style]) => (SORTED.includes(name) ? this.sorter(label, name)
        : head(style === ".w3" ? ".h.w3" : ".h", label))), head(".act.h", h("span.sr", "Actions")));
    this.picking.clear();
  }

  /** A heading that sorts: down first, then up, then in the usual order, newest first. */
  sorter(name, column) {
    const { sort = "" } = this.query;
    const [down, current] = [sort === `-${column}`, sort.endsWith(column)];
    const go = () => this.app.go(this.url({ sort: down ? column : current ? "" : `-${column}` }));
    return head("", { "aria-sort": current && (down ? "descending" : "ascending") },
      h("button", { "data-focus": `sort-${column}`, click: go }, name, current && icon("down", 13)));
  }

  load() {
    const { status, q, activity, sort } = this.query;
    const further = { unused: { unusedForDays: 90 }, never: { neverUsed: true },
      expiring: { expiresBefore: fromNow(SOON) } }[activity];
    const given = FURTHER.map(([name]) => [name, this.query[name]]).filter(([, value]) => value);
    // `status` is always given, because a filter without conditions changes no token.
    this.filter = {
      status: status || "active,inactive,expired", ...(q && { q }), ...further, ...Object.fromEntries(given),
    };
    return Promise.all([this.fullPage({ ...this.filter, sort }), get(`${TOKENS}/stats`)]);
  }

  /** A page; one that ended early, because the search took long, goes on until it is full or everything was seen. */
  async fullPage(query) {
    const { asked } = this;
    const answer = await this.page(query, this.limit);
    const { tokens } = answer;
    while (answer.nextCursor && tokens.length < this.limit && asked === this.asked) {
      const more = await get(TOKENS, { ...query, limit: this.limit - tokens.length, cursor: answer.nextCursor });
      tokens.push(...more.tokens);
      answer.nextCursor = more.nextCursor;
    }
    return answer;
  }

  wait() {
    super.wait();
    if (this.rows) return;
    announce("Loading tokens");
    fill(this.body, greyRows(this.columns));
  }

  draw([{ tokens: rows, total, nextCursor }, stats], unasked) {
    const { status, q, activity } = this.query;
    // If the list has no total, its last page gives one.
    const last = nextCursor ? null : this.cursors.length * this.limit + rows.length;
    Object.assign(this, { rows, total: total ?? last });
    if (!status && !q && !activity && !stats.total && !stats.revoked) {
      return fill(this.place, nothingYet(this.app, this.create));
    }
    this.drawTiles(stats);
    if (!this.card.isConnected) fill(this.place, this.tiles, this.card);
    const lines = (from, to) => rows.slice(from, to)
      .map((token) => row(token, this.columns, this.picking.pick, this.entries));
    // Visible rows come first and the others moments later, so that a hundred rows never block the page.
    const first = lines(0, this.at() < 0 ? SEEN_AT_ONCE : rows.length);
    fill(this.body, first, !rows.length && this.noMatch());
    const goOn = (at) => {
      if (at >= rows.length || !first[0].isConnected) return;
      this.body.append(...lines(at, at + SEEN_AT_ONCE));
      setTimeout(goOn, 0, at + SEEN_AT_ONCE);
    };
    setTimeout(goOn, 0, first.length);
    this.drawFoot(this.limit, rows.length, this.total !== null && ` of ${number(this.total)}`, nextCursor,
      ["Previous", "Next"], this.perPage);
    this.picking.mark();
    if (!unasked) announce(`${count(this.total ?? rows.length)} listed`);
  }

  noMatch() {
    const { status, q, activity } = this.query;
    const places = [labelOf(STATES, status), labelOf(ACTIVITIES, activity)].map((name) => name && ` in ${name}`);
    return nothing(h("h2", "Nothing matches", q && ` “${q}”`, places, "."),
      h("a.btn", { href: "/dashboard/" }, "Clear filters"));
  }

  drawTiles(stats) {
    const small = stats && {
      total: h("a", { href: "/dashboard/?status=revoked" }, `${number(stats.revoked)} revoked not counted`),
      active: h("a", { href: "/dashboard/?status=active&activity=expiring" },
        `${number(stats.expiring14d)} ${stats.expiring14d === 1 ? "expires" : "expire"} within 14 days`),
      expired: this.lately,
      inactive: "switched off, can be reactivated",
    };
    fill(this.tiles, ["total", "active", "expired", "inactive"].map((name) => {
      const href = name === "total" ? "/dashboard/" : `/dashboard/?status=${name}`;
      return tile(href, [name !== "total" && h(`span.dot.${name}`), labelOf(STATES, name) ?? "Total"],
        stats ? number(stats[name]) : "–", small?.[name] ?? " ");
    }));
  }

  /** All that the filters find, in the order and with the columns that are shown. */
  download = async () => {
    const { app, filter, query: { sort }, columns } = this;
    const names = ["id", "name", "description", ...columns.map(([name]) => name)];
    (await app.fetched("downloadCsv"))?.(app, { ...filter, sort }, names);
  };

  at() {
    return this.picking.at();
  }

  /** The focus stays with its token, or goes to the row that took the place of a vanished one. */
  refocus = (held, at) => {
    refocus(held);
    const lines = this.picking.lines();
    if (at >= 0 && this.at() < 0) (lines[Math.min(at, lines.length - 1)]?.querySelector("a") ?? this.search).focus();
  };

  entries = (token) => {
    const { app, reloaded } = this;
    const off = app.cannotChange();
    const choice = { tokens: [token] };
    const toggle = { active: "Deactivate", inactive: "Activate" }[token.status];
    return [["Open", () => app.go(`/dashboard/tokens/${token.id}`)], ["Copy ID", () => app.copy(token.id)],
      toggle && [toggle, () => setActive(!token.isActive, app, choice, reloaded), off],
      token.status !== "revoked" && ["Rotate…", () => rotate(app, token, reloaded), off],
      ["Create like this…", () => createToken(app, reloaded, token), off],
      token.status !== "revoked" && ["Revoke…", () => revoke(app, choice, reloaded), off, "danger"]].filter(Boolean);
  };
}

export const tokensScreen = (app) => new Tokens(app);
