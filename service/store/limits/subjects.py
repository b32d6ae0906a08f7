"""The limits that all tokens of a subject share: kept and counted in the shard of its name.

Changes are heard of with the lookups of every turn, by the question how often limits changed. The answer comes before
those of the lookups behind it, so what is remembered of subjects is never older than what is decided by it.
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
# So many lookups of one turn need not ask the link whether it takes more.
_TAKEN_UNASKED = 1000


class Shared(NamedTuple):
    """Limits of a subject, none if it has none, and the bytes that say so."""

    limits: tuple[RateLimit, ...] = ()
    record: bytes = b""


class SubjectStore:
    """Reads and writes the shared limits of subjects."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        # Without `retry`: after a lost reply one would write a second audit entry, and the other count twice.
        self._put = Script("put_limits")
        self._count = Script("count_change")

    async def get(self, subject: str) -> Shared:
        """Those of a subject. One round trip. Raises StoreUnavailable where others wrote what is none."""
        shard = self._shards.of_name(subject)
        record = await shard.link.execute("GET", shard.keys.limits(digest_of(subject)), retry=True)
        if not record:
            return Shared()
        if (limits := decoded(_decode, record)) is None:
            raise StoreUnavailable(f"What limits {subject} has was changed outside the service: set them.")
        return Shared(limits, record)

    async def put(self, subject: str, limits: tuple[RateLimit, ...], entry: tuple[int, bytes, str]) -> bool:
        """Write them, or take them away where there are to be none; False if there were none to take away.

        `entry` as the audit store has it.

        From when this returns every process goes by it. Three round trips.
        """
        shard = self._shards.of_name(subject)
        keys = shard.keys.limits(digest_of(subject)), shard.keys.limited_subjects
        streams = shard.keys.changes, shard.keys.limits_untold
        written = _encode(limits) if limits else b""
        done: int = await self._put.run(shard.link, (*keys, *streams), subject, written, *entry)
        # Also after one that found nothing: the try before it may have been cut off here.
        await self._tell_change(shard, f"{entry[2]} {subject}".encode())
        return done == 1

    async def tell_again(self) -> None:
        """Have every process hear of changes that were cut off before it could. One round trip where none was."""
        untold = [shard.link.execute("ZRANGE", shard.keys.limits_untold, 0, -1, retry=True) for shard in self._shards]
        for shard, changes in zip(self._shards, await all_of(untold), strict=True):
            for change in changes:
                await self._tell_change(shard, change)

    async def _tell_change(self, shard: Shard, change: bytes) -> None:
        """A change as put_limits.lua notes it: by itself, so that another one meanwhile stays to be told."""
        await self._tell(change.partition(b" ")[2].decode(errors="replace"))
        await shard.link.execute("ZREM", shard.keys.limits_untold, change, retry=True)

    async def _tell(self, subject: str) -> None:
        """Have every process hear of a change: of the first shard first, where it is counted."""
        first, *others = self._shards
        count = await self._count_in(first, subject, 0)
        counts = await asyncio.gather(*[self._count_in(shard, subject, count) for shard in others])
        # Where a failover has set the first one back, or another change went ahead of this one.
        while (most := max(counts, default=0)) > count:
            count = most + 1
            counts = await asyncio.gather(*[self._count_in(shard, subject, count) for shard in self._shards])

    async def _count_in(self, shard: Shard, subject: str, count: int) -> int:
        counted: int = await self._count.run(shard.link, (shard.keys.limits_changed,), subject, count)
        return counted

    async def page(self, after: str, size: int) -> list[str]:
        """Subjects that have some, in order, behind `after`. One round trip."""
        start = b"(" + after.encode() if after else b"-"
        # A page of each shard holds whatever the page of all has.
        found = await asyncio.gather(
            *[
                shard.link.execute("ZRANGEBYLEX", shard.keys.limited_subjects, start, "+", "LIMIT", 0, size, retry=True)
                for shard in self._shards
            ]
        )
        # What stands in another shard than that of its name was not written by us.
        ours = [
            name
            for index, names in enumerate(found)
            for name in (one.decode() for one in names if one.isascii())
            if shard_of_name(name, len(self._shards)) == index
        ]
        return sorted(ours)[:size]


def digest_of(subject: str) -> bytes:
    """What stands for a subject in keys."""
    return sha256(subject.encode()).digest()


class Changes:
    """What one link hears.

    When the last turn began, for all lookups in it: `asked_at` in epoch seconds, `began` by a clock for durations.
    """

    def __init__(self, shard: Shard, heard: Callable[[str | None], None], clock: Callable[[], float]) -> None:
        """`heard` is told whose limits changed; None where it may be anybody's."""
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
        """How often limits changed, as far as it was heard."""
        return self.known.partition(b" ")[0].strip(b"?") or b"0"

    def ask(self) -> None:
        """Once for all that is sent in this turn."""
        link = self._link
        if link.turn is not self._turn:
            self.began, self.asked_at = perf_counter(), self._clock()
            link.submit(self._command, self._learn, retry=True)
            # Where the link refused it, it is asked again with the next lookup.
            self._turn = turn = link.turn or None
            self._due_from = turn[-1][3] if turn else 0.0

    def submit(self, command: bytes, answer: OnReply) -> None:
        """As `Link.submit`, behind the question."""
        self.ask()
        self._link.submit(command, answer)

    def find(self, command: bytes, answer: OnReply) -> None:
        """The same of what may be asked twice."""
        turn = self._link.turn
        # Nearly every lookup finds the question in its turn, and saves the call.
        if turn is self._turn and len(turn) < _TAKEN_UNASKED:
            turn.append((command, answer, True, self._due_from))
        else:
            self.ask()
            self._link.submit(command, answer, retry=True)

    def _learn(self, reply: Reply) -> None:
        # Not heard: the next lookup asks again, also in the same turn.
        if isinstance(reply, Exception):
            self._turn = None
            return
        now, before = reply or b"", self.known
        if now != before:
            self.known = now
            self._heard(_whose(before, now))


def _whose(before: bytes, now: bytes) -> str | None:
    """The only subject whose limits changed between the two; None if there may be others."""
    count, _, subject = now.partition(b" ")
    last = before.partition(b" ")[0] or b"0"
    # Counted on by exactly one: a message that was missed may have named somebody else.
    if count.isdigit() and last.isdigit() and int(count) == int(last) + 1:
        return subject.decode(errors="replace")
    return None


class ChangesByShard:
    """Those of every shard. Shards that one link leads to are heard of by the first, where each is counted first."""

    def __init__(self, shards: Shards, clock: Callable[[], float]) -> None:
        self.heard: Callable[[str | None], None] = lambda _: None
        by_link: dict[Link, Changes] = {}
        for shard in shards:
            by_link.setdefault(shard.link, Changes(shard, self._tell, clock))
        self._each = [by_link[shard.link] for shard in shards]

    def _tell(self, subject: str | None) -> None:
        self.heard(subject)

    def of(self, shard: Shard) -> Changes:
        """Those that lookups in this shard go with."""
        return self._each[shard.index]
