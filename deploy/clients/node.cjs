// Express, Fastify and whatever else stands on Node's http: asks the token service about every request.
//
//   app.use(require("./node.cjs").express({ scopes: ["orders:read"] }));
//   fastify.addHook("onRequest", require("./node.cjs").fastify({ scopes: ["orders:read"] }));
//
// The caller is `request.token`: id, subject, scopes, kind, name. Needs nothing beside Node 18.3.
// TOKENS_TRUSTED_PROXIES of the service must have this application's address.
"use strict";

const http = require("node:http");
const { randomUUID } = require("node:crypto");

const ASKED = ["authorization", "x-api-key", "x-token", "user-agent"];
// Nobody but the service says these; they are kept from applications that read headers behind a gateway.
const IDENTITY = new Set([
  ...["id", "subject", "scopes", "kind", "name"].map((name) => `x-token-${name}`),
  "remote-user", "x-auth-request-user", "x-tokens-retry-key",
]);
const PASSED_ON = [
  "www-authenticate", "retry-after", "ratelimit", "ratelimit-policy", "content-type", "cache-control", "x-request-id",
];
const UNDECIDED = { status: 503, headers: { "retry-after": "1" }, body: Buffer.alloc(0) };
const REFUSALS = [401, 403, 429, 503];
const isTheServices = ({ status, headers }) => REFUSALS.includes(status) || (status === 200 && headers["x-token-id"]);

// `url` may be .../validate/one-time: that one spends the token.
function checker({ url = "http://127.0.0.1:8080/validate", scopes = [], seconds = 2 } = {}) {
  if (!url.startsWith("http://")) throw new Error(`${url}: write it like http://127.0.0.1:8080/validate`);
  const agent = new http.Agent({ keepAlive: true, timeout: 60_000 });

  function once(headers) {
    return new Promise((resolve) => {
      const request = http.get(url, { agent, headers }, (answer) => {
        const parts = [];
        answer.on("data", (part) => parts.push(part));
        answer.on("end", () => finish({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(parts) }));
        answer.on("error", () => finish(null));
      });
      const deadline = setTimeout(() => { finish(UNDECIDED); request.destroy(); }, seconds * 1000);
      const finish = (answer) => { clearTimeout(deadline); resolve({ answer, kept: request.reusedSocket }); };
      request.on("error", () => finish(null));
    });
  }

  return async function ask(request) {
    // The key says that a question asked again after a lost answer is the same.
    const headers = { "x-forwarded-for": request.socket.remoteAddress, "x-tokens-retry-key": randomUUID() };
    // Node's `headers` has the first `authorization` alone; the service refuses two.
    for (const name of ASKED) if (request.headersDistinct[name]) headers[name] = request.headersDistinct[name];
    if (scopes.length) headers["x-required-scope"] = scopes.join(" ");
    // A kept connection may have been closed meanwhile: then another.
    let tried;
    do tried = await once(headers); while (!tried.answer && tried.kept);
    return tried.answer && isTheServices(tried.answer) ? tried.answer : UNDECIDED;
  };
}

function identityOf({ headers }) {
  const scopes = headers["x-token-scopes"];
  return {
    id: headers["x-token-id"],
    subject: headers["x-token-subject"],
    scopes: scopes === "-" ? [] : scopes.split(" "),
    kind: headers["x-token-kind"],
    name: decodeURIComponent(headers["x-token-name"] ?? ""),
  };
}

function stripIdentity(request) {
  const isClaim = (name) => IDENTITY.has(name.toLowerCase().replaceAll("_", "-"));
  for (const headers of [request.headers, request.headersDistinct]) {
    for (const name of Object.keys(headers).filter(isClaim)) delete headers[name];
  }
  request.rawHeaders = request.rawHeaders.filter((_, at, all) => !isClaim(all[at - (at % 2)]));
}

function passedOn({ headers }) {
  return Object.fromEntries(PASSED_ON.filter((name) => headers[name]).map((name) => [name, headers[name]]));
}

exports.express = (options) => {
  const ask = checker(options);
  return (request, response, next) => {
    ask(request).then((answer) => {
      if (answer.status !== 200) return response.writeHead(answer.status, passedOn(answer)).end(answer.body);
      stripIdentity(request);
      request.token = identityOf(answer);
      return next();
    }).catch(next);
  };
};

exports.fastify = (options) => {
  const ask = checker(options);
  return async (request, reply) => {
    const answer = await ask(request.raw);
    if (answer.status !== 200) return reply.code(answer.status).headers(passedOn(answer)).send(answer.body);
    stripIdentity(request.raw);
    request.token = identityOf(answer);
  };
};
