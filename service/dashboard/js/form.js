// The dialogs that create and edit a token: their fields.
// The server makes most checks; its message appears below the field.

import { TOKENS, get, send } from "./api.js";
import { closeDialog } from "./dialog.js";
import { h, icon } from "./dom.js";
import { expiryField } from "./expiry.js";
import { Fault, field, numeral, readAll, required, separated } from "./fields.js";
import { formDialog } from "./formdialog.js";
import { limitsField } from "./limits.js";
import { showSecret } from "./secret.js";

const [SCOPES_READ, SCOPES_OFFERED] = [100, 8];
// The first ones are always visible, the others are folded.
const SEEN = 5;

// "a=1, b=2"; a comma after a backslash is part of the name or value, and so is such a = of a name.
const metadata = (text) => Object.fromEntries((text.match(/(\\.|[^,])+/g) ?? []).map((pair) => {
  const [, ...both] = /^\s*((?:\\.|[^=])*?)\s*=\s*(.*?)\s*$/.exec(pair) ?? [];
  if (!both[0]) throw new Fault(`${pair.trim()} has no value. Write it like team=payments.`);
  return both.map((part) => part.replace(/\\([\\,=])/g, "$1"));
}));

/** Scopes of the tokens used of late, the most frequent first, to be added by a press. */
async function suggest({ node, input, fail }) {
  const { tokens } = await get(TOKENS, { status: "active", sort: "-lastUsedAt", limit: SCOPES_READ })
    .catch(() => ({ tokens: [] }));
  const held = Map.groupBy(tokens.flatMap(({ scopes }) => scopes), (scope) => scope);
  const offered = [...held].sort(([, one], [, other]) => other.length - one.length).slice(0, SCOPES_OFFERED);
  const add = (scope) => {
    input.value = [...new Set([...separated(input.value), scope])].join(", ");
    fail("");
  };
  if (offered[0]) node.append(h("p.hint.in-use", "In use:", offered.map(([scope]) =>
    h("button.tag", { "aria-label": `Add scope ${scope}`, click: () => add(scope) }, scope))));
}

/** Those of a new one may be like another token's. */
function fieldsOf(maxDays, token, like) {
  const { description, scopes = [], subject, limits = [], maxUses, allowedNetworks = [],
    metadata: pairs = {} } = token ?? like ?? {};
  const example = ["Say what will use it, such as ", h("code", "checkout-api"), "."];
  const written = Object.entries(pairs).map(([key, value]) =>
    `${key.replace(/[\\,=]/g, "\\$&")}=${value.replace(/[\\,]/g, "\\$&")}`).join(", ");
  return {
    name: field("Name", { required: true, maxlength: 80, autofocus: true, value: token?.name }, example,
      required("Give the token a name.")),
    description: field("Description", { placeholder: "Team, ticket or contact", maxlength: 500, value: description }),
    expiresAt: expiryField(maxDays, token),
    scopes: field("Scopes", { value: scopes.join(", ") },
      "Comma separated. Returned to your gateway with each check.", separated),
    subject: field("Subject", { maxlength: 128, value: subject },
      "Decides whom the token speaks for upstream. Without it, for nobody."),
    limits: limitsField(limits),
    maxUses: field("Uses", { inputmode: "numeric", value: maxUses },
      "So often in all, then never again. Empty means any number.", numeral),
    allowedNetworks: field("Networks", { placeholder: "10.4.0.0/16", value: allowedNetworks.join(", ") },
      "Comma separated. Empty means from anywhere.", separated),
    metadata: field("Metadata", { placeholder: "team=payments", value: written }, "", metadata),
  };
}

/** save(values, values before) sends them. */
function tokenForm(app, { token, like }, words, save) {
  const fields = fieldsOf(app.session.maxLifetimeDays, token, like);
  const before = token && readAll(fields);
  const nodes = Object.values(fields).map(({ node }) => node);
  // It is at the lower edge, so the unfolded fields would be below it.
  const show = () => setTimeout(() => more.scrollIntoView({ block: "nearest" }));
  const more = h("details.more", { open: Boolean(like) },
    h("summary", { click: show }, icon("right", 14), "Limits and metadata"), h("div.fields", nodes.slice(SEEN)));
  formDialog(app, { ...words, fields, body: [nodes.slice(0, SEEN), more] }, (values) => save(values, before));
  suggest(fields.scopes);
}

/** done() runs once the secret's panel is closed. like: a token whose values the new one begins with. */
export function createToken(app, done, like) {
  let [sent, key] = [];
  const words = { title: like ? `Create like ${like.name}` : "Create token",
    lead: "The secret is shown once, on the next screen.", go: "Create token", busy: "Creating…" };
  tokenForm(app, { like }, words, async (values) => {
    // The same entries keep their key, so that a second try after a lost answer cannot make two tokens.
    if (sent !== JSON.stringify(values)) key = crypto.getRandomValues(new Uint32Array(4)).join("-");
    sent = JSON.stringify(values);
    const { token } = await send("POST", TOKENS, values, { "Idempotency-Key": key });
    showSecret(token, done);
  });
}

export function editToken(app, token, done) {
  const { id, version } = token;
  tokenForm(app, { token }, { title: `Edit ${token.name}`, go: "Save", busy: "Saving…" }, async (values, before) => {
    const changed = Object.entries(values)
      .filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name]));
    if (changed.length) {
      await send("PATCH", TOKENS, { id, version, ...Object.fromEntries(changed) }).catch((problem) => {
        // Somebody else may have changed the token: the page behind the dialog shows it as it is now.
        if (problem.status === 409) done();
        throw problem;
      });
    }
    closeDialog();
    app.notices.toast(`${values.name} saved.`);
    done();
  });
}
