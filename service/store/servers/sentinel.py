"""The primary that sentinels name: asked for at every connect, and left at once when they name another one.

The sentinels themselves come and go, too: each names the others.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from itertools import chain
from typing import NamedTuple

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import ResponseError

from service.store.decoding import in_pairs
from service.store.driver.causes import NO_CONNECTION
from service.store.driver.connection import ask, send
from service.store.driver.replies import NotPrimary
from service.store.servers.opening import Opener
from service.store.servers.url import Address

log = logging.getLogger(__name__)
_SWITCHED, _ANOTHER_SENTINEL = "+switch-master", "+sentinel"
# Published when the chosen replica was ordered to take over. The sentinels report it as the primary up to a second
# later, after their next INFO to it; it is not waited for longer than this time.
_ORDERED, _ORDERED_SECONDS = "+failover-state-wait-promotion", 2.0
# A sentinel that is silent for so long is sent a PING; if it stays silent for as long again, the connection is closed.
_SILENCE_SECONDS = 1.0
_PAUSE_SECONDS = 0.25
# Sentinels learn of a failover one after another: when most have answered, the others get so much time.
_LAST_SECONDS = 0.05


class Named(NamedTuple):
    """The primary's address by one sentinel, the `epoch` of its last failover, and the other sentinels it knows."""

    epoch: int
    address: Address
    others: tuple[Address, ...]


