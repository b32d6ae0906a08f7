// Explain: why a token is accepted or refused, check by check, and what its gateway would get. A token that is pasted
// is sent once and wiped from the page at that moment.

import { TOKENS, get, send } from "./api.js";
import { Fault, announce, card, chips, codeBlock, field, fill, h, options } from "./dom.js";
import { upper } from "./format.js";

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
  return h("li", h(`span.status.${style}`, h(`span.dot.${style}`), word),
    h("div", h("b", CHECKS[check] ?? check), h("p", detail), listed("Asked", asked), listed("Holds", held)));
}

/** The id of a token that is named by its id or its whole name. Throws a Fault. */
async function idOf(text) {
  if (!text) throw new Fault("Say which token: its name or its ID.");
  if (TOKEN_ID.test(text)) return text;
  const { tokens } = await get(TOKENS, { q: text, status: "all", limit: 200 });
  const found = tokens.find(({ name }) => name === text);
  if (!found) throw new Fault("No token has this name.");
  return found.id;
}

class Explain {
  title = "Explain";
  asked = 0;
  result = h("div", { role: "region", "aria-label": "Explanation" });

  constructor(app) {
    this.app = app;
    const id = new URLSearchParams(location.search).get("id");
    this.how = chips([["token", "Paste a token"], ["id", "Choose one"]], id ? "id" : "token");
    this.secret = field("Token", { class: "veiled", required: true, maxlength: 4096 },
      "Sent once to this server and wiped from the page. Nothing is spent or counted.");
    this.names = h("datalist", { id: "token-names" });
    this.chosen = field("Name or ID", { required: true, list: "token-names", value: id, input: this.suggest });
    this.scopes = field("Scopes asked for", { placeholder: "orders:read" }, "Comma separated.",
      (text) => text.split(/[\s,]+/).filter(Boolean));
    this.address = field("Client address", { placeholder: "10.4.8.21", maxlength: 64 },
      "As a trusted proxy reports it; yours if left empty.", (text) => text || null);
    this.path = h("select", { id: "form-of-validate" }, options(PATHS.map((path) => [path, path])));
    this.how.addEventListener("change", this.choose);
    const form = h("form.pad.asks", { submit: this.submit, novalidate: true, "aria-label": "Question" },
      h("fieldset", h("legend", "Which token"), this.how), this.secret.node, this.chosen.node, this.names,
      this.scopes.node, this.address.node,
      h("div.field", h("label", { for: "form-of-validate" }, "Path the gateway asks"), this.path),
      h("button.btn.primary", { type: "submit" }, "Explain"));
    this.node = [
      h("div.page-head", h("div", h("h1", "Explain"), h("p", "Why a token is accepted or refused, check by check."))),
      app.notices.slot, h("div.cols.even", h("section.card", { "aria-label": "Question" }, form), this.result),
    ];
    fill(this.result, card("Answer", null,
      h("p.muted", "Every check of a validation in its order, and what the gateway would get.")));
    this.choose();
    addEventListener("pagehide", this.wipe);
    if (id) this.ask({ id });
  }

  update() {}

  leave() {
    clearTimeout(this.typing);
    this.asked += 1;
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
  suggest = () => {
    this.chosen.fail("");
    clearTimeout(this.typing);
    this.typing = setTimeout(async () => {
      const { tokens } = await get(TOKENS, { q: this.chosen.input.value.trim(), limit: SUGGESTED })
        .catch(() => ({ tokens: [] }));
      fill(this.names, tokens.map(({ name }) => h("option", { value: name })));
    }, TYPED_PAUSE);
  };

  submit = async (event) => {
    event.preventDefault();
    const pasted = this.how.value() === "token";
    const given = pasted ? this.secret : this.chosen;
    const text = given.read();
    this.wipe();
    try {
      if (pasted && !text) throw new Fault("Paste a token.");
      await this.ask(pasted ? { token: text } : { id: await idOf(text) });
    } catch (problem) {
      if (!(problem instanceof Fault)) return this.app.notices.fail(problem, this.probe);
      given.fail(problem.message);
      given.input.focus();
    }
  };

  ask = async (who) => {
    const { app, path, scopes, address } = this;
    this.asked += 1;
    const { asked } = this;
    this.result.ariaBusy = "true";
    try {
      const body = { ...who, scopes: scopes.read(), address: address.read(), path: path.value };
      const found = await send("POST", `${TOKENS}/explain`, body);
      if (asked !== this.asked) return;
      app.notices.clear();
      this.draw(found);
    } catch (problem) {
      if (asked === this.asked) this.refused(problem, who);
    }
    this.result.ariaBusy = "false";
  };

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
    const { status, answer } = problem;
    const [wrong] = answer?.errors ?? [];
    const place = ["scopes", "address"].find((name) => wrong?.field.startsWith(name));
    if (place) {
      this[place].fail(upper(`${wrong.message}.`.replace(/\.+$/, ".")));
      this[place].input.focus();
    } else if (status === 404) {
      this.chosen.fail("No token has this ID. It may have been removed after its retention time.");
      this.chosen.input.focus();
    } else this.app.notices.fail(problem, id ? () => this.ask({ id }) : this.probe);
  }

  draw({ outcome, checks, answer: { status, headers, body } }) {
    const accepted = outcome === "active";
    const said = accepted ? "Accepted" : `Refused: ${spelled(outcome)}`;
    const lines = [`HTTP ${status}`, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`)];
    const text = [...lines, ...(body ? ["", body] : [])].join("\n");
    fill(this.result, card(said, h("span.end.muted.small", `${status} for the gateway`),
      h("ol.checks", checks.map(checkLine)), h("span.label", "The gateway gets"),
      codeBlock("The gateway gets", text, "Copy what the gateway gets", () => this.app.copy(text))));
    announce(said);
    this.result.scrollIntoView({ block: "nearest" });
  }
}

export const explainScreen = (app) => new Explain(app);
