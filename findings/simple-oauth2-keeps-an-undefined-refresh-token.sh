#!/usr/bin/env bash
# simple-oauth2 5.1.0, refresh() against a server that answers without a new refresh token, after which RFC 6749, 6 has
# the old one stay in use: the library fills the gap with undefined instead of the token it holds. Application code that
# merged the answer over what it had, { ...old, ...new }, kept the token under 5.0.0 and loses it under 5.1.0; the next
# refresh sends an empty refresh_token. Every user is signed out at the end of the second access token, and no sooner.
set -eu
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
for version in 5.0.0 5.1.0; do
  mkdir "$version"
  (cd "$version" && npm install --silent --no-audit --no-fund "simple-oauth2@$version" > /dev/null 2>&1)
done
cat > ask.mjs <<'JS'
import { once } from "node:events";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const version = process.argv[2];
const { AuthorizationCode } = createRequire(`${process.cwd()}/${version}/`)("simple-oauth2");
const server = createServer(async (request, response) => {
  const sent = new URLSearchParams((await request.toArray()).join("")).get("refresh_token");
  console.log(`${version}: the server gets ${JSON.stringify(sent)}`);
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ access_token: "next", token_type: "Bearer", expires_in: 3600 }));
}).listen(0, "127.0.0.1");
await once(server, "listening");
const tokenHost = `http://127.0.0.1:${server.address().port}`;
const client = new AuthorizationCode({ client: { id: "id", secret: "secret" }, auth: { tokenHost } });
let held = { access_token: "first", refresh_token: "kept", token_type: "Bearer", expires_in: 3600 };
for (let round = 0; round < 2; round += 1) {
  const { token } = await client.createToken(held).refresh();
  held = { ...held, ...token };
}
server.close();
server.closeAllConnections();
JS
seen=$(for version in 5.0.0 5.1.0; do node ask.mjs "$version"; done)
echo "$seen"
test "$seen" = '5.0.0: the server gets "kept"
5.0.0: the server gets "kept"
5.1.0: the server gets "kept"
5.1.0: the server gets ""'
