#!/usr/bin/env bash
# Two packages for Node write a record as MessagePack. Up to 4294967295 both write a whole number as an integer. From
# the next one on msgpackr 2.1.4 writes a float and @msgpack/msgpack 3.1.3 an integer, which is what the specification
# has under "Serialization: type to format conversion"; it is nine bytes either way. msgspec 0.23.0 and msgpack-core
# 0.9.12 for Java refuse the float where an integer should be; msgpack 1.2.4 for Python hands out 4294967296.0, which
# makes another key of a cache; jackson-dataformat-msgpack 0.9.11 reads the number. A moment in seconds is an integer,
# in milliseconds a float. So one column has two types, and on the day the sequence passes 32 bits the services beside
# Node refuse each new customer and serve the old ones, while Node reads all that it writes. As BigInt it is an
# integer again.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check msgspec==0.23.0 msgpack==1.2.4
npm install --silent --no-audit --no-fund msgpackr@2.1.4 @msgpack/msgpack@3.1.3 > /dev/null 2>&1
cat > pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId>
  <artifactId>finding</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>org.msgpack</groupId><artifactId>msgpack-core</artifactId>
      <version>0.9.12</version></dependency>
    <dependency><groupId>org.msgpack</groupId><artifactId>jackson-dataformat-msgpack</artifactId>
      <version>0.9.11</version></dependency>
  </dependencies>
</project>
XML
mvn --quiet --batch-mode dependency:copy-dependencies -DoutputDirectory=jars > maven.log 2>&1
cat > write.mjs <<'JS'
import { writeFileSync } from "node:fs";
import { encode } from "@msgpack/msgpack";
import { pack } from "msgpackr";

for (const value of [4294967295, 4294967296, 1796000000, 1796000000123]) {
  writeFileSync(`msgpackr ${value}`, pack({ value }));
  writeFileSync(`@msgpack ${value}`, encode({ value }));
}
writeFileSync("msgpackr BigInt(4294967296)", pack({ value: BigInt(4294967296) }));
JS
node write.mjs
cat > Read.java <<'JAVA'
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.Files;
import java.nio.file.Path;
import org.msgpack.core.MessagePack;
import org.msgpack.core.MessageTypeException;
import org.msgpack.jackson.dataformat.MessagePackFactory;

public class Read {
  record Row(long value) {}

  public static void main(String[] names) throws Exception {
    for (String name : names) {
      byte[] written = Files.readAllBytes(Path.of(name));
      String core;
      try (var unpacker = MessagePack.newDefaultUnpacker(written)) {
        unpacker.unpackMapHeader();
        unpacker.unpackString();
        core = Long.toString(unpacker.unpackLong());
      } catch (MessageTypeException refused) {
        core = "refused";
      }
      long jackson = new ObjectMapper(new MessagePackFactory()).readValue(written, Row.class).value();
      System.out.println(core + ", " + jackson);
    }
  }
}
JAVA
javac -cp 'jars/*' Read.java
cat > read.py <<'PYTHON'
import subprocess
import sys
from pathlib import Path

import msgpack
import msgspec

class Row(msgspec.Struct):
    value: int

def read(written):
    try:
        return msgspec.msgpack.decode(written, type=Row).value
    except msgspec.ValidationError:
        return "refused"

formats = {0xCB: "float 64", 0xCE: "uint 32", 0xCF: "uint 64", 0xD3: "int 64"}
command = ["java", "-XX:TieredStopAtLevel=1", "-cp", ".:jars/*", "Read", *sys.argv[1:]]
others = subprocess.run(command, check=True, timeout=60, stdout=subprocess.PIPE, text=True).stdout.splitlines()
print("read by msgspec, msgpack, msgpack-core, Jackson")
for name, other in zip(sys.argv[1:], others, strict=True):
    written = Path(name).read_bytes()
    kind = formats[written[written.index(b"value") + len(b"value")]]
    print(f"{name}, {kind}: {read(written)}, {msgpack.unpackb(written)['value']}, {other}")
PYTHON
seen=$(venv/bin/python read.py @msgpack\ * msgpackr\ *)
echo "$seen"
test "$seen" = "read by msgspec, msgpack, msgpack-core, Jackson
@msgpack 1796000000, uint 32: 1796000000, 1796000000, 1796000000, 1796000000
@msgpack 1796000000123, uint 64: 1796000000123, 1796000000123, 1796000000123, 1796000000123
@msgpack 4294967295, uint 32: 4294967295, 4294967295, 4294967295, 4294967295
@msgpack 4294967296, uint 64: 4294967296, 4294967296, 4294967296, 4294967296
msgpackr 1796000000, uint 32: 1796000000, 1796000000, 1796000000, 1796000000
msgpackr 1796000000123, float 64: refused, 1796000000123.0, refused, 1796000000123
msgpackr 4294967295, uint 32: 4294967295, 4294967295, 4294967295, 4294967295
msgpackr 4294967296, float 64: refused, 4294967296.0, refused, 4294967296
msgpackr BigInt(4294967296), int 64: 4294967296, 4294967296, 4294967296, 4294967296"
