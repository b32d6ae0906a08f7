"""Counts that no index gives: unused tokens, and tokens that expired recently. Both work in slices.

The first count reads every active token, now and then; the second reads the index of purges.
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
    """Walks through the active tokens for the one process that counts, and stores the result for all."""

    def __init__(self, shards: Shards, retention: Retention) -> None:
        self._shards = shards
        # The count covers the whole service, so it is stored once.
        self._first = shards[0]
        self._retention = retention
        self._fields = Script("read_field", retry=True)
        self._hold = Script("hold_lock", retry=True)

    async def hold(self, holder: str) -> bool:
        """Take or keep the right to count; it expires if the process dies."""
        held: int = await self._hold.run(self._first.link, (self._first.keys.hygiene_lock,), holder, _LOCK_MILLISECONDS)
        return held > 0

    async def let_go(self, holder: str) -> None:
        """Give that right up."""
        await self._hold.run(self._first.link, (self._first.keys.hygiene_lock,), holder, 0)

    async def read(self) -> bytes | None:
        """The last result, None if there is no recent one."""
        result: bytes | None = await self._first.link.execute("GET", self._first.keys.hygiene, retry=True)
        return result

    async def write(self, result: bytes, seconds: int) -> None:
        """Store a result for so many seconds."""
        await self._first.link.execute("SET", self._first.keys.hygiene, result, "EX", seconds, retry=True)

    async def ages(self) -> AsyncIterator[list[tuple[int, int]]]:
        """When each active token was created and last used (0 for never), epoch seconds, in slices."""
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
            # The next slice begins with the tokens of the last one's microsecond. If they fill it, it is doubled.
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
        """How many of the tokens that are still kept expired after `since`, epoch seconds, and not later than `now`.

        One round trip for each 250 tokens that ended since then. After a change of the retention the number is wrong
        until the tokens that had expired before are purged.
        """
        return sum(await asyncio.gather(*[self._expired_since(shard, since, now) for shard in self._shards]))

    async def _expired_since(self, shard: Shard, since: int, now: int) -> int:
        ask, keys, kept = shard.link.execute, shard.keys, self._retention.seconds

        def ended_behind(seen: int) -> Awaitable[list[bytes]]:
            # A token is purged one retention after it ended. Revoked tokens are in this index, too, but not in `dead`.
            found = f"({since + kept}", now + kept, "LIMIT", seen, _SLICE
            return ask("ZRANGEBYSCORE", keys.purge, *found, retry=True)

        # Due, but not swept yet: positive expiries belong to active tokens, negative ones to inactive tokens. Sent
        # together with the first slice, because a sweep between two round trips would have them counted twice.
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
