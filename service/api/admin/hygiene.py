"""Hygiene: how many tokens nobody seems to need, and how many ended of late, end soon or never."""

from collections.abc import Callable

import msgspec

from service.api.auth.callers import Caller
from service.api.http.access import READ
from service.api.http.operation import Operation, OperationGroup
from service.api.http.timestamps import Instant, rfc3339
from service.metrics import EXPIRY_WINDOWS
from service.store.managed.statistics import TokenCounts
from service.tokens.hygiene import Hygiene


class HygieneShown(msgspec.Struct, rename="camel"):
    """Active tokens by what may be wrong with them, and those that expired of late.

    `idle`: neither created nor used within the window; `neverUsed`, whatever their age; both as of `countedAt`,
    at most some minutes ago. `expiring` within each window, `neverExpire`, and `expired` within the
    windows that end now, of tokens still kept, are of now.
    """

    idle: dict[str, int]
    never_used: int
    counted_at: Instant
    expiring: dict[str, int]
    never_expire: int
    expired: dict[str, int]


class HygieneApi(OperationGroup, tag="managed"):
    """Shows what an operator may want to clear away."""

    _hygiene: Hygiene
    _token_counts: TokenCounts
    _clock: Callable[[], float]

    @Operation("GET", "/api/admin/tokens/hygiene", READ, "countNeglectedTokens")
    async def show(self, caller: Caller) -> HygieneShown:
        """Count tokens that nobody seems to need.

        The lists behind the numbers: `unusedForDays`, `neverUsed` and `expiresBefore`.
        """
        # Nobody has counted yet in the first minute of a new store.
        counted = await self._hygiene.known() or await self._hygiene.count()
        expiring = await self._token_counts.expiring(int(self._clock()), EXPIRY_WINDOWS)
        never = await self._hygiene.without_end()
        expired, at = await self._hygiene.expired(), rfc3339(counted.counted_at)
        return HygieneShown(counted.idle, counted.never_used, at, expiring, never, expired)
