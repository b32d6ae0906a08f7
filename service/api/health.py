"""Health: what the checks found, and the gauges that are read from Redis for a scrape."""

from collections.abc import Callable

import msgspec

from service import __version__
from service.errors import StoreUnavailable
from service.metrics import EXPIRY_WINDOWS, Metrics
from service.store.managed.statistics import TokenCounts
from service.store.monitoring.monitor import Monitor
from service.tokens.hygiene import Hygiene


class Check(msgspec.Struct, omit_defaults=True):
    """One check: ok, failed or unknown, and why."""

    name: str
    status: str
    detail: str = ""


class Readiness(msgspec.Struct):
    """Whether traffic may come, check by check."""

    status: str
    version: str
    checks: list[Check]


class Health:
    """Asks Redis for probes and scrapes."""

    def __init__(
        self,
        monitor: Monitor,
        token_counts: TokenCounts,
        hygiene: Hygiene,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        self._monitor = monitor
        self._token_counts = token_counts
        self._hygiene = hygiene
        self._metrics = metrics
        self._clock = clock
        self._draining = False

    def drain(self) -> None:
        """A stop is under way: no more traffic should come."""
        self._draining = True

    async def ready(self) -> Readiness:
        """Ready when nothing has failed and no stop is under way."""
        checks = [Check("draining", "failed", "the service is stopping")] if self._draining else []
        for name, fault in (await self._monitor.checks()).items():
            checks.append(self._check(name, fault))
        checks += [Check("durability", "ok", text) for text in self._monitor.promises]
        failed = any(check.status == "failed" for check in checks)
        return Readiness("not_ready" if failed else "ready", __version__, checks)

    def _check(self, name: str, fault: str) -> Check:
        if not fault and name in self._monitor.unknown:
            return Check(name, "unknown", "not checked, because INFO is forbidden")
        return Check(name, "failed" if fault else "ok", fault)

    async def measure(self) -> None:
        """Read the gauges; while Redis is away they are left out and `tokens_redis_up` is 0."""
        state, now = self._metrics.state, int(self._clock())
        # Before Redis is asked: these are known while it is away, too.
        state.clock_seconds_apart = self._monitor.clock_seconds_apart
        state.unknown_checks = len(self._monitor.unknown)
        try:
            state.statistics = await self._token_counts.take(now)
            state.expiring = await self._token_counts.expiring(now, EXPIRY_WINDOWS)
            # Only what was counted before: a scrape must not have every token read.
            if idleness := await self._hygiene.known():
                state.idle, state.never_used = idleness.idle, idleness.never_used
            state.up = self._monitor.usable
        except StoreUnavailable:
            state.statistics, state.up = None, False
