"""Usage: the uses of each second are added to each token's record and to the service's hours, and read back."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Mapping, Sequence
from functools import lru_cache
from operator import add
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from service.model import Credential, ManagedToken, Outcome
from service.store.decoding import whole
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
# Records or touches in one write, behind which validations wait. With one shard, 16 take Redis 0.15 ms; fifty took as
# long as a whole validation, which was noticed once a second. With many tokens it is noticed in any case, and fewer
# writes save this process turns; and each further shard takes a script of its own. To put the hours of fifty away takes
# Redis 0.7 ms.
_AT_ONCE, _OF_A_CROWD_AT_ONCE = 16, 50
# A hundred days have 2,400 hours: other requests should not wait for so many commands.
_HOURS_AT_ONCE = 48
# Days, or hours, in one list, after the list's own number: below a hundred million uses in each the hash stays in its
# compact encoding. Then the fields' letters and the number of lists, as in lua/put_hours_away.lua.
_LISTED = 7
_LISTS = {DAY: (b"AD", 16), HOUR: (b"ad", 8)}
_NO_LIST = b",".join([b"0"] * (1 + _LISTED))
# A record has four numbers for an hour: its own, the uses allowed and denied in it, its place among all hours of use.
_OF_AN_HOUR = 4
# The greatest count of which the sum of two is still an integer that the API can return.
_decode = msgspec.json.Decoder(list[Annotated[int, Meta(ge=0, lt=2**62)]]).decode
# A field of an hour's totals; the other fields are outcomes of checks that found a record.
ALLOWED = "allowed"
FIELDS = (ALLOWED, *(outcome.value for outcome in Outcome if outcome is not Outcome.ACTIVE))


# Not tracked by the garbage collector: with tens of thousands made and freed each second a pass took up to 20 ms.
# Setting a member takes 20 ns more than in a class with slots, and making an object 100 ns less.
class Use(msgspec.Struct, eq=False, gc=False):
    """The uses of one secret of a token since they were last written, added up here.

    `used_at` in epoch seconds, 0 if it was only refused; the address and the agent are those of the last use.
    `digest` is that of the used secret: it distinguishes the previous secret in its overlap, and is in the same shard.
    `session`: the record of a session, None for a managed token.
    """

    token_id: str
    digest: bytes
    used_at: float = 0
    allowed: int = 0
    denied: int = 0
    address: str = ""
    agent: bytes = b""
    session: Credential | None = None


class Count(NamedTuple):
    """Checks in a day or an hour, which begins at `starts_at`, epoch seconds."""

    starts_at: int
    allowed: int
    denied: int


class Series(msgspec.Struct, frozen=True):
    """The uses of a token in `length` days or hours (DAY or HOUR `seconds`) from number `first` on, as stored in Redis.

    `last_hour` is the field of the token's record, read before `stored`; empty without any use. `stored` is how many
    hours were put away, then lists of what was allowed, then lists of what was denied.
    """

    seconds: int
    first: int
    length: int
    last_hour: str = ""
    stored: Sequence[Reply] = ()

    @property
    def is_whole(self) -> bool:
        """True if each hour is in the record or put away. An hour may be in neither if the record was read last."""
        put_away, *hours = self._of_record()
        return not hours or put_away >= hours[-1] - 1

    def counts(self) -> tuple[list[int], list[int]]:
        """How many uses were allowed in each day or hour, and how many were denied."""
        lists = self.stored[1:]
        half = len(lists) // 2
        allowed, denied = self._of_lists(lists[:half]), self._of_lists(lists[half:])
        put_away, *hours = self._of_record()
        for start in range(0, len(hours), _OF_AN_HOUR):
            hour, in_it, refused, number = hours[start : start + _OF_AN_HOUR]
            place = hour * HOUR // self.seconds - self.first
            if number > put_away and 0 <= place < self.length:
                allowed[place] += in_it
                denied[place] += refused
        return allowed, denied

    def _of_record(self) -> list[int]:
        """How many hours were put away, then the record's numbers for the hours in it."""
        put_away = self.stored[0] if self.stored else None
        found = _read(b"%b,%b" % (put_away or b"0", self.last_hour.encode())) if self.last_hour else []
        return found if len(found) % _OF_AN_HOUR == 1 else [0]

    def _of_lists(self, lists: Sequence[bytes | None]) -> list[int]:
        # Most tokens have no denied uses.
        if not any(lists):
            return [0] * self.length
        first, step = self.first // _LISTED, 1 + _LISTED
        # Parsed as one JSON array, which is much faster than number by number.
        found = _read(b",".join([text or _NO_LIST for text in lists]))
        if len(found) != step * len(lists):
            return [0] * self.length
        for place, number in enumerate(found[::step]):
            if number != first + place:  # The list is too old, or missing.
                found[place * step : (place + 1) * step] = [0] * step
        del found[::step]
        start = self.first % _LISTED
        return found[start : start + self.length]

    def totals(self) -> list[int]:
        """Allowed and denied uses together."""
        allowed, denied = self.counts()
        return list(map(add, allowed, denied)) if any(denied) else allowed


