#!/usr/bin/env bash
# simple-oauth2 5.1.0 asked for no scopes with `scope: []` sends "scope=", which RFC 6749, 3.2 has a server treat as
# omitted. oidc-provider 9.13.3 does and gives a token; oauthlib 4.0.1 and @node-oauth/oauth2-server 5.3.0 answer
# invalid_scope. Without the option all three give one, so a list that came from a setting and is empty shuts the
# client out of two of them.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $server 2>/dev/null || true; wait 2>/dev/null; rm -rf "$folder"' EXIT
server=
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check oauthlib==4.0.1
npm install --silent --no-audit --no-fund \
  simple-oauth2@5.1.0 oidc-provider@9.13.3 @node-oauth/oauth2-server@5.3.0 express@5.3.0 > /dev/null 2>&1
cat > server.py <<'PYTHON'
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

from oauthlib.oauth2 import BackendApplicationServer, RequestValidator

class Validator(RequestValidator):
    def authenticate_client(self, request, *args, **kwargs):
        request.client = SimpleNamespace(client_id="id")
        return True

    def validate_grant_type(self, *args, **kwargs):
        return True

    def get_default_scopes(self, *args, **kwargs):
        return ["read"]

    def validate_scopes(self, client_id, scopes, *args, **kwargs):
        return set(scopes) <= {"read", "write"}

    save_bearer_token = validate_grant_type

class TokenEndpoint(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        headers, answer, status = BackendApplicationServer(Validator()).create_token_response(
            "https://issuer.example/token", "POST", body, {}
        )
        self.send_response(status)
        for field in headers.items():
            self.send_header(*field)
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *args):
        pass

server = HTTPServer(("127.0.0.1", 0), TokenEndpoint)
print(server.server_port, flush=True)
server.serve_forever()
PYTHON
venv/bin/python server.py > port & server=$!
until test -s port; do sleep 0.1; done
cat > ask.mjs <<'JS'
import { createServer } from "node:http";
import NodeOAuth from "@node-oauth/oauth2-server";
import express from "express";
import { Provider } from "oidc-provider";
import { ClientCredentials } from "simple-oauth2";

const node = new NodeOAuth({
  model: {
    getClient: () => ({ id: "id", grants: ["client_credentials"] }),
    getUserFromClient: () => ({}),
    validateScope: (user, client, scope = ["read"]) => scope,
    saveToken: (token, client, user) => ({ ...token, client, user }),
  },
});
const application = express().use(express.urlencoded({ extended: false }));
application.post("/token", async (request, response) => {
  const answer = new NodeOAuth.Response(response);
  await node.token(new NodeOAuth.Request(request), answer).catch(() => {});
  response.status(answer.status).json(answer.body);
});
const provider = new Provider("http://issuer.example", {
  clients: [{
    client_id: "id", client_secret: "secret", grant_types: ["client_credentials"],
    redirect_uris: [], response_types: [],
  }],
  features: { clientCredentials: { enabled: true } },
  ttl: { ClientCredentials: 60 },
});
const listen = (handler) =>
  new Promise((resolve) => {
    const server = createServer(handler).listen(0, "127.0.0.1", () => resolve(server.address().port));
  });
const servers = {
  "oidc-provider": await listen(provider.callback()),
  oauthlib: process.argv[2],
  "node-oauth2-server": await listen(application),
};
for (const [name, port] of Object.entries(servers)) {
  const auth = { tokenHost: `http://127.0.0.1:${port}`, tokenPath: "/token" };
  const client = new ClientCredentials({ client: { id: "id", secret: "secret" }, auth });
  for (const parameters of [{}, { scope: [] }]) {
    const got = await client.getToken(parameters).then(
      () => "a token",
      (error) => error.data.payload.error,
    );
    console.log(`${name}, ${JSON.stringify(parameters)}: ${got}`);
  }
}
process.exit(0);
JS
seen=$(node ask.mjs "$(cat port)" 2> /dev/null)
echo "$seen"
test "$seen" = 'oidc-provider, {}: a token
oidc-provider, {"scope":[]}: a token
oauthlib, {}: a token
oauthlib, {"scope":[]}: invalid_scope
node-oauth2-server, {}: a token
node-oauth2-server, {"scope":[]}: invalid_scope'
