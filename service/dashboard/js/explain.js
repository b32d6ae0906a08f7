// Explain: why a token is accepted or refused, check by check, and what a gateway would be answered. A pasted token
// is sent once, and is removed from the page at that moment.

import { TOKENS, get, hereAsked, send } from "./api.js";
import { Asking } from "./asking.js";
import { announce, card, codeBlock, fill, h } from "./dom.js";
import { Fault, blame, blameRefused, chips, field, options, readAll } from "./fields.js";
import { required, separated, submitButton } from "./fields.js";
import { state } from "./format.js";

const CHECKS = { form: "Form", known: "Known", server_key: "Server key", active: "Switched on", expired: "Expiry",
  parent: "Parent", account: "Account", scopes: "Scopes", network: "Network", uses: "Uses", limit: "Rate limit" };
const RESULTS = { pass: ["active", "Passed"], fail: ["revoked", "Failed"], skipped: ["inactive", "Skipped"] };
const PATHS = ["/validate", "/validate/envoy/", "/validate/one-time", "/validate/one-time/envoy/"];
const TOKEN_ID = /^[0-9a-f]{16}$/;
const SUGGESTED = 10;
const TYPED_PAUSE = 250;

const spelled = (code) => code.replaceAll("_", " ");
const listed = (label, values) => values && h("small", `${label}: ${values.join(" ")}`);

function checkLine({ check, result, detail, asked, held }) {
  const [style, word] = RESULTS[result] ?? ["inactive", result];
  return h("li", state(style, "status", word),
    h("div", h("b", CHECKS[check] ?? check), h("p", detail), listed("Asked", asked), listed("Holds", held)));
}

/** The id of a token that is named by its id or its whole name. Throws a Fault. */
async function idOf(text) {
  if (TOKEN_ID.test(text)) return text;
  const { tokens } = await get(TOKENS, { q: text, status: "all", limit: 200 });
  const found = tokens.find(({ name }) => name === text);
  if (!found) throw new Fault("No token has this name.");
  return found.id;
}

class Explain extends Asking {
  constructor(app) {
    const id = hereAsked().id;
    const how = chips([["token", "Paste a token"], ["id", "Choose one"]], id ? "id" : "token");
    const secret = field("Token", { class: "veiled", required: true, maxlength: 4096 },
      "Sent once to this server and wiped from the page. Nothing is spent or counted.", required("Paste a token."));
    const names = h("datalist", { id: "token-names" });
    const chosen = field("Name or ID", { required: true, list: names.id, value: id, input: () => this.suggest() }, "",
      required("Say which token: its name or its ID."));
    const scopes = field("Scopes asked for", { placeholder: "orders:read" }, "Comma separated.", separated);
    const address = field("Client address", { placeholder: "10.4.8.21", maxlength: 64 },
      "As a trusted proxy reports it; yours if left empty.", (text) => text || null);
    const path = h("select", { id: "form-of-validate" }, options(PATHS.map((one) => [one, one])));
    super(app, "Explain", "Why a token is accepted or refused, check by check.", ["Question", "Explanation"],
      h("fieldset", h("legend", "Which token"), how), secret.node, chosen.node, names, scopes.node, address.node,
      h("div.field", h("label", { for: path.id }, "Path the gateway asks"), path), submitButton("Explain"));
    Object.assign(this, { how, secret, names, chosen, scopes, address, path });
    how.addEventListener("change", this.choose);
    fill(this.place, card("Answer", null,
      h("p.muted", "Every check of a validation in its order, and what the gateway would get.")));
    this.choose();
    addEventListener("pagehide", this.wipe);
    if (id) this.question({ id });
  }

  leave() {
    super.leave();
    clearTimeout(this.typing);
    this.wipe();
    removeEventListener("pagehide", this.wipe);
  }

  wipe = () => { this.secret.input.value = ""; };

  choose = () => {
    const pasted = this.how.value() === "token";
    this.secret.node.hidden = !pasted;
    this.chosen.node.hidden = pasted;
    if (!pasted) this.wipe();
  };

  /** Names that fit what is typed; without an answer there is none. */
  suggest() {
    this.chosen.fail("");
    clearTimeout(this.typing);
    this.typing = setTimeout(async () => {
      const { tokens } = await get(TOKENS, { q: this.chosen.input.value.trim(), limit: SUGGESTED })
        .catch(() => ({ tokens: [] }));
      fill(this.names, tokens.map(({ name }) => h("option", { value: name })));
    }, TYPED_PAUSE);
  }

  async submit() {
    const { secret, chosen } = this;
    const given = readAll(this.how.value() === "token" ? { secret } : { chosen });
    this.wipe();
    if (!given) return;
    try {
      await this.question(given.secret ? { token: given.secret } : { id: await idOf(given.chosen) });
    } catch (problem) {
      if (!(problem instanceof Fault)) return this.app.notices.fail(problem, this.probe);
      blame(chosen, problem.message);
    }
  }

  question = (who) => this.ask(() => send("POST", `${TOKENS}/explain`, { ...who, scopes: this.scopes.read(),
    address: this.address.read(), path: this.path.value }), (found) => this.draw(found),
  (problem) => this.refused(problem, who));

  /** A pasted token is gone by now: what is asked again is only whether the service answers. */
  probe = async () => {
    try {
      await get(`${TOKENS}/stats`);
      this.app.notices.clear();
    } catch (problem) {
      this.app.notices.fail(problem, this.probe);
    }
  };

  refused(problem, { id }) {
    const { scopes, address, chosen } = this;
    if (problem.status === 404) {
      blame(chosen, "No token has this ID. It may have been removed after its retention time.");
    } else if (!blameRefused(problem, { scopes, address })) {
      this.app.notices.fail(problem, id ? () => this.question({ id }) : this.probe);
    }
  }

  draw({ outcome, checks, answer: { status, headers, body } }) {
    const accepted = outcome === "active";
    const said = accepted ? "Accepted" : `Refused: ${spelled(outcome)}`;
    const lines = [`HTTP ${status}`, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`)];
    const text = [...lines, ...(body ? ["", body] : [])].join("\n");
    fill(this.place, card(said, h("span.end.muted.small", `${status} for the gateway`),
      h("ol.checks", checks.map(checkLine)), h("span.label", "The gateway gets"),
      codeBlock("what the gateway gets", text, () => this.app.copy(text))));
    announce(said);
    this.place.scrollIntoView({ block: "nearest" });
  }
}

export const explainScreen = (app) => new Explain(app);
