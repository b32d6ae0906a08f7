"""Hygiene: counts active tokens that seem unneeded, every ten minutes in one process; and those that expired."""

import asyncio
from collections.abc import Callable

import msgspec

from service.identifiers import random_id
from service.store.driver.replies import decoded
from service.store.managed.hygiene import HygieneStore

IDLE_WINDOWS = {"30d": 30 * 86400, "90d": 90 * 86400}
EXPIRED_WINDOWS = {"7d": 7 * 86400}
_EVERY_SECONDS = 600
_KEPT_SECONDS = 3600
# A pause between two slices, so that counting in the background slows nobody down.
_PAUSE_SECONDS = 0.01


class Idleness(msgspec.Struct, frozen=True):
    """Active tokens neither created nor used within each window, and those never used."""

    idle: dict[str, int]
    never_used: int
    counted_at: int


_decode = msgspec.msgpack.Decoder(Idleness).decode
_encode = msgspec.msgpack.Encoder().encode


class Hygiene:
    """Counts in the background, and at once for a caller who asks before the first count."""

    def __init__(self, store: HygieneStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._holder = random_id()

    async def known(self) -> Idleness | None:
        """The last count, None if there is none. Raises StoreUnavailable."""
        stored = await self._store.read()
        return decoded(_decode, stored) if stored else None

    async def work(self) -> None:
        """Count if a count is due and no other process counts. Raises StoreUnavailable."""
        known = await self.known()
        if known is not None and self._clock() - known.counted_at < _EVERY_SECONDS:
            return
        if await self._store.hold(self._holder):
            await self.count(pause_seconds=_PAUSE_SECONDS)
            await self._store.let_go(self._holder)

    async def count(self, *, pause_seconds: float = 0.0) -> Idleness:
        """Read every active token and store the result."""
        now = int(self._clock())
        idle, never_used = dict.fromkeys(IDLE_WINDOWS, 0), 0
        async for ages in self._store.ages():
            for created_at, used_at in ages:
                never_used += not used_at
                for window, seconds in IDLE_WINDOWS.items():
                    idle[window] += max(created_at, used_at) <= now - seconds
            if pause_seconds:
                await asyncio.sleep(pause_seconds)
                # The lock expires, so a long count renews it to stay the only one.
                await self._store.hold(self._holder)
        counted = Idleness(idle, never_used, now)
        await self._store.write(_encode(counted), _KEPT_SECONDS)
        return counted

    async def without_end(self) -> int:
        return await self._store.without_end()

    async def expired(self) -> dict[str, int]:
        """How many tokens expired within each window up to now, among those still kept."""
        now = int(self._clock())
        return {
            window: await self._store.expired_since(now - seconds, now) for window, seconds in EXPIRED_WINDOWS.items()
        }
