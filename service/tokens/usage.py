"""Usage: counted in the process as integers, flushed to Redis every second. A crash loses at most that second."""

from __future__ import annotations

import time
from collections.abc import Callable

from service.model import Kind
from service.store.keys import encode_digest
from service.store.usage_store import UsageStore, Use
from service.tokens.opened import Opened


class Usage:
    """Gathers uses of credentials and writes them in one go."""

    def __init__(self, store: UsageStore, clock: Callable[[], float], *, idle_seconds: int) -> None:
        self._store = store
        self._clock = clock
        self._idle_seconds = idle_seconds
        self._used: dict[int, Opened] = {}

    def allow(self, opened: Opened, now: float) -> None:
        """Count a use that was allowed."""
        opened.allowed += 1
        opened.used_at = int(now)
        self._used[id(opened)] = opened

    def deny(self, opened: Opened) -> None:
        """Count a use that was refused though the secret was right."""
        opened.denied += 1
        self._used[id(opened)] = opened

    async def flush(self) -> None:
        """Write what was gathered. Raises StoreUnavailable or StoreFull; what could not be written is dropped."""
        if not self._used:
            return
        used, self._used = self._used, {}
        now = self._clock()
        uses = [_take(opened) for opened in used.values()]
        sessions = [o.digest for o in used.values() if o.credential.kind is Kind.SESSION]
        managed = [use for use, o in zip(uses, used.values(), strict=True) if o.credential.kind is Kind.MANAGED]
        if self._idle_seconds:
            for digest in sessions:
                await self._store.touch_session(digest, self._idle_seconds)
        await self._store.add(managed, time.strftime("%Y%m%d", time.gmtime(now)))
        allowed, denied = sum(use.allowed for use in uses), sum(use.denied for use in uses)
        await self._store.add_hour(int(now) // 3600, allowed, denied)


def _take(opened: Opened) -> Use:
    """Empty what a credential gathered."""
    use = Use(
        opened.credential.token_id, opened.used_at, opened.allowed, opened.denied, opened.address, opened.agent,
        encode_digest(opened.digest).decode(),
    )  # fmt: skip
    opened.allowed = opened.denied = opened.used_at = 0
    return use
