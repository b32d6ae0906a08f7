"""What all cycles of the fast path have in common: each answers one request after another without an ASGI scope.

Validations decide and answer themselves (`validation`). Operations give the answers of the application's handlers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from time import perf_counter
from typing import Any, NamedTuple, Protocol

from starlette.responses import Response
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from service.api.gateway.answers import REQUEST_ID, lines_of
from service.api.http.call import Call, Headers
from service.api.http.problems import respond
from service.edge.deadlines import Deadlines
from service.edge.fast_path import FastPath, Openings, Seen
from service.edge.known_heads import NO_HEAD, SECRETS, Pieces
from service.errors import StoreUnavailable
from service.store.driver.replies import Reply
from service.tokens.credential import DecodedCredential

# A call and its answer, which is too long to be sent in one piece.
Made = tuple[Call, Response] | None


class Connection(Protocol):
    """A connection as its cycles see it; `client` is its other end, None for a unix socket's."""

    client: tuple[str, int] | None
    server_state: ServerState
    deadlines: Deadlines
    transport: asyncio.Transport
    flow: FlowControl
    pipeline: deque[Any]
    idle_since: float | None

    def run_task(self, work: Coroutine[Any, Any, None]) -> None: ...

    def go_on(self) -> None: ...

    def start_over(self, cycle: FastCycle, method: str, url: bytes, headers: Headers, made: Made = None) -> None: ...


# No ABC: `isinstance` would call a function in Python for every request.
class FastCycle:
    """Takes the place of uvicorn's request-response cycle."""

    # Of a validation, whichever method the gateway's client used.
    method = "GET"
    # What uvicorn's protocol reads and writes on a cycle; the body stays empty if none was announced.
    disconnected = False
    more_body = True
    body = b""
    # True while the cycle waits for the end of a body before it starts.
    awaits_body = False

    def __init__(self, protocol: Connection, fast_path: FastPath) -> None:
        self._protocol = protocol
        self._fast_path = fast_path
        self._peer = protocol.client[0] if protocol.client else ""
        self._is_trusted = fast_path.trusted.trusts(self._peer)
        # The request: its head, and the pieces that hold what differs from request to request.
        self.head = NO_HEAD
        self.pieces: Pieces = ()
        self._started = 0.0
        self.keep_alive = True
        self.response_complete = True
        self.message_event = protocol.deadlines.event

    def start(self) -> None:
        """Ask Redis, or answer at once if nothing need be asked. Each kind of cycle implements this."""
        raise NotImplementedError

    def discard(self) -> None:
        """Drop references to itself: the connection ends or takes another cycle, perhaps before this one answers."""

    @property
    def _headers(self) -> Headers:
        head = self.head
        said = [(name, SECRETS.get(name, b"") + self.pieces[place]) for name, place in head.places.items()]
        return [*head.named.items(), *said]

    def _said(self, name: bytes) -> bytes | None:
        """The value of this field, one of those that differ from request to request; None without it."""
        place = self.head.places.get(name)
        return None if place is None else self.pieces[place]

    def _address(self) -> str:
        """The client's address: from X-Forwarded-For if the peer is a trusted proxy, else the peer's."""
        place = self.head.forwarded_at
        hops = self.head.hops if place is None else self.pieces[place]
        return self._fast_path.trusted.forwarded(hops) if hops and self._is_trusted else self._peer

    def _request_id(self) -> bytes:
        """The id that the request came with, or a new one."""
        place = self.head.id_at
        return self._fast_path.request_ids.new() if place is None else self.pieces[place]

    def _write(self, status: int, lines: bytes, request_id: bytes, body: bytes = b"") -> None:
        """Send an answer, or hold it while the client does not read. `lines` end before the request id."""
        protocol = self._protocol
        transport, flow, state = protocol.transport, protocol.flow, protocol.server_state
        if self.head.head_only:
            body = b""
        if flow.write_paused:
            protocol.run_task(self._write_later(status, lines, request_id, body))
            return
        self.response_complete = True
        state.total_requests += 1
        if transport.is_closing():
            return
        openings = self._fast_path.openings
        # Compared by identity: uvicorn makes a new list each second, and never changes one.
        if openings.default_headers is not state.default_headers:
            openings = self._fast_path.openings = Openings(state.default_headers)
        end = b"\r\n\r\n" if self.keep_alive else b"\r\nconnection: close\r\n\r\n"
        transport.write(b"".join((openings[status], lines, request_id, end, body)))
        if not self.keep_alive:
            transport.close()
        elif protocol.pipeline or flow.read_paused:
            protocol.go_on()
        else:
            protocol.idle_since = protocol.deadlines.now

    async def _write_later(self, status: int, lines: bytes, request_id: bytes, body: bytes) -> None:
        # This also returns when the connection ends.
        await self._protocol.flow.drain()
        self._write(status, lines, request_id, body)


