"""The limits that all tokens of a subject share: kept and counted in the shard of its name.

Every turn with lookups begins with a GET of how often limits changed. Its reply comes before those of the lookups, so
the cached limits of subjects are never older than the decisions that use them.
"""

import asyncio
from collections.abc import Callable
from hashlib import sha256
from time import perf_counter
from typing import NamedTuple

import msgspec

from service.errors import StoreUnavailable
from service.model import RateLimit
from service.store.driver.connection import Link
from service.store.driver.keys import shard_of_name
from service.store.driver.many_tokens import all_of
from service.store.driver.replies import OnReply, Reply, Waiting, decoded, packed
from service.store.driver.scripts import Script
from service.store.driver.shards import Shard, Shards

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[RateLimit, ...]).decode
_UNHEARD = b"?"
# Up to so many lookups of one turn are appended without asking the link whether its queue has room.
_TAKEN_UNASKED = 1000


class Shared(NamedTuple):
    """The limits of a subject, and their stored bytes; both empty if it has none."""

    limits: tuple[RateLimit, ...] = ()
    record: bytes = b""


class SubjectStore:
    """Reads and writes the shared limits of subjects."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        # Without `retry`: after a lost reply the first would write a second audit entry, and the second count twice.
        self._put = Script("put_limits")
        self._count = Script("count_change")

    async def get(self, subject: str) -> Shared:
        """The limits of a subject. One round trip. Raises StoreUnavailable if others wrote something unreadable."""
        shard = self._shards.of_name(subject)
        record = await shard.link.execute("GET", shard.keys.limits(digest_of(subject)), retry=True)
        if not record:
            return Shared()
        if (limits := decoded(_decode, record)) is None:
            raise StoreUnavailable(f"What limits {subject} has was changed outside the service: set them.")
        return Shared(limits, record)

    async def put(self, subject: str, limits: tuple[RateLimit, ...], entry: tuple[int, bytes, str]) -> bool:
        """Write a subject's limits, or remove them if `limits` is empty; False if there were none to remove.

        `entry` is an `Entry` of the audit store.

        Once this returns, every process uses the new limits. Three round trips.
        """
        shard = self._shards.of_name(subject)
        keys = shard.keys.limits(digest_of(subject)), shard.keys.limited_subjects
        streams = shard.keys.changes, shard.keys.limits_untold
        written = _encode(limits) if limits else b""
        done: int = await self._put.run(shard.link, (*keys, *streams), subject, written, *entry)
        # Even if nothing was removed: an earlier attempt may have been cut off at this point.
        await self._tell_change(shard, f"{entry[2]} {subject}".encode())
        return done == 1

    async def tell_again(self) -> None:
        """Announce changes whose announcement was cut off, to every process. One round trip if there are none."""
        untold = [shard.link.execute("ZRANGE", shard.keys.limits_untold, 0, -1, retry=True) for shard in self._shards]
        for shard, changes in zip(self._shards, await all_of(untold), strict=True):
            for change in changes:
                await self._tell_change(shard, change)

    async def _tell_change(self, shard: Shard, change: bytes) -> None:
        """Announce one change, noted by put_limits.lua, and remove its note; a note of another change stays."""
        await self._tell(change.partition(b" ")[2].decode(errors="replace"))
        await shard.link.execute("ZREM", shard.keys.limits_untold, change, retry=True)

    async def _tell(self, subject: str) -> None:
        """Announce a change to every process: in the first shard first, which counts all changes."""
        first, *others = self._shards
        count = await self._count_in(first, subject, 0)
        counts = await asyncio.gather(*[self._count_in(shard, subject, count) for shard in others])
        # If a failover has set the first shard's count back, or another change has overtaken this one.
        while (most := max(counts, default=0)) > count:
            count = most + 1
            counts = await asyncio.gather(*[self._count_in(shard, subject, count) for shard in self._shards])

    async def _count_in(self, shard: Shard, subject: str, count: int) -> int:
        keys = shard.keys.limits_changed, shard.keys.none
        counted: int = await self._count.run(shard.link, keys, subject, count)
        return counted

    async def page(self, after: str, size: int) -> list[str]:
        """Subjects that have limits, in order, after `after`. One round trip."""
        start = b"(" + after.encode() if after else b"-"
        # The pages of all shards contain the page of the whole.
        found = await asyncio.gather(
            *[
                shard.link.execute("ZRANGEBYLEX", shard.keys.limited_subjects, start, "+", "LIMIT", 0, size, retry=True)
                for shard in self._shards
            ]
        )
        # A name in another shard than its own was not written by this service.
        ours = [
            name
            for index, names in enumerate(found)
            for name in (one.decode() for one in names if one.isascii())
            if shard_of_name(name, len(self._shards)) == index
        ]
        return sorted(ours)[:size]


def digest_of(subject: str) -> bytes:
    """The digest that stands for a subject in keys."""
    return sha256(subject.encode()).digest()


class Changes:
    """Sends the lookups of one link, each turn with the question for changes before them.

    `asked_at` (epoch seconds) and `began` (a clock for durations) are the beginning of the last turn with lookups.
    """

    def __init__(self, shard: Shard, heard: Callable[[str | None], None], clock: Callable[[], float]) -> None:
        """`heard` is called with the subject whose limits changed, or with None if it may be any subject."""
        self.known = _UNHEARD
        self._link: Link = shard.link
        self._command = packed("GET", shard.keys.limits_changed)
        self._heard = heard
        self._clock = clock
        self._turn: list[Waiting] | None = None
        self._due_from = 0.0
        self.began = self.asked_at = 0.0

    @property
    def count(self) -> bytes:
        """How often limits had changed by the last reply."""
        return self.known.partition(b" ")[0].strip(b"?") or b"0"

    def ask(self) -> None:
        """Ask for changes, once for all commands of this turn."""
        link = self._link
        if link.turn is not self._turn:
            self.began, self.asked_at = perf_counter(), self._clock()
            link.submit(self._command, self._learn, retry=True)
            # If the link refused the question, the next lookup asks again.
            self._turn = turn = link.turn or None
            self._due_from = turn[-1][3] if turn else 0.0

    def submit(self, command: bytes, answer: OnReply) -> None:
        """Like `Link.submit`, after the question for changes."""
        self.ask()
        self._link.submit(command, answer)

    def find(self, command: bytes, answer: OnReply) -> None:
        """The same for a command that may be sent twice."""
        turn = self._link.turn
        # Nearly always the question is in this turn already, and the calls below are saved.
        if turn is self._turn and len(turn) < _TAKEN_UNASKED:
            turn.append((command, answer, True, self._due_from))
        else:
            self.ask()
            self._link.submit(command, answer, retry=True)

    def _learn(self, reply: Reply) -> None:
        # No reply: the next lookup asks again, even in the same turn.
        if isinstance(reply, Exception):
            self._turn = None
            return
        now, before = reply or b"", self.known
        if now != before:
            self.known = now
            self._heard(_whose(before, now))


def _whose(before: bytes, now: bytes) -> str | None:
    """The only subject whose limits changed between the two replies; None if there may be others."""
    count, _, subject = now.partition(b" ")
    last = before.partition(b" ")[0] or b"0"
    # Only if the count grew by exactly one: a reply that was missed may have named another subject.
    if count.isdigit() and last.isdigit() and int(count) == int(last) + 1:
        return subject.decode(errors="replace")
    return None


class ChangesByShard:
    """The `Changes` of every shard. Shards on one link share those of the first, where changes are counted first."""

    def __init__(self, shards: Shards, clock: Callable[[], float]) -> None:
        self.heard: Callable[[str | None], None] = lambda _: None
        by_link: dict[Link, Changes] = {}
        for shard in shards:
            by_link.setdefault(shard.link, Changes(shard, self._tell, clock))
        self._each = [by_link[shard.link] for shard in shards]

    def _tell(self, subject: str | None) -> None:
        self.heard(subject)

    def of(self, shard: Shard) -> Changes:
        """The `Changes` for lookups in this shard."""
        return self._each[shard.index]
