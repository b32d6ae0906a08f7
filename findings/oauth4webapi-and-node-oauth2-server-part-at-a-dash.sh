#!/usr/bin/env bash
# oauth4webapi 3.8.8 as client of @node-oauth/oauth2-server 5.3.0, HTTP Basic: the client encodes id and secret before
# it joins them (RFC 6749, 2.3.1), the dash too, so `billing-api` leaves as `billing%2Dapi`; the server decodes nothing
# and looks for that id. With the same code a client without dash, dot or underscore in its id gets its token, and the
# next one, with the right secret, invalid_client.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund oauth4webapi@3.8.8 @node-oauth/oauth2-server@5.3.0 > /dev/null 2>&1
cat > ask.mjs <<'JS'
import { once } from "node:events";
import { createServer } from "node:http";
import OAuth2Server from "@node-oauth/oauth2-server";
import * as oauth from "oauth4webapi";

let asked;
const clients = ["billing", "billing-api"].map((id) => ({ id, secret: "secret", grants: ["client_credentials"] }));
const model = {
  getClient: (id, secret) => (asked = id, clients.find((client) => client.id === id && client.secret === secret)),
  getUserFromClient: (client) => ({ id: client.id }),
  saveToken: (token, client, user) => ({ ...token, client, user }),
};
const oauth2 = new OAuth2Server({ model });
const server = createServer(async (request, response) => {
  const body = Object.fromEntries(new URLSearchParams((await request.toArray()).join("")));
  const answer = new OAuth2Server.Response({});
  const asking = new OAuth2Server.Request({ headers: request.headers, method: request.method, query: {}, body });
  await oauth2.token(asking, answer).catch(() => {});
  response.writeHead(answer.status, { ...answer.headers, "content-type": "application/json" });
  response.end(JSON.stringify(answer.body));
}).listen(0, "127.0.0.1");
await once(server, "listening");
const issuer = `http://127.0.0.1:${server.address().port}`;
for (const { id: client_id } of clients) {
  const { status } = await oauth.clientCredentialsGrantRequest(
    { issuer, token_endpoint: `${issuer}/token` }, { client_id }, oauth.ClientSecretBasic("secret"), {},
    { [oauth.allowInsecureRequests]: true },
  );
  console.log(`client ${client_id}: the server looks for ${asked}, status ${status}`);
}
server.closeAllConnections();
server.close();
JS
seen=$(node ask.mjs)
echo "$seen"
test "$seen" = "client billing: the server looks for billing, status 200
client billing-api: the server looks for billing%2Dapi, status 401"
