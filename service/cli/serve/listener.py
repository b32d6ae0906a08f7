"""The listening socket, and uvicorn behind it in this process or in several."""

import errno
import os
import signal
import socket
import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any

from uvicorn.config import Config
from uvicorn.server import Server
from uvicorn.supervisors import Multiprocess

from service.cli.failure import Failure
from service.cli.serve import worker
from service.settings import Settings

BACKLOG = 2048
# Longer than gateways keep idle connections, so that it is they who close them.
KEEP_ALIVE_SECONDS = 130
WORKER_START_SECONDS = 30.0
# After that a worker counts as hung. On a busy machine one that starts is silent for seconds.
WORKER_SILENCE_SECONDS = 15
_HINTS = {
    errno.EADDRINUSE: "end what listens there, or choose another port with --port or TOKENS_PORT",
    errno.EACCES: "choose a port above 1023 with --port or TOKENS_PORT",
    errno.EADDRNOTAVAIL: "choose an address of this machine with --host or TOKENS_HOST",
}


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens, before anything else starts. Raises Failure.

    An IPv6 address takes IPv6 alone: mapped IPv4 addresses would match no trusted proxy and no network.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise Failure(f"cannot listen on {host}: {error.strerror}; choose another with --host or TOKENS_HOST") from None
    family, kind, protocol, _, address = found
    listener = socket.socket(family, kind, protocol)
    try:
        # Else a restart would be refused while connections of the process before it are in TIME_WAIT.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        hint = _HINTS.get(error.errno or 0, "choose others with --host and --port")
        raise Failure(f"cannot listen on {host} port {port}: {error.strerror}; {hint}") from None
    return listener


def run(settings: Settings, listener: socket.socket, *, ready: Callable[[], None]) -> None:
    """Serve until a signal ends it; `ready` is called once requests are answered.

    Raises SystemExit(1) when the service could not start: the reason is in the log then.
    """
    if settings.workers > 1:
        with tempfile.TemporaryDirectory(prefix="token-service-metrics-") as folder:
            # Where the workers' counts meet; prometheus-client reads the variable when it is imported.
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
            workers = _Workers(_config(worker.application, settings), listener, ready)
            workers.run()
        started = workers.started
    else:
        # Only here: the parent of several workers never needs it.
        from service.app import create_app  # noqa: PLC0415

        server = _Server(_config(create_app, settings), ready)
        try:
            server.run([listener])
        except SystemExit:
            # uvicorn's own way out of a start that failed; it has its own code for it.
            started = False
        else:
            started = server.started
    if not started:
        raise SystemExit(1)


def _config(application: Callable[[Settings], Any], settings: Settings) -> Config:
    return Config(
        partial(application, settings),
        factory=True,
        workers=settings.workers,
        http="service.edge.protocol:EdgeProtocol",
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        # Which proxy is believed is decided by `TrustedProxies`, for the fast path as well.
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.drain_seconds,
        timeout_worker_healthcheck=WORKER_SILENCE_SECONDS,
    )


class _Server(Server):
    """One process that says when it is ready."""

    def __init__(self, config: Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


class _Workers(Multiprocess):
    """Several processes behind one socket; ready when the first ones all are."""

    def __init__(self, config: Config, listener: socket.socket, ready: Callable[[], None]) -> None:
        super().__init__(config, [listener])
        self._ready = ready
        self.started = False

    def init_processes(self) -> None:
        super().init_processes()
        self.started = all(process.wait_until_ready(WORKER_START_SECONDS) for process in self.processes)
        if self.started:
            self._ready()

    def handle_hup(self) -> None:
        """Pass it on: a worker reads its accounts again without leaving its connections."""
        for process in self.processes:
            if process.pid is not None and process.process.is_alive():
                os.kill(process.pid, signal.SIGHUP)
