"""Many requests at once over a few connections, in order: neighbours in the list are in flight together."""

import asyncio
from collections.abc import Iterator, Sequence

import msgspec


class Reply(msgspec.Struct, frozen=True):
    """One answer; `process` is the start of its request id, which is another one in each process."""

    status: int
    body: bytes
    process: bytes


class _Line(asyncio.Protocol):
    """One connection: sends the next request when the last one is answered, and dials again when it is told to."""

    def __init__(self, port: int, waiting: Iterator[tuple[int, bytes]], replies: list[Reply | None]) -> None:
        self._port = port
        self._waiting = waiting
        self._replies = replies
        self._buffer = bytearray()
        self._index = -1
        self._transport: asyncio.Transport | None = None
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def dial(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def _next(self) -> None:
        assert self._transport is not None
        found = next(self._waiting, None)
        if found is None:
            self._transport.close()
            return
        self._index, request = found
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if not separator:
            return
        lines = head.split(b"\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in lines[1:])
        size = int(headers.get(b"content-length", b"0"))
        if len(rest) < size:
            return
        process = headers.get(b"x-request-id", b"").partition(b"-")[0]
        self._replies[self._index] = Reply(int(lines[0].split(b" ")[1]), rest[:size], process)
        self._index = -1
        self._buffer.clear()
        if headers.get(b"connection") == b"close":
            assert self._transport is not None
            self._transport.close()
            self._transport = None
        else:
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._buffer.clear()
        if not self.finished.done():
            self.finished.set_result(None)


async def volley(
    port: int, requests: Sequence[bytes], *, connections: int = 64, seconds: float = 180.0
) -> list[Reply | None]:
    """The replies in the order of the requests; None where the connection ended before the answer.

    A connection that ends is dialled again as long as there is something to ask.
    """
    replies: list[Reply | None] = [None] * len(requests)
    waiting = iter(enumerate(requests))
    left = len(requests)

    async def keep_asking() -> None:
        nonlocal left
        while left > 0:
            line = _Line(port, counted(), replies)
            await line.dial()
            await line.finished

    def counted() -> Iterator[tuple[int, bytes]]:
        nonlocal left
        for found in waiting:
            left -= 1
            yield found

    async with asyncio.timeout(seconds):
        await asyncio.gather(*[keep_asking() for _ in range(min(connections, len(requests)))])
    return replies


def get(path: str, secret: str, *headers: str) -> bytes:
    """A GET with a credential."""
    lines = "".join(f"{header}\r\n" for header in (f"Authorization: Bearer {secret}", *headers))
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode()


def post(path: str, body: bytes, *headers: str) -> bytes:
    """A POST of JSON."""
    lines = "".join(f"{header}\r\n" for header in ("Content-Type: application/json", *headers))
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def consume(secret: str, *headers: str) -> bytes:
    """The consumption of a one-time token."""
    return post("/api/one-time-tokens/consume", b'{"token":"%s"}' % secret.encode(), *headers)
