"""Reading a connection: heads and bodies within their limits, however they are split into packets."""

import asyncio
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service.edge.deadlines import Deadlines
from service.edge.fast_cycle import OperationCycle
from service.edge.fast_path import FastPath
from service.edge.head import HEAD_BYTES, TOO_LARGE, UNWANTED_BYTES, Refusal, Refused, head_of, new_parser, renamed

# Most bytes of blank lines before a head, of which one line is ignored.
BLANK_BYTES = 1024
_IGNORED_BYTES = 2
_DROPPED_BYTES = 8 * 1024 * 1024  # unread behind an answer: eight times the largest body that anybody may send
# Bytes parsed at once: a packet may hold ten thousand requests. Each takes a hundred times its size in memory, and all
# other connections would wait for them.
_PARSED_BYTES = 4096
_NOT_HTTP = Refusal(400, "invalid_request", "The request is not valid HTTP.")


class ReadingProtocol(HttpToolsProtocol):
    """Refuses what is too large, too slow or not HTTP, and closes; `EdgeProtocol` decides who answers a head."""

    # What each packet reads. uvicorn has so many attributes that Python keeps them in a dictionary, which is slower.
    __slots__ = (
        "_blank_bytes",
        "_in_head",
        "_leaves",
        "_refusal",
        "_unparsed",
        "body_since",
        "deadlines",
        "fast_path",
        "idle_since",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.deadlines: Deadlines = app_state["deadlines"]
        self.fast_path: FastPath = app_state["fast_path"]
        self._refusal: Refusal | None = None
        self._leaves = self._in_head = False
        self._head_bytes = 0
        # Of the body being read: whether this packet brought a part that is still wanted, and how many bytes arrived
        # since the last such part.
        self._progress = False
        self._unread_bytes = 0
        # Bytes of blank lines before a head.
        self._blank_bytes = 0
        # The rest of a packet, and whether the next turn of the event loop reads it.
        self._unparsed, self._reads_later = b"", False
        # The newest request that may change something, until the connection ends.
        self._change: Any = None
        # Instants of the coarse clock of `Deadlines`; None while no time-out runs.
        self.idle_since: float | None = None
        self.head_since: float | None = None
        self.body_since: float | None = None
        # Bytes of answers that the client had not taken at the last sweep, and since when they have not become fewer.
        self.unread_bytes = 0
        self.unread_since = 0.0

    @property
    def waiting_since(self) -> float | None:
        """Since when this connection only waits for its client to send; None while a request is under way."""
        if self.idle_since is not None:
            return self.idle_since
        cycle: Any = self.cycle
        # A request is under way, and its answer would be lost with the connection.
        if self.pipeline or (self.body_since is None and cycle is not None and not cycle.response_complete):
            return None
        return self.body_since if self.head_since is None else self.head_since

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer the question of a client that has closed its half of the connection, as HAProxy does, before closing.

        A client that has disconnected sends the same EOF: nothing may be created or changed whose answer nobody reads.
        """
        # TLS connections cannot be half closed. Answers are sent in order: once the newest change is answered, no other
        # change is under way or queued.
        if self.scheme == "https" or (self._change is not None and not self._change.response_complete):
            return False
        # A request that watches for a disconnect has resumed reading. The EOF comes again after the unparsed rest.
        if self._unparsed:
            self.flow.pause_reading()
            return True
        # Idle, or amid a head or a body.
        if self.idle_since is not None or self._in_head or self.body_since is not None:
            return False
        self.cycle.keep_alive = False
        return True

    def data_received(self, data: bytes) -> None:
        if self._leaves:
            self._bound_body(len(data))
        # Nearly all packets.
        elif len(data) <= _PARSED_BYTES and not self._unparsed and not self.pipeline:
            self._parse(data)
        else:
            self._read(self._unparsed + data)

    def _read(self, data: bytes) -> None:
        """Parse the first piece of a packet, and all pieces of a body that it begins or continues. The rest waits for
        another turn of the event loop, and until all requests of the pipeline have started.
        """
        for start in range(0, len(data), _PARSED_BYTES):
            if self.pipeline or (start and self.body_since is None):
                self._unparsed = data[start:]
                self._read_later()
                return
            self._parse(data[start : start + _PARSED_BYTES])
        self._unparsed = b""

    def go_on(self) -> None:
        """Start the next request of the pipeline, or become idle; then read on."""
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self.idle_since = self.deadlines.now
        if self._unparsed:
            self._read_later()
        else:
            self._resume()

    def _read_later(self) -> None:
        # A request that reads its body may have resumed reading, but this rest comes before any new packet.
        self.flow.pause_reading()
        if not self._reads_later and not self.pipeline:
            self._reads_later = True
            self.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        self._reads_later = False
        if not self.transport.is_closing():
            self._read(self._unparsed)
            if not self.pipeline:
                self._resume()

    def _resume(self) -> None:
        if not self.flow.read_paused or self._unparsed:
            return
        self.flow.resume_reading()
        # The client is not late for the time in which reading was paused.
        if self._in_head:
            self.head_since = self.deadlines.now
        if self.body_since is not None:
            self.body_since = self.deadlines.now

    def _parse(self, data: bytes) -> None:
        if self._refusal is not None or self._leaves:
            return
        known, is_between = self.headers, not self._in_head and self.body_since is None
        # An upper bound: it counts what precedes the head in its first piece. A complete head is measured exactly.
        self._head_bytes = len(data) + (self._head_bytes if self._in_head else 0)
        try:
            if (offer := self._feed(data)) is not None:
                self._decline(data, offer)
        except httptools.HttpParserError as error:
            self._could_not_parse(data, error, is_between=is_between)
            return
        if self._in_head:
            if self.headers is not known:
                self._head_bytes = len(data)
            if self._head_bytes > HEAD_BYTES + _PARSED_BYTES:
                self.refuse(TOO_LARGE)
        elif self.body_since is not None:
            self._bound_body(len(data))
        elif self.idle_since is not None and self.headers is known:
            self._bound_blank_lines(len(data))

    def _could_not_parse(self, data: bytes, error: Exception, *, is_between: bool) -> None:
        if is_between and (readable := renamed(data)) is not None:
            self._in_head, self.parser = False, new_parser(self)
            self._parse(readable)
            return
        # An exception raised in a callback arrives as the context of the parser's own.
        refused = error.__context__
        self.refuse(refused.refusal if isinstance(refused, Refused) else _NOT_HTTP)

    def _feed(self, data: bytes | memoryview) -> httptools.HttpParserUpgrade | None:
        """Feed the parser. Returns its exception for a head that offers another protocol, where it stops; else None."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            return offer
        return None

    def _decline(self, data: bytes, offer: httptools.HttpParserUpgrade | None) -> None:
        """Parse a request that offers another protocol again without the offer, then what follows its head.

        The offer may be ignored (RFC 9110, 7.8), as every one is here; but the parser takes all that follows such a
        head, also a body, for data of the other protocol.
        """
        rest = memoryview(data)
        while offer is not None:
            rest = rest[offer.args[0] :]
            head = head_of(self.parser, self.url, [field for field in self.headers if field[0] != b"upgrade"])
            # A new parser: the old one would take a request that closes the connection for the last one.
            self.parser = new_parser(self)
            self.parser.feed_data(head)
            offer = self._feed(rest)

    def _bound_body(self, received: int) -> None:
        """Called after each packet that ends within a body: bounds the bytes of it that nobody reads."""
        if self._progress:
            self._progress = False
            self._unread_bytes = 0
            return
        self._unread_bytes += received
        # More bytes than a head has, between two parts of a body, can only be trailer fields or chunk extensions.
        most = _DROPPED_BYTES if self._leaves else UNWANTED_BYTES if self.cycle.response_complete else HEAD_BYTES
        if self._unread_bytes > most:
            self.refuse(TOO_LARGE)

    def _bound_blank_lines(self, received: int) -> None:
        """Called after each packet of blank lines. More than the one to ignore (RFC 9112, 2.2) start a time-out."""
        self._blank_bytes += received
        if self._blank_bytes > BLANK_BYTES:
            self.refuse(_NOT_HTTP)
        elif self._blank_bytes > _IGNORED_BYTES and self.head_since is None:
            self.head_since = self.deadlines.now

    def on_body(self, body: bytes) -> None:
        self._progress = not self.cycle.response_complete
        super().on_body(body)

    def on_message_begin(self) -> None:
        self._in_head = True
        # Not started again after blank lines: a client that sends nothing else would never be late.
        if self.head_since is None:
            self.head_since = self.deadlines.now
        self._blank_bytes = 0
        self.idle_since = None
        self.url = b""
        self.headers = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        # The parser keeps white space after a value, which is not part of the value (RFC 9110, 5.5).
        self.headers.append((name.lower(), value.rstrip(b" \t")))

    def refuse(self, refusal: Refusal) -> None:
        """Answer with a problem and close; nothing more is read from this connection.

        Only close where the client would take the problem for the answer to an earlier request, or for a part of one.
        """
        if self._leaves:
            self.transport.close()
        if self._refusal is not None or self.transport.is_closing():
            return
        self._refusal = refusal
        cycle: Any = self.cycle
        if self.body_since is None:
            self.fast_path.count_refusal(refusal.status)
            if cycle is not None and not cycle.response_complete:
                # The request before goes on, and its answer is the last one.
                cycle.keep_alive = False
                return
        elif isinstance(cycle, OperationCycle):
            cycle.refused(refusal.status)
        else:
            # The status for the log and the metrics; the application sees a disconnect.
            cycle.scope["refused"] = refusal.status
            # Earlier requests are not answered yet, or the answer to this one began before its body ended.
            if self.pipeline or cycle.response_started:
                self.leave()
                return
        self.transport.write(self.fast_path.refusal(refusal, self.server_state.default_headers))
        self.leave()

    def leave(self) -> None:
        """Close; amid a head or body first for writing only, or a client still sending would see a reset, no answer."""
        if self.pipeline or not (self._in_head or self.body_since is not None) or not self.transport.can_write_eof():
            self.transport.close()
            return
        self._leaves, self._unparsed, self.idle_since = True, b"", self.deadlines.now
        if (cycle := self.cycle) is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.write_eof()
        self.flow.resume_reading()
