"""Operation: health, readiness, metrics, the OpenAPI document, and the confirmation that lost data is lost."""

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
    """One check: `ok`, `failed` or `unknown`, and the reason."""

    name: str
    status: str
    detail: str = ""


class Readiness(msgspec.Struct):
    """Whether the service takes traffic (`ready` or `not_ready`), check by check."""

    status: str
    version: str
    checks: list[Check]


_CHECKED = {200: Readiness, 503: Readiness}
_METRICS = ("text/plain", "application/openmetrics-text")


@dataclass(eq=False, repr=False)
class Health:
    """Measures Redis for probes and scrapes."""

    _monitor: Monitor
    _token_counts: TokenCounts
    _hygiene: Hygiene
    _metrics: Metrics
    _clock: Callable[[], float]
    _draining: bool = field(default=False, init=False)

    def drain(self) -> None:
        """Mark that a stop has begun, so that no more traffic comes."""
        self._draining = True

    async def ready(self) -> Readiness:
        """Ready unless a stop has begun, or a failure keeps the service from answering any question."""
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
        """Read the gauges. While Redis is unreachable they are left out and `tokens_redis_up` is 0."""
        state, now = self._metrics.state, int(self._clock())
        # Before Redis is asked, because this is known without Redis.
        state.clock_seconds_apart = self._monitor.clocks.seconds_apart
        state.unknown_checks = len(self._monitor.unknown)
        try:
            state.statistics = await self._token_counts.take(now)
            state.expiring = await self._token_counts.expiring(now, EXPIRY_WINDOWS)
            # Only numbers counted earlier: a scrape must not cause a read of every token.
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
    """Answers probes and operators."""

    _health: Health
    _monitor: Monitor
    _audit_log: AuditLog
    _metrics: Metrics
    _address: PublicAddress

    def describe(self, operations: Sequence[Operation]) -> None:
        """Set the operations that the OpenAPI document covers, those of this class included."""
        # Made on first request, because most processes are never asked; it takes ten milliseconds.
        self._document = cache(partial(_document, operations))

    @Operation("GET", "/livez", ANYONE, "checkLiveness")
    async def live(self) -> Live:
        """Is the process alive?"""
        return Live("alive", __version__)

    @Operation("GET", "/readyz", ANYONE, "checkReadiness", answers=_CHECKED)
    @Operation("GET", "/healthz", ANYONE, "checkHealth", answers=_CHECKED, summary="The same as /readyz")
    async def ready(self, call: Call) -> Response:
        """Can the service take traffic?

        Checks Redis (reachable, role, version, eviction policy, disk, scripts), the namespace, its server key and data,
        and the clocks. `unknown` means not checked, because INFO is forbidden; it does not make the service not ready.
        Nor does a Redis that refuses writes, or a cluster without some nodes: other questions are still answered.
        """
        readiness = await self._health.ready()
        return Json(readiness, 200 if readiness.status == "ready" else 503)

    @Operation("GET", "/openapi.json", ANYONE, "showDocument", answers={200: dict[str, Any]})
    async def document(self, call: Call) -> Response:
        """This document."""
        written = await asyncio.to_thread(self._document)
        # Relative if no public URL is configured, so that the API reference asks the server it came from.
        configured = self._address.configured
        server = str(configured) if configured else self._address.prefix(call) or "/"
        # 100 kB, which take a millisecond to encode, are encoded once for all clients.
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

        Ends the check `store_reset` in every process. It restores nothing, and is harmless if nothing was lost.
        """
        await self._monitor.namespace.confirm_reset()
        await self._audit_log.write("store.confirmed", caller.origin, "store")
        return Message("The store is taken as it is")


def _document(operations: Sequence[Operation]) -> bytes:
    """The document without the servers and its last brace."""
    # Imported here, in the thread: only a process that is asked for the document loads these texts.
    from service.api.http.openapi import document  # noqa: PLC0415

    described = document(operations)
    del described["servers"]
    return msgspec.json.encode(described)[:-1]
