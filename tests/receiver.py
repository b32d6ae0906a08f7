"""A receiver of webhooks for tests: says what it is told to, and remembers what came."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from service.app import Service
from tests.listening import stop

TAKEN = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


class Received(msgspec.Struct, frozen=True):
    """One request; header names in lower case."""

    line: str
    headers: dict[str, str]
    body: str


class Receiver:
    """Answers each request with the next of `answers`, then with the last again; None never answers."""

    def __init__(self) -> None:
        self.answers: list[bytes | None] = [TAKEN]
        self.received: list[Received] = []
        self.connections = 0
        # Requests that a connection takes before it is closed.
        self.keeps_open = 1
        self.most_at_once = self._at_once = 0
        self.server_names: list[str | None] = []
        self.port = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            for _ in range(self.keeps_open):
                await self._answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            self._at_once -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in lines)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.received.append(Received(line, headers, body.decode()))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
            await writer.drain()

    def named(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        self.server_names.append(name)


@asynccontextmanager
async def receiving(*, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver on a free port of the loopback address."""
    receiver = Receiver()
    if tls is not None:
        tls.sni_callback = receiver.named  # type: ignore[assignment]
    server = await asyncio.start_server(receiver, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        await stop(server)
        await server.wait_closed()


def resolving(*addresses: str) -> Any:
    """A resolver that finds these addresses for every name."""

    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return resolve


async def deliver(service: Service) -> None:
    """One pass of its deliveries and the end of what that started."""
    await service.rules.webhooks.deliveries.work()
    while tasks := list(service.rules.webhooks.deliveries._busy.values()):
        await asyncio.gather(*tasks)