class Sentinels:
    """All sentinels of one primary. The address with the highest epoch counts, whichever sentinel reports it."""

    def __init__(self, addresses: Sequence[Address], name: str, opener: Opener) -> None:
        """`opener` opens connections to sentinels."""
        self._seeds = tuple(addresses)
        self._name = name
        self._opener = opener
        self._primary: Address | None = None
        # The replica that is taking over, and the instant until which that is believed.
        self._promoted: tuple[Address, float] | None = None
        # The sentinels that answered when they were asked last, each with the others that it named.
        self._told: dict[Address, tuple[Address, ...]] = {}
        self._known = self._seeds
        self._changed = asyncio.Event()

    async def primary(self) -> Address:
        """The primary's address by the sentinels, or that of a replica that is to take over: its role is checked later.

        Raises NotPrimary if the sentinels that answer know no primary of this name, RedisError or OSError if none does.
        """
        if self._promoted is not None and asyncio.get_running_loop().time() < self._promoted[1]:
            self._primary = self._promoted[0]
            return self._primary
        self._promoted = None
        asked = [asyncio.ensure_future(self._ask_one(address)) for address in self._known]
        try:
            said = await _most_of(asked, len(self._told) or len(asked))
        finally:
            for task in asked:
                task.cancel()
        if named := [one for one in said if isinstance(one, Named)]:
            # By the epoch, which is the first member.
            self._primary = max(named).address
            return self._primary
        errors = [one for one in said if isinstance(one, Exception)]
        # Because the noted address is not one that the operator knows as an address of Redis.
        errors[0].add_note("a sentinel")
        raise next((error for error in errors if isinstance(error, NotPrimary)), errors[0])

    async def _ask_one(self, address: Address) -> Named | Exception:
        try:
            connection = await self._opener.open([address])
            try:
                named = await self._named(connection)
            finally:
                await connection.disconnect(nowait=True)
        except ResponseError as error:
            return _refusal(error)
        except NO_CONNECTION as error:
            self._learn(address, None)
            return error
        self._learn(address, named.others)
        return named

    async def _named(self, connection: AbstractConnection) -> Named:
        state = await ask(connection, "SENTINEL", "MASTER", self._name)
        try:
            others = await ask(connection, "SENTINEL", "SENTINELS", self._name)
        except ResponseError:
            # Without the right to ask this, only the sentinels of the URL are known.
            others = []
        epoch = int(dict(in_pairs(state))[b"config-epoch"])
        return Named(epoch, _place(state), tuple(map(_place, others)))

    def _learn(self, address: Address, others: tuple[Address, ...] | None) -> None:
        """Note the sentinels that one of them named, None if it did not answer. If none answers, the list stays."""
        if others is None:
            self._told.pop(address, None)
        else:
            self._told[address] = others
        if self._told:
            known = tuple(dict.fromkeys([*self._seeds, *self._told, *chain.from_iterable(self._told.values())]))
            if known != self._known:
                self._known = known
                self._changed.set()

    async def listen(self, moved: Callable[[], None]) -> None:
        """Until cancelled, call `moved` when a sentinel reports another primary than the one found last."""
        heard: dict[Address, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                for address in heard.keys() - self._known:
                    heard.pop(address).cancel()
                for address in self._known:
                    if address not in heard:
                        heard[address] = group.create_task(self._listen_to(address, moved))
                await self._changed.wait()

    async def _listen_to(self, address: Address, moved: Callable[[], None]) -> None:
        while True:
            try:
                connection = await self._opener.open([address])
                try:
                    await ask(connection, "SUBSCRIBE", _SWITCHED, _ORDERED, _ANOTHER_SENTINEL)
                    await self._compare(address, moved)
                    await self._hear(connection, address, moved)
                finally:
                    await connection.disconnect(nowait=True)
            except NO_CONNECTION as error:
                log.debug("a sentinel cannot be heard: %s", type(error).__name__)
                self._learn(address, None)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _compare(self, address: Address, moved: Callable[[], None]) -> None:
        """Ask once whether the primary has changed while there was no subscription."""
        known = self._primary
        said = await self._ask_one(address)
        if known is not None and isinstance(said, Named) and said.address != known and await self.primary() != known:
            moved()

    async def _hear(self, connection: AbstractConnection, heard: Address, moved: Callable[[], None]) -> None:
        silent = False
        while True:
            message = await connection.read_response(timeout=_SILENCE_SECONDS)
            if message is None:
                if silent:
                    raise NoConnection("the sentinel is silent")
                await send(connection, "PING")
            silent = message is None
            # No message says that a replica failed to take over as ordered, so the sentinel is asked.
            if message is None and self._promoted is not None:
                await self._compare(heard, moved)
            elif message and message[0] == b"message":
                self._told_of(message[1].decode(), message[2].decode(), heard, moved)

    def _told_of(self, event: str, text: str, heard: Address, moved: Callable[[], None]) -> None:
        """Act on a message, if it is about our primary and new."""
        # A +switch-master has the name of the primary first and its new address last. The others begin with the kind,
        # name and address of an instance, and have the name of its primary behind an @.
        if event == _SWITCHED:
            name, _, _, host, port = text.split(" ")
        else:
            _, _, host, port, _, name, *_ = text.split(" ")
        address = Address(host, int(port))
        if name != self._name:
            return
        if event == _ANOTHER_SENTINEL:
            self._learn(heard, (*self._told.get(heard, ()), address))
            return
        until = asyncio.get_running_loop().time() + _ORDERED_SECONDS
        self._promoted = (address, until) if event == _ORDERED else None
        if address != self._primary:
            self._primary = address
            moved()


async def _most_of(asked: Sequence[asyncio.Future[Named | Exception]], alive: int) -> list[Named | Exception]:
    """The answers of most `alive` sentinels and of quick others; all answers, if fewer than most know a primary."""
    waiting, said = set(asked), list[Named | Exception]()
    while waiting:
        most = sum(isinstance(one, Named) for one in said) > alive // 2
        done, waiting = await asyncio.wait(
            waiting, timeout=_LAST_SECONDS if most else None, return_when=asyncio.FIRST_COMPLETED
        )
        if not done:
            break
        said += [task.result() for task in done]
    return said


def _place(state: list[bytes]) -> Address:
    facts = dict(in_pairs(state))
    return Address(facts[b"ip"].decode(), int(facts[b"port"]))


def _refusal(error: ResponseError) -> Exception:
    """The meaning of an error: the server is no sentinel, or watches no primary of this name."""
    text = str(error)
    if text.startswith("No such master"):
        return NotPrimary("The sentinels watch over no primary of this name: see `SENTINEL MASTERS`.")
    if "unknown command" in text.lower():
        return NotPrimary("This is a Redis and no sentinel: write redis://host:port, or a sentinel's port.")
    return error
