"""Mass: what happens to a hundred thousand at once, and what an honest caller beside it waits."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import redis

from service.composition.rules import Rules
from service.store.driver.keys import Keys
from tests.bench import machine, many, report, servers
from tests.bench.client import Client
from tests.bench.fill import ORIGIN, fill_now, in_loop, serving
from tests.bench.honest import asking
from tests.bench.mass_webhooks import outage, webhook, webhooks
from tests.bench.place import Place, Row, placed, row

BASE_SECONDS = 5.0
PATIENCE_SECONDS = 300.0
AT_ONCE = 200
STEP_MICROSECONDS = 500
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


def run(count: int, only: list[str], output: Path) -> bool:
    """Print a row for each; True where all held."""
    report.print_facts(machine.facts())
    print(f"{'':26} {'':76} {'an honest caller waits':62} {'loop held (with a core)':16}")
    rows = []
    for name, measured in ROWS.items():
        if only and name not in only:
            continue
        with ExitStack() as stack:
            for one in measured(placed(stack), count):
                print(one, flush=True)
                rows.append(one)
    output.write_text(json.dumps([one.__dict__ for one in rows], indent=1) + "\n")
    print(f"written to {output}")
    return all(one.held for one in rows)


def nothing(place: Place, count: int) -> Iterator[Row]:
    """The base line: nothing else happens."""
    with asking(place) as waits:
        servers.wait_until(lambda: False, BASE_SECONDS)
    gap = machine.longest_gap(BASE_SECONDS) * 1000
    yield row(place, "nothing", f"the machine stands still for {gap:.1f} ms at most by itself", waits, held=True)


def rewrite(place: Place, count: int) -> Iterator[Row]:
    """The append-only file is written anew, as Redis does by itself when it has doubled."""
    filled = fill_now(place.env, 0, count, PATIENCE_SECONDS)
    with redis.Redis(port=place.store.port) as direct, asking(place) as waits:
        began = time.monotonic()
        direct.bgrewriteaof()
        done = servers.wait_until(lambda: not direct.info("persistence")["aof_rewrite_in_progress"], PATIENCE_SECONDS)
        taken, fork = time.monotonic() - began, direct.info("stats")["latest_fork_usec"] / 1000
    seen = f"{filled.count:,} tokens written in {taken:.1f} s, Redis stood still for {fork:.1f} ms to begin"
    yield row(place, "rewrite", seen, waits, held=done)


def sessions(place: Place, count: int) -> Iterator[Row]:
    """A user of so many sessions is logged out everywhere."""
    _sign_in(place.env, count)
    with redis.Redis(port=place.store.port) as direct, asking(place) as waits:
        direct.config_set("slowlog-log-slower-than", STEP_MICROSECONDS)
        began = time.monotonic()
        ended = place.client.must("POST", "/api/admin/sessions/revoke", {"username": "admin"})["ended"]
        seen = f"{ended:,} ended in {time.monotonic() - began:.1f} s, {_longest(direct, b'EVAL')}"
    yield row(place, "sessions", seen, waits, held=ended > count)


def purge(place: Place, count: int) -> Iterator[Row]:
    """So many one-time tokens have expired and are dropped from their index."""
    index = Keys(place.env["TOKENS_NAMESPACE"], 0).one_time_index
    with redis.Redis(port=place.store.port) as direct, asking(place) as waits:
        direct.config_set("slowlog-log-slower-than", STEP_MICROSECONDS)
        for start in range(0, count, AT_ONCE):
            direct.zadd(index, {f"expired {number}": 1 for number in range(start, min(count, start + AT_ONCE))})
        began = time.monotonic()
        gone = servers.wait_until(lambda: not direct.exists(index), PATIENCE_SECONDS)
        seen = f"{count:,} dropped in {time.monotonic() - began:.1f} s, {_longest(direct, b'EVAL')}"
    yield row(place, "purge", seen, waits, held=gone)


def audit(place: Place, count: int) -> Iterator[Row]:
    """So many entries are verified, and then trimmed down to a thousand as entries come."""
    with redis.Redis(port=place.store.port) as direct:
        direct.config_set("slowlog-log-slower-than", STEP_MICROSECONDS)
        _write_entries(place.env | {"TOKENS_AUDIT_MAX_ENTRIES": str(2 * count)}, count)
        with asking(place) as waits:
            began = time.monotonic()
            intact = place.client.must("GET", "/api/admin/audit/verification")["intact"]
            verified = time.monotonic() - began
            _write_entries(place.env | {"TOKENS_AUDIT_MAX_ENTRIES": "1000"}, 1000)
        left = direct.xlen(Keys(place.env["TOKENS_NAMESPACE"], 0).changes)
        seen = f"{count:,} verified in {verified:.1f} s, trimmed to {left:,}, {_longest(direct, b'EVAL')}"
    yield row(place, "audit", seen, waits, held=bool(intact) and left < 2000)


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
        with asking(place) as waits:
            done = act()
        yield row(place, name, f"{done}, at most {bar:.1f} s", waits, held=not done.failure and done.seconds <= bar)


def readers(place: Place, count: int) -> Iterator[Row]:
    """Ten times so many tokens, each question of an administrator asked again and again."""
    filled = fill_now(place.env, 0, 10 * count, PATIENCE_SECONDS)
    for query in QUESTIONS:
        # Each beside a base line of its own: what else the machine does changes from minute to minute.
        with asking(place) as alone:
            servers.wait_until(lambda: False, BASE_SECONDS)
        with asking(place) as waits, redis.Redis(port=place.store.port) as direct:
            direct.config_set("slowlog-log-slower-than", STEP_MICROSECONDS)
            direct.slowlog_reset()
            began, taken = time.monotonic(), []
            while time.monotonic() < began + BASE_SECONDS:
                taken.append(_asked(place.client, query).seconds)
            seen = f"{len(taken)} pages of {filled.count:,}, slowest {max(taken):.2f} s, {_longest(direct, b'')}"
        seen += f"; p99 alone {alone.percentile(0.99):.1f} (with a core {alone.served_p99:.1f})"
        held = max(taken) <= 1.5 and waits.served_p99 <= 2 * alone.served_p99
        yield row(place, query, seen, waits, held=held)


def long(place: Place, count: int) -> Iterator[Row]:
    """Tokens with as much metadata as there may be, and the log of them: listed, exported, searched, told to a webhook."""
    metadata = {f"{number:02}" + 60 * "\U0001f511": 256 * "\U0001f511" for number in range(20)}
    lines = many.lines(range(count // 250), metadata=metadata)
    webhook(place)
    with asking(place) as waits:
        for start in range(0, len(lines), 20):
            many.take_in(place.client, b"\n".join(lines[start : start + 20]))
    yield row(place, "import beside a webhook", f"{len(lines):,} tokens of 25 kB", waits, held=True)
    for path in ("tokens?limit=200", "tokens/export", "audit?limit=200", "audit?q=nothing", "audit/verification"):
        with asking(place) as waits, redis.Redis(port=place.store.port) as direct:
            direct.config_set("slowlog-log-slower-than", STEP_MICROSECONDS)
            direct.slowlog_reset()
            size = max(len(many.taken_out(place.client, f"/api/admin/{path}")) for _ in range(5))
            seen = f"{size:,} bytes, {_longest(direct, b'')}"
        yield row(place, path, seen, waits, held=True)


def _asked(client: Client, query: str) -> many.Done:
    """One page of a list."""
    began = time.monotonic()
    found = len(client.must("GET", f"/api/admin/tokens?limit=50&{query}")["tokens"])
    taken = time.monotonic() - began
    return many.Done(found, taken, taken, 1)


def _write_entries(env: dict[str, str], count: int) -> None:
    """Entries by the service's own code."""

    async def write(rules: Rules) -> None:
        log = rules.audit.log
        await _at_once(count, lambda number: log.write("export.made", ORIGIN, f"user {number}"))
        # Whoever seals also trims.
        await rules.audit.checkpoints.seal()

    _within(env, write)


