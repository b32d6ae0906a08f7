"""Operation: health, readiness, metrics and the OpenAPI document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from service.api.health import Health, Readiness
from service.api.http.access import ANYONE
from service.api.http.call import Call, Json, Operation
from service.api.http.openapi import document
from service.api.http.problems import raw
from service.api.http.public_address import PublicAddress
from service.metrics import Metrics


class Live(msgspec.Struct):
    """The process answers."""

    status: str
    version: str


class OperationsApi:
    """What probes and operators ask."""

    def __init__(self, health: Health, metrics: Metrics, address: PublicAddress, *, with_metrics: bool) -> None:
        self._health = health
        self._metrics = metrics
        self._address = address
        self._with_metrics = with_metrics
        self._described: Sequence[Operation] = ()
        self._document: dict[str, Any] = {}

    def describe(self, operations: Sequence[Operation]) -> None:
        """What the OpenAPI document is to cover."""
        self._described = operations

    def operations(self) -> list[Operation]:
        """The operations of this class; metrics only where they have no port of their own."""
        ready = {200: Readiness, 503: Readiness}
        routes = [
            Operation(
                method="GET",
                path="/livez",
                handler=self.live,
                tag="operation",
                access=ANYONE,
                summary="Is the process alive?",
                answers={200: Live},
            ),
            Operation(
                method="GET",
                path="/readyz",
                handler=self.ready,
                tag="operation",
                access=ANYONE,
                answers=ready,
                summary="May traffic come?",
                description="Redis reached, role, version, eviction, scripts.",
            ),
            Operation(
                method="GET",
                path="/healthz",
                handler=self.ready,
                tag="operation",
                access=ANYONE,
                answers=ready,
                summary="The same as /readyz",
            ),
            Operation(
                method="GET",
                path="/openapi.json",
                handler=self.document,
                tag="operation",
                access=ANYONE,
                summary="This document",
                answers={200: dict[str, Any]},
            ),
        ]
        return routes + self.metrics_operations() if self._with_metrics else routes

    def metrics_operations(self) -> list[Operation]:
        """The route for scrapes, which may have a port of its own."""
        return [
            Operation(
                method="GET",
                path="/metrics",
                handler=self.metrics,
                tag="operation",
                access=ANYONE,
                summary="Prometheus metrics",
                answers={200: str},
                media_types={200: ("text/plain", "application/openmetrics-text")},
                description="OpenMetrics where the Accept header asks for it.",
            ),
        ]

    async def live(self, call: Call) -> Response:
        """200 while the loop turns, whatever Redis does."""
        return Json(self._health.live())

    async def ready(self, call: Call) -> Response:
        """200, or 503 with the failing check named."""
        readiness = await self._health.ready()
        return Json(readiness, 200 if readiness.status == "ready" else 503)

    async def document(self, call: Call) -> Response:
        """The OpenAPI document, made when it is first asked for, with the path that the service lies below."""
        self._document = self._document or document(self._described)
        configured = self._address.configured
        server = str(configured) if configured else self._address.prefix(call) or "/"
        return Json(self._document | {"servers": [{"url": server}]})

    async def metrics(self, call: Call) -> Response:
        """The exposition; what Redis holds is counted now."""
        await self._health.measure()
        body, media_type = self._metrics.render(call.text_header(b"accept"))
        return raw(200, body, media_type.encode())
