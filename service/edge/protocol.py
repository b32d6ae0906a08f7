"""uvicorn's protocol extended by the fast path; its base class in `reading` enforces the limits on what arrives.

Pipelining, keep-alive, disconnects, back-pressure and shutdown stay uvicorn's own; a contract test names the internals
that this class depends on.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from service.api.http.call import Headers
from service.api.http.validate_paths import plan_of
from service.edge.fast_cycle import FastCycle, Made, OperationCycle
from service.edge.head import HEAD_BYTES, HEAD_FIELDS, HOSTS, TOO_LARGE, UNUSUAL, Refused, Trailer, check, size_of
from service.edge.known_heads import NOTHING_SAID, Head, Layout, Named, Pieces, said_once
from service.edge.limits import ALL_BUSY, TOO_MANY, ConnectionLimits
from service.edge.operations import operation_of
from service.edge.ordinary import OrdinaryCycle
from service.edge.reading import ReadingProtocol
from service.edge.validation import ValidationCycle


class EdgeProtocol(ReadingProtocol):
    """One connection. The objects that all connections share come from the lifespan's state."""

    __slots__ = ("_draining", "_layout", "_own_cycle", "cycle", "flow", "pipeline", "server_state", "transport")

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._own_cycle: FastCycle
        self._layout: Layout = NOTHING_SAID
        self._answering: RequestResponseCycle | None = None
        self._limits: ConnectionLimits = app_state["limits"]
        self.origin = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Requests on a connection follow each other, so one cycle serves all of them except those of a pipeline.
        self._own_cycle = ValidationCycle(self, self.fast_path)
        # Before `now` is read below: the clock of the deadlines stops while there is no connection.
        self.deadlines.watch(self.server_state.connections, self.timeout_keep_alive)
        # A stop calls `shutdown` of the connections that exist then; one whose TLS handshake ends later arrives here.
        self._draining = self.deadlines.draining
        self.origin = self._limits.origin_of(self.client[0] if self.client else "")
        if not self._limits.enter(self.origin):
            self.refuse(TOO_MANY)
        # A new connection takes the place of the one that has waited longest for its client: connections held open
        # without a request must not lock all others out.
        elif not self._limits.room_for(len(self.connections)) and not self.deadlines.close_idlest():
            self.refuse(ALL_BUSY)
        self.idle_since = self.deadlines.now

    def connection_lost(self, exc: Exception | None) -> None:
        answering = self._answering
        if answering is not None and not answering.response_complete:
            # uvicorn notifies only the newest request of a pipeline that the client has disconnected.
            answering.disconnected = True
            answering.message_event.set()
        left: Any = self.cycle
        # As on the ordinary way, a disconnect amid the body counts as 400, unless a refusal was counted already.
        if isinstance(left, OperationCycle) and left.awaits_body and self._refusal is None:
            left.refused(400)
        super().connection_lost(exc)
        self._limits.leave(self.origin)
        # These refer back to the connection. The garbage collector would block the event loop for 5 ms to free hundreds
        # of short connections.
        self.pipeline.clear()
        self._answering = self._change = self.cycle = None  # type: ignore[assignment]
        self._own_cycle.discard()
        del self._own_cycle

    def data_received(self, data: bytes) -> None:
        # Between two messages the parser has no state to keep, so it can be skipped.
        is_between = self.idle_since is not None and self.body_since is None and not self._in_head
        if not is_between or self._blank_bytes or self._refusal is not None:
            super().data_received(data)
            return
        fast_path = self.fast_path
        pieces, head = fast_path.heads.find(data, self._layout, fast_path.seen)
        if head is None and (read := self._read_whole(data, pieces)) is not None:
            head, pieces = read
        if head is not None:
            self.idle_since = None
            self._take(head, pieces).start()
        elif (known := fast_path.heads_of_operations.find(data)) is not None:
            self.idle_since = None
            self._change = cycle = self._take(known[0], ())
            cycle.body = known[1]
            cycle.start()
        else:
            super().data_received(data)
            cycle = self._change
            # No request was under way before, so one that is not answered now began with this packet.
            if isinstance(cycle, OperationCycle) and not (cycle.response_complete or cycle.awaits_body):
                fast_path.heads_of_operations.keep(data, cycle.head, cycle.body)

    def _take(self, head: Head, pieces: Pieces) -> Any:
        """The cycle that answers this head: mostly the connection's last cycle, used again if it has the same kind."""
        cycle: Any = self._own_cycle
        if cycle.__class__ is not head.kind:
            cycle = self._renewed(head.kind)
        if self._draining:
            cycle.keep_alive = False
        cycle.head, cycle.pieces, cycle.response_complete = head, pieces, False
        self.cycle = cycle
        return cycle

    def _renewed(self, kind: type[FastCycle]) -> FastCycle:
        self._own_cycle.discard()
        self._own_cycle = kind(self, self.fast_path)
        return self._own_cycle

    def _read_whole(self, packet: bytes, pieces: Pieces) -> tuple[Head, Pieces] | None:
        """Read a packet by its lines and cache its head by the `pieces` of `find`; None if the parser must read it."""
        heads, layout = self.fast_path.heads, self._layout
        read = heads.read(packet)
        if read is None:
            return None
        (head_only, url, plan, is_envoys), named = read
        asked: tuple[type[FastCycle], Any] | None = ValidationCycle, plan
        if plan is None:
            asked = operation_of(b"HEAD" if head_only else b"GET", url, named)
        if asked is None:
            return None
        kind, told = asked
        once = said_once(named, told)
        if pieces and layout.is_envoys is is_envoys and layout.places.keys() == once.keys():
            head = Head(kind, told, named, layout.places, head_only=head_only)
            heads.keep(pieces, head)
            return head, pieces
        # By this layout `find` takes apart the next head that comes on this connection.
        self._layout = heads.layout_of(packet, once, is_envoys=is_envoys)
        return Head.alone(kind, told, named, once, head_only=head_only)

    def on_headers_complete(self) -> None:
        self._in_head = False
        # An earlier answer that ended amid this head marked the connection as idle.
        self.head_since = self.idle_since = None
        headers = self.headers
        named = dict(headers)
        if self._head_bytes > HEAD_BYTES and size_of(self.url, headers) > HEAD_BYTES:
            raise Refused(TOO_LARGE)
        # The last two lines together exclude all versions but 1.1: others are kept alive only by a Connection field.
        is_plain = (
            len(named) == len(headers) <= HEAD_FIELDS
            and HOSTS[named.get(b"host", b"")]
            and UNUSUAL.isdisjoint(named)
            and self.parser.should_keep_alive()
            and (b"connection" not in named or self.parser.get_http_version() == "1.1")
        )
        # True for an offer of another protocol and for CONNECT.
        leaves_http = self.parser.should_upgrade()
        may_be_fast = is_plain and not leaves_http
        # Envoy sends a length of 0 with every check; any other value, however it is written, announces a body.
        has_body = named.get(b"content-length", b"0") != b"0"
        if may_be_fast and not has_body and (plan := plan_of(self.url)) is not None:
            self._begin_fast_path(named, ValidationCycle, plan)
        elif may_be_fast and (asked := operation_of(self.parser.get_method(), self.url, named)) is not None:
            self._begin_operation(named, *asked)
        else:
            check(self.parser.get_method(), self.parser.get_http_version(), self.url, headers, named)
            if not leaves_http:
                self._begin_ordinary(named)

    def _begin_fast_path(self, named: Named, kind: type[FastCycle], plan: Any) -> None:
        previous: RequestResponseCycle | FastCycle | None = self.cycle
        if previous is None or previous.response_complete:
            self._next_cycle(named, kind, plan).start()
            return
        # The request before may still use the connection's own cycle, so this one gets a new cycle.
        self._renewed(kind)
        self._await_turn(self._next_cycle(named, kind, plan))

    def _await_turn(self, cycle: Any) -> None:
        # Back-pressure: a client that sends requests without reading the answers must not fill our memory. Not yet for
        # the first request that waits, because no disconnect is noticed while reading is paused.
        if self.pipeline:
            self.flow.pause_reading()
        self.pipeline.appendleft((cycle, self.app))

    def _next_cycle(self, named: Named, kind: type[FastCycle], plan: Any) -> Any:
        head_only = self.parser.get_method() == b"HEAD"
        # The cycle takes what it needs of the head, and forgets it with its answer.
        self.url, self.headers = b"", []
        return self._take(*Head.alone(kind, plan, named, said_once(named, plan), head_only=head_only))

    def _begin_operation(self, named: Named, kind: type[OperationCycle], plan: bytes) -> None:
        """Start an operation without a body at once, any other at the end of its body, which is small."""
        previous: RequestResponseCycle | FastCycle | None = self.cycle
        if kind.method == "GET":
            self._begin_fast_path(named, kind, plan)
        elif previous is not None and not previous.response_complete:
            self._begin_ordinary(named)
        else:
            self._change = cycle = self._next_cycle(named, kind, plan)
            cycle.await_body()
            self._progress = True
            self.body_since = self.deadlines.now

    def _begin_ordinary(self, named: dict[bytes, bytes]) -> None:
        """Do what uvicorn's `on_headers_complete` does, with a cycle of our own."""
        parser, url, headers = self.parser, self.url, self.headers
        previous: RequestResponseCycle | FastCycle | None = self.cycle
        kept = parser.get_http_version() != "1.0" and parser.should_keep_alive() and not self._draining
        method = parser.get_method().decode()
        self.cycle = cycle = OrdinaryCycle.of(self, method, url, headers, keep_alive=kept)
        if method not in ("GET", "HEAD"):
            self._change = cycle
        cycle.waiting_for_100_continue = named.get(b"expect", b"").lower() == b"100-continue"
        # From here on only the cycle holds the head. Only after a chunked body can trailer fields follow.
        self.url, self.headers = b"", Trailer(url, headers) if b"transfer-encoding" in named else []
        self._progress = True
        self.body_since = self.deadlines.now
        if previous is None or previous.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self._await_turn(cycle)

    def start_over(self, cycle: FastCycle, method: str, url: bytes, headers: Headers, made: Made = None) -> None:
        """Have the ordinary way answer a request that was read whole: from the start, or with the answer in `made`."""
        ordinary = OrdinaryCycle.of(self, method, url, headers, keep_alive=cycle.keep_alive)
        ordinary.body, ordinary.more_body, ordinary.made = bytearray(cycle.body), False, made
        ordinary.message_event.set()
        ordinary.disconnected = self.transport.is_closing()
        cycle.response_complete = True
        newest: RequestResponseCycle | FastCycle = self.cycle
        if newest is cycle:
            self.cycle = ordinary
        if self._change is cycle:
            self._change = ordinary
        self._start_asgi_task(ordinary, self.app)

    def on_message_complete(self) -> None:
        self.body_since = None
        cycle: RequestResponseCycle | FastCycle = self.cycle
        if isinstance(cycle, FastCycle):
            if cycle.awaits_body:
                cycle.awaits_body = False
                cycle.start()
        elif not self.parser.should_upgrade():
            super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle | FastCycle, app: ASGI3Application) -> None:
        if isinstance(cycle, FastCycle):
            # Not called directly: a long pipeline of answers that need no lookup would recurse without bound.
            self.loop.call_soon(cycle.start)
        else:
            self._answering = cycle
            super()._start_asgi_task(cycle, app)

    def run_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Run the rest of a request on the fast path as a task that a graceful stop waits for."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.logger.error("a request failed", exc_info=error)
            # Its client would wait for ever.
            self.transport.close()

    def on_response_complete(self) -> None:
        """As uvicorn's, except the keep-alive: an instant that `Deadlines` reads, not a timer per request."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self._answering is not None and self._answering.keep_alive:
            self.go_on()
        else:
            self.leave()

    def shutdown(self) -> None:
        """Graceful stop: each connection closes with its next answer; `Deadlines` closes those that stay idle."""
        self._draining = True
        previous: RequestResponseCycle | FastCycle | None = self.cycle
        if previous is not None:
            # Its answer says `connection: close`, so that the client asks another process next.
            previous.keep_alive = False
        self.deadlines.drain()
