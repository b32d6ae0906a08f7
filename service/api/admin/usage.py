"""Usage: how often tokens were checked and who used them last. Hygiene: tokens that seem unneeded or expired lately."""

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from service.api.auth.callers import Caller
from service.api.http.access import READ
from service.api.http.operation import Operation, OperationGroup, PathId
from service.api.http.timestamps import Instant, rfc3339, rfc3339_or_none
from service.metrics import EXPIRY_WINDOWS
from service.store.managed.statistics import TokenCounts
from service.store.pacing import paced_list
from service.store.usage import DAYS_KEPT, Totals, UsageStore
from service.tokens.hygiene import Hygiene
from service.tokens.managed.tokens import ManagedTokens

_LONGEST = DAYS_KEPT * 24


class Days(msgspec.Struct, forbid_unknown_fields=True):
    """How many days of one token's use to read."""

    days: Annotated[int, Meta(ge=1, le=DAYS_KEPT, description="how many days back; 30 unless given")] = 30


class Hours(msgspec.Struct, forbid_unknown_fields=True):
    """How many hours of the whole service's use to read."""

    hours: Annotated[int, Meta(ge=1, le=_LONGEST, description="how many hours back; 48 unless given")] = 48


class DayCount(msgspec.Struct):
    """Checks on one day, UTC."""

    date: str
    allowed: int
    denied: int


class HourCount(msgspec.Struct):
    """Checks in the hour that begins at this instant."""

    hour: Instant
    allowed: int
    denied: int


class TokenUsage(msgspec.Struct, rename="camel"):
    """Checks of one token, oldest first, and its last use. `hours` has the last 48."""

    days: list[DayCount]
    last_used_at: Instant | None
    last_address: str | None
    last_user_agent: str | None
    hours: list[HourCount]


class ServiceHour(HourCount):
    """Checks of all known tokens in the hour that begins at this instant. `reasons` counts refusals by outcome."""

    reasons: dict[str, int]


class ServiceUsage(msgspec.Struct):
    """Checks of all known tokens together, oldest first."""

    hours: list[ServiceHour]


class HygieneShown(msgspec.Struct, rename="camel"):
    """Counts of active tokens that may need attention, and of tokens that expired lately.

    `idle` (neither created nor used within the window) and `neverUsed` (of any age) are as of `countedAt`, at most some
    minutes ago. `expiring` (within each window), `neverExpire`, and `expired` (within each window up to now, only
    tokens still kept) are of now.
    """

    idle: dict[str, int]
    never_used: int
    counted_at: Instant
    expiring: dict[str, int]
    never_expire: int
    expired: dict[str, int]


class UsageApi(OperationGroup, tag="managed"):
    """Shows what the service counted. A check appears here after at most one second."""

    _usage: UsageStore
    _tokens: ManagedTokens
    _hygiene: Hygiene
    _token_counts: TokenCounts
    _clock: Callable[[], float]

    @Operation("GET", "/api/admin/tokens/{id}/usage", READ, "showTokenUsage", problems=(404,))
    async def of_token(self, caller: Caller, token_id: PathId, query: Days) -> TokenUsage:
        """Show how often a token was checked."""
        # Raises NotFound, because an unknown id would read as a token that was never used.
        token = await self._tokens.get(token_id)
        days, hours = await self._usage.of_token(token, int(self._clock()), query.days)
        return TokenUsage(
            [DayCount(rfc3339(day.starts_at)[:10], day.allowed, day.denied) for day in days],
            rfc3339_or_none(token.last_used_at),
            token.last_address or None,
            token.last_agent or None,
            [HourCount(rfc3339(hour.starts_at), hour.allowed, hour.denied) for hour in hours],
        )

    @Operation("GET", "/api/admin/usage", READ, "showUsage")
    async def of_service(self, caller: Caller, query: Hours) -> ServiceUsage:
        """Show how often all tokens were checked.

        Checks of session and managed tokens. Checks of unknown secrets are only in the metrics.
        """
        hours = await self._usage.totals(int(self._clock()), query.hours)
        return ServiceUsage(await paced_list(map(_shown, hours)))

    @Operation("GET", "/api/admin/tokens/hygiene", READ, "countNeglectedTokens")
    async def neglected(self, caller: Caller) -> HygieneShown:
        """Count tokens that nobody seems to need.

        To list these tokens, filter by `unusedForDays`, `neverUsed` or `expiresBefore`.
        """
        # In the first minute of a new store nothing has been counted yet.
        counted = await self._hygiene.known() or await self._hygiene.count()
        expiring = await self._token_counts.expiring(int(self._clock()), EXPIRY_WINDOWS)
        never = await self._hygiene.without_end()
        expired, at = await self._hygiene.expired(), rfc3339(counted.counted_at)
        return HygieneShown(counted.idle, counted.never_used, at, expiring, never, expired)


def _shown(hour: Totals) -> ServiceHour:
    return ServiceHour(rfc3339(hour.starts_at), hour.allowed, sum(hour.refused.values()), hour.refused)
