"""Attempts at passwords in Redis: a sorted set for each counter, in the shard of its digest."""

from service.store.driver.scripts import Script
from service.store.driver.shards import Shards


class AttemptStore:
    """Each method is one round trip, and idempotent, so that it may be repeated after a lost reply."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._reserve = Script("reserve_attempt", retry=True)
        self._count = Script("count_attempt", retry=True)

    async def reserve(self, counter: bytes, attempt: str, *, allowed: int, hold_milliseconds: int) -> int:
        """Reserve an attempt if fewer than `allowed` count now. Returns 0, or the milliseconds until one is free."""
        shard = self._shards.of_digest(counter)
        wait: int = await self._reserve.run(
            shard.link, (shard.keys.rate(counter),), attempt, allowed, hold_milliseconds
        )
        return wait

    async def count(self, counter: bytes, attempt: str, *, window_milliseconds: int) -> int:
        """Count a wrong attempt for the window from now on. Returns how many attempts count now."""
        shard = self._shards.of_digest(counter)
        counted: int = await self._count.run(shard.link, (shard.keys.rate(counter),), attempt, window_milliseconds)
        return counted

    async def give_back(self, counter: bytes, attempt: str) -> None:
        shard = self._shards.of_digest(counter)
        await shard.link.execute("ZREM", shard.keys.rate(counter), attempt, retry=True)

    async def is_known(self, digest: bytes) -> bool:
        shard = self._shards.of_digest(digest)
        return bool(await shard.link.execute("EXISTS", shard.keys.rate(digest), retry=True))

    async def remember(self, digest: bytes, milliseconds: int) -> None:
        shard = self._shards.of_digest(digest)
        await shard.link.execute("SET", shard.keys.rate(digest), 1, "PX", milliseconds, retry=True)
