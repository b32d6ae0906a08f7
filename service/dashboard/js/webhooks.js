// Webhooks: which receivers get events, how far each is, what it answered, and the dialogs to add and remove one.

import { askOverlap } from "./actions.js";
import { get, send, withQuery } from "./api.js";
import { confirmDialog } from "./dialog.js";
import { announce, card, changing, command, emptyCard, facts, fill, h, icon, note } from "./dom.js";
import { ACTIONS, label } from "./events.js";
import { field, required, ticks } from "./fields.js";
import { formDialog } from "./formdialog.js";
import { day, moment, number, state, time } from "./format.js";
import { cell, headings, line, table } from "./list.js";
import { CHECK_FIRST } from "./notices.js";
import { Page } from "./page.js";
import { showSecret } from "./secret.js";

const WEBHOOKS = "/api/admin/webhooks";
const TOLD = ACTIONS.filter((action) => action.startsWith("token."))
  .concat("token.expiring", "token.consumed_twice", "token.limit_exceeded");
const STANDINGS = { delivered: ["active", "Delivered"], pending: ["expired", "Waiting"],
  dead: ["revoked", "Given up"] };
const ADD_COMMAND = "token-service webhooks add URL --event token.revoked";

const eventName = (event) => label(event).replaceAll("_", " ");
const hostOf = ({ url, id }) => (url ? new URL(url).host : `webhook ${id}`);

function deliveryRow({ id, event, status, attempts, createdAt, nextAttemptAt, lastStatus, lastError }, sendAgain) {
  const [style, word] = STANDINGS[status] ?? ["inactive", status];
  const said = lastError ?? (lastStatus && `answered ${lastStatus}`) ?? "not tried yet";
  return line(cell(".num.muted", time(createdAt, moment(createdAt))), cell("", eventName(event)),
    cell("", state(style, "status", word)),
    cell("", said, h("span.muted", `, ${attempts} ${attempts === 1 ? "try" : "tries"}`)),
    cell(".num.muted", nextAttemptAt ? ["next ", time(nextAttemptAt), " "] : "",
      changing("button.btn.quiet.sm", "Send again", () => sendAgain(id), `again-${id}`,
        `Send ${eventName(event)} of ${moment(createdAt)} again`)));
}

function deliveryTable(deliveries, sendAgain) {
  if (!deliveries.length) return h("p.muted.small", "Nothing was sent yet.");
  return table(".log", "Deliveries, those that wait first", headings(["Since", "Event", "State", "Answer", "Again"]),
    deliveries.map((one) => deliveryRow(one, sendAgain)));
}

/** The dialog of a new webhook; done(webhook with its secret) once it is made. */
function webhookForm(app, done) {
  const url = field("Address", { required: true, type: "url", maxlength: 2048, autofocus: true },
    "Public and https: where the messages go.", required("Give the address of the receiver."));
  const events = ticks("Tell it of tokens that are", TOLD.map((event) => [event, eventName(event)]), [],
    "Choose at least one.");
  formDialog(app, { title: "Add a webhook", lead: "Its signing secret is shown once, on the next screen.",
    fields: { url, events }, go: "Add webhook", away: CHECK_FIRST },
  async (values) => done(await send("POST", WEBHOOKS, values)));
}

class WebhooksPage extends Page {
  expanded = new Set();

  constructor(app) {
    super(app, "Webhooks", "Other services that are told of changes, signed, at least once.",
      changing("button.btn.primary", [icon("plus", 16), "Add webhook"], () => webhookForm(app, this.show), "add"));
    this.update();
  }

  load() {
    return get(WEBHOOKS);
  }

  draw({ webhooks }) {
    if (webhooks.length) return webhooks.map((webhook) => this.one(webhook));
    return emptyCard("No webhooks yet.", h("p", "Add one, and it is told when tokens are made, changed or ended."),
      command(this.app, ADD_COMMAND));
  }

