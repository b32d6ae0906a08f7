"""Usage: what a second brought, added to each token's record and to the service's hours, and read back."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from operator import add
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from service.errors import StoreFull
from service.model import Outcome
from service.store.decoding import in_pairs, whole
from service.store.driver.keys import Keys
from service.store.driver.many_tokens import Ahead, ManyTokens, all_of
from service.store.driver.replies import Argument, Reply
from service.store.driver.scripts import Script
from service.store.driver.shards import Shard, Shards
from service.store.pacing import give_way

DAY = 86400
HOUR = 3600
DAYS_KEPT = 100
HOURS_KEPT = 48
# So many records or touches travel together: validations wait behind them. In one shard this many take Redis 0.15 ms;
# fifty took it as long as a whole validation, and once a second that was felt. Of a crowd it is felt in any case, and
# each write less saves this process a turn; and each further shard takes a script more. To fold fifty takes it 1.7 ms.
_AT_ONCE, _OF_A_CROWD_AT_ONCE = 16, 50
# A hundred days have 2,400 hours, whose commands others should not wait for.
_HOURS_AT_ONCE = 48
# So many days, or hours, are in one list: with less than a hundred million uses in each it takes its hash no more room.
_LISTED = 7
_BEFORE_LISTS = 2
# In the newest one while what began is not folded: for a moment, or where a process was cut off between.
_UNFOLDED = b"-"
_NONE = b",".join([b"0"] * _LISTED)
# As many as a count of Redis can be, and two of them together are a number of the answer.
_decode = msgspec.json.Decoder(list[Annotated[int, Meta(ge=0, lt=2**62)]]).decode
# Of the totals of an hour; the other fields are outcomes of checks that found a record.
ALLOWED = "allowed"
FIELDS = (ALLOWED, *(outcome.value for outcome in Outcome if outcome is not Outcome.ACTIVE))


# Out of the garbage collector's reach: of tens of thousands that come and go each second a pass took up to 20 ms. To
# set a member takes 20 ns more than of a class with slots, and to make one 100 ns less.
class Use(msgspec.Struct, eq=False, gc=False):
    """What one secret of a token was used for since that was last written, gathered here use by use.

    `used_at` in epoch seconds, 0 if it was only refused; the address and the agent are those of the last use.
    `digest` is that of the secret used, which tells the previous secret in its overlap apart, and is in the same shard.
    `ends_at`: when a session ends in any case, epoch seconds; 0 for a managed token.
    """

    token_id: str
    digest: bytes
    used_at: float = 0
    allowed: int = 0
    denied: int = 0
    address: str = ""
    agent: bytes = b""
    ends_at: int = 0


class Count(NamedTuple):
    """Checks in a day or an hour, and when it begins in epoch seconds."""

    starts_at: int
    allowed: int
    denied: int


class Series(msgspec.Struct, frozen=True):
    """The uses of a token in so many days or hours from a first one on, as Redis has them.

    `stored`: the newest one with what was allowed and denied in it, the lists of those before; empty for no use.
    """

    first: int
    length: int
    stored: Sequence[Reply]

    def counts(self) -> tuple[list[int], list[int]]:
        """What was allowed in each, and what was denied."""
        if not self.stored:
            return [0] * self.length, [0] * self.length
        newest, allowed, denied, *lists = self.stored
        half = len(lists) // 2
        return self._of_sign(newest, allowed, lists[:half]), self._of_sign(newest, denied, lists[half:])

    def _of_sign(self, newest: bytes, in_newest: bytes | None, lists: list[bytes | None]) -> list[int]:
        # Of most tokens nothing was denied.
        if in_newest is None and not any(lists):
            return [0] * self.length
        found = _read(newest, in_newest, lists)
        start = _BEFORE_LISTS + self.first % _LISTED
        counts = found[start : start + self.length]
        if 0 <= (place := found[0] - self.first) < self.length:
            counts[place] += found[1]
        return counts

    def totals(self) -> list[int]:
        """Both together."""
        allowed, denied = self.counts()
        return list(map(add, allowed, denied)) if any(denied) else allowed


class Begun(NamedTuple):
    """The days of a token that were asked for: here once a reply to what was asked later is, if they came at all."""

    token_id: str
    ahead: Ahead
    first: int
    length: int

    def take(self) -> Series | None:
        """To be taken once; None for what did not come, or is to be folded first."""
        row = self.ahead.take(self.token_id)
        fields = dict(in_pairs(row or ()))
        newest = fields.get(b"t", b"")
        if row is None or _UNFOLDED in newest:
            return None
        names = b"a" + newest, b"d" + newest, *_lists(self.first, self.first + self.length - 1)
        return Series(self.first, self.length, [newest, *map(fields.get, names)] if newest else ())


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
        self._fold = Script("fold_usage", retry=True)

    def at_once(self, *, of_a_crowd: bool) -> int:
        """How many uses `add` and `touch_sessions` take in one round trip, at most."""
        return _AT_ONCE if len(self._shards) == 1 and not of_a_crowd else _OF_A_CROWD_AT_ONCE

    def add(self, uses: list[Use], now: int) -> Awaitable[object]:
        """Add to the records, `at_once` at most, in one round trip; a token whose record is gone is left out.

        They are asked at once, so that they may begin anew before the reply is awaited.
        """
        groups: defaultdict[Shard, list[Use]] = defaultdict(list)
        for use in uses:
            groups[self._shards.of_digest(use.digest)].append(use)
        return all_of([self._folded(shard, self._add(shard, group, now)) for shard, group in groups.items()])

    def _add(self, shard: Shard, uses: list[Use], now: int) -> Awaitable[Reply]:
        """By one script for all: a call for each takes Redis half as long again, and this process five times."""
        names = shard.keys
        keys = [names.last_uses, names.on, names.off, names.dead]
        day, hour = now // DAY, now // HOUR
        facts: list[Argument] = [day, hour, DAYS_KEPT * DAY, HOURS_KEPT * HOUR]
        for use in uses:
            keys += names.record_and_usage(use.token_id)
            # One text, because each argument takes this process and Redis about as long as all of this.
            told = use.used_at, use.allowed, use.denied, use.address.encode(), use.agent, use.digest
            facts.append(b"%d %d %d %b\n%b\n%b" % told)
        return self._record.run(shard.link, tuple(keys), *facts)

    async def _folded(self, shard: Shard, added: Awaitable[Reply]) -> None:
        """Fold the days and hours that new ones begin behind."""
        days, hours = await added
        # All tokens begin a day at once: validations have their turn between these.
        for begun, kept in ((days, DAYS_KEPT), (hours, HOURS_KEPT)):
            for start in range(0, len(begun), _AT_ONCE):
                await self._fold.run(shard.link, tuple(begun[start : start + _AT_ONCE]), kept)

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
        """Put the end of sessions, `at_once` at most, off to an instant each, epoch seconds; what is over stays so."""
        await asyncio.gather(*[self._touch(*one) for one in ends.items()])

    async def _touch(self, digest: bytes, ends_at: int) -> None:
        shard = self._shards.of_digest(digest)
        ask, keys = shard.link.execute, shard.keys
        # The index first: between the two a sweep must not drop one that goes on.
        await asyncio.gather(
            ask("ZADD", keys.session_index, "XX", ends_at, digest, retry=True),
            ask("EXPIREAT", keys.credential(digest), ends_at, retry=True),
        )

    def begin_days(self, token_id: str, now: int, days: int) -> Begun:
        """Ask for `days_of` one token together with what is asked next; what does not come is asked by `days_of`.

        For all of its hash, by a plain command: a script takes Redis several times as long to begin with.
        """
        return Begun(token_id, self._many.begin_whole(token_id, Keys.usage_by_day), now // DAY - days + 1, days)

    async def days_of(self, token_ids: Sequence[str], now: int, days: int) -> list[Series]:
        """Uses of each token on each of the last days; a round trip or a few."""
        return await self._series(token_ids, now, days, DAY)

    async def of_token(self, token_id: str, now: int, days: int) -> tuple[list[Count], list[Count]]:
        """The last days and the last 48 hours of a token, oldest first; one round trip."""
        by_day, by_hour = await asyncio.gather(
            self.series(token_id, now, days, DAY), self.series(token_id, now, HOURS_KEPT, HOUR)
        )
        return by_day, by_hour

    async def series(self, token_id: str, now: int, length: int, seconds: int) -> list[Count]:
        """The last days or hours (DAY or HOUR `seconds`) of a token in UTC, oldest first; one round trip."""
        (series,) = await self._series([token_id], now, length, seconds)
        starts = range(series.first * seconds, (series.first + length) * seconds, seconds)
        return [Count(*one) for one in zip(starts, *series.counts(), strict=True)]

    async def _series(self, token_ids: Sequence[str], now: int, length: int, seconds: int) -> list[Series]:
        key_of, kept = (Keys.usage_by_day, DAYS_KEPT) if seconds == DAY else (Keys.usage_by_hour, HOURS_KEPT)
        last = now // seconds
        first = last - length + 1
        lists = _lists(first, last)
        rows = await self._many.usage(token_ids, key_of, lists)
        unfolded = [token_id for token_id, row in zip(token_ids, rows, strict=True) if _is_unfolded(row)]
        if unfolded:
            places = [(shard, each) for each in unfolded if (shard := self._shards.of_id(each))]
            # A Redis that is full shows what it has in lists.
            with suppress(StoreFull):
                await all_of([self._fold.run(on.link, (key_of(on.keys, each),), kept) for on, each in places])
            rows = await self._many.usage(token_ids, key_of, lists)
        return [Series(first, length, row) for row in rows]

    async def totals(self, now: int, hours: int) -> list[Totals]:
        """The service's last hours, oldest first; one round trip to each node for two days of them."""
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


