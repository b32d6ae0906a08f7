"""Sends webhooks: one signed POST, over a connection to a checked address.

Redirects are not followed, only the status and Retry-After of the answer are used, and it may take at most five
seconds. A connection is used again for the next message to the same host, for at most a minute.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import ceil
from typing import NamedTuple

import httptools
import msgspec

from service import __version__
from service.errors import InvalidRequest
from service.tokens.webhooks.ssrf import Destination, Destinations


class Sent(NamedTuple):
    """The result of an attempt: accepted or not, whether to retry, and a description.

    `wait`: for how many seconds the receiver asks for a pause, 0 if it does not.
    """

    taken: bool
    final: bool
    status: int
    error: str
    wait: int = 0


_SECONDS = 5.0
_ADDRESSES = 3
# Of an answer. A connection with a longer answer is not used again.
_ANSWER_BYTES = 16 * 1024
# How long to wait for the rest of an answer, so that its connection can be used again.
_REST_SECONDS = 0.2
# After this time the name may lead elsewhere.
_LONGEST_USE_SECONDS = 60.0
_IDLE_KEPT = 32
# With this status a receiver wants no more messages (Standard Webhooks): the message is not sent again.
_GONE = 410
# Statuses whose Retry-After says when to come again: RFC 6585, 4, and RFC 9110, 15.6.4.
_LATER = (429, 503)
_TAKEN = range(200, 300)
_Place = tuple[bool, str, int]


class _Connection(msgspec.Struct, frozen=True):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    connected_at: float

    def is_fit(self) -> bool:
        """True if the connection may be used again."""
        young = time.monotonic() - self.connected_at < _LONGEST_USE_SECONDS
        return young and not (self.reader.at_eof() or self.writer.transport.is_closing())


class Sender:
    """Sends messages in the form of Standard Webhooks. `tls` makes the context, at the first TLS connection."""

    def __init__(
        self, destinations: Destinations, *, tls: Callable[[], ssl.SSLContext] = ssl.create_default_context
    ) -> None:
        self._destinations = destinations
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._idle: dict[_Place, list[_Connection]] = {}

    async def send(self, url: str, secrets: Sequence[str], message_id: str, body: str, now: float) -> Sent:
        """Send one message, signed by each of the secrets. Failures are returned in the result, not raised."""
        try:
            destination = self._destinations.read(url)
            request = _request(destination, _signed(secrets, message_id, body, now), body.encode())
            async with asyncio.timeout(_SECONDS):
                answer = await self._post(destination, request)
        # Before OSError, because a timeout and a refused certificate are OSErrors too.
        except TimeoutError:
            return Sent(False, False, 0, "no answer within 5 s")
        except InvalidRequest as refused:
            return Sent(False, False, 0, refused.detail)
        except ssl.SSLCertVerificationError as error:
            return Sent(False, False, 0, f"certificate: {error.verify_message}")
        except httptools.HttpParserError:
            return Sent(False, False, 0, "connection: not HTTP")
        except OSError as error:
            return Sent(False, False, 0, f"connection: {type(error).__name__}")
        status = answer.status
        if status in _TAKEN:
            return Sent(True, True, status, "")
        wait = _seconds(answer.retry_after, now) if status in _LATER else 0
        return Sent(False, status == _GONE, status, f"answered {status}", wait)

    async def _post(self, destination: Destination, request: bytes) -> "_Answer":
        place = (destination.secure, destination.host, destination.port)
        while idle := self._idle.get(place):
            connection = idle.pop()
            if connection.is_fit():
                try:
                    return await self._exchange(connection, request, place)
                except ConnectionError:
                    # The receiver closed it while it was idle. If it had accepted the message all the same, it gets the
                    # message twice, which is allowed.
                    continue
            connection.writer.transport.abort()
        return await self._exchange(await self._open(destination), request, place)

    async def _exchange(self, connection: _Connection, request: bytes, place: _Place) -> "_Answer":
        """Send a request and read its answer. Keeps the connection for further use if possible."""
        answer, kept = _Answer(), False
        try:
            connection.writer.write(request)
            await connection.writer.drain()
            while not answer.status:
                answer.feed(await connection.reader.read(_ANSWER_BYTES))
            if not answer.complete:
                await _read_rest(connection, answer)
            kept = answer.keeps_open and len(self._idle.get(place, ())) < _IDLE_KEPT
            return answer
        finally:
            answer.let_go()
            if kept:
                self._idle.setdefault(place, []).append(connection)
            else:
                connection.writer.transport.abort()

    async def _open(self, destination: Destination) -> _Connection:
        """Connect to the first address that answers: not to the name, which may lead elsewhere by now."""
        # Resolved for each connection: an address that was public when the webhook was added may not be so now.
        allowed = (await self._destinations.addresses(destination))[:_ADDRESSES]
        if not allowed:
            raise InvalidRequest("the name leads to no public address")
        context = await self._secured() if destination.secure else None
        host = destination.host if context else None
        while True:
            address, *allowed = allowed
            try:
                streams = await asyncio.open_connection(address, destination.port, ssl=context, server_hostname=host)
                return _Connection(*streams, time.monotonic())
            except OSError as error:
                # A wrong certificate is the host's fault, so its next address would be no better.
                if isinstance(error, ssl.SSLError) or not allowed:
                    raise

    async def _secured(self) -> ssl.SSLContext:
        if self._context is None:
            # In a thread: it reads the system's certificates, which takes tens of milliseconds.
            self._context = await asyncio.to_thread(self._tls)
        return self._context

    def tidy(self, *, keep_fit: bool = True) -> None:
        """Close kept connections that will not be used again."""
        kept: dict[_Place, list[_Connection]] = {}
        for place, connections in self._idle.items():
            for connection in connections:
                if keep_fit and connection.is_fit():
                    kept.setdefault(place, []).append(connection)
                else:
                    connection.writer.transport.abort()
        self._idle = kept

    async def aclose(self) -> None:
        self.tidy(keep_fit=False)


class _Answer:
    """What is read from an answer: its status, when to come again, and whether its connection can be used again."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.retry_after = ""
        self.size = 0
        self.complete = False
        self.keeps_open = False

    def feed(self, data: bytes) -> None:
        """Raises HttpParserError for an invalid answer, ConnectionResetError if it ends before its status is known."""
        self.size += len(data)
        if data:
            self._parser.feed_data(data)
        elif self.status:
            self.complete = True
        else:
            raise ConnectionResetError

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after":
            self.retry_after = value.decode("latin-1").strip()

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        # An interim answer (1xx) precedes another one.
        self.status = 0 if status < 200 else status

    def on_message_complete(self) -> None:
        if self.status:
            self.complete = True
            self.keeps_open = self._parser.should_keep_alive()

    def let_go(self) -> None:
        """Break the reference cycle for the garbage collector: the parser holds bound methods of this object."""
        del self._parser


