#!/usr/bin/env bash
# @badgateway/oauth2-client 3.3.1 renews a token one minute before its end, in the background, by a timer. Node counts a
# timer's milliseconds in 31 bits, which are 24.8 days, and makes one of any more: of a token for 30 days the renewal
# comes at once, brings a token for 30 days, and so on. Nobody has asked for anything, and the token endpoint gets a
# request as soon as it has answered the one before, each with a new refresh token to keep. For 24 days it gets one. An
# operator who lengthens the lifetime to spare the endpoint does the contrary.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund @badgateway/oauth2-client@3.3.1 > /dev/null 2>&1
cat > ask.mjs <<'JS'
import { once } from "node:events";
import { createServer } from "node:http";
import { OAuth2Client, OAuth2Fetch } from "@badgateway/oauth2-client";

for (const days of [1, 24, 25, 30]) {
  let asked = 0;
  const server = createServer(async (request, response) => {
    for await (const _ of request);
    asked += 1;
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({
      access_token: `access-${asked}`,
      refresh_token: `refresh-${asked}`,
      token_type: "bearer",
      expires_in: days * 86400,
    }));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = new OAuth2Client({
    server: `http://127.0.0.1:${server.address().port}`,
    tokenEndpoint: "/token",
    clientId: "id",
    clientSecret: "secret",
  });
  const session = new OAuth2Fetch({ client, getNewToken: () => client.clientCredentials() });
  await session.getToken();
  for (let tries = 0; tries < 20 && asked < 10; tries++) await new Promise((resolve) => setTimeout(resolve, 100));
  session.options.scheduleRefresh = false;
  console.log(`${days} day(s): ${asked < 10 ? asked : "ten and more"} token request(s) within two seconds`);
  server.closeAllConnections();
  server.close();
}
process.exit();
JS
seen=$(node ask.mjs 2> /dev/null)
echo "$seen"
test "$seen" = "1 day(s): 1 token request(s) within two seconds
24 day(s): 1 token request(s) within two seconds
25 day(s): ten and more token request(s) within two seconds
30 day(s): ten and more token request(s) within two seconds"
