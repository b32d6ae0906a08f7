"""Usage read back: allowed and denied, by day and by hour."""

import asyncio
from collections.abc import Callable

from service.store.usage import HOURS_KEPT, Count, Totals, UsageStore


class UsageSeries:
    """Reads what `Usage` flushed; days and hours are UTC, the last one is the present."""

    def __init__(self, store: UsageStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def of_token(self, token_id: str, days: int) -> tuple[list[Count], list[Count]]:
        """The last days and the last 48 hours of a token, oldest first; one round trip."""
        now = int(self._clock())
        by_day, by_hour = await asyncio.gather(
            self._store.by_day(token_id, now, days), self._store.by_hour(token_id, now, HOURS_KEPT)
        )
        return by_day, by_hour

    async def of_service(self, hours: int) -> list[Totals]:
        """All checks of known tokens in each of the last hours, oldest first."""
        return await self._store.totals(int(self._clock()), hours)

    async def last_days(self, token_ids: list[str], days: int) -> list[list[int]]:
        """Checks of each token on each of the last days, refused ones too; one round trip for all."""
        return await self._store.days_of(token_ids, int(self._clock()), days)
