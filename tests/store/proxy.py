"""A TCP proxy before Redis that breaks what passes: slow, silent, refused, reset, cut short, swallowed."""

import asyncio
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.listening import stop


class FaultProxy:
    """`async with FaultProxy(socket_path) as proxy`, then `proxy.url`. Its attributes are the faults in force."""

    def __init__(self, socket_path: str) -> None:
        self.delay_seconds = 0.0
        self.silent = False  # takes what comes and passes nothing on, either way
        # Replies for which this holds are executed but never passed on; then the connection is reset.
        self.swallows: Callable[[bytes], bool] = lambda reply: False
        self.cut: int | None = None  # the next reply is passed on up to here, then the connection is reset
        self.garbage = b""  # sent once instead of the next reply
        self.passed = 0  # chunks of requests passed on
        self.loop: asyncio.AbstractEventLoop  # whoever calls a method from another thread does so by this
        self._socket_path = socket_path
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    async def __aenter__(self) -> Self:
        self.loop = asyncio.get_running_loop()
        await self.listen()
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def listen(self) -> None:
        """Accept connections, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Stop listening and reset what is open."""
        if self._server is not None:
            await stop(self._server)
            self._server = None
        self.reset()

    def reset(self) -> None:
        """Reset every open connection."""
        for writer in list(self._writers):
            _reset(writer)

    def say(self, data: bytes) -> None:
        """Send every client what it did not ask for."""
        for writer in self._clients:
            writer.write(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        upstream = None
        try:
            upstream_reader, upstream = await asyncio.open_unix_connection(self._socket_path)
            self._writers.add(upstream)
            self._clients.add(writer)
            await asyncio.gather(self._requests(reader, upstream), self._replies(upstream_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for one in (writer, upstream):
                if one is not None:
                    _reset(one)
                    self._writers.discard(one)
            self._clients.discard(writer)
            self._tasks.discard(task)

    async def _requests(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            if not self.silent:
                self.passed += 1
                upstream.write(chunk)
        raise ConnectionResetError

    async def _replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            await asyncio.sleep(self.delay_seconds)
            if self.silent:
                continue
            if self.swallows(chunk):
                raise ConnectionResetError
            if self.cut is not None:
                writer.write(chunk[: self.cut])
                self.cut = None
                await writer.drain()
                raise ConnectionResetError
            chunk, self.garbage = self.garbage or chunk, b""
            writer.write(chunk)
        raise ConnectionResetError


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST, as a crashed peer does."""
    raw: socket.socket | None = writer.get_extra_info("socket")
    if raw is not None and raw.family == socket.AF_INET and raw.fileno() >= 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    writer.transport.abort()
