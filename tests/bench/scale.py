"""The scale: the same questions to 1,000, 100,000 and a million managed tokens or as many as are asked for, and
validation beside them.
"""

import http.client
import json
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

import redis

from tests.bench import machine, many, report, servers
from tests.bench.client import Client
from tests.bench.fill import Filled, fill_now
from tests.bench.load import Case, Sample, measure

FEW, MIDDLE = 1000, 100_000
RUNS = 3
TIMES = 20
# So many times in all, or as often as this allows.
QUESTION_SECONDS = 3
TOKENS = "/api/admin/tokens"
MIB = 1 << 20
PAGE, SEARCH, STATISTICS, VALIDATE = "first page of 50", "search, part of a name", "statistics", "validate 1,000 tokens"
BY_USE, BY_EXPIRY, FILTER = "first page by last use", "first page by expiry", "filter, nothing found"
BEYOND_ASCII = "search, a letter beyond ASCII"
# What must hold with MIDDLE tokens: the median in ms.
MIDDLE_BARS = {PAGE: 10.0, SEARCH: 150.0, STATISTICS: 5.0}
# And with all: ms of Redis' own time, and how much slower than with FEW.
REDIS_BARS = {PAGE: 10.0, SEARCH: 100.0, BEYOND_ASCII: 100.0}
WHOLE_BARS = {BY_USE: 20.0, BY_EXPIRY: 20.0, FILTER: 1500.0}
# Seconds for what `many` does.
MANY_BARS = {"deactivated by filter": 1.0, "activated by filter": 1.0, "imported": 3.0}
SLOWER = 1.10


@dataclass(frozen=True)
class Asked:
    """One question asked some times: median, slowest and Redis' own time for one, in ms; or what went wrong."""

    median_ms: float
    slowest_ms: float
    redis_ms: float
    failure: str = ""

    def __str__(self) -> str:
        return self.failure or f"{self.median_ms:.1f} / {self.slowest_ms:.1f} / {self.redis_ms:.1f}"


def run(count: int, seconds: float, fill_minutes: float, output: Path) -> bool:
    """Fill, ask, fill on, ask again, and print all stages. True where no answer was wrong."""
    facts = machine.facts()
    report.print_facts(facts)
    stages = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tk")))
        # As for `mass`: whichever question came while the append-only file is written anew would take twice as long.
        store = stack.enter_context(servers.redis(folder, "--auto-aof-rewrite-percentage", "0"))
        env = servers.settings(folder, store.port)
        server = stack.enter_context(servers.service(folder, env))
        client, first = Client(server), 0
        for last in [size for size in sorted({FEW, MIDDLE, count}) if size <= count]:
            filled = fill_now(env, first, last, fill_minutes * 60)
            print(f"{filled.count:,} tokens created by the store's own code in {filled.seconds:.0f} s", flush=True)
            stages.append(_stage(client, server, store, folder, filled, seconds))
            if last == count:
                stages[-1]["rows"] |= many.rows(client, min(count, many.IMPORTED))
            # All stages so far, so that a run that is cut short has told what it saw.
            _print(stages)
            first = last
    bars = _bars(stages)
    for bar in bars:
        print(bar)
    shown = [{**stage, "rows": {name: str(value) for name, value in stage["rows"].items()}} for stage in stages]
    output.write_text(json.dumps({"machine": facts, "stages": shown, "bars": bars}, indent=1) + "\n")
    print(f"written to {output}")
    return not any(stage["wrong"] for stage in stages)


