// Webhooks: who is told of changes, how far each is, what it answered, and the dialogs that add and remove one.

import { get, send } from "./api.js";
import { cancel, closeDialog, openDialog } from "./dialog.js";
import { announce, card, codeBlock, facts, field, fill, h, icon, note } from "./dom.js";
import { ACTIONS, label } from "./events.js";
import { day, moment, number, time } from "./format.js";
import { cell, head, line, table } from "./list.js";
import { Page } from "./page.js";
import { showSecret } from "./secret.js";

const WEBHOOKS = "/api/admin/webhooks";
const TOLD = ACTIONS.filter((action) => action.startsWith("token."))
  .concat("token.expiring", "token.consumed_twice", "token.limit_exceeded");
const STANDINGS = { delivered: ["active", "Delivered"], pending: ["expired", "Waiting"],
  dead: ["revoked", "Given up"] };
const ADD_COMMAND = "token-service webhooks add URL --event token.revoked";

const eventName = (event) => label(event).replaceAll("_", " ");
const hostOf = ({ url }) => new URL(url).host;

function deliveryRow({ event, status, attempts, createdAt, nextAttemptAt, lastStatus, lastError }) {
  const [style, word] = STANDINGS[status] ?? ["inactive", status];
  const said = lastError ?? (lastStatus && `answered ${lastStatus}`) ?? "not tried yet";
  return line(cell(".num.muted", time(createdAt, moment(createdAt))), cell("", eventName(event)),
    cell("", h(`span.status.${style}`, h(`span.dot.${style}`), word)),
    cell("", said, h("span.muted", `, ${attempts} ${attempts === 1 ? "try" : "tries"}`)),
    cell(".num.muted", nextAttemptAt ? ["next ", time(nextAttemptAt)] : ""));
}

function deliveryTable(deliveries) {
  if (!deliveries.length) return h("p.muted.small", "Nothing was sent yet.");
  const heads = line(["Since", "Event", "State", "Answer", "Again"].map((name) => head("", name)));
  return table(".log", "Deliveries, those that wait first", heads,
    h("tbody", { role: "rowgroup" }, deliveries.map(deliveryRow)));
}

/** The dialog of a new webhook; done(webhook with its secret) once it is made. */
function webhookForm(app, done) {
  const url = field("Address", { required: true, type: "url", maxlength: 2048, autofocus: true },
    "Public and https: where the messages go.", (text) => text);
  const ticks = TOLD.map((event) => h("label.tick", h("input", { type: "checkbox", value: event }), eventName(event)));
  const missing = h("p.err");
  const place = h("div", { role: "alert" });
  openDialog({
    title: "Add a webhook", lead: "Its signing secret is shown once, on the next screen.",
    body: [place, url.node, h("fieldset", h("legend", "Tell it of tokens that are"), h("div.ticks", ticks), missing)],
    buttons: [cancel(), h("button.btn.primary", { type: "submit" }, "Add webhook")],
    async submit() {
      const events = ticks.map((tick) => tick.firstChild).filter(({ checked }) => checked).map(({ value }) => value);
      missing.textContent = events.length ? "" : "Choose at least one.";
      if (!url.read()) url.fail("Give the address of the receiver.");
      if (!url.read()) url.input.focus();
      if (!url.read() || !events.length) return;
      try {
        done(await send("POST", WEBHOOKS, { url: url.read(), events }));
      } catch (problem) {
        const wrong = problem.answer?.errors?.find(({ field: name }) => name === "url");
        if (wrong) {
          url.fail(`${wrong.message.replace(/\.?$/, ".")}`);
          url.input.focus();
        } else if (problem.status === 409) fill(place, note("bad", problem.answer.detail));
        else {
          closeDialog();
          app.notices.fail(problem, () => webhookForm(app, done));
        }
      }
    },
  });
}

class WebhooksPage extends Page {
  expanded = new Set();

