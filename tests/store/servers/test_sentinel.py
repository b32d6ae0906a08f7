"""Whom sentinels are asked for the primary: those that the URL names, and those that they tell of; and what they say.

What they announce: the replica that was ordered to take over, before they call it the primary.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from service.store.driver.causes import cause_of
from service.store.servers.sentinel import Sentinels
from service.store.servers.url import Address


def at(host: str) -> Address:
    return Address(host, 26379)


class World:
    """The sentinels that answer, all of which know each other; and which were asked."""

    def __init__(self, hosts: str) -> None:
        self.hosts = hosts
        self.primary = "first"
        self.asked: set[str] = set()
        # What is announced next, to whoever listens; None is a second of silence.
        self.announced: asyncio.Queue[list[bytes] | None] = asyncio.Queue()

    async def open(self, addresses: Sequence[Address]) -> Any:
        (address,) = addresses
        self.asked.add(address.host)
        if address.host not in self.hosts:
            raise ConnectionRefusedError(address.host)
        return Connection(self, address.host)


class Connection:
    """To one of them."""

    def __init__(self, world: World, host: str) -> None:
        self._world = world
        self._host = host
        self._word = ""

    async def send_command(self, *words: str) -> None:
        self._word = words[min(1, len(words) - 1)]

    async def read_response(self, *, timeout: float = 0) -> Any:  # noqa: ASYNC109 - the driver's own
        if timeout:
            return await self._world.announced.get()
        if self._word == "MASTER":
            return [b"config-epoch", b"1", b"ip", self._world.primary.encode(), b"port", b"6379"]
        others = self._world.hosts.replace(self._host, "")
        return [[b"ip", other.encode(), b"port", b"26379"] for other in others]

    async def disconnect(self, *, nowait: bool) -> None:
        assert nowait


async def test_the_sentinels_it_began_with_may_all_be_replaced() -> None:
    world = World("abc")
    sentinels = Sentinels([at(host) for host in "abc"], "x", world)  # type: ignore[arg-type]
    for world.hosts in ("abcd", "bcde", "cdef", "def"):
        world.primary = f"known to {world.hosts}"
        assert await sentinels.primary() == Address(world.primary, 6379)
    # Whom nobody tells of any more is asked no more; whom the URL names always is.
    world.hosts = "efg"
    await sentinels.primary()
    await sentinels.primary()
    world.asked = set()
    await sentinels.primary()
    assert world.asked == set("abcefg")


async def test_those_that_were_known_last_are_asked_again_after_none_answered() -> None:
    world = World("abc")
    sentinels = Sentinels([at(host) for host in "abc"], "x", world)  # type: ignore[arg-type]
    world.hosts = "abcdef"
    await sentinels.primary()
    world.hosts = ""
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError) as refused:
            await sentinels.primary()
        # The primary may be well all the while.
        assert cause_of(refused.value) == "nothing listens at its address (a sentinel)"
    world.hosts = "def"
    world.primary = "another"
    assert await sentinels.primary() == Address("another", 6379)


async def test_the_replica_that_was_ordered_to_take_over_is_gone_to_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, moves = asyncio.get_running_loop(), asyncio.Queue[str]()
    now = loop.time()
    world = World("a")
    sentinels = Sentinels([at("a")], "x", world)  # type: ignore[arg-type]
    first = await sentinels.primary()
    listening = asyncio.create_task(sentinels.listen(lambda: moves.put_nowait("moved")))
    for primary in (b"y", b"x"):
        told = b"slave second:6379 second 6379 @ %s first 6379" % primary
        world.announced.put_nowait([b"message", b"+failover-state-wait-promotion", told])
    await moves.get()
    monkeypatch.setattr(loop, "time", lambda: now)
    assert (await sentinels.primary()).host == "second"
    # It did not: then those count that say who is it.
    now += 3
    world.announced.put_nowait(None)
    await moves.get()
    assert await sentinels.primary() == first
    assert moves.empty()
    listening.cancel()
    with suppress(asyncio.CancelledError):
        await listening


async def test_what_the_sentinels_call_the_primary_then_is_no_news() -> None:
    moves = asyncio.Queue[int]()
    world = World("a")
    sentinels = Sentinels([at("a")], "x", world)  # type: ignore[arg-type]
    listening = asyncio.create_task(sentinels.listen(lambda: moves.put_nowait(world.announced.qsize())))
    told = b"slave second:6379 second 6379 @ x first 6379"
    for event, text in (
        (b"+failover-state-wait-promotion", told),
        (b"+switch-master", b"x first 6379 second 6379"),
        (b"+switch-master", b"x second 6379 third 6379"),
    ):
        world.announced.put_nowait([b"message", event, text])
    # After the first and the last of the three.
    assert [await moves.get(), await moves.get()] == [2, 0]
    listening.cancel()
    with suppress(asyncio.CancelledError):
        await listening
