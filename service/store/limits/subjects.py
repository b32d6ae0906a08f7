"""The limits that all tokens of a subject share: kept and counted in the shard of its name."""

import asyncio
from hashlib import sha256
from typing import NamedTuple

import msgspec

from service.errors import StoreUnavailable
from service.model import RateLimit
from service.store.driver.keys import shard_of_name
from service.store.driver.scripts import Script
from service.store.driver.shards import Shard, Shards

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[RateLimit, ...]).decode


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
        try:
            return Shared(_decode(record), record)
        # A text that is no UTF-8 is no DecodeError of msgspec's.
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise StoreUnavailable(f"What limits {subject} has was changed outside the service: set them.") from None

    async def put(self, subject: str, limits: tuple[RateLimit, ...], entry: tuple[int, bytes, str]) -> bool:
        """Write them, or take them away where there are to be none; False if there were none to take away.

        `entry` as the audit store has it.

        From when this returns every process goes by it. Two round trips.
        """
        shard = self._shards.of_name(subject)
        keys = (shard.keys.limits(digest_of(subject)), shard.keys.limited_subjects, shard.keys.changes)
        done: int = await self._put.run(shard.link, keys, subject, _encode(limits) if limits else b"", *entry)
        # Also after one that found nothing: the try before it may have been cut off here.
        await self._tell(subject)
        return done == 1

    async def _tell(self, subject: str) -> None:
        """Have every process hear of a change: of the first shard first, where it is counted."""
        count = await self._count_in(self._shards[0], subject, 0)
        await asyncio.gather(*[self._count_in(shard, subject, count) for shard in self._shards if shard.index])

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
            for name in (one.decode(errors="replace") for one in names)
            if shard_of_name(name, len(self._shards)) == index
        ]
        return sorted(ours)[:size]


def digest_of(subject: str) -> bytes:
    """What stands for a subject in keys."""
    return sha256(subject.encode()).digest()
