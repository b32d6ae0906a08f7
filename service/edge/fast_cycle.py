"""What every cycle on the fast path is to uvicorn's protocol: one request after another without an ASGI scope.

Validations decide and answer by themselves (`cycle`); the operations of the application say what their handlers say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from time import perf_counter
from typing import Any, NamedTuple, Protocol

from starlette.responses import Response
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from service.api.gateway.answers import REQUEST_ID, lines_of
from service.api.http.call import Headers
from service.api.http.problems import respond
from service.edge.deadlines import Deadlines
from service.edge.fast_path import FastPath, Openings
from service.edge.known_heads import Head, Named
from service.errors import StoreUnavailable


class Connection(Protocol):
    """A connection as its cycles see it; `client` is its other end, None for a unix socket's."""

    client: tuple[str, int] | None
    server_state: ServerState
    deadlines: Deadlines
    transport: asyncio.Transport
    flow: FlowControl

    def run_task(self, work: Coroutine[Any, Any, None]) -> None: ...

    def on_response_complete(self) -> None: ...

    def start_over(self, cycle: FastCycle, method: str, url: bytes, headers: Headers) -> None: ...


# No ABC: `isinstance` would call a function in Python for every request.
class FastCycle:
    """In the place of uvicorn's request-response cycle."""

    # What uvicorn's protocol reads and writes on a cycle; the body is empty where none was announced.
    disconnected = False
    more_body = True
    body = b""
    # Does it start with the end of its body?
    awaits_body = False

    def __init__(self, protocol: Connection, fast_path: FastPath) -> None:
        self._protocol = protocol
        self._fast_path = fast_path
        self._peer = protocol.client[0] if protocol.client else ""
        self._is_trusted = fast_path.trusted.trusts(self._peer)
        self._head: Head
        self._once: Named
        self._started = 0.0
        self.keep_alive = True
        self.response_complete = True
        self.message_event = protocol.deadlines.event

    def take(self, head: Head, once: Named, *, keep_alive: bool) -> None:
        """The next request: its head, and beside that what it says once."""
        self._head = head
        self._once = once
        self.keep_alive = keep_alive
        self.response_complete = False

    def start(self) -> None:
        """Ask, or answer at once where nothing need be asked; each kind of cycle has its own."""
        raise NotImplementedError

    @property
    def _headers(self) -> Headers:
        return [*self._head.named.items(), *self._once.items()]

    def _address(self) -> str:
        """The client's, as a trusted proxy tells it."""
        if not self._is_trusted:
            return self._peer
        head = self._head
        if head.address is None:
            forwarded = head.named.get(b"x-forwarded-for")
            if not forwarded:
                # Not kept: the same head may come from another proxy.
                return self._peer
            head.address = self._fast_path.trusted.client_of(self._protocol.client, forwarded)
        return head.address

    def _request_id(self) -> bytes:
        """What the request is called, or a new id where it is called nothing."""
        return self._once.get(b"x-request-id") or self._fast_path.request_ids.new()

    def _write(self, status: int, lines: bytes, request_id: bytes, body: bytes) -> None:
        """`lines` go up to the request id."""
        fast_path, default_headers = self._fast_path, self._protocol.server_state.default_headers
        # By identity: uvicorn makes another list each second, and never changes one.
        if fast_path.openings.default_headers is not default_headers:
            fast_path.openings = Openings(default_headers)
        opening = fast_path.openings[status]
        end = b"\r\n\r\n" if self.keep_alive else b"\r\nconnection: close\r\n\r\n"
        self._send(b"".join((opening, lines, request_id, end, b"" if self._head.head_only else body)))

    def _send(self, answer: bytes) -> None:
        """Send an answer, or hold it while the client does not read."""
        protocol = self._protocol
        transport = protocol.transport
        is_closing = transport.is_closing()
        if protocol.flow.write_paused and not is_closing:
            protocol.run_task(self._send_later(answer))
            return
        self.response_complete = True
        if not is_closing:
            transport.write(answer)
            if not self.keep_alive:
                transport.close()
        protocol.on_response_complete()

    async def _send_later(self, answer: bytes) -> None:
        await self._protocol.flow.drain()
        self._send(answer)


class Whole(NamedTuple):
    """An answer as it goes on the wire: its header lines up to the request id, and its body."""

    status: int
    lines: bytes
    body: bytes

    @classmethod
    def of(cls, response: Response) -> Whole:
        """A handler's answer."""
        # Starlette lets a body be a memoryview.
        return cls(response.status_code, lines_of(response.raw_headers) + REQUEST_ID, bytes(response.body))


class OperationCycle(FastCycle):
    """One of the application's operations, which is counted and logged as there."""

    method = "POST"
    template = ""

    def start(self) -> None:
        self._started = perf_counter()
        self._begin()

    def await_body(self) -> None:
        """Start at the end of a body, which begins now."""
        self.body, self.awaits_body, self._started = b"", True, perf_counter()

    def refused(self, status: int) -> None:
        """Count and log a request whose body did not come, which the connection answers."""
        self._tell(status, self._request_id())

    def _begin(self) -> None:
        """Ask, answer at once, or leave it to the ordinary way; each operation has its own."""
        raise NotImplementedError

    def _start_over(self, url: bytes) -> None:
        """Leave what is unusual to the ordinary way, from the start: nothing was changed or counted yet."""
        self._protocol.start_over(self, self._method, url, self._headers)

    @property
    def _method(self) -> str:
        return "HEAD" if self._head.head_only else self.method

    def _answer(self, answer: Whole, *, outcome: str = "", token_id: str = "", request_id: bytes = b"") -> None:
        status, lines, body = answer
        request_id = request_id or self._request_id()
        self._write(status, lines, request_id, body)
        self._tell(status, request_id, outcome=outcome, token_id=token_id)

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
            traceparent=self._once.get(b"traceparent"),
        )

    def _fail(self, error: StoreUnavailable) -> None:
        request_id = self._request_id()
        self._answer(Whole.of(respond(error, request_id.decode())), outcome=error.code, request_id=request_id)
