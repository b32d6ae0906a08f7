"""The soak: minutes of mixed load whose every answer is checked against a book of what must be true."""

import asyncio
import secrets
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import uvloop

from tests.bench import machine, memory, plan, report, servers
from tests.bench.client import Client
from tests.bench.load import Sample, measure
from tests.bench.visitor import LIVING, Book, Token, Visitor
from tests.bench.wire import Wire

CONNECTIONS = 32
MEMORY_MINUTES = 8
SHOWN = 10


async def _visitors(server: servers.Server, book: Book, made: plan.Material, until: float) -> None:
    wires = [await Wire.open(server) for _ in range(2 * CONNECTIONS)]
    pairs = zip(wires[::2], wires[1::2], strict=True)
    visitors = [Visitor(first, second, book, made.session, made.issuer) for first, second in pairs]
    async with asyncio.TaskGroup() as group:
        for visitor in visitors:
            group.create_task(visitor.visit(until))
    for wire in wires:
        wire.close()


async def _drive(server: servers.Server, book: Book, made: plan.Material, seconds: float) -> Sample:
    """The visitors, with wrk beside them so that the server has no idle moment."""
    pressure = plan.gateway_cases(server, made)[0]
    async with asyncio.TaskGroup() as group:
        loaded = group.create_task(asyncio.to_thread(measure, pressure, seconds))
        group.create_task(_visitors(server, book, made, time.monotonic() + seconds))
    return loaded.result()


def run(minutes: float, workers: int) -> bool:
    """Soak the service and print what was seen. True where no answer was wrong and memory stayed flat."""
    report.print_facts(machine.facts())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tk")))
        store = stack.enter_context(servers.redis(folder))
        server = stack.enter_context(servers.service(folder, servers.settings(folder, store.port, workers=workers)))
        made, client, book = plan.prepare(server, folder), Client(server), Book()
        for _ in range(LIVING):
            token = client.create(f"soak {secrets.token_hex(8)}")
            book.living.append(Token(token["token"], token["id"]))
        before = client.must("GET", "/api/admin/tokens/stats")["active"] - len(book.living)
        watch = stack.enter_context(memory.watched({"service": server.pid, "Redis": store.pid}))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            loaded = runner.run(_drive(server, book, made, minutes * 60))
        active = client.must("GET", "/api/admin/tokens/stats")["active"] - before
    return _report(book, loaded, watch, active, evaluate_memory=minutes >= MEMORY_MINUTES)


def _report(book: Book, loaded: Sample, watch: memory.Watch, active: int, *, evaluate_memory: bool) -> bool:
    print(", ".join(f"{count:,} {what}" for what, count in book.asked.items()))
    print(f"beside it {loaded.requests:,} validations by wrk at {loaded.rps:,.0f}/s, {loaded.wrong} wrong")
    print(f"active tokens: {active:,} by the service's statistics, {len(book.living):,} by the book")
    if book.unsure:
        print(f"{book.unsure} changes were not confirmed: the two numbers may differ by as much")
    for line in book.wrong[:SHOWN]:
        print(f"WRONG {line[:300]}")
    flat = watch.settled("service")[1] or not evaluate_memory
    unevaluated = f": not evaluated, that takes {MEMORY_MINUTES} minutes"
    print(watch.course("service") + (unevaluated if not evaluate_memory else ": flat" if flat else ": GROWS"))
    print(watch.course("Redis") + " (revoked tokens stay listed, audit entries up to their bound)")
    good = not book.wrong and not loaded.wrong and active == len(book.living) and flat
    if book.statuses:
        print(f"statuses of the wrong answers: {dict(book.statuses)}; 503 came where Redis missed its deadline")
    print(f"{len(book.wrong) + loaded.wrong} wrong answers; " + ("soak passed" if good else "SOAK FAILED"))
    return good
