"""Bytes to a listening service, and what comes back."""

import asyncio
import re
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

VARYING = re.compile(rb'date: [^\r]+|x-request-id: [0-9a-f]+-[0-9a-f]+|"request_id":"[0-9a-f]+-[0-9a-f]+"')
METRICS = b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
GOOD = b"GET /livez HTTP/1.1\r\nHost: a.test\r\n\r\n"
# Nothing here takes that long, but on a machine that does something else as well.
PATIENCE_SECONDS = 60


@asynccontextmanager
async def asking(port: int, *pieces: bytes) -> AsyncIterator[tuple[StreamReader, StreamWriter]]:
    """A connection to which each piece has gone in a packet. What is done on it comes to an end or fails."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(PATIENCE_SECONDS):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        yield reader, writer
    writer.close()


async def send(port: int, *pieces: bytes) -> bytes:
    """All that comes back until the server closes or has answered as much as it will; each piece in a packet."""
    async with asking(port, *pieces) as (reader, writer):
        if writer.can_write_eof():
            writer.write_eof()
        return await reader.read()


async def until_closed(port: int, *pieces: bytes) -> bytes:
    """All answers to requests of which the last closes the connection, without what differs between any two."""
    async with asking(port, *pieces) as (reader, _):
        return VARYING.sub(b"~", await reader.read())


async def first(port: int, *pieces: bytes) -> bytes:
    """The head of the first answer, on a connection that stays open; each piece in a packet."""
    async with asking(port, *pieces) as (reader, _):
        return await reader.readuntil(b"\r\n\r\n")


async def taken(port: int, beginning: bytes, again: bytes, *, most: int = 64_000_000) -> int:
    """How many bytes of `again` and again a connection takes before it ends."""
    sent = 0
    async with asking(port, beginning) as (_, writer):
        while not writer.transport.is_closing() and sent < most:
            writer.write(again)
            sent += len(again)
            try:
                await writer.drain()
            except ConnectionError:
                break
    return sent
