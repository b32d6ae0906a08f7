"""Mass: what happens to a hundred thousand at once, and what an honest caller beside it waits."""

import asyncio
import http.client
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path

import redis
import uvloop

from service.app import Service
from service.settings import read
from service.store.driver.keys import Keys
from service.store.driver.pipeline import Pipeline
from tests.bench import machine, many, report, servers, watched
from tests.bench.client import Client
from tests.bench.fill import ORIGIN, fill_now
from tests.bench.honest import Waits, asking
from tests.links import connector
from tests.ports import held_port

BASE_SECONDS = 5.0
PATIENCE_SECONDS = 300.0
AT_ONCE = 200
STEP_MICROSECONDS = 500
OUTAGE_SECONDS = 60.0
TOLD_A_SECOND = 2000
# What none has, what few have, what all have, and each order.
QUESTIONS = (
    "scope=no:such",
    "subject=nobody",
    "lastAddress=192.0.2.1&sort=name",
    "unusedForDays=90",
    "neverUsed=true&scope=no:such",
    "q=%C3%A9",
    "q=scale+77",
    "q=scale&sort=-lastUsedAt",
    "sort=name",
    "sort=-lastUsedAt",
    "sort=expiresAt",
)


@dataclass(frozen=True)
class Place:
    """A service with a store of its own and one good token; `watched` has what held its loop."""

    folder: Path
    env: dict[str, str]
    store: servers.Server
    server: servers.Server
    client: Client
    secret: str
    watched: Path


@dataclass(frozen=True)
class Row:
    """What was done, how it went, and whether all held that must.

    `beside` is what an honest caller waited, `turn` for how long the loop was held at most.
    """

    name: str
    seen: str
    beside: str
    turn: str
    held: bool

    def __str__(self) -> str:
        verdict = "held" if self.held else "MISSED"
        return f"{self.name:26} {self.seen:76} {self.beside:40} {self.turn:16} {verdict}"


def run(count: int, only: list[str], output: Path) -> bool:
    """Print a row for each; True where all held."""
    report.print_facts(machine.facts())
    print(f"{'':26} {'':76} {'an honest caller waits':40} {'loop held':16}")
    rows = []
    for name, measured in ROWS.items():
        if only and name not in only:
            continue
        with ExitStack() as stack:
            for row in measured(_place(stack), count):
                print(row, flush=True)
                rows.append(row)
    output.write_text(json.dumps([row.__dict__ for row in rows], indent=1) + "\n")
    print(f"written to {output}")
    return all(row.held for row in rows)


def _place(stack: ExitStack) -> Place:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tk")))
    store = stack.enter_context(servers.redis(folder))
    env = servers.settings(folder, store.port) | {"TOKENS_WEBHOOK_ALLOW_PRIVATE": "on"}
    steps = folder / "watched"
    server = stack.enter_context(servers.service(folder, env, watched=steps))
    client = Client(server)
    return Place(folder, env, store, server, client, str(client.create("honest")["token"]), steps)


def _row(place: Place, name: str, seen: str, waits: Waits, *, held: bool) -> Row:
    """The row of what was done while an honest caller asked."""
    held_loop, collected = watched.longest(place.watched, waits.began)
    turn = f"{held_loop * 1000:.1f} ms, {collected * 1000:.1f} gc" if held_loop else "< 1 ms"
    return Row(name, seen, str(waits), turn, held and not waits.wrong)


def nothing(place: Place, count: int) -> Iterator[Row]:
    """The base line: nothing else happens."""
    with asking(place.server, place.secret) as waits:
        servers.wait_until(lambda: False, BASE_SECONDS)
    yield _row(place, "nothing", "-", waits, held=True)