def _stage(
    client: Client,
    server: servers.Server,
    store: servers.Server,
    folder: Path,
    filled: Filled,
    seconds: float,
) -> dict[str, Any]:
    """Everything asked once the store holds these tokens. Rows: name to what is shown."""
    asked = _questions(client, filled)
    rows: dict[str, Any] = {name: _ask(client, store, path) for name, path in asked.items()}
    every = filled.sample[:: max(1, len(filled.sample) // FEW)][:FEW]
    samples = [_validate(server, folder, every, seconds) for _ in range(RUNS)]
    rates = {VALIDATE: median(sample.rps for sample in samples)}
    rows[VALIDATE] = _shown(sorted(samples, key=lambda sample: sample.rps)[RUNS // 2])
    if len(filled.sample) > FEW:
        samples.append(_validate(server, folder, filled.sample, seconds))
        rows[f"validate {len(filled.sample):,} tokens"] = _shown(samples[-1])
    for name in ("search, nothing found", BEYOND_ASCII, BY_USE, FILTER):
        again = partial(_ask, client, store, asked[name])
        beside = _validate(server, folder, every, seconds, beside=again)
        rows[f"validate beside: {name}"] = _shown(beside)
        samples.append(beside)
        if beside.wrong:
            rows[f"wrong beside: {name}"] = f"{beside.wrong} of {beside.requests}, such as {beside.example}"
    with redis.Redis(port=store.port) as direct:
        rows["Redis memory, MiB"] = f"{direct.info('memory')['used_memory'] / MIB:.0f}"
    rows["service memory, MiB"] = f"{machine.resident_bytes(server.pid) / MIB:.0f}"
    active = client.must("GET", f"{TOKENS}/stats")["active"]
    return {"active": active, "wrong": sum(sample.wrong for sample in samples), "rows": rows, "rates": rates}


def _questions(client: Client, filled: Filled) -> dict[str, str]:
    """What an administrator asks, as paths."""
    secret, token_id = filled.sample[len(filled.sample) // 2]
    down = f"{TOKENS}?limit=200"
    for _ in range(4):
        down = f"{TOKENS}?limit=200&cursor={quote(client.must('GET', down)['nextCursor'])}"
    return {
        "first page of 50": f"{TOKENS}?limit=50",
        "page of 200, 800 tokens down": down,
        "first page by name": f"{TOKENS}?limit=50&sort=name",
        BY_USE: f"{TOKENS}?limit=50&sort=-lastUsedAt",
        BY_EXPIRY: f"{TOKENS}?limit=50&sort=expiresAt",
        "search, part of a name": f"{TOKENS}?q={quote('scale 77')}",
        "search, last characters": f"{TOKENS}?q={secret[-8:]}",
        "search, nothing found": f"{TOKENS}?q=nosuchname",
        BEYOND_ASCII: f"{TOKENS}?q={quote('é')}",
        FILTER: f"{TOKENS}?scope=no:such",
        "first page never used first": f"{TOKENS}?limit=50&sort=lastUsedAt",
        "one token": f"{TOKENS}/{token_id}",
        "statistics": f"{TOKENS}/stats",
        "metrics": "/metrics",
    }


def _ask(client: Client, store: servers.Server, path: str, over: threading.Event | None = None) -> Asked:
    """Ask some times; fewer where it takes long, or once it is `over`."""
    taken: list[float] = []
    until, redis_before = time.monotonic() + QUESTION_SECONDS, machine.cpu_seconds(store.pid)
    while not taken or (len(taken) < TIMES and time.monotonic() < until and not (over and over.is_set())):
        began = time.monotonic()
        try:
            status = client.ask("GET", path).status
        except (OSError, http.client.HTTPException) as error:
            return _failed(f"no answer: {type(error).__name__}")
        if status != 200:
            return _failed(f"answered {status}")
        taken.append((time.monotonic() - began) * 1000)
    redis_ms = (machine.cpu_seconds(store.pid) - redis_before) * 1000 / len(taken)
    return Asked(median(taken), max(taken), redis_ms)


def _failed(how: str) -> Asked:
    # Zero would meet every bar.
    return Asked(inf, inf, inf, how)


def _validate(
    server: servers.Server,
    folder: Path,
    sample: list[tuple[str, str]],
    seconds: float,
    *,
    beside: Callable[[threading.Event], object] | None = None,
) -> Sample:
    """Validations of the sampled tokens in turn; `beside`: while somebody keeps doing another thing, until told."""
    secrets, over = folder / "sample.txt", threading.Event()
    secrets.write_text("".join(f"{secret}\n" for secret, _ in sample))

    def disturb(act: Callable[[threading.Event], object]) -> None:
        while not over.is_set():
            act(over)

    thread = threading.Thread(target=disturb, args=[beside]) if beside else None
    if thread:
        thread.start()
    spec = {"auth": "Bearer @TOKEN@", "tokens": str(secrets), "again": "1", "status": "200", "length": "0"}
    try:
        return measure(Case("validate", server, "/validate", spec), seconds)
    finally:
        over.set()
        if thread:
            thread.join()


def _shown(sample: Sample) -> str:
    return f"{sample.rps:,.0f}/s, p50 {sample.p50_ms:.2f}, p99 {sample.p99_ms:.2f} ms"


def _print(stages: list[dict[str, Any]]) -> None:
    print(f"\n{'median / slowest / of which Redis, ms':50}", *[f"{stage['active']:>30,} tokens" for stage in stages])
    for name in dict.fromkeys(name for stage in stages for name in stage["rows"]):
        print(f"{name:50}", *[f"{stage['rows'].get(name, '-')!s:>37}" for stage in stages], flush=True)


def _bars(stages: list[dict[str, Any]]) -> list[str]:
    """Each bar, what was seen, and whether it holds."""
    few, most = stages[0], stages[-1]
    middle = next((stage for stage in stages if stage["active"] == MIDDLE), most)
    told = [
        (f"{name} with {middle['active']:,}", middle["rows"][name].median_ms, f"{bar:.0f} ms")
        for name, bar in MIDDLE_BARS.items()
    ]
    told += [
        (f"{name} with {most['active']:,}, Redis' time", most["rows"][name].redis_ms, f"{bar:.0f} ms")
        for name, bar in REDIS_BARS.items()
    ]
    told += [
        (f"{name} with {most['active']:,}", most["rows"][name].median_ms, f"{bar:.0f} ms")
        for name, bar in WHOLE_BARS.items()
    ]
    told += [
        (f"{name}, {most['rows'][name].count:,}", most["rows"][name].seconds, f"{bar:.1f} s")
        for name, bar in MANY_BARS.items()
    ]
    told.append(("validate, slower by", few["rates"][VALIDATE] / most["rates"][VALIDATE], f"{SLOWER} times"))
    before, after = [stage["rows"][STATISTICS].median_ms for stage in (few, most)]
    told.append(("statistics, slower by", after / before if before < inf else inf, f"{SLOWER} times"))
    return [
        f"{name:55} {seen:8.2f}  at most {bar:10} {'met' if seen <= float(bar.split()[0]) else 'MISSED'}"
        for name, seen, bar in told
    ]
