"""The link of a shard for removals: confirmed as the settings ask, and sent once more to a new primary."""

import asyncio
from collections import deque
from collections.abc import Awaitable
from struct import Struct

import msgspec

from service.errors import StoreUnavailable
from service.store.driver.confirmation import Confirmation, doubt
from service.store.driver.connection import Link
from service.store.driver.replies import Argument, Redirect, Reply
from service.store.driver.scripts import Script, source_of

REMEMBERED_SECONDS = 600
_MARK = Script("mark_write")
# Nothing reads the mark: it is written to be replicated.
_MARK_MILLISECONDS = 1000
_AT_ONCE = 20
_Words = tuple[Argument | float, ...]
_WHEN = Struct("dI")
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


class _Round:
    """Writes that are confirmed together on one connection."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.sent = False
        self.over = asyncio.Event()
        self.reason = ""


class Removals:
    """Sends commands that end, narrow or switch off something. They must be harmless when they are sent twice.

    WAIT blocks everything behind it on its connection. So writes to be confirmed have a connection of their own, and
    those that come while it is blocked wait here and are confirmed together. The writes of one turn are sent together
    with the confirmation behind them. If it is missing, `doubt` is told; the write stands all the same.
    """

    def __init__(self, link: Link, mark: bytes, confirmation: Confirmation, *, remembered: int) -> None:
        """`mark` is a key to write, because WAIT does not cover writes of another connection.

        `remembered`: at most so many removals are sent again to a new primary.
        """
        self._link = link
        self._mark = mark
        self._confirmation = confirmation
        self._round: _Round | None = None
        # Held because the event loop has only weak references to its tasks.
        self._ending: asyncio.Task[None] | None = None
        # When, how many and the command in MessagePack, because the garbage collector visits every word of thousands of
        # tuples, but not the inside of bytes.
        self._removed: deque[bytes] = deque()
        self._remembered, self._most = 0, remembered
        self._replication_id = b""

    async def execute(self, *args: Argument | float, retry: bool = False, operation: str = "") -> Reply:
        """Like `Link.execute`. Raises StoreUnavailable or NoScriptError."""
        try:
            reply = await self._ask(args, operation)
        except StoreUnavailable as fault:
            if not (retry and fault.was_sent):
                raise
            # It may have been executed; then the second attempt finds nothing left to do.
            self._remember(args, 1)
            reply = await self._ask(args, operation)
        # A script about several tokens replies with a list: what it did to each.
        done = sum(isinstance(each, int) and each > 0 for each in (reply if isinstance(reply, list) else (reply,)))
        if done:
            self._remember(args, done)
        return reply

    async def _ask(self, args: _Words, operation: str) -> Reply:
        if self._confirmation.commands:
            return await self._confirmed(args, operation=operation)
        return await self._link.execute(*args, operation=operation)

    async def confirm(self) -> None:
        """Have earlier removals confirmed: a request that finds its work done is answered as if it had done that."""
        if self._confirmation.commands:
            await self._confirmed(("EXISTS", self._mark), retry=True)

    async def _confirmed(self, args: _Words, *, retry: bool = False, operation: str = "") -> Reply:
        # Two attempts, because a slot mostly moves only once. Then without confirmation: better than no removal at all.
        for _ in range(2):
            current = await self._join()
            try:
                reply = await current.link.execute(*args, retry=retry, operation=operation)
            except Redirect:
                # This link follows redirections; the next round goes to the node that it has found.
                await self._link.execute("EXISTS", self._mark, retry=True)
                continue
            await current.over.wait()
            if current.reason:
                doubt(current.reason)
            return reply
        doubt("its hash slot is on its way to another node")
        return await self._link.execute(*args, retry=retry, operation=operation)

    async def _join(self) -> _Round:
        """The round that is sent at the end of this turn."""
        while self._round is not None and self._round.sent:
            await self._round.over.wait()
        if self._round is None:
            self._round = _Round(self._link.beside)
            asyncio.get_running_loop().call_soon(self._send)
        return self._round

    def _send(self) -> None:
        """Called when the writes of a turn are queued and not sent yet: queue the mark and the confirmation."""
        current = self._round
        if current is not None:
            current.sent = True
            wait, link = self._confirmation, current.link
            asked = [link.execute("EVAL", _MARK.source, 1, self._mark, _MARK_MILLISECONDS)]
            asked += [link.execute(*command, wait.milliseconds) for command in wait.commands]
            self._ending = asyncio.get_running_loop().create_task(self._end(current, asked))

    async def _end(self, current: _Round, asked: list[Awaitable[Reply]]) -> None:
        marked, *replies = await asyncio.gather(*asked, return_exceptions=True)
        current.reason = self._confirmation.doubt(marked, replies)
        self._round = None
        current.over.set()

    def _remember(self, args: _Words, count: int) -> None:
        now = asyncio.get_running_loop().time()
        self._removed.append(_WHEN.pack(now, count) + _pack(args))
        self._remembered += count
        # The oldest are dropped first, because they are the likeliest to have reached a replica.
        while self._remembered > self._most or _when(self._removed[0])[0] < now - REMEMBERED_SECONDS:
            self._remembered -= _when(self._removed.popleft())[1]

    @property
    def is_due_again(self) -> bool:
        """True if the primary is another one than at the last `send_again`."""
        return self._link.replication_id not in (b"", self._replication_id)

    async def send_again(self) -> int:
        """Send the removals of the last ten minutes to a primary that is new since the last call. Returns how many.

        A removal that the new primary has already changes nothing. Raises StoreUnavailable; the next call repeats it.
        """
        if not self.is_due_again:
            return 0
        now = self._link.replication_id
        since = asyncio.get_running_loop().time() - REMEMBERED_SECONDS
        again = [_words(one) for one in self._removed if _when(one)[0] >= since] if self._replication_id else []
        for start in range(0, len(again), _AT_ONCE):
            await asyncio.gather(*[self._link.execute(*args) for args in again[start : start + _AT_ONCE]])
        self._replication_id = now
        return len(again)


def _when(removed: bytes) -> tuple[float, int]:
    """When a removal was made, in seconds of the event loop's clock, and how many things it ended."""
    instant, count = _WHEN.unpack_from(removed)
    return instant, count


def _words(removed: bytes) -> _Words:
    """The words of a removal's command; with the script's source, because another server may not know the script."""
    words = tuple(_unpack(memoryview(removed)[_WHEN.size :]))
    return ("EVAL", source_of(str(words[1])), *words[2:]) if words[0] == "EVALSHA" else words
