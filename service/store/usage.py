"""Usage: what a second brought, added to each token's record and to the service's hours, and read back."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import msgspec

from service.model import Outcome
from service.store.decoding import whole
from service.store.driver.keys import Keys
from service.store.driver.many_tokens import ManyTokens
from service.store.driver.replies import Argument
from service.store.driver.scripts import Script
from service.store.driver.shards import Shard, Shards
from service.store.pacing import give_way

DAY = 86400
HOUR = 3600
DAYS_KEPT = 100
HOURS_KEPT = 48
# So many records or touches travel together: validations wait behind them, and should for less than a millisecond.
SLICE = 50
# A hundred days have 2,400 hours, whose commands others should not wait for.
_HOURS_AT_ONCE = 96
# Of the totals of an hour; the other fields are outcomes of checks that found a record.
ALLOWED = "allowed"
FIELDS = (ALLOWED, *(outcome.value for outcome in Outcome if outcome is not Outcome.ACTIVE))


class Use(msgspec.Struct, gc=False):
    """What one secret of a token was used for since the last flush, gathered here use by use.

    `used_at` in epoch seconds, 0 if it was only refused; the address and the agent are those of the last use.
    `digest` is that of the secret used, which tells the previous secret in its overlap apart, and is in the same shard.
    """

    token_id: str
    digest: bytes
    used_at: float = 0
    allowed: int = 0
    denied: int = 0
    address: str = ""
    agent: bytes = b""


class Count(NamedTuple):
    """Checks in a day or an hour, and when it begins in epoch seconds."""

    starts_at: int
    allowed: int
    denied: int


class Totals(NamedTuple):
    """Checks of the whole service in an hour: those allowed, and those refused by outcome."""

    starts_at: int
    allowed: int
    refused: dict[str, int]


class UsageStore:
    """Writes usage in few round trips for all tokens together."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._many = ManyTokens(shards)
        # Not marked for a retry, which could count twice.
        self._record = Script("record_usage")

    async def add(self, uses: list[Use], now: int) -> None:
        """Add to the records, SLICE of them at most, in one round trip; a token whose record is gone is left out."""
        groups: defaultdict[Shard, list[Use]] = defaultdict(list)
        for use in uses:
            groups[self._shards.of_digest(use.digest)].append(use)
        await asyncio.gather(*[self._add(shard, group, now) for shard, group in groups.items()])

    async def _add(self, shard: Shard, uses: list[Use], now: int) -> None:
        """By one script for all: a call for each takes Redis half as long again, and this process five times."""
        names = shard.keys
        keys = [names.last_uses, names.on, names.off, names.dead]
        facts: list[Argument] = [now // DAY, now // HOUR, DAYS_KEPT, HOURS_KEPT]
        for use in uses:
            token_id = use.token_id
            keys += names.record_and_usage(token_id)
            facts += token_id, int(use.used_at), use.allowed, use.denied, use.address, use.agent, use.digest
        await self._record.run(shard.link, tuple(keys), *facts)

    async def add_total(self, now: int, allowed: int, refused: Mapping[str, int]) -> None:
        """Add to the service's totals of this hour; `refused` by outcome."""
        shard, key = self._of_hour(now // HOUR)
        ask = shard.link.execute
        added = {ALLOWED: allowed, **refused}
        await asyncio.gather(
            # Without `retry`: after a lost reply a second try could count twice.
            *[ask("HINCRBY", key, field, count) for field, count in added.items()],
            ask("EXPIRE", key, DAYS_KEPT * DAY, retry=True),
        )

    async def touch_sessions(self, ends: dict[bytes, int]) -> None:
        """Put the end of sessions, SLICE of them at most, off to an instant each, epoch seconds; one that is over stays
        over.
        """
        await asyncio.gather(*[self._touch(*one) for one in ends.items()])

    async def _touch(self, digest: bytes, ends_at: int) -> None:
        shard = self._shards.of_digest(digest)
        ask, keys = shard.link.execute, shard.keys
        # The index first: between the two a sweep must not drop one that goes on.
        await asyncio.gather(
            ask("ZADD", keys.session_index, "XX", ends_at, digest, retry=True),
            ask("EXPIREAT", keys.credential(digest), ends_at, retry=True),
        )

    async def days_of(self, token_ids: list[str], now: int, days: int) -> list[list[int]]:
        """Uses of each token on each of the last days, allowed and denied together; a round trip or a few."""
        last = now // DAY
        rows = await self._many.read(token_ids, Keys.usage_by_day, _fields(last - days + 1, last))
        return [
            [whole(allowed) + whole(denied) for allowed, denied in zip(row[::2], row[1::2], strict=True)]
            # Most tokens of a list were not used of late, and their zeros need not be read one by one.
            if row.count(None) < len(row)
            else [0] * days
            for row in rows
        ]

    async def of_token(self, token_id: str, now: int, days: int) -> tuple[list[Count], list[Count]]:
        """The last days and the last 48 hours of a token, oldest first; one round trip."""
        by_day, by_hour = await asyncio.gather(
            self.series(token_id, now, days, DAY), self.series(token_id, now, HOURS_KEPT, HOUR)
        )
        return by_day, by_hour

    async def series(self, token_id: str, now: int, length: int, seconds: int) -> list[Count]:
        """The last days or hours (DAY or HOUR `seconds`) of a token, oldest first; the last is that of `now`, in UTC.

        One round trip; the fields are named, so that a page of many tokens reads no more than it shows.
        """
        periods = range(now // seconds - length + 1, now // seconds + 1)
        shard = self._shards.of_id(token_id)
        if shard is None:
            return [Count(period * seconds, 0, 0) for period in periods]
        key = shard.keys.usage_by_day(token_id) if seconds == DAY else shard.keys.usage_by_hour(token_id)
        reply = await shard.link.execute("HMGET", key, *_fields(periods[0], periods[-1]), retry=True)
        counts = [whole(value) for value in reply]
        return [
            Count(period * seconds, allowed, denied)
            for period, allowed, denied in zip(periods, counts[::2], counts[1::2], strict=True)
        ]

    async def totals(self, now: int, hours: int) -> list[Totals]:
        """The service's last hours, oldest first; one round trip to each node for four days of them."""
        periods = range(now // HOUR - hours + 1, now // HOUR + 1)
        found: list[Totals] = []
        for start in range(0, hours, _HOURS_AT_ONCE):
            part = periods[start : start + _HOURS_AT_ONCE]
            places = [self._of_hour(period) for period in part]
            replies = await asyncio.gather(
                *[shard.link.execute("HMGET", key, *FIELDS, retry=True) for shard, key in places]
            )
            found += [_totals(period * HOUR, reply) for period, reply in zip(part, replies, strict=True)]
            await give_way()
        return found

    def _of_hour(self, hour: int) -> tuple[Shard, bytes]:
        # Hour after hour in another shard, so that no node bears them all.
        shard = self._shards[hour % len(self._shards)]
        return shard, shard.keys.usage_of_hour(hour)


@lru_cache(16)
def _fields(first: int, last: int) -> tuple[bytes, ...]:
    return tuple(b"%c%d" % (sign, period) for period in range(first, last + 1) for sign in b"ad")


def _totals(starts_at: int, reply: list[bytes | None]) -> Totals:
    allowed, *refused = map(whole, reply)
    return Totals(starts_at, allowed, {name: count for name, count in zip(FIELDS[1:], refused, strict=True) if count})
