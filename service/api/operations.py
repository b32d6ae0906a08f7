"""Operation: health, readiness, metrics, the OpenAPI document, and the word that lost data is lost."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import msgspec
from starlette.responses import Response

from service import __version__
from service.api.admin.schemas.tokens import Message
from service.api.auth.callers import Caller
from service.api.http.access import ADMINISTER, ANYONE
from service.api.http.bodies import Json, LongJson
from service.api.http.call import Call
from service.api.http.operation import Operation, OperationGroup
from service.api.http.problems import raw
from service.api.http.public_address import PublicAddress
from service.errors import StoreUnavailable
from service.metrics import EXPIRY_WINDOWS, Metrics
from service.store.managed.statistics import TokenCounts
from service.store.monitoring.monitor import Monitor
from service.tokens.audit.log import AuditLog
from service.tokens.hygiene import Hygiene


class Check(msgspec.Struct, omit_defaults=True):
    """One check: ok, failed or unknown, and why."""

    name: str
    status: str
    detail: str = ""


class Readiness(msgspec.Struct):
    """Whether traffic may come (`ready` or `not_ready`), check by check."""

    status: str
    version: str
    checks: list[Check]


_CHECKED = {200: Readiness, 503: Readiness}
_METRICS = ("text/plain", "application/openmetrics-text")


@dataclass(eq=False, repr=False)
class Health:
    """Asks Redis for probes and scrapes."""

    _monitor: Monitor
    _token_counts: TokenCounts
    _hygiene: Hygiene
    _metrics: Metrics
    _clock: Callable[[], float]
    _draining: bool = field(default=False, init=False)

    def drain(self) -> None:
        """A stop is under way: no more traffic should come."""
        self._draining = True

    async def ready(self) -> Readiness:
        """Ready when no stop is under way and nothing has failed that keeps every question from being answered."""
        checks = [Check("draining", "failed", "the service is stopping")] if self._draining else []
        for name, fault in (await self._monitor.checks()).items():
            checks.append(self._check(name, fault))
        checks += [Check("durability", "ok", text) for text in self._monitor.promises]
        failed = any(check.status == "failed" and check.name not in self._monitor.partial for check in checks)
        return Readiness("not_ready" if failed else "ready", __version__, checks)

    def _check(self, name: str, fault: str) -> Check:
        if not fault and name in self._monitor.unknown:
            return Check(name, "unknown", "not checked, because INFO is forbidden")
        return Check(name, "failed" if fault else "ok", fault)

    async def measure(self) -> None:
        """Read the gauges; while Redis is away they are left out and `tokens_redis_up` is 0."""
        state, now = self._metrics.state, int(self._clock())
        # Before Redis is asked: these are known while it is away, too.
        state.clock_seconds_apart = self._monitor.clocks.seconds_apart
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


class Live(msgspec.Struct):
    """The process answers."""

    status: str
    version: str


class OperationsApi(OperationGroup, tag="operation"):
    """What probes and operators ask."""

    _health: Health
    _monitor: Monitor
    _audit_log: AuditLog
    _metrics: Metrics
    _address: PublicAddress

    def describe(self, operations: Sequence[Operation]) -> None:
        """What the OpenAPI document is to cover: the operations of this class, too."""
        # Made when it is first asked for, because most processes never are; it takes ten milliseconds.
        self._document = cache(partial(_document, operations))

    @Operation("GET", "/livez", ANYONE, "checkLiveness")
    async def live(self) -> Live:
        """Is the process alive?"""
        return Live("alive", __version__)

    @Operation("GET", "/readyz", ANYONE, "checkReadiness", answers=_CHECKED)
    @Operation("GET", "/healthz", ANYONE, "checkHealth", answers=_CHECKED, summary="The same as /readyz")
    async def ready(self, call: Call) -> Response:
        """May traffic come?

        Redis reached, its role, version, eviction policy, disk and scripts, the namespace, its server key and data, the
        clocks. What could not be checked, because INFO is forbidden, is `unknown`, and no reason to keep traffic away.
        Nor is a Redis that takes no writes, or a cluster of which some nodes are away: other questions are answered.
        """
        readiness = await self._health.ready()
        return Json(readiness, 200 if readiness.status == "ready" else 503)

    @Operation("GET", "/openapi.json", ANYONE, "showDocument", answers={200: dict[str, Any]})
    async def document(self, call: Call) -> Response:
        """This document."""
        written = await asyncio.to_thread(self._document)
        # Relative where nothing is configured, so that the reference asks the server it came from.
        configured = self._address.configured
        server = str(configured) if configured else self._address.prefix(call) or "/"
        # Of a hundred kilobytes, which take a millisecond to write, each client gets the same.
        return LongJson([written, b"," + msgspec.json.encode({"servers": [{"url": server}]})[1:]], 200)

    @Operation("GET", "/metrics", ANYONE, "showMetrics", answers={200: str}, media_types={200: _METRICS})
    async def metrics(self, call: Call) -> Response:
        """Prometheus metrics.

        OpenMetrics where the Accept header asks for it.
        """
        await self._health.measure()
        body, media_type = await self._metrics.render(call.text_header(b"accept"))
        return raw(200, body, media_type.encode())

    @Operation("POST", "/api/admin/confirm-reset", ADMINISTER, "confirmReset")
    async def confirm_reset(self, caller: Caller) -> Message:
        """Confirm that the store was emptied.

        Ends the check `store_reset` of every process. Brings nothing back; harmless where nothing was lost.
        """
        await self._monitor.namespace.confirm_reset()
        await self._audit_log.write("store.confirmed", caller.origin, "store")
        return Message("The store is taken as it is")


def _document(operations: Sequence[Operation]) -> bytes:
    """All but the servers and its last brace."""
    # In the thread, and not at the start: all that it says is in memory only of a process that is asked.
    from service.api.http.openapi import document  # noqa: PLC0415

    described = document(operations)
    del described["servers"]
    return msgspec.json.encode(described)[:-1]
