"""A port of its own for /metrics, so that the service's clients do not see it."""

import asyncio
import contextlib
import logging
import os
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
        try:
            found = socket.getaddrinfo(host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, *_, address = found[0]
            # An IPv6 address takes IPv6 alone by that, so that IPv4 addresses may be listed beside `::`.
            return socket.create_server(address, family=family, reuse_port=True)
        except OSError as error:
            # Not its `strerror`, behind which `create_server` puts the address that is named here already.
            reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
            raise StartRefused(
                f"cannot listen on {host} port {self._port} for metrics: {reason}; "
                "choose another port with TOKENS_METRICS_PORT"
            ) from None

    async def stop(self) -> None:
        """Close the port, once it was started."""
        self._server.should_exit = True
        await self._task
