"""The ordinary way: uvicorn's request-response cycle, except that a whole answer is written at once and as it is.

uvicorn's own takes an answer in two messages, searches each of its fields and makes two writes of it; what comes piece
by piece is left to it.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote

import httptools
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from service.api.gateway.answers import lines_of
from service.api.http.application import Application
from service.api.http.bodies import LongJson
from service.api.http.call import Headers
from service.api.http.validate_paths import form_of
from service.edge.fast_cycle import Made
from service.edge.fast_path import STATUS_LINES
from service.errors import ServiceError
from service.store.pacing import give_way

_CLOSES = (b"connection", b"close")
_LONG_BYTES = 64 * 1024


class OrdinaryCycle(RequestResponseCycle):
    """One request to the application, and its answer."""

    # uvicorn's own constructor makes the rest.
    application: Application
    # A long answer that the fast path has made.
    made: Made = None

    @classmethod
    def of(cls, connection: Any, method: str, url: bytes, headers: Headers, *, keep_alive: bool) -> OrdinaryCycle:
        """Of a request on a connection of `EdgeProtocol`, with as much of an ASGI scope as the application reads."""
        target = httptools.parse_url(url)
        path = target.path.decode("ascii")
        # An encoded slash is another sign than a slash (RFC 3986, 2.2): who keeps clients from /api/admin/ by the path
        # as it is written must not be passed by with %2F. A validation is none the less one.
        if "%" in path and ("%2f" not in path.lower() or form_of(unquote(path))):
            path = unquote(path)
        scope: Any = {
            "method": method,
            "path": path,
            "query_string": target.query or b"",
            "headers": headers,
            "scheme": connection.scheme,
            "client": connection.client,
            "server": connection.server,
        }
        cycle = cls(
            scope,
            connection.transport,
            connection.flow,
            connection.logger,
            connection.access_logger,
            False,
            connection.server_state.default_headers,
            asyncio.Event(),
            False,
            keep_alive,
            connection.on_response_complete,
        )
        cycle.application = connection.fast_path.application
        return cycle

    async def receive(self) -> Any:
        """As uvicorn's, except that a client who left behind a long pipeline is noticed before his next change is made:
        nothing was read of his connection, and it is this that reads on.
        """
        if self.flow.read_paused:
            self.flow.resume_reading()
            # In uvloop one turn brings what lies in the socket, in asyncio two.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        if self.transport.is_closing():
            return {"type": "http.disconnect"}
        is_whole = self.message_event.is_set() and not (self.more_body or self.response_complete)
        if not is_whole or self.waiting_for_100_continue:
            return await super().receive()
        # Without reading on once more, which would bring the end only when the change is under way.
        self.message_event.clear()
        body, self.body = self.body, bytearray()
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    async def run_asgi(self, app: ASGI3Application) -> None:
        """As uvicorn's, which answers and logs what the application did not catch; `app` is that very application."""
        await super().run_asgi(self._serve)  # type: ignore[arg-type]  # starlette's names of the same types
        # An idle connection keeps its last cycle, and in a request there is a secret.
        self.scope, self.body, self.made = {}, bytearray(), None  # type: ignore[typeddict-item]

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.made is not None:
            call, response = self.made
        else:
            call = self.application.call(scope, receive)
            call.is_whole = not self.more_body
            response = await self.application.respond(call)
        try:
            if isinstance(response, StreamingResponse):
                await response(scope, receive, send)
            else:
                await self._write(response)
        # The second at a stop, which has waited long enough until its client reads.
        except (ServiceError, asyncio.CancelledError) as error:
            # Its client sees an answer that has no end: another one cannot follow what has begun.
            call.outcome = error.code if isinstance(error, ServiceError) else "stopping"
            self.disconnected = True
            self.transport.close()
        self.application.account(call, response.status_code)

    async def _write(self, response: Response) -> None:
        """A head and a short body in one write: two would be two system calls, and mostly two packets."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        headers = response.raw_headers
        lines = lines_of(headers)
        # Counted over all of them at once; uvicorn, whose sending this replaces, searches each name and each value.
        if not len(headers) == lines.count(b"\n") == lines.count(b"\r"):
            raise RuntimeError("A header field holds the end of a line.")
        # Not sooner: what is raised before is answered with 500 by uvicorn only while no answer has begun.
        self.response_started = True
        if _CLOSES in headers:
            self.keep_alive = False
        elif not self.keep_alive:
            lines += b"connection: close\r\n"
        head = b"".join((STATUS_LINES[response.status_code], lines_of(self.default_headers), lines, b"\r\n"))
        await self._send(head, [b""] if self.scope["method"] == "HEAD" else _pieces_of(response))

    async def _send(self, head: bytes, pieces: list[Any]) -> None:
        """All of it to the transport, whose buffer tells `Deadlines` what a slow client holds."""
        first = pieces.pop(0)
        # What is long is not copied: a file is the same for all who read it slowly.
        for part in (head, first) if len(first) >= _LONG_BYTES else (head + first,):
            self.transport.write(part)
        while pieces:
            await give_way()
            if self.disconnected:
                return
            self.transport.write(pieces.pop(0))
        self._complete()

    def _complete(self) -> None:
        self.response_complete = True
        self.message_event.set()
        self.on_response()


def _pieces_of(response: Response) -> list[Any]:
    pieces: list[Any] = response.pieces if isinstance(response, LongJson) else [response.body]
    if len(pieces[0]) > _LONG_BYTES:
        # With TLS the buffer does not tell of what is written while it is empty.
        first = memoryview(pieces[0])
        pieces[:1] = [first[start : start + _LONG_BYTES] for start in range(0, len(first), _LONG_BYTES)]
    return pieces
