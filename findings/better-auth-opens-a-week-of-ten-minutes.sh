#!/usr/bin/env bash
# better-auth and @better-auth/api-key 1.7.5: the session that an API key opens takes the server's session lifetime,
# which is in seconds, for milliseconds. Where it is a week, and the key has no end, the session of somebody who signed
# in ends in a week, and that of the key in ten minutes.
set -eu
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund better-auth@1.7.5 @better-auth/api-key@1.7.5 @better-auth/core@1.7.5 \
  @better-auth/utils@0.4.2 better-call@1.4.0 > /dev/null 2>&1
cat > ask.mjs <<'JS'
import { apiKey } from "@better-auth/api-key";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";

const hour = 3600;
const minutesLeft = ({ expiresAt }) => Math.round((new Date(expiresAt) - Date.now()) / 60_000);
const application = betterAuth({
  baseURL: "http://auth.example",
  secret: crypto.randomUUID() + crypto.randomUUID(),
  database: memoryAdapter({ user: [], session: [], account: [], verification: [], apikey: [] }),
  emailAndPassword: { enabled: true },
  session: { expiresIn: 7 * 24 * hour },
  plugins: [apiKey({ enableSessionForAPIKeys: true })],
}).api;
const body = { email: "user@mail.example", password: crypto.randomUUID(), name: "user" };
const { response, headers } = await application.signUpEmail({ body, returnHeaders: true });
const cookie = headers.getSetCookie().map((one) => one.split(";")[0]).join("; ");
const signedIn = await application.getSession({ headers: new Headers({ cookie }) });
console.log("session of a sign-in, minutes:", minutesLeft(signedIn.session));
const { key } = await application.createApiKey({ body: { userId: response.user.id } });
const keyed = await application.getSession({ headers: new Headers({ "x-api-key": key }) });
console.log("session of a key, minutes:", minutesLeft(keyed.session));
JS
seen=$(node ask.mjs)
echo "$seen"
test "$seen" = "session of a sign-in, minutes: 10080
session of a key, minutes: 10"
