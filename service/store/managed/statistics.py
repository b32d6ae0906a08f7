"""Counts by status: exact before and after a sweep, O(log n) in the number of tokens."""

from collections.abc import Sequence

from service.model import Statistics, Status
from service.store.driver.keys import Keys
from service.store.driver.many_tokens import all_of
from service.store.driver.replies import Argument
from service.store.driver.scripts import Script
from service.store.driver.shards import Shard, Shards

_FORTNIGHT = 14 * 86400
# A sorted set, and the least and the greatest score to count.
Range = tuple[bytes, Argument, Argument]


class TokenCounts:
    """Statistics over all shards, with one script call to each."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._between = Script("count_between", retry=True)
        self._statuses = Script("count_statuses", retry=True)

    async def take(self, now: int) -> Statistics:
        """The statistics at `now`, epoch seconds."""
        counts = await all_of([self._count(shard, _ranges(shard.keys, now)) for shard in self._shards])
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

    async def of(self, wanted: frozenset[Status], now: int) -> int:
        """How many tokens have one of the wanted statuses."""
        statistics = await self.take(now)
        return sum(int(getattr(statistics, status)) for status in wanted)

    async def expiring(self, now: int, windows: dict[str, int]) -> dict[str, int]:
        """How many active tokens expire within each window, given in seconds."""
        counts = await all_of(
            [
                self._count(shard, [(shard.keys.expiry, f"({now}", now + seconds) for seconds in windows.values()])
                for shard in self._shards
            ]
        )
        return dict(zip(windows, map(sum, zip(*counts, strict=True)), strict=True))

    async def among(self, token_ids: Sequence[str], wanted: frozenset[Status], now: float) -> int:
        """How many of these tokens, all of one shard, have one of the wanted statuses. One round trip."""
        shard = self._shards.of_id(token_ids[0])
        if shard is None:
            return 0
        keys = shard.keys.on, shard.keys.off, shard.keys.dead, shard.keys.expiry
        # count_statuses.lua counts in the order of `Status`.
        places = [place for place, status in enumerate(Status) if status in wanted]
        asked = "".join([str(place + 1) for place in places])
        counts = await self._statuses.run(shard.link, keys, int(now), asked, *token_ids)
        return sum(counts[place] for place in places)

    async def _count(self, shard: Shard, ranges: Sequence[Range]) -> list[int]:
        keys, least, greatest = zip(*ranges, strict=True)
        bounds = [bound for pair in zip(least, greatest, strict=True) for bound in pair]
        counts: list[int] = await self._between.run(shard.link, keys, *bounds)
        return counts


def _ranges(keys: Keys, now: int) -> Sequence[Range]:
    return (
        (keys.on, "-inf", "+inf"),
        (keys.off, "(0", "+inf"),
        (keys.off, "-inf", "(0"),
        (keys.dead, "-inf", "+inf"),
        # Due, but not swept yet: positive expiries belong to active tokens, negative ones to inactive tokens.
        (keys.expiry, 1, now),
        (keys.expiry, -now, -1),
        (keys.expiry, f"({now}", now + _FORTNIGHT),
        (keys.one_time_index, f"({now}", "+inf"),
        (keys.session_index, f"({now}", "+inf"),
    )
