"""What every cycle on the fast path is to uvicorn's protocol: one request after another without an ASGI scope."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Generic, Protocol, TypeVar

from uvicorn.server import ServerState

from service.api.http.call import Headers
from service.edge.deadlines import Deadlines
from service.edge.fast_path import FastPath

P = TypeVar("P")


class Connection(Protocol):
    """A connection as its cycles see it; `client` is its other end, None for a unix socket's."""

    client: tuple[str, int] | None
    server_state: ServerState
    deadlines: Deadlines

    def run_task(self, work: Coroutine[Any, Any, None]) -> None: ...

    def answer_fast(self, cycle: FastCycle[Any], answer: bytes) -> None: ...


# No ABC: `isinstance` would call a function in Python for every request.
class FastCycle(Generic[P]):
    """In the place of uvicorn's request-response cycle; `P` is what its target was worked out to ask for."""

    # What uvicorn's protocol reads on a cycle whose request has no body.
    disconnected = False
    more_body = True

    def __init__(self, protocol: Connection, fast_path: FastPath) -> None:
        self._protocol = protocol
        self._fast_path = fast_path
        self._named: dict[bytes, bytes] = {}
        self._headers: Headers = []
        self._head_only = False
        self._started = 0.0
        self.keep_alive = True
        self.response_complete = True
        self.message_event = protocol.deadlines.event

    def take(self, headers: Headers, named: dict[bytes, bytes], plan: P, *, head_only: bool, keep_alive: bool) -> None:
        """The next request; `named` holds its headers by name, of which none occurs twice."""
        self.keep_alive = keep_alive
        self._headers = headers
        self._named = named
        self._plan = plan
        self._head_only = head_only
        self.response_complete = False

    def start(self) -> None:
        """Ask, or answer at once where nothing need be asked; each kind of cycle has its own."""
        raise NotImplementedError

    def _address(self) -> str:
        """The client's, as a trusted proxy tells it."""
        return self._fast_path.trusted.client_of(self._protocol.client, self._named.get(b"x-forwarded-for"))

    def _write(self, status: int, lines: bytes, request_id: bytes, body: bytes) -> None:
        """`lines` go up to the request id."""
        opening = self._fast_path.opening(status, self._protocol.server_state.default_headers)
        end = b"\r\n\r\n" if self.keep_alive else b"\r\nconnection: close\r\n\r\n"
        whole = b"".join((opening, lines, request_id, end, b"" if self._head_only else body))
        self._protocol.answer_fast(self, whole)
