"""The scale: the same questions to 1,000 managed tokens and to a million, and validation beside them."""

import asyncio
import http.client
import json
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

import redis
import uvloop

from tests.bench import machine, report, servers
from tests.bench.client import Client
from tests.bench.fill import Filled, fill
from tests.bench.load import Case, Sample, measure

FEW = 1000
TIMES = 20
QUESTION_SECONDS = 15
TOKENS = "/api/admin/tokens"
MIB = 1 << 20


def run(count: int, seconds: float, fill_minutes: float, output: Path) -> bool:
    """Fill, ask, fill on, ask again, and print both. True where no answer was wrong."""
    facts = machine.facts()
    report.print_facts(facts)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tk")))
        store = stack.enter_context(servers.redis(folder))
        env = servers.settings(folder, store.port)
        server = stack.enter_context(servers.service(folder, env))
        client = Client(server)
        few = _stage(client, server, store, folder, _fill(env, 0, FEW, 60), seconds)
        filled = _fill(env, FEW, count, fill_minutes * 60)
        print(f"{filled.count:,} tokens created by the store's own code in {filled.seconds:.0f} s")
        many = _stage(client, server, store, folder, filled, seconds)
    _print(few, many)
    output.write_text(json.dumps({"machine": facts, "few": few, "many": many}, indent=1) + "\n")
    print(f"written to {output}")
    return not few["wrong"] and not many["wrong"]


def _fill(env: dict[str, str], first: int, last: int, seconds: float) -> Filled:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(fill(env, first, last, seconds))


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
    rows = {name: _ask(client, path) for name, path in asked.items()}
    sample = _validate(server, folder, filled, seconds)
    rows["validate, 64 connections"], wrong = _shown(sample), sample.wrong
    for name in ("search, nothing found", "first page by last use"):
        sample = _validate(server, folder, filled, seconds, beside=(client, asked[name]))
        rows[f"validate beside: {name}"], wrong = _shown(sample), wrong + sample.wrong
        if sample.wrong:
            rows[f"wrong beside: {name}"] = f"{sample.wrong} of {sample.requests}, such as {sample.example}"
    with redis.Redis(port=store.port) as direct:
        rows["Redis memory, MiB"] = f"{direct.info('memory')['used_memory'] / MIB:.0f}"
    rows["service memory, MiB"] = f"{machine.resident_bytes(server.pid) / MIB:.0f}"
    active = client.must("GET", f"{TOKENS}/stats")["active"]
    return {"active": active, "wrong": wrong, "rows": rows}


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
        "first page by last use": f"{TOKENS}?limit=50&sort=-lastUsedAt",
        "first page by expiry": f"{TOKENS}?limit=50&sort=expiresAt",
        "search, part of a name": f"{TOKENS}?q={quote('scale 77')}",
        "search, last characters": f"{TOKENS}?q={secret[-8:]}",
        "search, nothing found": f"{TOKENS}?q=nosuchname",
        "one token": f"{TOKENS}/{token_id}",
        "statistics": f"{TOKENS}/stats",
        "metrics": "/metrics",
    }


def _ask(client: Client, path: str) -> str:
    """Median and slowest of some askings, in ms; fewer where they take long."""
    taken: list[float] = []
    until = time.monotonic() + QUESTION_SECONDS
    while len(taken) < TIMES and (not taken or time.monotonic() < until):
        began = time.monotonic()
        try:
            status = client.ask("GET", path).status
        except (OSError, http.client.HTTPException) as error:
            return f"no answer: {type(error).__name__}"
        if status != 200:
            return f"answered {status}"
        taken.append((time.monotonic() - began) * 1000)
    return f"{median(taken):.1f} / {max(taken):.1f} ms"


def _validate(
    server: servers.Server,
    folder: Path,
    filled: Filled,
    seconds: float,
    *,
    beside: tuple[Client, str] | None = None,
) -> Sample:
    """Validations of the sampled tokens in turn; `beside`: while somebody keeps asking another thing."""
    secrets, over = folder / "sample.txt", threading.Event()
    secrets.write_text("".join(f"{secret}\n" for secret, _ in filled.sample))

    def disturb(client: Client, path: str) -> None:
        while not over.is_set():
            _ask(client, path)

    thread = threading.Thread(target=disturb, args=beside) if beside else None
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


def _print(few: dict[str, Any], many: dict[str, Any]) -> None:
    print(f"\n{'median / slowest':50} {few['active']:>38,} tokens {many['active']:>28,} tokens")
    for name in {**few["rows"], **many["rows"]}:
        print(f"{name:50} {few['rows'].get(name, '-'):>45} {many['rows'].get(name, '-'):>35}")
