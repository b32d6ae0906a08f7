"""Usage read back: allowed and denied by day."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from service.store.usage_store import UsageStore

_DAY = 86400


class UsageSeries:
    """Reads what `Usage` flushed; days are UTC, the last one is today."""

    def __init__(self, store: UsageStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def by_day(self, token_id: str, days: int) -> list[tuple[str, int, int]]:
        """Date (YYYY-MM-DD), allowed and denied for each of the last days, oldest first."""
        counts = await self._store.by_day(token_id)
        return [
            (f"{name[:4]}-{name[4:6]}-{name[6:]}", counts.get("a" + name, 0), counts.get("d" + name, 0))
            for name in self._names(days)
        ]

    async def last_days(self, token_ids: list[str], days: int) -> list[list[int]]:
        """Checks of each token on each of the last days, allowed and denied together; one round trip for all."""
        names = self._names(days)
        series = await asyncio.gather(*[self._store.by_day(token_id) for token_id in token_ids])
        return [[counts.get("a" + name, 0) + counts.get("d" + name, 0) for name in names] for counts in series]

    def _names(self, days: int) -> list[str]:
        now = self._clock()
        return [time.strftime("%Y%m%d", time.gmtime(now - back * _DAY)) for back in range(days - 1, -1, -1)]
