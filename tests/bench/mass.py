"""Mass: what happens to a hundred thousand at once, and what an honest caller beside it waits."""

import http.client
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench import machine, report, servers
from tests.bench.client import Client
from tests.bench.fill import fill_now
from tests.bench.honest import asking

BASE_SECONDS = 5.0
PATIENCE_SECONDS = 300.0


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
    port = servers.free_port()
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


# By name; each has a place of its own.
ROWS: dict[str, Callable[[Place, int], Row]] = {"nothing": nothing, "webhooks": webhooks}
