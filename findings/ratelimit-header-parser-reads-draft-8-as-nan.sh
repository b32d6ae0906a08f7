#!/usr/bin/env bash
# ratelimit-header-parser 0.1.0 on an answer of express-rate-limit 8.7.5, both of one organisation: the field RateLimit
# of standardHeaders "draft-8" is found and not understood, so every number is NaN and the date invalid, not undefined;
# the X-RateLimit fields beside it, which the parser reads when they stand alone, are not looked at. `remaining < 1` and
# `remaining > 0` are then both false, and a client that waits by either one has stopped waiting.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund express@5.3.0 express-rate-limit@8.7.5 ratelimit-header-parser@0.1.0 \
  > /dev/null 2>&1
cat > ask.mjs <<'JS'
import { once } from "node:events";
import express from "express";
import { rateLimit } from "express-rate-limit";
import { parseRateLimit } from "ratelimit-header-parser";

for (const standardHeaders of ["draft-7", "draft-8", false]) {
  const app = express();
  app.use(rateLimit({ windowMs: 60000, limit: 10, standardHeaders, legacyHeaders: true }));
  app.get("/", (request, response) => response.end());
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/`);
  const { limit, remaining, reset } = parseRateLimit(answer);
  console.log(`${standardHeaders}: limit ${limit} remaining ${remaining} reset known ${!Number.isNaN(reset.getTime())}`,
    `beside it X-RateLimit-Remaining: ${answer.headers.get("x-ratelimit-remaining")}`);
  server.closeAllConnections();
  server.close();
}
JS
seen=$(node ask.mjs)
echo "$seen"
test "$seen" = "draft-7: limit 10 remaining 9 reset known true beside it X-RateLimit-Remaining: 9
draft-8: limit NaN remaining NaN reset known false beside it X-RateLimit-Remaining: 9
false: limit 10 remaining 9 reset known true beside it X-RateLimit-Remaining: 9"
