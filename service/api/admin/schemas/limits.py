"""The rate limits of a token on the wire."""

from typing import Annotated

import msgspec
from msgspec import Meta

from service.errors import wrong
from service.model import Quota, RateLimit

MOST_LIMITS = 4


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`limit` requests in `periodSeconds`, `burst` of them at once (default: limit); one of each name."""

    limit: Annotated[int, Meta(ge=1, le=1_000_000)]
    period_seconds: Annotated[int, Meta(ge=1, le=86400)]
    burst: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,32}\Z")] = "default"


Limits = Annotated[
    tuple[Limit, ...], Meta(max_length=MOST_LIMITS, description="all hold: one that refuses a request charges none")
]


class LimitShown(msgspec.Struct, rename="camel"):
    """A rate limit in force: how many of its requests are used and how many remain, and when it is full again."""

    name: str
    limit: int
    period_seconds: int
    burst: int
    used: int
    remaining: int
    reset_seconds: int


def limit_shown(quota: Quota) -> LimitShown:
    """A limit as its readers see it."""
    limit, left = quota.limit, quota.remaining
    most = limit.at_once
    return LimitShown(limit.name, limit.limit, limit.period_seconds, most, most - left, left, quota.reset_seconds)


def to_limits(limits: tuple[Limit, ...]) -> tuple[RateLimit, ...]:
    """Limits as the record keeps them. Raises InvalidRequest for two of one name."""
    names = [limit.name for limit in limits]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise wrong(f"rateLimits[{place}].name", f"two limits are called {name}: give each a name of its own")
    return tuple(RateLimit(limit.limit, limit.period_seconds, limit.burst or 0, limit.name) for limit in limits)


def from_limits(limits: tuple[RateLimit, ...]) -> tuple[Limit, ...]:
    """The same the other way."""
    return tuple(Limit(limit.limit, limit.period_seconds, limit.at_once, limit.name) for limit in limits)
