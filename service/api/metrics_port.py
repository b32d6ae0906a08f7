"""A port of its own for /metrics, so that the service's clients do not see it."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from service.api.http.application import StartRefused

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
        self._task: asyncio.Task[None]

    def start(self) -> None:
        """Bind and serve. Raises StartRefused for a port that another program has."""
        # From here on connections wait for the server, which starts in its own time.
        listener = self._listen()
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="metrics-port")
        log.info("metrics on port %d", self._port)

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind((self._host, self._port))
            listener.listen()
        except OSError as error:
            listener.close()
            raise StartRefused(
                f"cannot listen on {self._host} port {self._port} for metrics: {error.strerror}; "
                "choose another port with TOKENS_METRICS_PORT"
            ) from None
        return listener

    async def stop(self) -> None:
        """Close the port, once it was started."""
        self._server.should_exit = True
        await self._task