def _sign_in(env: dict[str, str], count: int) -> None:
    """Sessions by the service's own code, for which nobody asks a password."""

    async def sign_in(rules: Rules) -> None:
        account = rules.accounts.known.get("admin")
        assert account
        await _at_once(count, lambda _: rules.sessions._create("admin", account, b"0", ORIGIN))

    _within(env, sign_in)


async def _at_once(count: int, make: Callable[[int], Awaitable[object]]) -> None:
    for start in range(0, count, AT_ONCE):
        await asyncio.gather(*map(make, range(start, min(count, start + AT_ONCE))))


def _within(env: dict[str, str], act: Callable[[Rules], Awaitable[None]]) -> None:
    async def begin_and_act() -> None:
        async with serving(env) as service:
            await act(service.rules)

    in_loop(begin_and_act())


def _longest(direct: "redis.Redis[bytes]", command: bytes) -> str:
    """The longest that such a command held the store, as the store measured it."""
    taken = [one["duration"] for one in direct.slowlog_get(128) if one["command"].upper().startswith(command)]
    return f"Redis' longest step {max(taken) / 1000:.1f} ms" if taken else "no step of Redis over 0.5 ms"


# By name; each has a place of its own.
ROWS: dict[str, Callable[[Place, int], Iterator[Row]]] = {
    "nothing": nothing,
    "rewrite": rewrite,
    "sessions": sessions,
    "webhooks": webhooks,
    "outage": outage,
    "purge": purge,
    "audit": audit,
    "bulk": bulk,
    "readers": readers,
    "long": long,
}
