"""The harness itself: planted faults must be caught, or its tests prove nothing."""

import asyncio
import contextlib
import gc
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from fakeredis.aioredis import FakeRedis

from service.store.driver.replies import packed
from tests.api.redis_child import RedisChild
from tests.api.running import ROOT, wait_until
from tests.api.wire import Client
from tests.fault import conftest, grouped
from tests.fault.lost_replies import lose_replies, proxied
from tests.fault.volley import post, volley
from tests.links import ClientLink
from tests.ports import held_port


@pytest.fixture
def redis() -> Iterator[RedisChild]:
    with contextlib.closing(RedisChild()) as child:
        yield child


@contextlib.contextmanager
def planted(name: str, url: str, *, workers: int) -> Iterator[int]:
    """A faulty service; its port."""
    port = held_port()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        f"tests.fault.planted:{name}",
        "--port",
        str(port),
        "--workers",
        str(workers),
        "--no-access-log",
        "--log-level",
        "critical",
    ]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"REDIS": url}, stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(port), what="the planted service to answer")
        yield port
    finally:
        process.terminate()
        process.wait(20)


def answers(port: int) -> bool:
    try:
        return Client(port).get("/").status == 404
    except OSError:
        return False


@pytest.mark.slow
def test_a_naive_get_then_del_is_caught_by_the_race(redis: RedisChild) -> None:
    keys = [f"token-{number}" for number in range(100)]
    for key in keys:
        redis.client.set(key, "1")
    with planted("naive", redis.url, workers=2) as port:
        requests = [post(f"/consume/{key}", b"") for key in keys for _ in range(20)]
        replies = asyncio.run(volley(port, requests))
    wins = sum(reply is not None and b"true" in reply.body for reply in replies)
    assert wins > 100, "the race lets a naive consumer through"


@pytest.mark.slow
def test_a_retry_that_sends_getdel_again_is_caught_by_the_lost_replies(redis: RedisChild) -> None:
    keys = [f"token-{number}" for number in range(20)]
    for key in keys:
        redis.client.set(key, "a text that is as long as a record")
    with proxied(redis.socket_path) as proxy, planted("asks_again", proxy.url, workers=1) as port:
        client = Client(port)

        def spend(key: str, _: str) -> bool:
            return bool(client.post(f"/consume/{key}").json()["valid"])

        losses = lose_replies(proxy, spend, keys)
    assert (losses.swallowed, losses.burnt) == (20, 20), "lost replies that burn tokens go unseen"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is no address of this machine")
def test_a_proxy_leaves_no_client_that_came_at_the_last_moment(
    redis: RedisChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[object] = []
    for turn in range(12):
        with contextlib.ExitStack() as clients:
            with proxied(redis.socket_path) as proxy:
                port = int(proxy.url.rpartition(":")[2].partition("/")[0])
                for _ in range(turn):
                    clients.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            del proxy
        monkeypatch.setattr(sys, "unraisablehook", lambda found: left.append(found.exc_value))
        gc.collect()
        monkeypatch.undo()
    assert not left


def test_a_site_at_which_nobody_can_sign_in_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Any] = []

    class Begun:
        """What a set-up begins, and whether it was ended."""

        def __init__(self, *_: object, **__: object) -> None:
            self.url, self.port, self.process, self.is_open = "redis://nobody", 0, self, True
            begun.append(self)

        def terminate(self) -> None:
            """Told to end, and not waited for."""

        def close(self) -> None:
            self.is_open = False

    def refuse(*_: object) -> str:
        raise TimeoutError

    monkeypatch.setattr(Client, "sign_in", refuse)
    for module, name in ((conftest, "RedisChild"), (conftest, "Lifespan"), (grouped, "Lifespan")):
        monkeypatch.setattr(module, name, Begun)
    with pytest.raises(TimeoutError), conftest.sites({}) as start:
        start()
    with pytest.raises(TimeoutError):
        grouped.Site("redis://nobody", {})
    assert [one.is_open for one in begun] == [False, False, False]


def test_a_held_port_is_given_to_nobody_at_another_address() -> None:
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.2", held_port()))


async def test_a_link_sends_an_argument_with_the_end_of_a_line_in_it_whole() -> None:
    answered: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    async with FakeRedis(protocol=2) as client:
        ClientLink(client).submit(packed("ECHO", b"\r\n a\r\n"), answered.set_result)
        assert await answered == b"\r\n a\r\n"