def _is_unfolded(row: Sequence[Reply]) -> bool:
    return bool(row) and _UNFOLDED in row[0]


@lru_cache(16)
def _lists(first: int, last: int) -> tuple[bytes, ...]:
    """The names of the lists in which these days or hours are: of what was allowed, then of what was denied."""
    return tuple(b"%c%d" % (sign, list_) for sign in b"AD" for list_ in range(first // _LISTED, last // _LISTED + 1))


def _read(newest: bytes, in_newest: bytes | None, lists: list[bytes | None]) -> list[int]:
    """The newest day or hour, its count, and the counts of the lists."""
    if _UNFOLDED in newest:
        newest = b"0"
    of_lists = b",".join([text or _NONE for text in lists])
    try:
        # As one array of JSON, which takes a part of the time that the numbers take one by one.
        found = _decode(b"[%b,%b,%b]" % (newest, in_newest or b"0", of_lists))
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = []
    count = _LISTED * len(lists)
    # Else one of them is not as we write it.
    return found if len(found) == _BEFORE_LISTS + count else [whole(newest), whole(in_newest), *[0] * count]


def _totals(starts_at: int, reply: list[bytes | None]) -> Totals:
    allowed, *refused = map(whole, reply)
    return Totals(starts_at, allowed, {name: count for name, count in zip(FIELDS[1:], refused, strict=True) if count})
