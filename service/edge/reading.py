"""A connection as it is read: heads and bodies within their limits, whatever packets they come in."""

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

# What is read of blank lines before a head; of these one is nothing.
BLANK_BYTES = 1024
_IGNORED_BYTES = 2
_DROPPED_BYTES = 8 * 1024 * 1024  # unread behind an answer: eight times the largest body that anybody may send
# So much is parsed at once: a packet may hold ten thousand requests, each of which takes a hundred times the room that
# it took there, and all of which others would wait for.
_PARSED_BYTES = 4096
_NOT_HTTP = Refusal(400, "invalid_request", "The request is not valid HTTP.")


class ReadingProtocol(HttpToolsProtocol):
    """Refuses what is too large, too slow or no HTTP, and closes; what becomes of a head is told by `EdgeProtocol`."""

    # What each packet asks of. uvicorn's own attributes are so many that each is read from a dictionary.
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
        # Of the body that is being read: did this packet bring a part that somebody waits for, and how many bytes came
        # since the last such part.
        self._progress = False
        self._unread_bytes = 0
        # Of the blank lines before a head.
        self._blank_bytes = 0
        # The rest of a packet, and whether it is read in the next turn of the loop.
        self._unparsed, self._reads_later = b"", False
        # The newest request that asks for more than an answer.
        self._change: Any = None
        # Instants of the coarse clock of `Deadlines`; None where no time-out runs.
        self.idle_since: float | None = None
        self.head_since: float | None = None
        self.body_since: float | None = None
        # What of the answers was still here at the last sweep, and since when it has not become less.
        self.unread_bytes = 0
        self.unread_since = 0.0

    @property
    def waiting_since(self) -> float | None:
        """Since when nothing has happened here but that the client may send a head, or the rest of one or of a body."""
        if self.idle_since is not None:
            return self.idle_since
        cycle: Any = self.cycle
        # Behind a request that is under way, whose answer must not be lost with it.
        if self.pipeline or (self.body_since is None and cycle is not None and not cycle.response_complete):
            return None
        return self.body_since if self.head_since is None else self.head_since

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep a connection whose client sends no more until its question is answered, as HAProxy does.

        Who has left altogether is seen to do the same: nothing may be made or changed of which nobody hears.
        """
        # Over TLS no half of a connection can be closed. Answers come in turn: where this one came, no other change is
        # under way or waits for its turn.
        if self.scheme == "https" or (self._change is not None and not self._change.response_complete):
            return False
        # Whoever watches for the client let reading go on. This is seen again behind what came before it.
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
        # As nearly all packets are.
        elif len(data) <= _PARSED_BYTES and not self._unparsed and not self.pipeline:
            self._parse(data)
        else:
            self._read(self._unparsed + data)

    def _read(self, data: bytes) -> None:
        """Read the beginning of a packet, or of its body all; the rest when others had their turn, and not before what
        waits for its own is begun.
        """
        for start in range(0, len(data), _PARSED_BYTES):
            if self.pipeline or (start and self.body_since is None):
                self._unparsed = data[start:]
                self._read_later()
                return
            self._parse(data[start : start + _PARSED_BYTES])
        self._unparsed = b""

    def go_on(self) -> None:
        """Begin with the next request of a pipeline, or wait for one, and read on."""
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self.idle_since = self.deadlines.now
        if self._unparsed:
            self._read_later()
        else:
            self._resume()

    def _read_later(self) -> None:
        # Whoever reads its body lets reading go on, and this is before what comes next.
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
        # Nobody was late meanwhile.
        if self._in_head:
            self.head_since = self.deadlines.now
        if self.body_since is not None:
            self.body_since = self.deadlines.now

    def _parse(self, data: bytes) -> None:
        if self._refusal is not None or self._leaves:
            return
        known, is_between = self.headers, not self._in_head and self.body_since is None
        # At most: a head is counted with what stands before it in its first piece, and checked again when it is whole.
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
        # What a callback raises arrives inside an error of the parser.
        refused = error.__context__
        self.refuse(refused.refusal if isinstance(refused, Refused) else _NOT_HTTP)

    def _feed(self, data: bytes | memoryview) -> httptools.HttpParserUpgrade | None:
        """Have the parser read; the end of a head that offers another protocol, behind which it has read nothing."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            return offer
        return None

    def _decline(self, data: bytes, offer: httptools.HttpParserUpgrade | None) -> None:
        """Read a request that offers another protocol again, without the offer, and then what follows its head.

        None is spoken here, and an offer changes nothing (RFC 9110, 7.8); but the parser takes what follows such a
        head for the other protocol, body and all.
        """
        rest = memoryview(data)
        while offer is not None:
            rest = rest[offer.args[0] :]
            head = head_of(self.parser, self.url, [field for field in self.headers if field[0] != b"upgrade"])
            # A new one: the old one would take a request that closes the connection for its last.
            self.parser = new_parser(self)
            self.parser.feed_data(head)
            offer = self._feed(rest)

    def _bound_body(self, received: int) -> None:
        """Called after each packet that ends within a body: what nobody reads of it must come to an end."""
        if self._progress:
            self._progress = False
            self._unread_bytes = 0
            return
        self._unread_bytes += received
        # More than a head's worth between two pieces of a body are trailer fields, or extensions of a chunk.
        most = _DROPPED_BYTES if self._leaves else UNWANTED_BYTES if self.cycle.response_complete else HEAD_BYTES
        if self._unread_bytes > most:
            self.refuse(TOO_LARGE)

    def _bound_blank_lines(self, received: int) -> None:
        """Called after each packet that begins no head: more than the line to be ignored (RFC 9112, 2.2) does."""
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
        # Not anew where blank lines came before: a client that sends nothing else would never be late.
        if self.head_since is None:
            self.head_since = self.deadlines.now
        self._blank_bytes = 0
        self.idle_since = None
        self.url = b""
        self.headers = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        # The parser leaves white space behind a value, which is no part of it (RFC 9110, 5.5).
        self.headers.append((name.lower(), value.rstrip(b" \t")))

    def refuse(self, refusal: Refusal) -> None:
        """Answer with a problem and close; nothing more is read from this connection.

        Where this would be read as the answer to an earlier request, or as a part of one, it only closes.
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
                # That one is asked already, and goes on: its own answer is the last.
                cycle.keep_alive = False
                return
        elif isinstance(cycle, OperationCycle):
            cycle.refused(refusal.status)
        else:
            # What the log and the metrics say; the application sees a client that left.
            cycle.scope["refused"] = refusal.status
            # Behind others that are not answered yet, or amid an answer that did not wait for its body.
            if self.pipeline or cycle.response_started:
                self.leave()
                return
        self.transport.write(self.fast_path.refusal(refusal, self.server_state.default_headers))
        self.leave()

    def leave(self) -> None:
        """Close; amid a head or a body for writing first, or whoever is still sending would see a reset, no answer."""
        if self.pipeline or not (self._in_head or self.body_since is not None) or not self.transport.can_write_eof():
            self.transport.close()
            return
        self._leaves, self._unparsed, self.idle_since = True, b"", self.deadlines.now
        if (cycle := self.cycle) is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.write_eof()
        self.flow.resume_reading()
