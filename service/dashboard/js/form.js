// The dialog that creates or edits a token: its fields, how each is read, and what may be wrong with them.
// What the page cannot know better than the server, the server says; its words appear below the field.

import { TOKENS, get, send } from "./api.js";
import { cancel, closeDialog, openDialog } from "./dialog.js";
import { Fault, field, fill, h, icon, note } from "./dom.js";
import { expiryField } from "./expiry.js";
import { numeral, rateFields } from "./rate.js";
import { showSecret } from "./secret.js";

const [SCOPES_READ, SCOPES_OFFERED] = [100, 8];

const list = (text) => text.split(/[\s,]+/).filter(Boolean);

const metadata = (text) => Object.fromEntries(text.split(",").filter(Boolean).map((pair) => {
  const [, key, value] = /^\s*(\S[^=]*?)\s*=\s*(.*?)\s*$/.exec(pair) ?? [];
  if (!key) throw new Fault(`${pair.trim()} has no value. Write it like team=payments.`);
  return [key, value];
}));

/** A limit and its burst are two fields and one member. */
function limited({ rate, burst, ...values }, { rate: place }) {
  if (burst && !rate) {
    blame(place, "Give the requests, too.");
    return null;
  }
  const rateLimits = [rate && { ...rate, ...(burst && { burst }) }, ...place.others].filter(Boolean);
  return { ...values, rateLimits };
}

function needed(text) {
  if (!text) throw new Fault("Give the token a name.");
  return text;
}

/** Scopes of the tokens used of late, the most frequent first, to be added by a press. */
async function suggest({ node, input, fail }) {
  const { tokens } = await get(TOKENS, { status: "active", sort: "-lastUsedAt", limit: SCOPES_READ })
    .catch(() => ({ tokens: [] }));
  const held = Map.groupBy(tokens.flatMap(({ scopes }) => scopes), (scope) => scope);
  const offered = [...held].sort(([, one], [, other]) => other.length - one.length).slice(0, SCOPES_OFFERED);
  const add = (scope) => {
    input.value = [...new Set([...list(input.value), scope])].join(", ");
    fail("");
  };
  if (offered[0]) node.append(h("p.hint.in-use", "In use:", offered.map(([scope]) =>
    h("button.tag", { "aria-label": `Add scope ${scope}`, click: () => add(scope) }, scope))));
}

/** The first five are always seen, the others are folded. Those of a new one may be like another token's. */
function makeFields(maxDays, token, like) {
  const { description, scopes = [], subject, rateLimits = [], maxUses, allowedNetworks = [],
    metadata: pairs = {} } = token ?? like ?? {};
  const example = ["Say what will use it, such as ", h("code", "checkout-api"), "."];
  const written = Object.entries(pairs).map((pair) => pair.join("=")).join(", ");
  return {
    name: field("Name", { required: true, maxlength: 80, autofocus: true, value: token?.name }, example, needed),
    description: field("Description", { placeholder: "Team, ticket or contact", maxlength: 500, value: description }),
    expiresAt: expiryField(maxDays, token),
    scopes: field("Scopes", { value: scopes.join(", ") },
      "Comma separated. Returned to your gateway with each check.", list),
    subject: field("Subject", { maxlength: 128, value: subject },
      "Decides whom the token speaks for upstream. Without it, for nobody."),
    ...rateFields(rateLimits),
    maxUses: field("Uses", { inputmode: "numeric", value: maxUses },
      "So often in all, then never again. Empty means any number.", numeral),
    allowedNetworks: field("Networks", { placeholder: "10.4.0.0/16", value: allowedNetworks.join(", ") },
      "Comma separated. Empty means from anywhere.", list),
    metadata: field("Metadata", { placeholder: "team=payments", value: written }, "", metadata),
  };
}

function blame({ node, input, fail }, text) {
  fail(text);
  const folded = node.closest("details");
  if (folded) folded.open = true;
  input.focus();
}

/** Values by name, or null with each fault shown and the focus on the first. */
function readAll(fields) {
  let values = {};
  for (const [name, one] of Object.entries(fields).reverse()) {
    try {
      one.fail("");
      const value = one.read();
      values = values && { ...values, ...(name === "expiresAt" ? value : { [name]: value }) };
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      blame(one, fault.message);
      values = null;
    }
  }
  return values && limited(values, fields);
}

/** Show a refusal below the fields that it names, as in "allowedNetworks[0]", or else above them all. */
function refused({ status, away, requestId, answer: { code, detail, errors = [] } }, fields, place) {
  const known = (code === "name_taken" ? [{ field: "name", message: detail }] : errors).filter(({ field: path, message }) => {
    const at = { duration: "expiresAt", rateLimits: path.includes("burst") ? "burst" : "rate" }[path.split(/\W/)[0]]
      ?? Object.keys(fields).find((key) => path.includes(key));
    if (at) blame(fields[at], message.replace(/\.?$/, "."));
    return at;
  });
  const text = away ? `${away} Your entries are kept: try again in a moment.`
    : status === 403 ? detail : `That did not work. Nothing was changed. ${requestId}`;
  fill(place, !known.length && note("bad", text));
}

/** words: title, lead, go and busy (the button's). save(values, values before) sends them. */
function tokenForm(app, { token, like }, words, save) {
  const fields = makeFields(app.session.maxLifetimeDays, token, like);
  const before = token && readAll(fields);
  const nodes = Object.values(fields).map(({ node }) => node);
  const place = h("div", { role: "alert" });
  const go = h("button.btn.primary", { type: "submit" }, words.go);
  const submit = async () => {
    const values = go.textContent === words.go && readAll(fields);
    if (!values) return;
    go.textContent = words.busy;
    try {
      await save(values, before);
    } catch (problem) {
      if (problem.status === undefined || problem.status === 401) app.notices.fail(problem);
      else refused(problem, fields, place);
    }
    go.textContent = words.go;
  };
  const typed = () => nodes.flatMap((node) => [...node.querySelectorAll("input, select")])
    .map(({ value }) => value).join("\n");
  const leave = () => {
    if (typed() === untouched) return closeDialog();
    // Once: the same key again means it.
    untouched = typed();
    fill(place, note("", "What you typed is not saved. Press Escape again to drop it."));
  };
  openDialog({
    ...words, submit, leave, buttons: [cancel(), go],
    body: [place, nodes.slice(0, 5), h("details.more", { open: Boolean(like) },
      h("summary", icon("right", 14), "Limits and metadata"), h("div.fields", nodes.slice(5)))],
  });
  suggest(fields.scopes);
  let untouched = typed();
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
  tokenForm(app, { token }, { title: `Edit ${token.name}`, go: "Save", busy: "Saving…" }, async (values, before) => {
    const changed = Object.entries(values)
      .filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name]));
    if (changed.length) await send("PATCH", TOKENS, { id: token.id, ...Object.fromEntries(changed) });
    closeDialog();
    app.notices.toast(`${values.name} saved.`);
    done();
  });
}
