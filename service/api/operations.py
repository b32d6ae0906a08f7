"""Operation: health, readiness, metrics and the OpenAPI document."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from service.api.health import Health, Live, Readiness
from service.api.http.access import ANYONE
from service.api.http.call import Call, Json
from service.api.http.openapi import document
from service.api.http.operation import Endpoint, Operation, OperationGroup, Reader
from service.api.http.problems import raw
from service.api.http.public_address import PublicAddress
from service.metrics import Metrics


class OperationsApi(OperationGroup, tag="operation"):
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

    def endpoints(self, callers: Mapping[type, Reader] | None = None) -> list[Endpoint]:
        """The operations of this class; metrics only where they have no port of their own."""
        found = super().endpoints(callers)
        return found if self._with_metrics else [one for one in found if one.handler != self.metrics]

    def metrics_endpoints(self) -> list[Endpoint]:
        """The route for scrapes, which may have a port of its own."""
        return [one for one in super().endpoints() if one.handler == self.metrics]

    @Operation("GET", "/livez", ANYONE, "checkLiveness")
    async def live(self) -> Live:
        """Is the process alive?"""
        return self._health.live()

    @Operation("GET", "/readyz", ANYONE, "checkReadiness", answers={200: Readiness, 503: Readiness})
    @Operation(
        "GET",
        "/healthz",
        ANYONE,
        "checkHealth",
        answers={200: Readiness, 503: Readiness},
        summary="The same as /readyz",
    )
    async def ready(self, call: Call) -> Response:
        """May traffic come?

        Redis reached, its role, version, eviction policy, disk and scripts, the namespace, its server key and data, the
        clocks. What could not be checked, because INFO is forbidden, is `unknown`, and no reason to keep traffic away.
        """
        readiness = await self._health.ready()
        return Json(readiness, 200 if readiness.status == "ready" else 503)

    @Operation("GET", "/openapi.json", ANYONE, "showDocument", answers={200: dict[str, Any]})
    async def document(self, call: Call) -> Response:
        """This document."""
        # Made when it is first asked for: most processes never are.
        self._document = self._document or document(self._described)
        configured = self._address.configured
        server = str(configured) if configured else self._address.prefix(call) or "/"
        return Json(self._document | {"servers": [{"url": server}]})

    @Operation(
        "GET",
        "/metrics",
        ANYONE,
        "showMetrics",
        answers={200: str},
        media_types={200: ("text/plain", "application/openmetrics-text")},
    )
    async def metrics(self, call: Call) -> Response:
        """Prometheus metrics.

        OpenMetrics where the Accept header asks for it.
        """
        await self._health.measure()
        body, media_type = self._metrics.render(call.text_header(b"accept"))
        return raw(200, body, media_type.encode())
