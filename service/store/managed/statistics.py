"""Counting: exact before and after a sweep, O(log n) in the number of tokens."""

import asyncio

from service.model import Statistics
from service.store.driver.shards import Shard, Shards

_FORTNIGHT = 14 * 86400


class TokenCounts:
    """Statistics over all shards, in one round trip to each node."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards

    async def take(self, now: int) -> Statistics:
        """The numbers at `now`, epoch seconds."""
        counts = await asyncio.gather(*[_count(shard, now) for shard in self._shards])
        on, off, revoked, dead, due_on, due_off, soon, one_time, sessions = map(sum, zip(*counts, strict=True))
        active, inactive, expired = on - due_on, off - due_off, dead + due_on + due_off
        return Statistics(
            total=active + inactive + expired,
            active=active,
            expired=expired,
            inactive=inactive,
            revoked=revoked,
            expiring14d=soon,
            one_time_outstanding=one_time,
            sessions=sessions,
        )

    async def expiring(self, now: int, windows: dict[str, int]) -> dict[str, int]:
        """How many active tokens expire within each window, given in seconds."""
        commands = [
            shard.link.execute("ZCOUNT", shard.keys.expiry, f"({now}", now + seconds, retry=True)
            for seconds in windows.values()
            for shard in self._shards
        ]
        counts = await asyncio.gather(*commands)
        size = len(self._shards)
        return {window: sum(counts[i * size : (i + 1) * size]) for i, window in enumerate(windows)}


async def _count(shard: Shard, now: int) -> list[int]:
    keys, ask = shard.keys, shard.link.execute
    return await asyncio.gather(
        ask("ZCARD", keys.on, retry=True),
        ask("ZCOUNT", keys.off, "(0", "+inf", retry=True),
        ask("ZCOUNT", keys.off, "-inf", "(0", retry=True),
        ask("ZCARD", keys.dead, retry=True),
        # Due, but not swept yet: positive expiries belong to active tokens, negative ones to inactive.
        ask("ZCOUNT", keys.expiry, 1, now, retry=True),
        ask("ZCOUNT", keys.expiry, -now, -1, retry=True),
        ask("ZCOUNT", keys.expiry, f"({now}", now + _FORTNIGHT, retry=True),
        ask("ZCOUNT", keys.one_time_index, f"({now}", "+inf", retry=True),
        ask("ZCOUNT", keys.session_index, f"({now}", "+inf", retry=True),
    )