async def _read_rest(connection: _Connection, answer: _Answer) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_REST_SECONDS):
            while not answer.complete and answer.size < _ANSWER_BYTES:
                answer.feed(await connection.reader.read(_ANSWER_BYTES))


def _seconds(retry_after: str, now: float) -> int:
    """The seconds that Retry-After asks for (RFC 9110, 10.2.3): a number or a date; 0 for anything else."""
    if retry_after.isascii() and retry_after.isdigit():
        # Nine digits are thirty years, more than anyone waits.
        return int(retry_after[:9])
    try:
        return max(0, ceil(parsedate_to_datetime(retry_after).timestamp() - now))
    except (ValueError, OverflowError):
        return 0


def _signed(secrets: Sequence[str], message_id: str, body: str, now: float) -> dict[str, str]:
    # Loaded with the first message, because most services send none.
    from standardwebhooks import Webhook  # noqa: PLC0415

    # In UTC, because the library signs the datetime's clock time, ignoring its zone.
    instant = datetime.fromtimestamp(int(now), UTC)
    signatures = " ".join(Webhook(secret).sign(message_id, instant, body) for secret in secrets)
    return {"webhook-id": message_id, "webhook-timestamp": str(int(now)), "webhook-signature": signatures}


def _request(destination: Destination, signed: dict[str, str], body: bytes) -> bytes:
    headers = {
        "Host": destination.authority,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "User-Agent": f"token-service/{__version__}",
        **signed,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {destination.target} HTTP/1.1\r\n{lines}\r\n".encode("ascii") + body
