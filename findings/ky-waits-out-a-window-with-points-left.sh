#!/usr/bin/env bash
# ky 2.1.0 and express-rate-limit 8.7.5, each with its defaults but for a window of 15 minutes: the limiter tells on
# every answer when the window ends, an application's own 503 included, and ky takes that field, as its documentation
# has it, for the Retry-After that the 503 lacks. One hiccup at the first of 100 requests, with 99 left, and the retry
# that comes at once without a limiter comes after a quarter of an hour, for ky's time-out of ten seconds does not count
# such a wait. The one field RateLimit of draft-7 and draft-8 is not read: without X-RateLimit-Reset beside it the retry
# comes at once again.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund ky@2.1.0 express@5.3.0 express-rate-limit@8.7.5 > /dev/null 2>&1
cat > ask.mjs <<'JS'
import { once } from "node:events";
import express from "express";
import { rateLimit } from "express-rate-limit";
import ky from "ky";

const windowMs = 15 * 60 * 1000;
const limiters = {
  "no limiter": (request, response, next) => next(),
  "default fields": rateLimit({ windowMs, limit: 100 }),
  "draft-6": rateLimit({ windowMs, limit: 100, legacyHeaders: false, standardHeaders: "draft-6" }),
  "draft-7": rateLimit({ windowMs, limit: 100, legacyHeaders: false, standardHeaders: "draft-7" }),
  "draft-8": rateLimit({ windowMs, limit: 100, legacyHeaders: false, standardHeaders: "draft-8" }),
};
const { setTimeout } = globalThis;
let longest;
// Waits of more than ky's own time-out are noted and skipped.
globalThis.setTimeout = (wake, delay, ...rest) => {
  if (delay <= 10000) return setTimeout(wake, delay, ...rest);
  longest = delay;
  return setTimeout(wake, 0, ...rest);
};
for (const [name, limiter] of Object.entries(limiters)) {
  const statuses = [503, 200];
  const app = express();
  app.get("/", limiter, (request, response) => response.status(statuses.shift()).end());
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  longest = 0;
  const { status } = await ky.get(`http://127.0.0.1:${server.address().port}/`);
  const waits = longest ? `${Math.round(longest / 60000)} minutes` : "less than its time-out";
  console.log(`${name}: ${status}, ky waits ${waits}`);
  server.closeAllConnections();
  server.close();
}
process.exit();
JS
seen=$(node ask.mjs)
echo "$seen"
test "$seen" = "no limiter: 200, ky waits less than its time-out
default fields: 200, ky waits 15 minutes
draft-6: 200, ky waits 15 minutes
draft-7: 200, ky waits less than its time-out
draft-8: 200, ky waits less than its time-out"