class Whole(NamedTuple):
    """An answer as it goes on the wire: its header lines up to the request id, and its body."""

    status: int
    lines: bytes
    body: bytes

    @classmethod
    def of(cls, response: Response) -> Whole:
        """From the response of a handler."""
        # Starlette lets a body be a memoryview.
        return cls(response.status_code, lines_of(response.raw_headers) + REQUEST_ID, bytes(response.body))


class OperationCycle(FastCycle):
    """One of the application's operations, counted and logged as the application does it."""

    method = "POST"
    template = ""

    def start(self) -> None:
        self._started = perf_counter()
        self._begin()

    def await_body(self) -> None:
        """Wait for a body that begins now; `start` is called at its end."""
        self.body, self.awaits_body, self._started = b"", True, perf_counter()

    def refused(self, status: int) -> None:
        """Count and log a request whose body did not arrive. The connection answers it."""
        self._tell(status, self._request_id())

    def _begin(self) -> None:
        """Ask Redis, answer at once, or leave the request to the ordinary way. Each operation implements this."""
        raise NotImplementedError

    def _bearer(self) -> Seen | None:
        """How to read the record of the caller's session or managed token; None for any other credential."""
        field = self.head.named.get(b"authorization", b"")
        return self._fast_path.seen[field[7:].strip()] if field[:7].lower() == b"bearer " else None

    def _record_of(self, caller: Seen, reply: Reply) -> DecodedCredential | None:
        """The caller's record if it is enough to admit the caller, else None."""
        authority = self._fast_path.authority
        found = authority.open(caller.digest, reply) if isinstance(reply, bytes) else None
        if found is None or found.limited or found.credential.kind is not caller.kind:
            return None
        return found if authority.evaluate(found, (), self._address(), authority.clock()).active else None

    def _start_over(self, url: bytes, made: Made = None) -> None:
        """Leave an unusual request to the ordinary way: from the start, or to send the long answer that was `made`.

        Nothing has been changed or counted yet.
        """
        self._protocol.start_over(self, self._method, url, self._headers, made)
        self._let_go()

    @property
    def _method(self) -> str:
        return "HEAD" if self.head.head_only else self.method

    def _answer(self, answer: Whole, *, outcome: str = "", token_id: str = "", request_id: bytes = b"") -> None:
        status, lines, body = answer
        request_id = request_id or self._request_id()
        self._write(status, lines, request_id, body)
        self._tell(status, request_id, outcome=outcome, token_id=token_id)
        self._let_go()

    def _let_go(self) -> None:
        """Forget the request, which holds a secret, while the connection is idle."""
        self.head, self.pieces, self.body = NO_HEAD, (), b""

    def _tell(self, status: int, request_id: bytes, *, outcome: str = "", token_id: str = "") -> None:
        self._fast_path.tell(
            self._method,
            self.template,
            status,
            perf_counter() - self._started,
            request_id=request_id.decode(),
            address=self._address(),
            outcome=outcome,
            token_id=token_id,
            traceparent=self._said(b"traceparent"),
        )

    def _fail(self, error: StoreUnavailable) -> None:
        request_id = self._request_id()
        self._answer(Whole.of(respond(error, request_id.decode())), outcome=error.code, request_id=request_id)
