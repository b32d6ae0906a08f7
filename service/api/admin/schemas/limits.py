"""The limits of a token on the wire: rate limits, and quotas that a calendar refills."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.errors import InvalidRequest, wrong
from service.model import DEFAULT_LIMIT, Calendar, Quota, RateLimit
from service.store.limits.windows import NoSuchZone, zone_of
from service.tokens.limits import CALLED, MOST_LIMITS, QUOTA, RATE, member_of

_MOST_OF_RATE = 1_000_000


class CalendarRefill(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A quota is full again with each hour, day or month. A month starts on `day`, or on its last day if shorter."""

    unit: Literal["hour", "day", "month"]
    day: Annotated[int, Meta(ge=1, le=31)] = 1
    time_zone: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_+/-]{1,64}\Z")] = "UTC"


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`limit` requests in `periodSeconds`, `burst` of them at once (default: limit). Each name may be given once.

    With `calendar` instead of these two it is a quota: `limit` requests in each hour, day or month, up to 1e9.
    A rate has at most 1,000,000.
    """

    limit: Annotated[int, Meta(ge=1, le=1_000_000_000)]
    period_seconds: Annotated[int, Meta(ge=1, le=86400)] | UnsetType = UNSET
    burst: Annotated[int, Meta(ge=1, le=_MOST_OF_RATE)] | UnsetType | None = UNSET
    # The name stands between quotes in the RateLimit fields, where these characters need no escape.
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,32}\Z")] = DEFAULT_LIMIT
    calendar: CalendarRefill | UnsetType = UNSET


Limits = Annotated[
    tuple[Limit, ...], Meta(max_length=MOST_LIMITS, description="all apply; a request that one refuses charges none")
]


class Rate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The rate limit called `default`, for clients that need only one. `limits` has all of them.

    `limit` requests in `periodSeconds`, `burst` of them at once (default: limit).
    """

    limit: Annotated[int, Meta(ge=1, le=_MOST_OF_RATE)]
    period_seconds: Annotated[int, Meta(ge=1, le=86400)]
    burst: Annotated[int, Meta(ge=1, le=_MOST_OF_RATE)] | None = None


class CalendarQuota(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The quota called `quota`, for clients that need only one: `limit` requests in each hour, day or month."""

    limit: Annotated[int, Meta(ge=1, le=1_000_000_000)]
    calendar: CalendarRefill


class LimitsGiven(msgspec.Struct, rename="camel", kw_only=True):
    """The limits of a token: all of them, or its one rate and its one quota, where null means none."""

    rate_limit: Rate | UnsetType | None = UNSET
    quota: CalendarQuota | UnsetType | None = UNSET
    limits: Limits | UnsetType = UNSET


class LimitShown(msgspec.Struct, rename="camel"):
    """A limit in force: how much is used, how much remains, and in how many seconds it is full again.

    For a quota these are the seconds until its next window, even when nothing is used. A rate limit has
    `periodSeconds` and `burst`; a quota has `calendar` instead.
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
    """Limits as the record keeps them. Raises InvalidRequest for two with one name, and for an invalid one."""
    names = [limit.name for limit in limits]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise wrong(f"limits[{place}].name", f"two limits are called {name}: give each a name of its own")
    return tuple(_read(limit, f"limits[{place}]") for place, limit in enumerate(limits))


def alone_given(wanted: LimitsGiven) -> dict[str, RateLimit | None]:
    """The limits given by `rateLimit` and `quota`, by member. Raises InvalidRequest."""
    given: dict[str, RateLimit | None] = {}
    for member, one in ((RATE, wanted.rate_limit), (QUOTA, wanted.quota)):
        if one is None:
            given[member] = None
        elif not isinstance(one, UnsetType):
            limit = msgspec.convert(one, Limit, from_attributes=True)
            given[member] = _read(msgspec.structs.replace(limit, name=CALLED[member]), member)
    return given


def limits_given(wanted: LimitsGiven) -> tuple[RateLimit, ...] | None:
    """The limits of a new token, None when none are given. Raises InvalidRequest when they are given both ways."""
    alone = tuple(limit for limit in alone_given(wanted).values() if limit)
    if isinstance(wanted.limits, UnsetType):
        return alone or None
    if alone:
        raise either(member_of(alone[0]))
    return to_limits(wanted.limits)


def either(member: str) -> InvalidRequest:
    """The refusal of limits given both ways, which could contradict each other."""
    return wrong(member, "give either limits, which are all of them, or rateLimit and quota")


def alone_shown(quotas: tuple[Quota, ...]) -> tuple[Rate | None, LimitShown | None]:
    """A token's `rateLimit` and `quota`, as its readers see them."""
    alone = {member_of(quota.limit): quota for quota in quotas}
    rate, quota = alone.get(RATE), alone.get(QUOTA)
    return (
        Rate(rate.limit.limit, rate.limit.period_seconds, rate.limit.at_once) if rate else None,
        limit_shown(quota) if quota else None,
    )


def _read(limit: Limit, path: str) -> RateLimit:
    period, calendar = limit.period_seconds, limit.calendar
    if (period is UNSET) == (calendar is UNSET):
        raise wrong(f"{path}.periodSeconds", "give either periodSeconds or calendar")
    if isinstance(period, int):
        if limit.limit > _MOST_OF_RATE:
            raise wrong(f"{path}.limit", f"a rate has at most {_MOST_OF_RATE} requests; a quota may have more")
        # UNSET and null are falsy: both leave the burst equal to the limit. Given or not, an equal burst has one form:
        # otherwise terms that were read here and sent back would count as changed.
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
    """The limits of a record, as clients see them."""
    return tuple(map(_given, limits))


def _given(limit: RateLimit) -> Limit:
    if limit.calendar is None:
        # A record stores 0 for a burst equal to the limit; readers get the number.
        return Limit(limit.limit, limit.period_seconds, limit.at_once, limit.name)
    calendar = msgspec.convert(limit.calendar, CalendarRefill, from_attributes=True)
    return Limit(limit.limit, name=limit.name, calendar=calendar)
