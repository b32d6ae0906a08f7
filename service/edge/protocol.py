"""uvicorn's protocol with the fast path, on what `reading` lets through.

Pipelining, keep-alive, disconnects, back-pressure and shutdown stay uvicorn's own; a contract test names the internals
this class leans on.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar
from urllib.parse import unquote

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from service.api.http.call import Headers
from service.edge.cycle import FastPathCycle, plan_of
from service.edge.fast_cycle import FastCycle, OperationCycle
from service.edge.head import (
    HEAD_BYTES,
    HEAD_FIELDS,
    HOSTS,
    TOO_LARGE,
    UNUSUAL,
    Refusal,
    Refused,
    Trailer,
    check,
    size_of,
)
from service.edge.limits import ConnectionLimits
from service.edge.operations import operation_of
from service.edge.ordinary import OrdinaryCycle
from service.edge.reading import ReadingProtocol

P = TypeVar("P")

_TOO_MANY = Refusal(503, "too_many_connections", "Too many connections from this address are open. Use fewer.")
_ALL_BUSY = Refusal(503, "overloaded", "As many connections as this server can have are busy. Try again.")


class EdgeProtocol(ReadingProtocol):
    """One connection. Takes what it shares with all others from the lifespan's state."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # Requests on a connection follow each other, so one cycle serves them all but those of a pipeline.
        self._own_cycle: FastCycle[Any] = FastPathCycle(self, self._fast_path)
        self._draining = False
        self._answering: RequestResponseCycle | None = None
        self._limits: ConnectionLimits = app_state["limits"]
        self.origin = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # First the deadlines, whose clock may have stood still since the last connection went.
        self.deadlines.watch(self.server_state.connections, self.timeout_keep_alive)
        self.unread_since = self.deadlines.now
        self.origin = self._limits.origin_of(self.client[0] if self.client else "")
        if not self._limits.enter(self.origin):
            self.refuse(_TOO_MANY)
        # A newcomer takes the place of whoever has waited for longest: connections that somebody holds open without
        # asking anything must not lock all others out.
        elif not self._limits.room_for(len(self.connections)) and not self.deadlines.close_idlest():
            self.refuse(_ALL_BUSY)
        self.idle_since = self.deadlines.now

    def connection_lost(self, exc: Exception | None) -> None:
        answering = self._answering
        if answering is not None and not answering.response_complete:
            # Of a pipeline uvicorn tells the newest request alone.
            answering.disconnected = True
            answering.message_event.set()
        super().connection_lost(exc)
        self._limits.leave(self.origin)
        # They know it, too: as garbage in a cycle hundreds of short connections would hold the loop for 5 ms.
        self.pipeline.clear()
        self._answering = self.cycle = None  # type: ignore[assignment]
        del self._own_cycle

    def _begin_whole(self, packet: bytes) -> bool:
        # Where the parser stands between two messages, it does not miss one.
        is_between = self.idle_since is not None and self.body_since is None and not self._in_head
        head = self._fast_path.lines.read(packet) if is_between and not self._blank_bytes else None
        if head is None:
            return False
        head_only, url, named = head
        plan: Any = plan_of(url)
        kind: type[FastCycle[Any]] = FastPathCycle
        if plan is None:
            asked = operation_of(b"HEAD" if head_only else b"GET", url, named)
            if asked is None:
                return False
            kind, plan = asked
        self.idle_since = None
        self._begin_fast_path(named, plan, kind, head_only=head_only)
        return True

    def on_headers_complete(self) -> None:
        self._in_head = False
        self.head_since = None
        headers = self.headers
        named = dict(headers)
        if self._head_bytes > HEAD_BYTES and size_of(self.url, headers) > HEAD_BYTES:
            raise Refused(TOO_LARGE)
        # A version other than 1.1 is kept alive only by a field that says so.
        is_plain = (
            len(named) == len(headers) <= HEAD_FIELDS
            and HOSTS[named.get(b"host", b"")]
            and UNUSUAL.isdisjoint(named)
            and self.parser.should_keep_alive()
            and (b"connection" not in named or self.parser.get_http_version() == "1.1")
        )
        # Said of an offer of another protocol, and of CONNECT.
        leaves_http = self.parser.should_upgrade()
        may_be_fast = is_plain and not leaves_http
        # Envoy says so with every question; any other length, however it is written, announces a body.
        has_body = named.get(b"content-length", b"0") != b"0"
        if may_be_fast and not has_body and (plan := plan_of(self.url)) is not None:
            head_only = self.parser.get_method() == b"HEAD"
            self._begin_fast_path(named, plan, FastPathCycle, head_only=head_only)
        elif may_be_fast and (asked := operation_of(self.parser.get_method(), self.url, named)) is not None:
            self._begin_operation(named, *asked)
        else:
            check(self.parser.get_method(), self.parser.get_http_version(), self.url, headers, named)
            if not leaves_http:
                self._begin_ordinary(named)

    def _begin_fast_path(
        self, named: dict[bytes, bytes], plan: P, kind: type[FastCycle[P]], *, head_only: bool
    ) -> None:
        previous: RequestResponseCycle | FastCycle[Any] | None = self.cycle
        waits = previous is not None and not previous.response_complete
        # Mostly a connection asks for the same again.
        if waits or self._own_cycle.__class__ is not kind:
            self._own_cycle = kind(self, self._fast_path)
        cycle: Any = self._own_cycle
        cycle.take(named, plan, head_only=head_only, keep_alive=not self._draining)
        self.cycle = cycle
        if waits:
            # A client that sends request after request without reading must not fill our memory: what it sends next
            # stays in its socket until this one is answered.
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))
        else:
            cycle.start()

    def _begin_operation(self, named: dict[bytes, bytes], kind: type[OperationCycle[bytes]], plan: bytes) -> None:
        """One without a body as a validation, another at the end of its body, which is small."""
        previous: RequestResponseCycle | FastCycle[Any] | None = self.cycle
        if kind.method != "POST":
            head_only = self.parser.get_method() == b"HEAD"
            self._begin_fast_path(named, plan, kind, head_only=head_only)
        elif previous is not None and not previous.response_complete:
            self._begin_ordinary(named)
        else:
            if self._own_cycle.__class__ is not kind:
                self._own_cycle = kind(self, self._fast_path)
            cycle: Any = self._own_cycle
            self.cycle = cycle
            cycle.take(named, plan, head_only=False, keep_alive=not self._draining)
            cycle.await_body()
            self._progress = True
            self.body_since = self.deadlines.now

    def _begin_ordinary(self, named: dict[bytes, bytes]) -> None:
        """As uvicorn's `on_headers_complete`, with a cycle of ours."""
        parser, url, headers = self.parser, self.url, self.headers
        previous: RequestResponseCycle | FastCycle[Any] | None = self.cycle
        kept = parser.get_http_version() != "1.0" and parser.should_keep_alive() and not self._draining
        self.cycle = cycle = self._ordinary_cycle(parser.get_method().decode(), url, headers, keep_alive=kept)
        cycle.waiting_for_100_continue = named.get(b"expect", b"").lower() == b"100-continue"
        if b"transfer-encoding" in named:
            # Only a body in chunks can be followed by further fields.
            self.headers = Trailer(url, headers)
        self._progress = True
        self.body_since = self.deadlines.now
        if previous is None or previous.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def _ordinary_cycle(self, method: str, url: bytes, headers: Headers, *, keep_alive: bool) -> OrdinaryCycle:
        """With as much of an ASGI scope as the application reads."""
        target = httptools.parse_url(url)
        path = target.path.decode("ascii")
        scope: Any = {
            "method": method,
            "path": unquote(path) if "%" in path else path,
            "query_string": target.query or b"",
            "headers": headers,
            "scheme": self.scheme,
            "client": self.client,
            "server": self.server,
        }
        cycle = OrdinaryCycle(
            scope,
            self.transport,
            self.flow,
            self.logger,
            self.access_logger,
            False,
            self.server_state.default_headers,
            asyncio.Event(),
            False,
            keep_alive,
            self.on_response_complete,
        )
        cycle.application = self._fast_path.application
        return cycle

    def start_over(self, cycle: FastCycle[Any], method: str, url: bytes, headers: Headers) -> None:
        """Have the ordinary way answer, from the start, a request that was read as a whole."""
        ordinary = self._ordinary_cycle(method, url, headers, keep_alive=cycle.keep_alive)
        ordinary.body += cycle.body
        ordinary.more_body = False
        ordinary.message_event.set()
        ordinary.disconnected = self.transport.is_closing()
        cycle.response_complete = True
        newest: RequestResponseCycle | FastCycle[Any] = self.cycle
        if newest is cycle:
            self.cycle = ordinary
        self._start_asgi_task(ordinary, self.app)

    def on_message_complete(self) -> None:
        self.body_since = None
        cycle: RequestResponseCycle | FastCycle[Any] = self.cycle
        if isinstance(cycle, FastCycle):
            if cycle.awaits_body:
                cycle.awaits_body = False
                cycle.start()
        elif not self.parser.should_upgrade():
            super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle | FastCycle[Any], app: ASGI3Application) -> None:
        if isinstance(cycle, FastCycle):
            # Not called from here: a long pipeline of answers that need no lookup would nest without end.
            self.loop.call_soon(cycle.start)
        else:
            self._answering = cycle
            super()._start_asgi_task(cycle, app)

    def run_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Run the rest of a request on the fast path as a task that a graceful stop waits for."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def answer_fast(self, cycle: FastCycle[Any], answer: bytes) -> None:
        """Write an answer, or hold it while the client does not read."""
        if self.flow.write_paused and not self.transport.is_closing():
            self.run_task(self._answer_later(cycle, answer))
            return
        cycle.response_complete = True
        if not self.transport.is_closing():
            self.transport.write(answer)
            if not cycle.keep_alive:
                self.transport.close()
        self.on_response_complete()

    async def _answer_later(self, cycle: FastCycle[Any], answer: bytes) -> None:
        await self.flow.drain()
        self.answer_fast(cycle, answer)

    def on_response_complete(self) -> None:
        """As uvicorn's, except the keep-alive: an instant that `Deadlines` reads, not a timer per request."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self.idle_since = self.deadlines.now

    def shutdown(self) -> None:
        """Graceful stop: answer what comes and close with it; connections that stay idle are closed by `Deadlines`."""
        self._draining = True
        previous: RequestResponseCycle | FastCycle[Any] | None = self.cycle
        if previous is not None:
            # Its answer says `connection: close`, so that the client asks another process next.
            previous.keep_alive = False
        self.deadlines.drain()
