"""The limits of a token on the wire: rate limits, and quotas that a calendar fills again."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.errors import InvalidRequest, wrong
from service.model import Calendar, Quota, RateLimit
from service.store.limits.windows import NoSuchZone, zone_of
from service.tokens.limits import DEFAULT_LIMIT, MOST_LIMITS

_MOST_OF_RATE = 1_000_000


class CalendarRefill(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A quota is full again with each hour, day or month; a month from `day` on, its last where it has fewer."""

    unit: Literal["hour", "day", "month"]
    day: Annotated[int, Meta(ge=1, le=31)] = 1
    time_zone: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_+/-]{1,64}\Z")] = "UTC"


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`limit` requests in `periodSeconds`, `burst` of them at once (default: limit); one of each name.

    With `calendar` in place of these two it is a quota: `limit` requests in each hour, day or month, up to 1e9. A rate
    has at most 1,000,000.
    """

    limit: Annotated[int, Meta(ge=1, le=1_000_000_000)]
    period_seconds: Annotated[int, Meta(ge=1, le=86400)] | UnsetType = UNSET
    burst: Annotated[int, Meta(ge=1, le=_MOST_OF_RATE)] | UnsetType | None = UNSET
    # It stands between quotes in the RateLimit fields, where none of these needs an escape.
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,32}\Z")] = DEFAULT_LIMIT
    calendar: CalendarRefill | UnsetType = UNSET


Limits = Annotated[
    tuple[Limit, ...], Meta(max_length=MOST_LIMITS, description="all hold: one that refuses a request charges none")
]


class Rate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The rate limit called `default`, for whoever wants one and no more: the others are in `rateLimits`.

    `limit` requests in `periodSeconds`, `burst` of them at once (default: limit).
    """

    limit: Annotated[int, Meta(ge=1, le=_MOST_OF_RATE)]
    period_seconds: Annotated[int, Meta(ge=1, le=86400)]
    burst: Annotated[int, Meta(ge=1, le=_MOST_OF_RATE)] | None = None


class LimitShown(msgspec.Struct, rename="camel"):
    """A limit in force: how much of it is used, how much remains, and in how many seconds it is full again.

    Of a quota these are the seconds until its next window, also where none of it is used. A rate limit has
    `periodSeconds` and `burst`, a quota has `calendar` in their place.
    """

    name: str
    limit: int
    used: int
    remaining: int
    reset_seconds: int
    period_seconds: int | UnsetType = UNSET
    burst: int | UnsetType = UNSET
    calendar: CalendarRefill | UnsetType = UNSET


def limit_shown(quota: Quota) -> LimitShown:
    """A limit as its readers see it."""
    given = _given(quota.limit)
    used, left = quota.limit.at_once - quota.remaining, quota.remaining
    return LimitShown(
        given.name,
        given.limit,
        used,
        left,
        quota.reset_seconds,
        given.period_seconds,
        given.burst or UNSET,
        given.calendar,
    )


def to_limits(limits: tuple[Limit, ...]) -> tuple[RateLimit, ...]:
    """Limits as the record keeps them. Raises InvalidRequest for two of one name, and for what is none."""
    names = [limit.name for limit in limits]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise wrong(f"rateLimits[{place}].name", f"two limits are called {name}: give each a name of its own")
    return tuple(_read(limit, f"rateLimits[{place}]") for place, limit in enumerate(limits))


def to_rate(rate: Rate) -> RateLimit:
    """The same of a token's one rate."""
    return _read(Limit(rate.limit, rate.period_seconds, rate.burst), "rateLimit")


def default_rate(limits: tuple[RateLimit, ...]) -> Rate | None:
    """The rate called `default`; None where there is none, or a quota has this name."""
    for limit in limits:
        if limit.name == DEFAULT_LIMIT and limit.calendar is None:
            return Rate(limit.limit, limit.period_seconds, limit.at_once)
    return None


def one_or_several(rate: Rate | UnsetType | None, limits: tuple[Limit, ...]) -> tuple[RateLimit, ...]:
    """A token's limits, given as one rate or as a list. Raises InvalidRequest for both, which may contradict."""
    if not rate:
        return to_limits(limits)
    if limits:
        raise either()
    return (to_rate(rate),)


def either() -> InvalidRequest:
    """The refusal of limits that are given in both ways."""
    return wrong("rateLimit", "give either rateLimit, which is the limit called default, or rateLimits")


def _read(limit: Limit, path: str) -> RateLimit:
    period, calendar = limit.period_seconds, limit.calendar
    if (period is UNSET) == (calendar is UNSET):
        raise wrong(f"{path}.periodSeconds", "give either periodSeconds or calendar")
    if isinstance(period, int):
        if limit.limit > _MOST_OF_RATE:
            raise wrong(f"{path}.limit", f"a rate has at most {_MOST_OF_RATE} requests; a quota may have more")
        # UNSET is false, as null is: both leave the burst to the limit.
        # Whether it was said or not: one form, or what was read here and sent back would be other terms.
        burst = 0 if limit.burst == limit.limit else limit.burst or 0
        return RateLimit(limit.limit, period, burst, limit.name)
    if limit.burst:
        raise wrong(f"{path}.burst", "a quota has no burst: leave it out, or add a rate limit beside it")
    return RateLimit(limit.limit, 0, 0, limit.name, _calendar(calendar, f"{path}.calendar"))


def _calendar(given: CalendarRefill | UnsetType, path: str) -> Calendar | None:
    if given is UNSET:
        return None
    if given.day != 1 and given.unit != "month":
        raise wrong(f"{path}.day", "only a month has a day to begin on: leave it out")
    try:
        zone_of(given.time_zone)
    except NoSuchZone as error:
        raise wrong(f"{path}.timeZone", str(error)) from None
    return Calendar(given.unit, given.day, given.time_zone)


def from_limits(limits: tuple[RateLimit, ...]) -> tuple[Limit, ...]:
    """The same the other way."""
    return tuple(map(_given, limits))


def _given(limit: RateLimit) -> Limit:
    if limit.calendar is None:
        # A record says 0 for a burst of the limit's size; readers get the number.
        return Limit(limit.limit, limit.period_seconds, limit.at_once, limit.name)
    calendar = msgspec.convert(limit.calendar, CalendarRefill, from_attributes=True)
    return Limit(limit.limit, name=limit.name, calendar=calendar)
