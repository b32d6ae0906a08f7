"""Bytes to a listening service, and what comes back."""

import asyncio
import re

VARYING = re.compile(rb'date: [^\r]+|x-request-id: [0-9a-f]+-[0-9a-f]+|"request_id":"[0-9a-f]+-[0-9a-f]+"')
GOOD = b"GET /livez HTTP/1.1\r\nHost: a.test\r\n\r\n"
# Nothing here takes that long, but on a machine that does something else as well.
PATIENCE_SECONDS = 60


async def send(port: int, *pieces: bytes) -> bytes:
    """All that comes back until the server closes or has answered as much as it will; each piece in a packet."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await _write(writer, pieces)
    if writer.can_write_eof():
        writer.write_eof()
    async with asyncio.timeout(PATIENCE_SECONDS):
        got = await reader.read()
    writer.close()
    return got


async def until_closed(port: int, *pieces: bytes) -> bytes:
    """All answers to requests of which the last closes the connection, without what differs between any two."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await _write(writer, pieces)
    async with asyncio.timeout(PATIENCE_SECONDS):
        got = await reader.read()
    writer.close()
    return VARYING.sub(b"~", got)


async def first(port: int, *pieces: bytes) -> bytes:
    """The head of the first answer, on a connection that stays open; each piece in a packet."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await _write(writer, pieces)
    async with asyncio.timeout(PATIENCE_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return head


async def taken(port: int, beginning: bytes, again: bytes, *, most: int = 64_000_000) -> int:
    """How many bytes of `again` and again a connection takes before it ends."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(beginning)
    sent = 0
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not writer.transport.is_closing() and sent < most:
            writer.write(again)
            sent += len(again)
            try:
                await writer.drain()
            except ConnectionError:
                break
    writer.close()
    return sent


async def _write(writer: asyncio.StreamWriter, pieces: tuple[bytes, ...]) -> None:
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
