// The kill switch: tokens of a creator, a scope, a subject or an address, or all, counted and shown before they end.

import { revoke, setActive } from "./actions.js";
import { TOKENS, send } from "./api.js";
import { Asking } from "./asking.js";
import { announce, card, changing, command, fill, h } from "./dom.js";
import { blameRefused, chips, field, readAll, required, submitButton } from "./fields.js";
import { count, number, relative, state } from "./format.js";

// By member of the filter: its choice, its label, an example, and the command's option.
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

class Ending extends Asking {
  constructor(app) {
    const way = chips(Object.entries(WAYS).map(([name, [label]]) => [name, label]), "createdBy");
    const fields = Object.fromEntries(Object.entries(WAYS).filter(([, [, label]]) => label)
      .map(([name, [, label, placeholder]]) => [name, field(label, { required: true, placeholder, maxlength: 256 }, "",
        required("An empty value would match every token: choose All tokens for that."))]));
    super(app, "Kill switch", "End many tokens at once, after a leak or when somebody leaves.",
      ["Which tokens", "Tokens found"], h("fieldset", h("legend", "Which tokens"), way),
      Object.values(fields).map(({ node }) => node), submitButton("Count them"),
      h("p.hint", "Changes nothing: says how many there are and shows some."));
    Object.assign(this, { way, fields });
    way.addEventListener("change", this.choose);
    this.choose();
  }

  /** What was counted is no longer what is asked for. */
  choose = () => {
    for (const [name, { node }] of Object.entries(this.fields)) node.hidden = name !== this.way.value();
    this.asked += 1;
    fill(this.place, card("Found", null, h("p.muted", "How many would end, and the first ten of them.")));
  };

  submit() {
    const name = this.way.value();
    const given = this.fields[name];
    const filter = given ? readAll({ [name]: given }) : { status: "active,inactive,expired" };
    if (filter) this.count(name, filter);
  }

  count = (way, filter) => this.ask(
    () => Promise.all(["revoke", "deactivate"].map((word) =>
      send("POST", `${TOKENS}/${word}`, { filter, dryRun: true }))),
    ([ending, pausing]) => this.draw(way, filter, ending, pausing.matched),
    (problem) => blameRefused(problem, this.fields) || this.app.notices.fail(problem, () => this.count(way, filter)));

  draw(way, filter, { matched, sample }, active) {
    const { app } = this;
    const done = () => this.count(way, filter);
    const whole = active > 1 ? "all " : "";
    const said = matched ? `${count(matched)}, ${active < matched ? `${number(active)} of them ` : whole}active`
      : "No token matches";
    const act = (spec, name, size, click) => size > 0 && changing(`button.btn${spec}`, name, click);
    const rest = matched - sample.length;
    const option = WAYS[way][3] ? `--${WAYS[way][3]} ${quoted(filter[way])}` : "--all";
    fill(this.place, card(said, null,
      sample.length > 0 && h("ol.rank.wide", sample.map(sampleLine)),
      rest > 0 && h("p.muted.small.lead", `and ${count(rest)} more.`),
      matched > 0 && h("div.row.left-row",
        act("", `Deactivate ${number(active)}`, active, () => setActive(false, app,
          { tokens: sample.filter(({ status }) => status === "active"), filter: { ...filter, status: "active" },
            expected: active }, done)),
        act(".danger", `Revoke ${number(matched)}…`, matched,
          () => revoke(app, { tokens: sample, filter, expected: matched }, done))),
      h("span.label.after", "The same from the command line"),
      command(app, `token-service revoke ${option} --dry-run`)));
    announce(said);
  }
}

export const killSwitchScreen = (app) => new Ending(app);