  constructor(app) {
    super(app, "Webhooks", "Other services that are told of changes, signed, at least once.");
    this.node[0].lastChild.append(h("button.btn.primary", { "data-change": true, "data-focus": "add",
      click: this.add }, icon("plus", 16), "Add webhook"));
    this.update();
  }

  load() {
    return get(WEBHOOKS);
  }

  draw({ webhooks }) {
    if (webhooks.length) return webhooks.map((webhook) => this.one(webhook));
    return h("section.card.empty", h("h2", "No webhooks yet."),
      h("p", "Add one here or from the command line, and it is told when tokens are made, changed or ended."),
      codeBlock("command", ADD_COMMAND, "Copy command", () => this.app.copy(ADD_COMMAND)));
  }

  one(webhook) {
    const { id, url, events, createdAt, createdBy, waiting, unread, dropped } = webhook;
    const rows = [["Address", h("code", url)], ["Told of", events.map(eventName).join(", ")],
      ["Waiting to be sent again", number(waiting)], ["Not read for it yet", number(unread)],
      ["Dropped before it was told", h(dropped ? "span.bad" : "span", number(dropped))],
      ["Added", `${day(createdAt)} by ${createdBy}`]];
    const act = (spec, name, click) => h(`button.btn.sm${spec}`,
      { "data-change": true, "data-focus": `${name}-${id}`, "aria-label": `${name} ${hostOf(webhook)}`, click }, name);
    const buttons = h("span.end.row", act("", "Send a test", () => this.test(webhook)),
      act(".danger", "Delete…", () => this.remove(webhook)));
    return card(h("span.wrap", hostOf(webhook)), buttons, h("div.left", facts(rows)), this.deliveries(webhook));
  }

  /** Read when it is expanded; what was open stays so. */
  deliveries({ id }) {
    const place = h("div.after");
    const toggle = async () => {
      if (!details.open) return this.expanded.delete(id);
      this.expanded.add(id);
      try {
        const { deliveries } = await get(`${WEBHOOKS}/${id}/deliveries`, { limit: 50 });
        fill(place, deliveryTable(deliveries));
        announce(`${deliveries.length} deliveries`);
      } catch (problem) {
        this.app.notices.fail(problem, toggle);
      }
    };
    const details = h("details.more.after", { open: this.expanded.has(id), toggle },
      h("summary", { "data-focus": `deliveries-${id}` }, icon("right", 14), "Deliveries"), place);
    return details;
  }

  add = () => webhookForm(this.app, (webhook) => showSecret({ name: hostOf(webhook), token: webhook.secret },
    this.update, { word: "signing secret", lead: "Copy the signing secret now. The receiver needs it to know that a "
      + "message is from here, and it is never shown again." }));

  test = async (webhook) => {
    const { notices } = this.app;
    notices.toast(`Sending a test to ${hostOf(webhook)}…`);
    try {
      const { taken, status, error } = await send("POST", `${WEBHOOKS}/${webhook.id}/test`);
      notices.toast(taken ? `${hostOf(webhook)} took the test message and answered ${status}.`
        : `${hostOf(webhook)} did not take the test message: ${error}.`);
    } catch (problem) {
      notices.fail(problem, () => this.test(webhook));
    }
  };

  remove(webhook) {
    const act = async () => {
      closeDialog();
      try {
        await send("DELETE", `${WEBHOOKS}?id=${webhook.id}`);
        this.app.notices.toast(`The webhook to ${hostOf(webhook)} was deleted.`);
        this.update();
      } catch (problem) {
        this.app.notices.fail(problem, act);
      }
    };
    openDialog({ role: "alertdialog", mark: "warning", title: `Delete the webhook to ${hostOf(webhook)}?`,
      lead: "What waits for it is not sent any more, and its signing secret ends with it.",
      buttons: [cancel(), h("button.btn.danger.fill", { click: act }, "Delete webhook")] });
  }
}

export const webhooksScreen = (app) => new WebhooksPage(app);
