"""The ordinary way: uvicorn's request-response cycle, except that a complete answer is sent in one write.

uvicorn's own way takes an answer in two messages, searches each field and makes two writes; only streamed answers are
left to it.
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

    # uvicorn's constructor sets all other attributes.
    application: Application
    # A long answer that the fast path has made.
    made: Made = None

    @classmethod
    def of(cls, connection: Any, method: str, url: bytes, headers: Headers, *, keep_alive: bool) -> OrdinaryCycle:
        """The cycle of a request on an `EdgeProtocol` connection. Its scope has only what the application reads."""
        target = httptools.parse_url(url)
        path = target.path.decode("ascii")
        # An encoded slash is not a slash (RFC 3986, 2.2): with %2F nobody must get around a proxy that guards
        # /api/admin/ by the path as it is written. A path of /validate is decoded all the same.
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
        """Like uvicorn's, except that the disconnect of a client with a long pipeline is noticed before its next change
        is made: reading of its connection is paused, and resumes only here.
        """
        if self.flow.read_paused:
            self.flow.resume_reading()
            # uvloop reads the socket within one turn of the event loop, asyncio within two.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        if self.transport.is_closing():
            return {"type": "http.disconnect"}
        is_whole = self.message_event.is_set() and not (self.more_body or self.response_complete)
        if not is_whole or self.waiting_for_100_continue:
            return await super().receive()
        # uvicorn's would read on once more, and see a disconnect only when the change is under way.
        self.message_event.clear()
        body, self.body = self.body, bytearray()
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    async def run_asgi(self, app: ASGI3Application) -> None:
        """Like uvicorn's, which answers and logs uncaught exceptions; `app` is the application that `_serve` calls."""
        await super().run_asgi(self._serve)  # type: ignore[arg-type]  # starlette's names of the same types
        # An idle connection keeps its last cycle, and a request holds a secret.
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
        # CancelledError at a stop, which has waited long enough for the client to read.
        except (ServiceError, asyncio.CancelledError) as error:
            # The client sees an answer that breaks off: no other answer can follow what has begun.
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
        # Counted over all fields at once; uvicorn, whose sending this replaces, searches each name and each value.
        if not len(headers) == lines.count(b"\n") == lines.count(b"\r"):
            raise RuntimeError("A header field holds the end of a line.")
        # Not sooner: uvicorn answers an exception with 500 only while no answer has begun.
        self.response_started = True
        if _CLOSES in headers:
            self.keep_alive = False
        elif not self.keep_alive:
            lines += b"connection: close\r\n"
        head = b"".join((STATUS_LINES[response.status_code], lines_of(self.default_headers), lines, b"\r\n"))
        await self._send(head, [b""] if self.scope["method"] == "HEAD" else _pieces_of(response))

    async def _send(self, head: bytes, pieces: list[Any]) -> None:
        """Hand everything to the transport: from its buffer `Deadlines` knows what a slow client has not taken."""
        first = pieces.pop(0)
        # A long part is not copied: all slow readers of a file share its bytes.
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
        # With TLS the size of the buffer leaves out what is written while the buffer is empty.
        first = memoryview(pieces[0])
        pieces[:1] = [first[start : start + _LONG_BYTES] for start in range(0, len(first), _LONG_BYTES)]
    return pieces