def webhooks(place: Place, count: int) -> Iterator[Row]:
    """So many tokens are created; one receiver that takes everything is told of each."""
    port = _webhook(place)
    with _receiver(place, port):
        fill_now(place.env, 0, count, PATIENCE_SECONDS)
        began, first = time.monotonic(), _received(port)
        with asking(place.server, place.secret) as waits:
            servers.wait_until(lambda: _received(port) >= count, PATIENCE_SECONDS)
        rate = (_received(port) - first) / (time.monotonic() - began)
        told = _received(port)
    seen = f"{told:,} of {count:,} told, {rate:,.0f}/s once all were created"
    yield _row(place, "webhooks", seen, waits, held=told == count and rate >= TOLD_A_SECOND)


def outage(place: Place, count: int) -> Iterator[Row]:
    """So many tokens are created while the receiver is away, half of them more than the stream keeps.

    Once it is back, it is told of what the stream kept; the rest is counted.
    """
    port = _webhook(place)
    began = time.monotonic()
    with asking(place.server, place.secret) as waits:
        fill_now(place.env | {"TOKENS_AUDIT_MAX_ENTRIES": str(count // 2)}, 0, count, PATIENCE_SECONDS)
        servers.wait_until(lambda: False, OUTAGE_SECONDS - (time.monotonic() - began))
        away = time.monotonic() - began
        with _receiver(place, port):
            began = time.monotonic()
            servers.wait_until(lambda: not any(_standing(place, "unread", "waiting")), PATIENCE_SECONDS)
            back, told = time.monotonic() - began, _received(port)
    (dropped,) = _standing(place, "dropped")
    log = (place.folder / f"service{place.server.port}.log").read_text()
    said = log.count("were trimmed before a webhook took them")
    seen = f"away {away:.0f} s, {told:,} told {back:.0f} s after, {dropped:,} counted as dropped, logged {said} times"
    # The webhook's own entry, and what else the audit log says, is none of those.
    held = count // 2 <= told and count <= told + dropped <= count + 10 and said > 0
    yield _row(place, "outage", seen, waits, held=held)


def _webhook(place: Place) -> int:
    """A webhook for created tokens, and the port that it is sent to."""
    port = held_port()
    place.client.must("POST", "/api/admin/webhooks", {"url": f"http://127.0.0.1:{port}/", "events": ["token.created"]})
    return port


def _receiver(place: Place, port: int) -> AbstractContextManager[servers.Server]:
    command = [sys.executable, "-m", "tests.bench.receiver", str(port)]
    return servers.running("receiver", command, port=port, cores=machine.LOAD_CORES, log=place.folder / "receiver.log")


def _received(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/")
    told = int(connection.getresponse().read())
    connection.close()
    return told


def _standing(place: Place, *members: str) -> list[int]:
    """How the webhook stands with its events."""
    (shown,) = place.client.must("GET", "/api/admin/webhooks")["webhooks"]
    return [shown[member] for member in members]


def purge(place: Place, count: int) -> Iterator[Row]:
    """So many one-time tokens have expired and are dropped from their index."""
    index = Keys(place.env["TOKENS_NAMESPACE"], 0).one_time_index
    with redis.Redis(port=place.store.port) as direct, asking(place.server, place.secret) as waits:
        direct.config_set("slowlog-log-slower-than", STEP_MICROSECONDS)
        for start in range(0, count, AT_ONCE):
            direct.zadd(index, {f"expired {number}": 1 for number in range(start, min(count, start + AT_ONCE))})
        began = time.monotonic()
        gone = servers.wait_until(lambda: not direct.exists(index), PATIENCE_SECONDS)
        seen = f"{count:,} dropped in {time.monotonic() - began:.1f} s, {_longest(direct, b'EVAL')}"
    yield _row(place, "purge", seen, waits, held=gone)


def audit(place: Place, count: int) -> Iterator[Row]:
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
        seen = f"{count:,} verified in {verified:.1f} s, trimmed to {left:,}, {_longest(direct, b'EVAL')}"
    yield _row(place, "audit", seen, waits, held=bool(intact) and left < 2000)


def bulk(place: Place, count: int) -> Iterator[Row]:
    """So many tokens are imported, exported, searched, changed and at last revoked."""
    client = place.client
    every: dict[str, tuple[Callable[[], many.Done], float]] = {
        "import": (lambda: many.imported(client, count), 30e-6 * count),
        "export": (lambda: many.exported(client), 15e-6 * count),
        "list by last use": (lambda: _asked(client, "sort=-lastUsedAt"), 1.5),
        "search, nothing found": (lambda: _asked(client, "q=%C3%A9"), 1.5),
        "filter, nothing found": (lambda: _asked(client, "scope=no:such"), 1.5),
        "deactivate 10,000": (lambda: many.changed(client, "active", {"isActive": False}, {"q": "import"}), 1.0),
        "activate 10,000": (lambda: many.changed(client, "inactive", {"isActive": True}, {"q": "import"}), 1.0),
        "revoke all": (lambda: many.changed(client, "active", {}, {"q": "import"}, most=count), 100e-6 * count),
    }
    for name, (act, bar) in every.items():
        with asking(place.server, place.secret) as waits:
            done = act()
        yield _row(place, name, f"{done}, at most {bar:.1f} s", waits, held=not done.failure and done.seconds <= bar)


def readers(place: Place, count: int) -> Iterator[Row]:
    """Ten times so many tokens, each question of an administrator asked again and again."""
    fill_now(place.env, 0, 10 * count, PATIENCE_SECONDS)
    with asking(place.server, place.secret) as alone:
        servers.wait_until(lambda: False, BASE_SECONDS)
    yield _row(place, f"beside {10 * count:,}", "-", alone, held=True)
    for query in QUESTIONS:
        with asking(place.server, place.secret) as waits, redis.Redis(port=place.store.port) as direct:
            direct.config_set("slowlog-log-slower-than", STEP_MICROSECONDS)
            direct.slowlog_reset()
            began, taken = time.monotonic(), []
            while time.monotonic() < began + BASE_SECONDS:
                taken.append(_asked(place.client, query).seconds)
            seen = f"{len(taken)} pages, slowest {max(taken):.2f} s, {_longest(direct, b'')}"
        held = max(taken) <= 1.5 and waits.percentile(0.99) <= 2 * alone.percentile(0.99)
        yield _row(place, query, seen, waits, held=held)


def _asked(client: Client, query: str) -> many.Done:
    """One page of a list."""
    began = time.monotonic()
    found = len(client.must("GET", f"/api/admin/tokens?limit=50&{query}")["tokens"])
    taken = time.monotonic() - began
    return many.Done(found, taken, taken, 1)


def _write_entries(env: dict[str, str], count: int) -> None:
    """Entries by the service's own code."""

    async def write() -> None:
        # As in `fill`: hundreds at once on a busy machine.
        link = Pipeline(connector(env["TOKENS_REDIS_URL"]), timeout_seconds=30)
        service = Service(read(env), links=[link])
        async with aclosing(link), service.lifespan():
            log = service.rules.audit.log
            for start in range(0, count, AT_ONCE):
                names = [f"user {number}" for number in range(start, min(count, start + AT_ONCE))]
                await asyncio.gather(*[log.write("export.made", ORIGIN, name) for name in names])
            # Whoever seals also trims.
            await service.rules.audit.checkpoints.seal()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(write())


def _longest(direct: "redis.Redis[bytes]", command: bytes) -> str:
    """The longest that such a command held the store, as the store measured it."""
    taken = [one["duration"] for one in direct.slowlog_get(128) if one["command"].upper().startswith(command)]
    return f"Redis' longest step {max(taken) / 1000:.1f} ms" if taken else "no step of Redis over 0.5 ms"


# By name; each has a place of its own.
ROWS: dict[str, Callable[[Place, int], Iterator[Row]]] = {
    "nothing": nothing,
    "webhooks": webhooks,
    "outage": outage,
    "purge": purge,
    "audit": audit,
    "bulk": bulk,
    "readers": readers,
}
