"""Dialect 3, hygiene: how many tokens nobody seems to need, and how many ended of late, end soon or never."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from starlette.responses import Response

from service.api.auth.callers import Guard
from service.api.http.access import READ
from service.api.http.call import Call, Json, Operation
from service.api.http.timestamps import rfc3339
from service.metrics import EXPIRY_WINDOWS
from service.store.managed.statistics import Census
from service.tokens.hygiene import Hygiene


class HygieneShown(msgspec.Struct, rename="camel"):
    """Active tokens by what may be wrong with them, and those that expired of late.

    `idle`: neither created nor used within the window; `neverUsed`, whatever their age; both as of `countedAt`,
    at most some minutes ago. `expiring` within each window, `neverExpire`, and `expired` within the
    windows that end now, of tokens still kept, are of now.
    """

    idle: dict[str, int]
    never_used: int
    counted_at: str
    expiring: dict[str, int]
    never_expire: int
    expired: dict[str, int]


class HygieneApi:
    """Shows what an operator may want to clear away."""

    def __init__(self, hygiene: Hygiene, census: Census, guard: Guard, clock: Callable[[], float]) -> None:
        self._hygiene = hygiene
        self._census = census
        self._guard = guard
        self._clock = clock

    def operations(self) -> list[Operation]:
        """The routes of this dialect."""
        return [
            Operation(
                method="GET", path="/api/admin/tokens/hygiene", handler=self.show, tag="managed", access=READ,
                summary="Count tokens that nobody seems to need", answers={200: HygieneShown},
                description="The lists behind the numbers: `unusedForDays`, `neverUsed` and `expiresBefore`.",
            ),
        ]  # fmt: skip

    async def show(self, call: Call) -> Response:
        """The last count, or one made now if there is none."""
        await self._guard.admit(call)
        counted = await self._hygiene.known() or await self._hygiene.count()
        expiring = await self._census.expiring(int(self._clock()), EXPIRY_WINDOWS)
        never = await self._hygiene.without_end()
        expired, at = await self._hygiene.expired(), rfc3339(counted.counted_at)
        return Json(HygieneShown(counted.idle, counted.never_used, at, expiring, never, expired))
