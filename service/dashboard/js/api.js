// All requests to the service: its public JSON API, called with the sign-in cookie.

/** Where this server is: it may lie below a path. */
export const BASE = import.meta.url.replace(/\/dashboard\/\w+\/js\/.*/, "");
/** A path of this server as a whole address. */
export const whole = (path) => (path[0] === "/" ? BASE + path : path);
export const TOKENS = "/api/admin/tokens";

const UNREADY = { store_unavailable: "Redis is not answering.", store_full: "Redis is full." };
const JSON_TYPE = { "Content-Type": "application/json" };

/** Who does not answer; "" where somebody did. */
function silent(status, { code }) {
  if (status === 503) return UNREADY[code] ?? "The service is busy.";
  if (status === 502 || status === 504) return "A proxy does not reach the service.";
  return status ? "" : navigator.onLine ? "The service is not answering." : "This browser is offline.";
}

function problem(status, answer, headers) {
  const requestId = answer.request_id ?? headers?.get("X-Request-Id");
  return Object.assign(new Error(answer.title), {
    status, answer, away: silent(status, answer), retryAfter: headers?.get("Retry-After"),
    requestId: requestId ? `Request ID ${requestId}. ` : "",
  });
}

/** Sent once, whatever happens, as JSON or as the text it is; who asks decides on trying again. A refusal is thrown
 * with its status, 0 for none. */
export async function send(method, path, body, headers) {
  let [status, answer, received] = [0, {}, null];
  try {
    const response = await fetch(BASE + path, {
      method, cache: "no-store", redirect: "error", signal: AbortSignal.timeout(10_000),
      // No other site's form can send the first header; the service asks for it beside the cookie.
      headers: { "X-Requested-With": "tokens-dashboard", ...(body && JSON_TYPE), ...headers },
      body: typeof body === "string" ? body : body && JSON.stringify(body),
    });
    ({ status, headers: received } = response);
    if (status !== 204) answer = await response.json();
  } catch {
    // A successful answer that is cut short is a failure. Of a refusal only the status is needed.
    if (status < 400) status = 0;
  }
  // The change is made, but may still be lost with the server that made it.
  if (status === 202) dispatchEvent(new CustomEvent("pending", { detail: answer.pending }));
  if (status < 200 || status > 299) throw problem(status, answer, received);
  return answer;
}

const SECRET = /^rtk_\w{56}(\w{8})$/;

/** A path with those parameters behind it that have a value; of a secret its end, which finds its token: an address is
 * kept and logged. */
export function withQuery(path, params) {
  const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value)
    .map(([name, value]) => [name, String(value).replace(SECRET, "$1")]));
  return query.size ? `${path}?${query}` : path;
}

export const get = (path, params = {}) => send("GET", withQuery(path, params));

/** What the address of this page asks for. */
export const hereAsked = () => Object.fromEntries(new URLSearchParams(location.search));

/** For what a server may not offer: get(...).catch(absent) is null there. */
export function absent(refused) {
  if (refused.status !== 404) throw refused;
  return null;
}
