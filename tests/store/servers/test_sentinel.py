"""Whom sentinels are asked for the primary: those that the URL names, and those that they tell of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from service.store.servers.sentinel import Sentinels
from service.store.servers.url import Address

pytestmark = pytest.mark.anyio


def at(host: str) -> Address:
    return Address(host, 26379)


class World:
    """The sentinels that answer, all of which know each other; and which were asked."""

    def __init__(self, hosts: str) -> None:
        self.hosts = hosts
        self.primary = "first"
        self.asked: set[str] = set()

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

    async def send_command(self, _sentinel: str, word: str, _name: str) -> None:
        self._word = word

    async def read_response(self) -> Any:
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
        with pytest.raises(ConnectionRefusedError):
            await sentinels.primary()
    world.hosts = "def"
    world.primary = "another"
    assert await sentinels.primary() == Address("another", 6379)
