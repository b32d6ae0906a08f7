"""A port of its own for /metrics, for who will not show it to the service's clients."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

log = logging.getLogger(__name__)


class _Listener(uvicorn.Server):
    """A second server in the process: signals belong to the first."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class MetricsPort:
    """Serves one application on the metrics port; every worker shares the port and answers for all of them."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, lifespan="off", ws="none", http="httptools"
        )
        self._server = _Listener(config)
        self._host = host
        self._port = port
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Bind and serve. Raises OSError for a port that another program has."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((self._host, self._port))
        # From here on connections wait for the server, which starts in its own time.
        listener.listen()
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="metrics-port")
        log.info("metrics on port %d", self._port)

    async def stop(self) -> None:
        """Close the port."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
