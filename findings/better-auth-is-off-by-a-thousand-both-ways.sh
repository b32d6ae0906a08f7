#!/usr/bin/env bash
# better-auth and @better-auth/api-key 1.7.5: keyExpiration.defaultExpiresIn is documented "in milliseconds" and
# counted in seconds, so keys that were to end after an hour end after six weeks. The session that such a key opens takes
# the server's session lifetime, which is in seconds, for milliseconds: where it is a week, and the key has no end, the
# session says that it ends in ten minutes. expiresIn of a single key is in seconds, and is kept.
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
const application = (defaultExpiresIn) => betterAuth({
  baseURL: "http://auth.example",
  secret: crypto.randomUUID() + crypto.randomUUID(),
  database: memoryAdapter({ user: [], session: [], account: [], verification: [], apikey: [] }),
  emailAndPassword: { enabled: true },
  session: { expiresIn: 7 * 24 * hour },
  plugins: [apiKey({ enableSessionForAPIKeys: true, keyExpiration: { defaultExpiresIn } })],
}).api;
const signedUp = async (api) => {
  const body = { email: "user@mail.example", password: crypto.randomUUID(), name: "user" };
  return (await api.signUpEmail({ body })).user.id;
};

const hourly = application(hour * 1000);
const userId = await signedUp(hourly);
console.log("key by default, minutes:", minutesLeft(await hourly.createApiKey({ body: { userId } })));
const day = await hourly.createApiKey({ body: { userId, expiresIn: 24 * hour } });
console.log("key for a day, minutes:", minutesLeft(day));
const endless = application(null);
const { key } = await endless.createApiKey({ body: { userId: await signedUp(endless) } });
const { session } = await endless.getSession({ headers: new Headers({ "x-api-key": key }) });
console.log("session for a week, minutes:", minutesLeft(session));
JS
documented=$(grep -rhoE 'The default expires time in [a-z]+' node_modules/@better-auth/api-key/dist/*.d.mts)
seen="$documented
$(node ask.mjs)"
echo "$seen"
test "$seen" = "The default expires time in milliseconds
key by default, minutes: 60000
key for a day, minutes: 1440
session for a week, minutes: 10"
