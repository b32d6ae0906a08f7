"""Processes of ours on several Redis servers, and what may happen to those."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from redis.client import NEVER_DECODE

from tests.api.running import IMPATIENT_MS, Lifespan, wait_until
from tests.api.wire import Answer, Client
from tests.api.world import TOKENS, Issuing
from tests.conftest import PASSWORD
from tests.fault.book import Book
from tests.server_groups import Node, Six


class Site(Issuing):
    """Three processes on a group of servers, and tokens of which some are revoked."""

    PROCESSES = 3

    def __init__(self, url: str, settings: dict[str, str]) -> None:
        told = {"TOKENS_REDIS_URL": url, "TOKENS_ACCESS_LOG": "off", "TOKENS_REDIS_TIMEOUT_MS": IMPATIENT_MS}
        self.running = Lifespan(told | settings, workers=self.PROCESSES)
        with ExitStack() as held:
            held.callback(self.close)
            self.client = Client(self.running.port)
            self.admin = self.client.sign_in("admin", PASSWORD)
            self.good, self.revoked = [self.create() for _ in range(24)], [self.create() for _ in range(24)]
            for token in self.revoked:
                self.revoke(token)
            # Nothing failed: whoever has it now ends it.
            held.pop_all()

    def close(self) -> None:
        self.running.close()

    def revoke(self, token: dict[str, str]) -> None:
        """In force when this returns; confirmed only where there is a replica."""
        path = f"{TOKENS}?id={token['id']}"
        wait_until(lambda: self.client.ask("DELETE", path, bearer=self.admin).status in (200, 202), what="a revocation")

    def spent(self, tokens: list[str]) -> set[tuple[int, str]]:
        """What a gateway is told that spends these one-time tokens, and what an administrator is told of them."""
        told = set()
        for token in tokens:
            asked = {"token": token, "path": "/validate/one-time"}
            why = self.client.done("POST", f"{TOKENS}/explain", json_body=asked, bearer=self.admin).json()["outcome"]
            how = {"bearer": token}
            said = answer_that(lambda one: one.status != 503, self.client, "GET", "/validate/one-time", how)
            told.add((said.status, why))
        return told

    def said_everywhere(self, token: dict[str, str]) -> set[int]:
        """What all processes say, once it is not 503, as far as fifty answers meet them."""
        how = {"bearer": token["token"]}
        return {
            answer_that(lambda one: one.status != 503, self.client, "GET", "/validate", how).status for _ in range(50)
        }

    def descriptors(self) -> int:
        """How many all its processes have open."""
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self.running.worker_pids())

    def book(self) -> Book:
        return Book(self.running.port, *[[one["token"] for one in kind] for kind in (self.good, self.revoked)])


def answer_that(holds: Callable[[Answer], bool], client: Client, method: str, path: str, how: dict[str, Any]) -> Answer:
    """The first for which it holds, of as many as it takes."""
    said: list[Answer] = []

    def asked() -> bool:
        said.append(client.ask(method, path, **how))
        return holds(said[-1])

    wait_until(asked, what=f"{method} {path} to be answered so")
    return said[-1]


def killed(node: Node) -> Callable[[], None]:
    node.kill()
    return node.restart


def stopped(node: Node) -> Callable[[], None]:
    node.freeze()
    return node.thaw


Hurt = Callable[[Node], Callable[[], None]]


def cut_off(node: Node) -> Callable[[], None]:
    """For the sentinels alone: it goes on as a primary, and whoever is connected may go on writing to it."""
    node.client.config_set("requirepass", "unknown to sentinels")
    for client in node.client.client_list():
        if client["name"].startswith("sentinel"):
            node.client.client_kill_filter(_id=client["id"])
    return lambda: node.client.config_set("requirepass", "") and None


def left(node: Node) -> bool:
    """Whether no process of ours asks this server any more."""
    return not any(client["name"] == "token-service" for client in node.client.client_list())


def move(slot: int, source: Node, target: Node, primaries: list[Node]) -> None:
    to = Six.id_of(target)
    target.client.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", Six.id_of(source))
    source.client.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", to)
    # As bytes, because digests in them are no text.
    while keys := source.client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 5, **{NEVER_DECODE: True}):
        source.client.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
    for node in (target, source, *primaries):
        node.client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", to)
