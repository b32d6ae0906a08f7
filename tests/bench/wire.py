"""A small asynchronous HTTP/1.1 client: one keep-alive connection, one request at a time."""

import asyncio
import json
from typing import Any, Self

from tests.bench.client import Answer
from tests.bench.servers import Server

ANSWER_SECONDS = 10


class Wire:
    """One connection. `ask` raises OSError, ValueError or TimeoutError where no well-formed answer comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, server: Server) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", server.port))

    async def ask(self, method: str, path: str, *, bearer: str = "", body: object = None) -> Answer:
        head = [f"{method} {path} HTTP/1.1", "Host: bench"]
        if bearer:
            head.append(f"Authorization: Bearer {bearer}")
        data = b""
        if body is not None:
            data = json.dumps(body).encode()
            head += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
        self.writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + data)
        async with asyncio.timeout(ANSWER_SECONDS):
            return await self._answer()

    async def _answer(self) -> Answer:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        raw = await self.reader.readexactly(int(headers["content-length"]))
        body: Any = json.loads(raw) if raw and "json" in headers.get("content-type", "") else None
        return Answer(int(first.split(" ", 2)[1]), headers, body)

    def close(self) -> None:
        self.writer.close()
