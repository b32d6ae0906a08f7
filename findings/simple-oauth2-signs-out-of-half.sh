#!/usr/bin/env bash
# simple-oauth2 5.1.0 and the revocation endpoint of oauthlib 4.0.1, which answers as RFC 7009, 2.2 has it: 200, and a
# body that clients ignore, here an empty one. The library wants JSON in it. revoke() raises 406 Not Acceptable for what
# the server has done, and revokeAll(), which begins with the access token, ends there: where the server does not take
# the refresh token along, which 2.1 leaves to it, that token is never sent and stays good of a user who signed out.
# oauth4webapi 3.8.8 and arctic 3.7.0 do not look at the body, and both tokens end.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $server 2>/dev/null || true; wait 2>/dev/null; rm -rf "$folder"' EXIT
server=
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check oauthlib==4.0.1
npm install --silent --no-audit --no-fund simple-oauth2@5.1.0 oauth4webapi@3.8.8 arctic@3.7.0 > /dev/null 2>&1
cat > server.py <<'PYTHON'
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

from oauthlib.oauth2 import RequestValidator, RevocationEndpoint

live = set()

class Validator(RequestValidator):
    def client_authentication_required(self, *arguments):
        return True

    def authenticate_client(self, request, *arguments):
        request.client = SimpleNamespace(client_id="id")
        return True

    def revoke_token(self, token, *arguments):
        live.discard(token)

class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/sign-in":
            live.update(["access token", "refresh token"])
            self.answer(200, {"Content-Type": "application/json"}, "{}")
        else:
            headers, text, status = RevocationEndpoint(Validator()).create_revocation_response(
                "https://issuer.example/revoke", "POST", body, {}
            )
            self.answer(status, headers, text)

    def do_GET(self):
        self.answer(200, {"Content-Type": "application/json"}, json.dumps(sorted(live)))

    def answer(self, status, headers, text):
        self.send_response(status)
        for field in headers.items():
            self.send_header(*field)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *arguments):
        pass

server = HTTPServer(("127.0.0.1", 0), Server)
print(server.server_port, flush=True)
server.serve_forever()
PYTHON
venv/bin/python server.py > port & server=$!
cat > ask.mjs <<'JS'
import * as arctic from "arctic";
import * as oauth4webapi from "oauth4webapi";
import { ClientCredentials } from "simple-oauth2";

const [host] = process.argv.slice(2);
const tokens = { access_token: "access token", refresh_token: "refresh token" };
const simple = new ClientCredentials({
  client: { id: "id", secret: "secret" },
  auth: { tokenHost: host, revokePath: "/revoke" },
}).createToken(tokens);
const ways = {
  "simple-oauth2, revoke()": () => simple.revoke("access_token"),
  "simple-oauth2, revokeAll()": () => simple.revokeAll(),
  "oauth4webapi, one after the other": async () => {
    const issuer = { issuer: host, revocation_endpoint: `${host}/revoke` };
    const basic = oauth4webapi.ClientSecretBasic("secret");
    const plain = { [oauth4webapi.allowInsecureRequests]: true };
    for (const token of Object.values(tokens)) {
      const answer = await oauth4webapi.revocationRequest(issuer, { client_id: "id" }, basic, token, plain);
      await oauth4webapi.processRevocationResponse(answer);
    }
  },
  "arctic, one after the other": async () => {
    const client = new arctic.OAuth2Client("id", "secret", null);
    for (const token of Object.values(tokens)) await client.revokeToken(`${host}/revoke`, token);
  },
};
for (const [name, signOut] of Object.entries(ways)) {
  await fetch(`${host}/sign-in`, { method: "POST", body: "" });
  const outcome = await signOut().then(() => "no error", (error) => error.message);
  const left = await (await fetch(host)).json();
  console.log(`${name}: ${outcome}; good: ${left.join(", ") || "none"}`);
}
JS
for _ in $(seq 300); do test -s port && break; kill -0 $server; sleep 0.1; done
seen=$(node ask.mjs "http://127.0.0.1:$(cat port)")
echo "$seen"
test "$seen" = "simple-oauth2, revoke(): The content-type is not JSON compatible; good: refresh token
simple-oauth2, revokeAll(): The content-type is not JSON compatible; good: refresh token
oauth4webapi, one after the other: no error; good: none
arctic, one after the other: no error; good: none"
