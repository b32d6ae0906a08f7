"""The ASGI application: gives each request an id, finds its operation, answers exceptions, counts and logs."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from itertools import count
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.api.http import problems
from service.api.http.call import Call, Headers
from service.api.http.operation import Endpoint
from service.api.http.proxies import TrustedProxies
from service.api.http.router import Router
from service.api.http.validate_paths import FORMS
from service.errors import ServiceError, StartRefused
from service.identifiers import is_request_id, trace_of
from service.metrics import Metrics
from service.store.driver.confirmation import Doubts

log = logging.getLogger("service.requests")
_LAST_DIGITS = tuple(b"%02x" % value for value in range(256))
# Probes and monitoring ask these all the time, and would fill most of the log.
_UNLOGGED = ("/livez", "/readyz", "/healthz", "/metrics")

Lifespan = Callable[[], AbstractAsyncContextManager[dict[str, Any]]]


def _numbered(start: bytes, first: int = 0) -> Iterator[bytes]:
    """Numbered ids. 256 of them share all but the last two digits, and that part is made once."""
    for number in count(first >> 8):
        # Twelve digits, enough for a hundred years.
        block = b"%b-%010x" % (start, number)
        for last in _LAST_DIGITS:
            yield block + last


class RequestIds:
    """Ids for requests that bring none: a random prefix per process and a running number.

    `new` makes the next one.
    """

    def __init__(self) -> None:
        self.new: Callable[[], bytes] = _numbered(secrets.token_hex(5).encode()).__next__

    def of(self, given: bytes | None) -> bytes:
        """The id that a client gave, if it has 1 to 64 of A-Za-z0-9._-, else a new one."""
        return given if given and is_request_id(given) else self.new()


# Not wrapped in Starlette's middleware: its base class alone costs 110 us a request.
class Application:
    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        *,
        metrics: Metrics,
        trusted: TrustedProxies,
        prefix: str = "",
        access_log: bool,
        lifespan: Lifespan,
    ) -> None:
        """`prefix`: the path that the service lies below; a proxy may remove it or leave it."""
        endpoints = tuple(endpoints)
        self.operations = tuple(endpoint.operation for endpoint in endpoints)
        self._router = Router(endpoints, prefix)
        self.request_ids = RequestIds()
        self._metrics = metrics
        self.trusted = trusted
        self._access_log = access_log
        self._lifespan = lifespan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        call = self.call(scope, receive)
        response = await self.respond(call)
        await response(scope, receive, send)
        self.account(call, response.status_code)

    def call(self, scope: Scope, receive: Receive) -> Call:
        """A request as its handler will see it; its time starts now."""
        # Reversed, so that the first of two fields with one name is kept.
        headers = dict(reversed(scope["headers"]))
        request_id = self.request_ids.of(headers.get(b"x-request-id"))
        address = self.trusted.client_of(scope.get("client"), self._forwarded(headers, scope["headers"]))
        return Call(scope, receive, headers, request_id.decode(), address)

    def _forwarded(self, named: dict[bytes, bytes], headers: Headers) -> bytes | None:
        """All X-Forwarded-For lines as one: a proxy may add its own line after one that the client made up."""
        # As many names as lines, as in almost every request: no field is there twice.
        if b"x-forwarded-for" not in named or len(named) == len(headers):
            return named.get(b"x-forwarded-for")
        return b",".join([value for name, value in headers if name == b"x-forwarded-for"])

    async def respond(self, call: Call) -> Response:
        """The answer to a call, also when its handler fails."""
        response = await self.answer(call)
        response.raw_headers.append((b"x-request-id", call.request_id.encode()))
        return response

    def account(self, call: Call, status: int) -> None:
        """Count and log a call that was answered."""
        # Validations are counted by their verdicts, together with those of the fast path.
        if call.template not in FORMS.values():
            self.tell(
                call.method,
                call.template,
                status,
                time.perf_counter() - call.started,
                request_id=call.request_id,
                address=call.address,
                outcome=call.outcome,
                token_id=call.token_id,
                traceparent=call.header(b"traceparent"),
            )

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The lifespan protocol. A refused start is reported by its message, without a traceback."""
        await receive()
        try:
            async with self._lifespan() as state:
                scope["state"].update(state)
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except StartRefused as refused:
            await send({"type": "lifespan.startup.failed", "message": str(refused)})
            return
        await send({"type": "lifespan.shutdown.complete"})

    async def answer(self, call: Call) -> Response:
        """The answer to a call, without the field of its request id."""
        path = self._router.find(call.scope)
        if path is None:
            return problems.plain(404, "not_found", problems.NO_PATH, call.request_id, [])
        call.template = path.template
        endpoint = path.find(call.method)
        if endpoint is None:
            allow = ", ".join(sorted(path.endpoints)).encode()
            detail = f"Use one of: {allow.decode()}."
            return problems.plain(405, "method_not_allowed", detail, call.request_id, [(b"allow", allow)])
        operation, handler = endpoint
        call.access = operation.access
        found: list[str] = []
        try:
            # The forms of /validate answer this themselves, in the same way as a refused token.
            if path.form is None:
                call.refuse_two_authorizations()
            with Doubts() as found:
                response = await handler(call)
            if found and response.status_code < 400:
                response = problems.pending(response, found[0], call.request_id, may_wait=operation.pending)
            return response
        except ServiceError as error:
            call.outcome = error.code
            return operation.refusal(error) or problems.respond(
                error, call.request_id, retry_after=operation.retry_after, doubts=found
            )
        except ClientDisconnect:
            # The client is gone and reads no answer; the status is for the metrics and the log.
            return Response(status_code=call.scope.get("refused", 400))
        except asyncio.CancelledError:
            # A stop cancels what its drain did not wait for; uvicorn would answer 500 and log a fault.
            again = [(b"retry-after", b"1")] if operation.retry_after else []
            return problems.plain(503, "stopping", "The service is stopping. Try again.", call.request_id, again)
        except Exception:
            facts = {"request_id": call.request_id}
            if (trace := trace_of(call.header(b"traceparent"))) is not None:
                facts["trace_id"] = trace.trace_id
            # The traceback goes only to the log, because it may hold secrets.
            log.exception("a request failed", extra={"facts": facts})
            detail = "That did not work. The fault is on this side and was logged under the request id."
            return problems.plain(500, "internal_error", detail, call.request_id, [])

    def tell(
        self,
        method: str,
        template: str,
        status: int,
        seconds: float,
        *,
        request_id: str,
        address: str,
        outcome: str,
        token_id: str,
        traceparent: bytes | None,
    ) -> None:
        """Count and log an answered request, `seconds` after it came; `outcome` and `token_id` may be empty."""
        trace = trace_of(traceparent)
        followed = trace.trace_id if trace is not None and trace.sampled else ""
        self._metrics.requested(template, method, status, seconds, trace_id=followed)
        if not self._access_log or (template in _UNLOGGED and status < 400):
            return
        facts = {
            "request_id": request_id,
            "method": method,
            "route": template,
            "status": status,
            "seconds": round(seconds, 6),
            "address": address,
        }
        if outcome:
            facts["outcome"] = outcome
        if token_id:
            facts["token_id"] = token_id
        if trace is not None:
            facts["trace_id"] = trace.trace_id
        log.info("request", extra={"facts": facts})
