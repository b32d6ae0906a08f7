"""Counting what no index holds: tokens that nobody uses, and those that expired of late, in slices.

For the first every active token is read, now and then; for the second the purges to come.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable

from service.store.decoding import own_members, whole
from service.store.driver.keys import FIRST_USE
from service.store.driver.scripts import LETTERS, Script
from service.store.driver.shards import Shard, Shards
from service.store.managed.records import LAST_SECOND, Retention

_SLICE = 250
_LOCK_MILLISECONDS = 120_000


class HygieneStore:
    """Walks the active tokens for the one process that counts, and keeps the result for all."""

    def __init__(self, shards: Shards, retention: Retention) -> None:
        self._shards = shards
        # The count is one of the whole service, kept in one place.
        self._first = shards[0]
        self._retention = retention
        self._fields = Script("read_field", retry=True)
        self._hold = Script("hold_lock", retry=True)

    async def hold(self, holder: str) -> bool:
        """Take or keep the right to count; it goes by itself if the process dies."""
        held: int = await self._hold.run(self._first.link, (self._first.keys.hygiene_lock,), holder, _LOCK_MILLISECONDS)
        return held > 0

    async def let_go(self, holder: str) -> None:
        """Give that right up."""
        await self._hold.run(self._first.link, (self._first.keys.hygiene_lock,), holder, 0)

    async def read(self) -> bytes | None:
        """The last result, None if there is none of late."""
        result: bytes | None = await self._first.link.execute("GET", self._first.keys.hygiene, retry=True)
        return result

    async def write(self, result: bytes, seconds: int) -> None:
        """Keep a result for so long."""
        await self._first.link.execute("SET", self._first.keys.hygiene, result, "EX", seconds, retry=True)

    async def ages(self) -> AsyncIterator[list[tuple[int, int]]]:
        """When each active token was created and last used (0 for never), epoch seconds, slice by slice."""
        for shard in self._shards:
            async for slice_of in self._ages(shard):
                yield slice_of

    async def _ages(self, shard: Shard) -> AsyncIterator[list[tuple[int, int]]]:
        mark, seen, size = "-inf", frozenset[str](), _SLICE
        while True:
            reply = await shard.link.execute(
                "ZRANGEBYSCORE", shard.keys.on, mark, "+inf", "WITHSCORES", "LIMIT", 0, size, retry=True
            )
            found = own_members(reply)
            fresh = [one for one in found if one.token_id not in seen]
            if fresh:
                keys = tuple(shard.keys.metadata(one.token_id) for one in fresh)
                used = await self._fields.run(shard.link, keys, LETTERS["last_used_at"])
                yield [(one.score % FIRST_USE // 1_000_000, whole(last)) for one, last in zip(fresh, used, strict=True)]
            if len(reply) < 2 * size:
                return
            # The next slice begins with those that share the last one's microsecond, which may be all of it.
            size = 2 * size if reply[-1].decode() == mark else _SLICE
            mark, seen = reply[-1].decode(), frozenset([one.token_id for one in found])

    async def without_end(self) -> int:
        """How many active tokens never expire; one round trip."""
        asked = [
            shard.link.execute("ZCOUNT", shard.keys.expiry, f"({LAST_SECOND}", "+inf", retry=True)
            for shard in self._shards
        ]
        return sum(await asyncio.gather(*asked))

    async def expired_since(self, since: int, now: int) -> int:
        """How many tokens expired behind `since`, epoch seconds, up to now, of those that are kept still.

        One round trip for each 250 that ended since then. After a change of the retention it is right again
        as soon as what had expired before is gone.
        """
        return sum(await asyncio.gather(*[self._expired_since(shard, since, now) for shard in self._shards]))

    async def _expired_since(self, shard: Shard, since: int, now: int) -> int:
        ask, keys, kept = shard.link.execute, shard.keys, self._retention.seconds

        def ended_behind(seen: int) -> Awaitable[list[bytes]]:
            # A token is purged its retention after it ended; those revoked stand there too, but are not among the dead.
            found = f"({since + kept}", now + kept, "LIMIT", seen, _SLICE
            return ask("ZRANGEBYSCORE", keys.purge, *found, retry=True)

        # Due, but not swept yet: positive expiries belong to active tokens, negative ones to inactive. Sent together
        # with the first slice: a sweep between two round trips would have them counted twice.
        active, inactive, ended = await asyncio.gather(
            ask("ZCOUNT", keys.expiry, f"({since}", now, retry=True),
            ask("ZCOUNT", keys.expiry, -now, f"({-since}", retry=True),
            ended_behind(0),
        )
        count: int = active + inactive
        seen = 0
        while ended:
            count += sum(place is not None for place in await ask("ZMSCORE", keys.dead, *ended, retry=True))
            seen += len(ended)
            ended = await ended_behind(seen) if len(ended) == _SLICE else []
        return count
