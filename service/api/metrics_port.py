"""A separate port for /metrics, so that the service's clients cannot reach it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from itertools import count
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.addresses import resolved_by
from service.errors import StartRefused
from service.settings import UNIX

if TYPE_CHECKING:
    from starlette.types import ASGIApp

log = logging.getLogger(__name__)
# A scrape takes milliseconds, and a scraper that does not read its answer must not delay the end of a process.
_STOP_SECONDS = 1
# Prometheus waits this long for an answer by default.
_SECONDS = 10.0
# Fewer than the file descriptors that the service's own port leaves free.
_CONNECTIONS = 16
_BYTES = 16 * 1024
_NUMBERS = count()


class _OneRequest(HttpToolsProtocol):
    """A connection for one request, bounded in time and bytes whatever its client does: uvicorn has no such bounds."""

    _ends: asyncio.TimerHandle
    _received = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.number = next(_NUMBERS)
        self._ends = self.loop.call_later(_SECONDS, transport.abort)
        there: list[Any] = [each for each in self.connections if not each.transport.is_closing()]
        if len(there) > _CONNECTIONS:
            # Close the oldest: a client that holds connections open must not lock out a scraper.
            min(there, key=attrgetter("number")).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ends.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > _BYTES:
            self.transport.abort()
        else:
            super().data_received(data)

    def on_headers_complete(self) -> None:
        asked: Any = self.cycle
        if asked is None:
            super().on_headers_complete()
        else:
            self.transport.abort()


class _Listener(uvicorn.Server):
    """A second server in the process. It leaves signals to the first."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class MetricsPort:
    """Serves one application on the metrics port. All workers share the port, and each answers for all of them."""

    def __init__(self, app: ASGIApp, hosts: list[str], port: int) -> None:
        """`hosts`: the addresses to listen on, as `TOKENS_HOST` lists them."""
        # Without a lifespan: the first server runs it, and its background tasks must not start twice.
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            http=_OneRequest,
            headers=[("connection", "close")],
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
        self._server = _Listener(config)
        self._hosts = hosts
        self._port = port
        self._task: asyncio.Task[None]

    def start(self) -> None:
        """Bind and serve. Raises StartRefused if another program has the port."""
        listeners = bound(self._hosts, self._port)
        # From here on connections queue until the server has started.
        self._task = asyncio.create_task(self._server.serve(sockets=listeners), name="metrics-port")
        log.info("metrics on port %d", self._port)

    async def stop(self) -> None:
        self._server.should_exit = True
        await self._task


def bound(hosts: list[str], port: int) -> list[socket.socket]:
    """Sockets on the IP addresses among `hosts`, else on 127.0.0.1. Raises StartRefused, and then none stays bound."""
    addresses = [host for host in hosts if not host.startswith(UNIX)] or ["127.0.0.1"]
    with contextlib.ExitStack() as held:
        listeners = [held.enter_context(_listener(address, port)) for address in addresses]
        held.pop_all()
    return listeners


def _listener(host: str, port: int) -> socket.socket:
    try:
        name = resolved_by(host)
        family, *_, address = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # `create_server` makes an IPv6 socket accept IPv6 only, so IPv4 addresses may be listed beside `::`.
        return socket.create_server(address, family=family, reuse_port=True)
    except OSError as error:
        # Not its `strerror`: `create_server` adds the address to it, which this message names already.
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise StartRefused(
            f"cannot listen on {host} port {port} for metrics: {reason}; choose another port with TOKENS_METRICS_PORT"
        ) from None
