"""The primary that sentinels name: asked for at every connect, and left at once when they name another.

The sentinels themselves come and go, too: each tells of the others.
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
# Told when the replica that most sentinels agreed on was ordered to take over. They call it the primary up to a second
# later, when they have asked it how it is; if they do not within this time, it is not waited for.
_ORDERED, _ORDERED_SECONDS = "+failover-state-wait-promotion", 2.0
# A sentinel that says nothing for so long is asked whether it still lives; for as long again, and it is left.
_SILENCE_SECONDS = 1.0
_PAUSE_SECONDS = 0.25
# Sentinels hear of a failover one after another: when most have answered, the others get this long.
_LAST_SECONDS = 0.05


class Named(NamedTuple):
    """Whom one sentinel holds for the primary, as of which failover (`epoch`), and which other sentinels it knows."""

    epoch: int
    address: Address
    others: tuple[Address, ...]


class Sentinels:
    """All sentinels of one primary. Whom the latest failover chose is it, whoever says so."""

    def __init__(self, addresses: Sequence[Address], name: str, opener: Opener) -> None:
        """`opener` opens connections to sentinels."""
        self._seeds = tuple(addresses)
        self._name = name
        self._opener = opener
        self._primary: Address | None = None
        # The replica that takes over now, and until when that is believed.
        self._promoted: tuple[Address, float] | None = None
        # Of each that answered when it was asked last: the others it told of.
        self._told: dict[Address, tuple[Address, ...]] = {}
        self._known = self._seeds
        self._changed = asyncio.Event()

    async def primary(self) -> Address:
        """Where the primary is by what they say now; a replica that is to take over is asked itself whether it has.

        Raises NotPrimary when those who answer know none of this name, RedisError or OSError when none answers.
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
            # By the epoch, which stands first in each.
            self._primary = max(named).address
            return self._primary
        errors = [one for one in said if isinstance(one, Exception)]
        # Beside the address, which is none of those that an operator knows of Redis.
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
            # A user that may not ask this knows those that the URL names.
            others = []
        epoch = int(dict(in_pairs(state))[b"config-epoch"])
        return Named(epoch, _place(state), tuple(map(_place, others)))

    def _learn(self, address: Address, others: tuple[Address, ...] | None) -> None:
        """None: it did not answer. When none does, those that were known last are known still."""
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
        """Call `moved` when a sentinel tells of another primary than the one found last. Until cancelled."""
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
        """What was told while nobody listened: ask once whether all is as it was."""
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
            # No message tells that a replica which was ordered to take over did not, so it is asked.
            if message is None and self._promoted is not None:
                await self._compare(heard, moved)
            elif message and message[0] == b"message":
                self._told_of(message[1].decode(), message[2].decode(), heard, moved)

    def _told_of(self, event: str, text: str, heard: Address, moved: Callable[[], None]) -> None:
        """Go by a message, if it is of our primary and news."""
        # A switch has the name of the primary first and its new address last. The others begin with the kind, the name
        # and the address of an instance, and have the name of its primary behind an @.
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
    """What most of those `alive` say, and the others if they are quick; all of them, where most know no primary."""
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
    """What an answer that is none means: it is no sentinel, or watches over no such primary."""
    text = str(error)
    if text.startswith("No such master"):
        return NotPrimary("The sentinels watch over no primary of this name: see `SENTINEL MASTERS`.")
    if "unknown command" in text.lower():
        return NotPrimary("This is a Redis and no sentinel: write redis://host:port, or a sentinel's port.")
    return error
