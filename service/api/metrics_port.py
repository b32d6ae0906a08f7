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

    def __init__(self, app: ASGIApp, hosts: list[str], port: int) -> None:
        """`hosts`: the addresses of this machine on which the port is, as `TOKENS_HOST` names them."""
        # Without a lifespan, which is the first server's: all that runs beside it would be started twice.
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, lifespan="off", ws="none", http="httptools"
        )
        self._server = _Listener(config)
        self._hosts = hosts
        self._port = port
        self._task: asyncio.Task[None]

    def start(self) -> None:
        """Bind and serve. Raises StartRefused for a port that another program has."""
        with contextlib.ExitStack() as held:
            # All or none: where one cannot be bound, the stack closes those before it.
            listeners = [held.enter_context(self._listen(host)) for host in self._hosts]
            held.pop_all()
        # From here on connections wait for the server, which starts in its own time.
        self._task = asyncio.create_task(self._server.serve(sockets=listeners), name="metrics-port")
        log.info("metrics on port %d", self._port)

    def _listen(self, host: str) -> socket.socket:
        with contextlib.ExitStack() as held:
            try:
                found = socket.getaddrinfo(host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
                family, kind, number, _, address = found[0]
                listener = held.enter_context(socket.socket(family, kind, number))
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                if family == socket.AF_INET6:
                    # Else `::` would take the IPv4 addresses, too, which may be listed beside it.
                    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                listener.bind(address)
                listener.listen()
            except OSError as error:
                raise StartRefused(
                    f"cannot listen on {host} port {self._port} for metrics: {error.strerror}; "
                    "choose another port with TOKENS_METRICS_PORT"
                ) from None
            held.pop_all()
            return listener

    async def stop(self) -> None:
        """Close the port, once it was started."""
        self._server.should_exit = True
        await self._task