class Begun(NamedTuple):
    """The days of a token, requested ahead. If they arrive at all, it is before the reply to any later command."""

    token_id: str
    ahead: Ahead
    first: int
    length: int

    def take(self, token: ManagedToken) -> Series | None:
        """Take the days once, with the record. None if they did not arrive, or lack an hour that was put away since."""
        row = self.ahead.take(token.token_id)
        series = Series(DAY, self.first, self.length, token.last_hour, row) if row else None
        return series if series and series.is_whole else None


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
        # Without `retry`, which could count twice.
        self._record = Script("record_usage")
        self._put_away = Script("put_hours_away", retry=True)

    def at_once(self, *, of_a_crowd: bool) -> int:
        """The most uses that are written in one round trip."""
        return _AT_ONCE if len(self._shards) == 1 and not of_a_crowd else _OF_A_CROWD_AT_ONCE

    def add(self, uses: list[Use], now: int) -> Awaitable[object]:
        """Add uses, `at_once` at most, to the records in one round trip; a token whose record is gone is skipped.

        The commands are queued before this returns, so the uses may be reset before the result is awaited.
        """
        groups: defaultdict[Shard, list[Use]] = defaultdict(list)
        for use in uses:
            groups[self._shards.of_digest(use.digest)].append(use)
        return all_of([self._tidied(shard, self._add(shard, group, now)) for shard, group in groups.items()])

    def _add(self, shard: Shard, uses: list[Use], now: int) -> Awaitable[Reply]:
        """One script for all: a call for each takes Redis half as long again, and this process five times as long."""
        names = shard.keys
        keys = [names.last_uses, names.on, names.off, names.dead]
        facts: list[Argument] = [now // HOUR]
        for use in uses:
            keys += names.record_and_usage(use.token_id)
            # One argument, because each argument takes this process and Redis about as long as all of this line.
            told = use.used_at, use.allowed, use.denied, use.address.encode(), use.agent, use.digest
            facts.append(b"%d %d %d %b\n%b\n%b" % told)
        return self._record.run(shard.link, tuple(keys), *facts)

    async def _tidied(self, shard: Shard, added: Awaitable[Reply]) -> None:
        """Put away the hours of tokens that began a new hour."""
        keys = await added
        # All tokens begin an hour at the same time: between these writes validations have their turn.
        for start in range(0, len(keys), 2 * _AT_ONCE):
            await self._put_away.run(shard.link, tuple(keys[start : start + 2 * _AT_ONCE]), DAYS_KEPT * DAY)

    async def add_total(self, now: int, allowed: int, refused: Mapping[str, int]) -> None:
        """Add to the service's totals of this hour; `refused` by outcome."""
        shard, key = self._of_hour(now // HOUR)
        ask = shard.link.execute
        added = {ALLOWED: allowed, **refused}
        await asyncio.gather(
            # Without `retry`: after a lost reply a second attempt could count twice.
            *[ask("HINCRBY", key, field, count) for field, count in added.items()],
            ask("EXPIRE", key, DAYS_KEPT * DAY, retry=True),
        )

    def begin_days(self, token_id: str, now: int, days: int) -> Begun:
        """Request the days of one token in the same write as the next command; if they do not arrive, use `days_of`."""
        first, last = now // DAY - days + 1, now // DAY
        return Begun(token_id, self._many.begin(token_id, Keys.usage, _fields(DAY, first, last)), first, days)

    async def days_of(self, tokens: Sequence[ManagedToken], now: int, days: int) -> list[Series]:
        """Uses of each token on each of the last days, as of the read of its record; one round trip at most."""
        return await self._series(tokens, now, days, DAY)

    async def of_token(self, token: ManagedToken, now: int, days: int) -> tuple[list[Count], list[Count]]:
        """The last days and the last 48 hours of a token, oldest first; one round trip."""
        by_day, by_hour = await asyncio.gather(
            self.series(token, now, days, DAY), self.series(token, now, HOURS_KEPT, HOUR)
        )
        return by_day, by_hour

    async def series(self, token: ManagedToken, now: int, length: int, seconds: int) -> list[Count]:
        """The last days or hours (DAY or HOUR `seconds`) of a token in UTC, oldest first; one round trip."""
        (series,) = await self._series([token], now, length, seconds)
        starts = range(series.first * seconds, (series.first + length) * seconds, seconds)
        return [Count(*one) for one in zip(starts, *series.counts(), strict=True)]

    async def _series(self, tokens: Sequence[ManagedToken], now: int, length: int, seconds: int) -> list[Series]:
        first, last = now // seconds - length + 1, now // seconds
        used = [token.token_id for token in tokens if token.last_hour]
        stored = dict(zip(used, await self._many.fields(used, Keys.usage, _fields(seconds, first, last)), strict=True))
        return [Series(seconds, first, length, token.last_hour, stored.get(token.token_id, ())) for token in tokens]

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
        # Each hour in another shard, so that no node has the load of all.
        shard = self._shards[hour % len(self._shards)]
        return shard, shard.keys.usage_of_hour(hour)


@lru_cache(16)
def _fields(seconds: int, first: int, last: int) -> tuple[bytes, ...]:
    """Fields of a usage hash: how many hours were put away, and the lists that hold these days or hours."""
    signs, count = _LISTS[seconds]
    numbers = range(first // _LISTED, last // _LISTED + 1)
    return b"t", *(b"%c%d" % (sign, number % count) for sign in signs for number in numbers)


def _read(text: bytes) -> list[int]:
    """Numbers separated by commas; an empty list if one of them is not as we write it."""
    try:
        return _decode(b"[%b]" % text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []


def _totals(starts_at: int, reply: list[bytes | None]) -> Totals:
    allowed, *refused = map(whole, reply)
    return Totals(starts_at, allowed, {name: count for name, count in zip(FIELDS[1:], refused, strict=True) if count})
