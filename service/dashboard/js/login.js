// Sign-in: the card, and the messages when it fails.

import { get, send } from "./api.js";
import { fill, h, note } from "./dom.js";
import { field, submitButton } from "./fields.js";
import { clock } from "./format.js";
import { brand } from "./shell.js";

export const SESSION = "/dashboard/session";
const UNTOLD_SECONDS = 60;

/** The same for every name, known or not. */
function refusal({ status, kept, away, retryAfter, requestId, answer: { triesLeft: left, detail } }) {
  if (kept === false) return "This browser did not keep the sign-in. Allow cookies for this address, then try again.";
  if (status === 403) return detail;
  // A proxy in between may send something other than a number of seconds.
  const wait = Number(retryAfter) || UNTOLD_SECONDS;
  if (status === 429) return `Too many tries. You can sign in again at ${clock(Date.now() + wait * 1000)}.`;
  if (away) return `${away} Try again in a moment.`;
  if (status !== 401) return `That did not work. ${requestId}`;
  const tries = left >= 0 ? ` ${left} ${left === 1 ? "try" : "tries"} left before a 15 minute pause.` : "";
  return `That name and password do not match.${tries}`;
}

function notKept(problem) {
  throw Object.assign(problem, problem.status === 401 && { kept: false });
}

/** over: the session ended; accounts false: nobody can sign in yet. */
export function loginScreen({ over, accounts }, done) {
  const alert = h("div.alert", { role: "alert" });
  const name = field("Name", { required: true, autocomplete: "username" });
  const secret = field("Password", { required: true, type: "password", autocomplete: "current-password" });
  const go = submitButton("Sign in");
  const submit = async (event) => {
    event.preventDefault();
    if (go.ariaBusy === "true") return;
    go.ariaBusy = "true";
    try {
      await send("POST", SESSION, { username: name.read(), password: secret.input.value });
      done(await get(SESSION).catch(notKept));
    } catch (problem) {
      if (problem.status === undefined) throw problem;
      fill(alert, note("bad", refusal(problem)));
      secret.input.value = "";
      secret.input.ariaInvalid = "true";
      secret.input.focus();
    }
    go.ariaBusy = "false";
  };
  fill(alert, over && note("info", "You were signed out because your session ended. Sign in to continue."),
    accounts === false && note("info", "No administrator exists yet. Run ",
      h("code", "token-service accounts add NAME --role admin"), " on the server, then sign in."));
  return h("main.login", { id: "main", tabindex: -1 }, h("div",
    h("form.card", { "aria-label": "Sign in", submit }, brand(), h("h1", "Sign in"), alert, name.node, secret.node, go),
    h("footer", "Locked out? Run ", h("code", "token-service accounts passwd NAME"), " on the server.")));
}
