"""Usage: what a second brought, added to each token's record and to the service's hours."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from service.store.scripts import Script
from service.store.shards import Shards

KEEP_SECONDS = 100 * 86400


class Use(NamedTuple):
    """What one token was used for since the last flush. `used_at` in epoch seconds, 0 if it was only refused.

    `digest` is that of the secret used, as the metadata holds it: it tells the predecessor in grace apart.
    """

    token_id: str
    used_at: int
    allowed: int
    denied: int
    address: str
    agent: str
    digest: str


class UsageStore:
    """Writes usage in one round trip for all tokens together."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._record = Script("record_usage")

    async def add(self, uses: list[Use], day: str) -> None:
        """Add to the records; a token whose record is gone is left out. `day` is YYYYMMDD."""
        await asyncio.gather(*[self._add(use, day) for use in uses])

    async def _add(self, use: Use, day: str) -> None:
        shard = self._shards.of_id(use.token_id)
        if shard is None:
            return
        keys = (shard.keys.metadata(use.token_id), shard.keys.usage_by_day(use.token_id))
        await self._record.run(
            shard.link, keys, use.used_at, day, use.allowed, use.denied, use.address, use.agent, KEEP_SECONDS,
            use.digest,
        )  # fmt: skip

    async def add_hour(self, hour: int, allowed: int, denied: int) -> None:
        """Add to the service's totals; `hour` counts hours since the epoch."""
        shard = self._shards[hour % len(self._shards)]
        key = shard.keys.usage_by_hour(hour)
        await shard.link.execute("HINCRBY", key, "allowed", allowed)
        await shard.link.execute("HINCRBY", key, "denied", denied)
        await shard.link.execute("EXPIRE", key, KEEP_SECONDS, retry=True)

    async def touch_session(self, digest: bytes, idle_seconds: int) -> None:
        """Put the idle end of a session off; one that is over stays over."""
        shard = self._shards.of_digest(digest)
        await shard.link.execute("PEXPIRE", shard.keys.credential(digest), idle_seconds * 1000, retry=True)

    async def by_day(self, token_id: str) -> dict[str, int]:
        """`a` or `d` and YYYYMMDD to a count: allowed and denied by day."""
        shard = self._shards.of_id(token_id)
        if shard is None:
            return {}
        reply = await shard.link.execute("HGETALL", shard.keys.usage_by_day(token_id), retry=True)
        return {name.decode(): int(value) for name, value in zip(reply[::2], reply[1::2], strict=True)}
