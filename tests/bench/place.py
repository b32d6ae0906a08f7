"""Where a row of `mass` is measured, and what it says: what was done, and what an honest caller waited beside it."""

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench import servers, watched
from tests.bench.client import Client
from tests.bench.honest import Waits


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

    `beside` is what an honest caller waited, `turn` for how long the loop was held at most while it had a core.
    """

    name: str
    seen: str
    beside: str
    turn: str
    held: bool

    def __str__(self) -> str:
        verdict = "held" if self.held else "MISSED"
        return f"{self.name:26} {self.seen:76} {self.beside:62} {self.turn:16} {verdict}"


def placed(stack: ExitStack) -> Place:
    """A place that ends with the stack.

    Its Redis writes no append-only file anew by itself, which would disturb whichever row comes to it: a row of its own.
    """
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tk")))
    store = stack.enter_context(servers.redis(folder, "--auto-aof-rewrite-percentage", "0"))
    env = servers.settings(folder, store.port) | {"TOKENS_WEBHOOK_ALLOW_PRIVATE": "on"}
    steps = folder / "watched"
    server = stack.enter_context(servers.service(folder, env, watched=steps))
    client = Client(server)
    return Place(folder, env, store, server, client, str(client.create("honest")["token"]), steps)


def row(place: Place, name: str, seen: str, waits: Waits, *, held: bool) -> Row:
    """The row of what was done while an honest caller asked."""
    held_loop, collected = watched.longest(place.watched, waits.began)
    turn = f"{held_loop * 1000:.1f} ms, {collected * 1000:.1f} gc" if held_loop else "< 1 ms"
    return Row(name, seen, str(waits), turn, held and not waits.wrong)
