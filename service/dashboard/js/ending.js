// The kill switch: tokens of a creator, a scope, a subject or an address, or all, counted and shown before they end.

import { revoke, setActive } from "./actions.js";
import { TOKENS, send } from "./api.js";
import { Fault, announce, card, chips, codeBlock, field, fill, h, note } from "./dom.js";
import { count, number, relative, state } from "./format.js";
import { CANNOT_CHANGE } from "./notices.js";

// By member of the filter: its choice, what it is called, an example, and the option of the command.
const WAYS = {
  createdBy: ["Creator", "Account or token that made them", "maria", "created-by"],
  scope: ["Scope", "Scope they hold, as it is written", "orders:write", "scope"],
  subject: ["Subject", "Whom they speak for", "svc:checkout", "subject"],
  lastAddress: ["Address", "Where they were used last", "10.4.8.21", "last-address"],
  all: ["All tokens"],
};
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

const sampleLine = ({ id, name, status, createdBy, lastUsedAt }) => h("li",
  h("span", h("a.name", { href: `/dashboard/tokens/${id}` }, name),
    h("small", `by ${createdBy}, ${lastUsedAt ? `used ${relative(lastUsedAt)}` : "never used"}`)), state(status));

class Ending {
  title = "Kill switch";
  asked = 0;
  result = h("div", { role: "region", "aria-label": "Tokens found" });

  constructor(app) {
    this.app = app;
    this.way = chips(Object.entries(WAYS).map(([name, [label]]) => [name, label]), "createdBy");
    this.fields = Object.fromEntries(Object.entries(WAYS).filter(([, [, label]]) => label)
      .map(([name, [, label, placeholder]]) => [name, field(label, { required: true, placeholder, maxlength: 256 }, "",
        (text) => {
          if (!text) throw new Fault("An empty value would match every token: choose All tokens for that.");
          return text;
        })]));
    this.way.addEventListener("change", this.choose);
    const form = h("form.pad.asks", { submit: this.submit, novalidate: true, "aria-label": "Which tokens" },
      h("fieldset", h("legend", "Which tokens"), this.way), Object.values(this.fields).map(({ node }) => node),
      h("button.btn.primary", { type: "submit" }, "Count them"),
      h("p.hint", "Changes nothing: says how many there are and shows some."));
    this.node = [
      h("div.page-head", h("div", h("h1", "Kill switch"),
        h("p", "End many tokens at once, after a leak or when somebody leaves."))),
      app.session.role !== "admin" && h("div.slot", note("info", CANNOT_CHANGE)),
      app.notices.slot, h("div.cols.even", h("section.card", { "aria-label": "Which tokens" }, form), this.result),
    ];
    this.choose();
  }

  update() {}

  leave() {
    this.asked += 1;
  }

  /** What was counted is no longer what is asked for. */
  choose = () => {
    for (const [name, { node }] of Object.entries(this.fields)) node.hidden = name !== this.way.value();
    this.asked += 1;
    fill(this.result, card("Found", null, h("p.muted", "How many would end, and the first ten of them.")));
  };

  submit = (event) => {
    event.preventDefault();
    const name = this.way.value();
    const given = this.fields[name];
    try {
      this.count(name, given ? { [name]: given.read() } : {});
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      given.fail(fault.message);
      given.input.focus();
    }
  };

  count = async (way, filter) => {
    const { app } = this;
    this.asked += 1;
    const { asked } = this;
    this.result.ariaBusy = "true";
    try {
      const [ending, pausing] = await Promise.all(["revoke", "deactivate"].map((word) =>
        send("POST", `${TOKENS}/${word}`, { filter, dryRun: true })));
      if (asked !== this.asked) return;
      app.notices.clear();
      this.draw(way, filter, ending, pausing.matched);
    } catch (problem) {
      if (asked === this.asked) this.refused(problem, way, filter);
    }
    this.result.ariaBusy = "false";
  };

  refused(problem, way, filter) {
    const [wrong] = problem.answer?.errors ?? [];
    if (!wrong || !this.fields[way]) return this.app.notices.fail(problem, () => this.count(way, filter));
    this.fields[way].fail(`${wrong.message.replace(/\.?$/, ".")}`);
    this.fields[way].input.focus();
  }

  draw(way, filter, { matched, sample }, active) {
    const { app } = this;
    const done = () => this.count(way, filter);
    const whole = active > 1 ? "all " : "";
    const said = matched ? `${count(matched)}, ${active < matched ? `${number(active)} of them ` : whole}active`
      : "No token matches";
    const act = (spec, name, size, click) => size > 0 && h(`button.btn${spec}`, { "data-change": true, click }, name);
    const rest = matched - sample.length;
    const option = WAYS[way][3] ? `--${WAYS[way][3]} ${quoted(filter[way])}` : "--all";
    const command = `token-service revoke ${option} --dry-run`;
    fill(this.result, card(said, null,
      sample.length > 0 && h("ol.rank.wide", sample.map(sampleLine)),
      rest > 0 && h("p.muted.small.lead", `and ${count(rest)} more.`),
      matched > 0 && h("div.row.left-row",
        act("", `Deactivate ${number(active)}`, active, () => setActive(false, app,
          { tokens: sample.filter(({ status }) => status === "active"), filter: { ...filter, status: "active" },
            expected: active }, done)),
        act(".danger", `Revoke ${number(matched)}…`, matched,
          () => revoke(app, { tokens: sample, filter, expected: matched }, done))),
      h("span.label.after", "The same from the command line"),
      codeBlock("command", command, "Copy command", () => app.copy(command))));
    app.lock();
    announce(said);
  }
}

export const endingScreen = (app) => new Ending(app);
