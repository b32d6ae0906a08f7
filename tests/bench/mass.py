"""Mass: what happens to a hundred thousand at once, and what an honest caller beside it waits."""

import asyncio
import http.client
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path

import redis
import uvloop

from service.app import Service
from service.settings import read
from service.store.driver.keys import Keys
from service.store.driver.pipeline import Pipeline
from tests.bench import machine, report, servers
from tests.bench.client import Client
from tests.bench.fill import ORIGIN, fill_now
from tests.bench.honest import asking
from tests.links import connector
from tests.ports import held_port

BASE_SECONDS = 5.0
PATIENCE_SECONDS = 300.0
AT_ONCE = 200
STEP_MICROSECONDS = 500


@dataclass(frozen=True)
class Place:
    """A service with a store of its own and one good token."""

    folder: Path
    env: dict[str, str]
    store: servers.Server
    server: servers.Server
    client: Client
    secret: str


@dataclass(frozen=True)
class Row:
    """What was done, how it went, what an honest caller beside it waited, and whether all held that must."""

    name: str
    seen: str
    beside: str
    held: bool


def run(count: int, only: list[str], output: Path) -> bool:
    """Print a row for each; True where all held."""
    report.print_facts(machine.facts())
    rows = []
    for name, measured in ROWS.items():
        if only and name not in only:
            continue
        with ExitStack() as stack:
            row = measured(_place(stack), count)
        print(f"{row.name:28} {row.seen:60} {row.beside:50} {'held' if row.held else 'MISSED'}", flush=True)
        rows.append(row)
    output.write_text(json.dumps([row.__dict__ for row in rows], indent=1) + "\n")
    print(f"written to {output}")
    return all(row.held for row in rows)


def _place(stack: ExitStack) -> Place:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tk")))
    store = stack.enter_context(servers.redis(folder))
    env = servers.settings(folder, store.port) | {"TOKENS_WEBHOOK_ALLOW_PRIVATE": "on"}
    server = stack.enter_context(servers.service(folder, env))
    client = Client(server)
    return Place(folder, env, store, server, client, str(client.create("honest")["token"]))


def nothing(place: Place, count: int) -> Row:
    """The base line: nothing else happens."""
    with asking(place.server, place.secret) as waits:
        servers.wait_until(lambda: False, BASE_SECONDS)
    return Row("nothing", "-", str(waits), not waits.wrong)


def webhooks(place: Place, count: int) -> Row:
    """So many tokens are created; one receiver that takes everything is told of each."""
    port = held_port()
    command = [sys.executable, "-m", "tests.bench.receiver", str(port)]
    with servers.running("receiver", command, port=port, cores=machine.LOAD_CORES, log=place.folder / "receiver.log"):
        place.client.must(
            "POST", "/api/admin/webhooks", {"url": f"http://127.0.0.1:{port}/", "events": ["token.created"]}
        )
        fill_now(place.env, 0, count, PATIENCE_SECONDS)
        began, first = time.monotonic(), _received(port)
        with asking(place.server, place.secret) as waits:
            servers.wait_until(lambda: _received(port) >= count, PATIENCE_SECONDS)
        rate = (_received(port) - first) / (time.monotonic() - began)
        taken = _received(port)
    seen = f"{taken:,} of {count:,} told, {rate:,.0f}/s once all were created"
    return Row("webhooks", seen, str(waits), taken == count and rate >= 2000 and not waits.wrong)


def _received(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/")
    told = int(connection.getresponse().read())
    connection.close()
    return told


def purge(place: Place, count: int) -> Row:
    """So many one-time tokens have expired and are dropped from their index."""
    index = Keys(place.env["TOKENS_NAMESPACE"], 0).one_time_index
    with redis.Redis(port=place.store.port) as direct, asking(place.server, place.secret) as waits:
        direct.config_set("slowlog-log-slower-than", STEP_MICROSECONDS)
        for start in range(0, count, AT_ONCE):
            direct.zadd(index, {f"expired {number}": 1 for number in range(start, min(count, start + AT_ONCE))})
        began = time.monotonic()
        gone = servers.wait_until(lambda: not direct.exists(index), PATIENCE_SECONDS)
        seen = f"{count:,} dropped in {time.monotonic() - began:.1f} s, {_longest(direct, b'EVAL')}"
    return Row("purge", seen, str(waits), gone and not waits.wrong)


def audit(place: Place, count: int) -> Row:
    """So many entries are verified, and then trimmed down to a thousand as entries come."""
    with redis.Redis(port=place.store.port) as direct:
        direct.config_set("slowlog-log-slower-than", STEP_MICROSECONDS)
        _write_entries(place.env | {"TOKENS_AUDIT_MAX_ENTRIES": str(2 * count)}, count)
        with asking(place.server, place.secret) as waits:
            began = time.monotonic()
            intact = place.client.must("GET", "/api/admin/audit/verification")["intact"]
            verified = time.monotonic() - began
            _write_entries(place.env | {"TOKENS_AUDIT_MAX_ENTRIES": "1000"}, 1000)
        left = direct.xlen(Keys(place.env["TOKENS_NAMESPACE"], 0).changes)
        seen = f"{count:,} verified in {verified:.1f} s, trimmed to {left:,}, {_longest(direct, b'XADD')}"
    return Row("audit", seen, str(waits), bool(intact) and left < 2000 and not waits.wrong)


def _write_entries(env: dict[str, str], count: int) -> None:
    """Entries by the service's own code."""

    async def write() -> None:
        # As in `fill`: hundreds at once on a busy machine.
        link = Pipeline(connector(env["TOKENS_REDIS_URL"]), timeout_seconds=30)
        service = Service(read(env), links=[link])
        async with aclosing(link), service.lifespan():
            log = service.rules.audit_log
            for start in range(0, count, AT_ONCE):
                names = [f"user {number}" for number in range(start, min(count, start + AT_ONCE))]
                await asyncio.gather(*[log.write("export.made", ORIGIN, name) for name in names])

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(write())


def _longest(direct: "redis.Redis[bytes]", command: bytes) -> str:
    """The longest that such a command held the store, as the store measured it."""
    taken = [one["duration"] for one in direct.slowlog_get(128) if one["command"].upper().startswith(command)]
    return f"Redis' longest step {max(taken) / 1000:.1f} ms" if taken else "no step of Redis over 0.5 ms"


# By name; each has a place of its own.
ROWS: dict[str, Callable[[Place, int], Row]] = {
    "nothing": nothing,
    "webhooks": webhooks,
    "purge": purge,
    "audit": audit,
}
