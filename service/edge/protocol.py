"""uvicorn's protocol with the straight path and with limits on what a client may send and how slowly.

Pipelining, keep-alive, disconnects, back-pressure and shutdown stay uvicorn's own; a contract test names the internals
this class leans on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.api.failures import problem_body
from service.edge.guard import (
    HEAD_BYTES,
    HEAD_FIELDS,
    TOO_LARGE,
    UNWANTED_BYTES,
    Refusal,
    Refused,
    Trailer,
    check,
    size_of,
)
from service.edge.joined import Joined
from service.edge.straight import Plan, Straight, StraightCycle, lines_of, plan_of
from service.edge.sweep import Sweep

# What these announce is for the ordinary way: bodies, expectations, other protocols.
_UNUSUAL = frozenset((b"content-length", b"transfer-encoding", b"expect", b"upgrade"))
_NOT_HTTP = Refusal(400, "invalid_request", "The request is not valid HTTP.")


class EdgeProtocol(HttpToolsProtocol):
    """One connection. Takes what it shares with all others from the lifespan's state."""

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:  # fmt: skip
        super().__init__(config, server_state, app_state, _loop)
        self.sweep: Sweep = app_state["sweep"]
        self._straight: Straight = app_state["straight"]
        # Requests on a connection follow each other, so one cycle serves them all but those of a pipeline.
        self._own_cycle = StraightCycle(self, self._straight)
        self._refusal: Refusal | None = None
        self._draining = False
        self._in_head = False
        self._head_bytes = 0
        # Of the body that is being read: did this packet bring any that is wanted, and how much came without since.
        self._progress = False
        self._unread_bytes = 0
        # Instants of the sweep's coarse clock for its deadlines; None where none runs.
        self.idle_since: float | None = None
        self.head_since: float | None = None
        self.body_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # First the sweep, whose clock may have stood still since the last connection went.
        self.sweep.watch(self.server_state.connections, self.timeout_keep_alive)
        self.idle_since = self.sweep.now

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return
        continued = self.headers if self._in_head else None
        # Exact for a head that goes on; for one that begins here at most too large, which is looked at again.
        self._head_bytes = len(data) if continued is None else self._head_bytes + len(data)
        offer = None
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as raised:
                offer = raised
            if offer is not None:
                self._decline(data, offer)
        except httptools.HttpParserError as error:
            refused = error.__context__
            self.refuse(refused.refusal if isinstance(refused, Refused) else _NOT_HTTP)
            return
        if self._in_head:
            if self.headers is not continued:
                self._head_bytes = size_of(self.url, self.headers)
            if self._head_bytes > HEAD_BYTES:
                self.refuse(TOO_LARGE)
        elif self.body_since is not None:
            self._bound_body(len(data))

    def _decline(self, data: bytes, offer: httptools.HttpParserUpgrade | None) -> None:
        """Read a request that offers another protocol again, without the offer, and then what follows its head.

        None is spoken here, and an offer changes nothing (RFC 9110, 7.8); but the parser takes what follows such a
        head for the other protocol, body and all.
        """
        rest = memoryview(data)
        while offer is not None:
            rest = rest[offer.args[0] :]
            head = self._head_without_offer()
            # A new one: the old one would take a request that closes the connection for its last.
            self.parser = self._new_parser()
            self.parser.feed_data(head)
            offer = None
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as another:
                offer = another

    def _head_without_offer(self) -> bytes:
        version = self.parser.get_http_version().encode()
        fields = lines_of([field for field in self.headers if field[0] != b"upgrade"])
        return b"%b %b HTTP/%b\r\n%b\r\n" % (self.parser.get_method(), self.url, version, fields)

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        # As uvicorn's.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def _bound_body(self, received: int) -> None:
        """Called after each packet that ends within a body: what nobody reads of it must come to an end."""
        if self._progress:
            self._progress = False
            self._unread_bytes = 0
            return
        self._unread_bytes += received
        # More than a head's worth between two pieces of a body are trailer fields, or extensions of a chunk.
        if self._unread_bytes > (UNWANTED_BYTES if self.cycle.response_complete else HEAD_BYTES):
            self.refuse(TOO_LARGE)

    def on_body(self, body: bytes) -> None:
        self._progress = not self.cycle.response_complete
        super().on_body(body)

    def on_message_begin(self) -> None:
        self._in_head = True
        self.head_since = self.sweep.now
        self.idle_since = None
        self.url = b""
        self.headers = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

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
            and b"host" in named
            and _UNUSUAL.isdisjoint(named)
            and self.parser.should_keep_alive()
            and (b"connection" not in named or self.parser.get_http_version() == "1.1")
        )
        plan = plan_of(self.url) if is_plain else None
        # So it is said of an offer of another protocol, and of CONNECT.
        is_last = self.parser.should_upgrade()
        if plan is not None and not is_last:
            self._begin_straight(named, plan)
        else:
            check(self.parser.get_method(), self.parser.get_http_version(), self.url, headers, named)
            if not is_last:
                self._begin_ordinary(named)

    def _begin_straight(self, named: dict[bytes, bytes], plan: Plan) -> None:
        previous: RequestResponseCycle | StraightCycle | None = self.cycle
        waits = previous is not None and not previous.response_complete
        cycle: Any = StraightCycle(self, self._straight) if waits else self._own_cycle
        head_only = self.parser.get_method() == b"HEAD"
        cycle.take(self.headers, named, plan, head_only=head_only, keep_alive=not self._draining)
        self.cycle = cycle
        if waits:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))
        else:
            cycle.start()

    def _begin_ordinary(self, named: dict[bytes, bytes]) -> None:
        """Hand the request to uvicorn as if it had kept the parts itself."""
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        self.headers.extend(headers)
        self.expect_100_continue = named.get(b"expect", b"").lower() == b"100-continue"
        super().on_headers_complete()
        if b"transfer-encoding" in named:
            self.headers = Trailer(url, headers)
        self._progress = True
        self.body_since = self.sweep.now
        if self._draining:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        self.body_since = None
        if not isinstance(self.cycle, StraightCycle) and not self.parser.should_upgrade():
            super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle | StraightCycle, app: ASGI3Application) -> None:
        if isinstance(cycle, StraightCycle):
            # Not called from here: a long pipeline of answers that need no lookup would nest without end.
            self.loop.call_soon(cycle.start)
        else:
            if cycle.scope["method"] != "HEAD":
                cycle.transport = Joined(cycle, self.transport)  # type: ignore[assignment]
            super()._start_asgi_task(cycle, app)

    def run_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Run the rest of a straight request as a task that a graceful stop waits for."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def answer_straight(self, cycle: StraightCycle, answer: bytes) -> None:
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

    async def _answer_later(self, cycle: StraightCycle, answer: bytes) -> None:
        await self.flow.drain()
        self.answer_straight(cycle, answer)

    def on_response_complete(self) -> None:
        """As uvicorn's, but for the keep-alive: an instant for the sweep in place of a timer for each request."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self.idle_since = self.sweep.now

    def shutdown(self) -> None:
        """Graceful stop: answer what comes and close with it; connections that stay idle are closed by the sweep."""
        self._draining = True
        previous: RequestResponseCycle | StraightCycle | None = self.cycle
        if previous is not None:
            previous.keep_alive = False
        self.sweep.drain()

    def refuse(self, refusal: Refusal) -> None:
        """Answer with a problem and close; nothing more is read from this connection.

        Where an answer has begun, of which this would be read as a part or as the next, it only closes.
        """
        if self._refusal is not None or self.transport.is_closing():
            return
        self._refusal = refusal
        if self._answer_has_begun():
            self.transport.close()
            return
        request_id = self._straight.request_ids.of(None)
        body = problem_body(refusal.status, refusal.code, refusal.detail, request_id)
        headers = [
            (b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"), (b"x-request-id", request_id.encode()), (b"connection", b"close"),
        ]  # fmt: skip
        default_headers = self.server_state.default_headers
        self.transport.write(STATUS_LINE[refusal.status] + lines_of(default_headers + headers) + b"\r\n" + body)
        self.transport.close()

    def _answer_has_begun(self) -> bool:
        """Is the answer to the request that is being read on its way, or that to one before it half written?"""
        cycle: RequestResponseCycle | StraightCycle | None = self.cycle
        if cycle is None or isinstance(cycle, StraightCycle) or not cycle.response_started:
            return False
        return self.body_since is not None or not cycle.response_complete