  one(webhook) {
    const { id, url, events, createdAt, createdBy, waiting, unread, dropped, isActive, previousSecretUntil } = webhook;
    const old = new Date(previousSecretUntil ?? 0) > Date.now();
    const rows = [["Address", h("code", url)],
      !isActive && ["State", "Off: it is sent nothing; what it missed comes when it is on."],
      old && ["Signed with the old secret, too", ["until ", time(previousSecretUntil, moment(previousSecretUntil))]],
      ["Told of", events.map(eventName).join(", ")],
      ["Waiting to be sent again", number(waiting)], ["Not read for it yet", number(unread)],
      ["Dropped before it was told", h(dropped ? "span.bad" : "span", number(dropped))],
      ["Added", `${day(createdAt)} by ${createdBy}`]].filter(Boolean);
    const act = (spec, name, click) =>
      changing(`button.btn.sm${spec}`, name, click, `${name}-${id}`, `${name} ${hostOf(webhook)}`);
    const remove = act(".danger", "Delete…", () => this.remove(webhook));
    if (webhook.tampered) {
      return card(h("span.wrap", hostOf(webhook)), h("span.end.row", remove), note("bad",
        "Its record was changed outside the service. Delete it and add it again."));
    }
    const test = () => this.deliver(webhook, "test", "test message");
    const buttons = h("span.end.row", act("", "Send a test", test),
      act("", "Rotate secret…", () => this.rotate(webhook)),
      act("", isActive ? "Switch off" : "Switch on", () => this.switchTo(!isActive, webhook)), remove);
    return card(h("span.wrap", hostOf(webhook)), buttons, h("div.left", facts(rows)), this.deliveries(webhook));
  }

  /** Read when it is expanded; what was open stays so. */
  deliveries(webhook) {
    const { id } = webhook;
    const place = h("div.after");
    const toggle = async () => {
      if (!details.open) return this.expanded.delete(id);
      this.expanded.add(id);
      try {
        const { deliveries } = await get(`${WEBHOOKS}/${id}/deliveries`, { limit: 50 });
        fill(place, deliveryTable(deliveries, (one) => this.deliver(webhook, `deliveries/${one}/send`, "message")));
        announce(`${deliveries.length} deliveries`);
      } catch (problem) {
        this.app.notices.fail(problem, toggle);
      }
    };
    const details = h("details.more.after", { open: this.expanded.has(id), toggle },
      h("summary", { "data-focus": `deliveries-${id}` }, icon("right", 14), "Deliveries"), place);
    return details;
  }

  show = (webhook) => showSecret({ name: hostOf(webhook), token: webhook.secret }, this.update,
     { word: "signing secret", lead: "Copy the signing secret now. The receiver needs it to know that a "
      + "message is from here, and it is never shown again." });

  /** Have a message sent at once, and say what the receiver answers. */
  deliver = (webhook, path, what) => this.app.notices.change(async () => {
    const { notices } = this.app;
    notices.toast(`Sending the ${what} to ${hostOf(webhook)}…`);
    const { taken, status, error } = await send("POST", `${WEBHOOKS}/${webhook.id}/${path}`);
    notices.toast(taken ? `${hostOf(webhook)} took the ${what} and answered ${status}.`
      : `${hostOf(webhook)} did not take the ${what}: ${error}.`);
    this.update();
  });

  switchTo = (isActive, webhook) => this.app.notices.change(async () => {
    await send("PATCH", `${WEBHOOKS}/${webhook.id}`, { isActive });
    this.app.notices.toast(`${hostOf(webhook)} is switched ${isActive ? "on" : "off"}.`,
      () => this.switchTo(!isActive, webhook));
    this.update();
  });

  rotate = (webhook) => askOverlap(this.app, { title: `Rotate the secret of ${hostOf(webhook)}?`, go: "Rotate secret" },
    "Messages are signed with the old secret, too, for:", null,
    async (overlap) => this.show(await send("POST", `${WEBHOOKS}/${webhook.id}/rotate`, overlap)));

  remove = (webhook) => confirmDialog(this.app, { title: `Delete the webhook to ${hostOf(webhook)}?`,
    lead: "What waits for it is not sent any more, and its signing secret ends with it.", go: "Delete webhook" },
  async () => {
    await send("DELETE", withQuery(WEBHOOKS, { id: webhook.id }));
    this.app.notices.toast(`The webhook to ${hostOf(webhook)} was deleted.`);
    this.update();
  });
}

export const webhooksScreen = (app) => new WebhooksPage(app);
