"""uvicorn behind the listening sockets, in this process or in several, which get their settings as objects."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.server import Server
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from service import logs
from service.cli.serve.sockets import BACKLOG
from service.cli.serve.tls import Certificate
from service.settings import Settings, SettingsError

if TYPE_CHECKING:
    from service.api.http.application import Application
    from service.lifespan import Work

log = logging.getLogger("service")
# Longer than gateways keep idle connections, so that the gateways close them.
KEEP_ALIVE_SECONDS = 130
WORKER_START_SECONDS = 30.0
# After this time a worker counts as hung. On a busy machine a starting worker is silent for seconds.
WORKER_SILENCE_SECONDS = 15


def run(
    settings: Settings, listeners: list[socket.socket], certificate: Certificate | None, *, ready: Callable[[], None]
) -> None:
    """Serve until a signal; `ready` is called once requests are answered.

    Raises SystemExit(1) if the service could not start; the reason is then in the log.
    """
    if settings.workers > 1:
        # The same name as in metrics.py, which must not be imported before the variable below is set.
        with tempfile.TemporaryDirectory(prefix="token-service-metrics-") as folder:
            # Where the workers' counts meet; prometheus-client reads the variable when it is imported.
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
            workers = _Workers(_config(application, settings, certificate), listeners, ready)
            workers.run()
        started = workers.started
    else:
        make_without_collecting()
        # Imported here, because the parent of several workers never needs it.
        from service.app import create_app  # noqa: PLC0415

        server = _Server(_config(create_app, settings, certificate), ready)
        try:
            server.run(listeners)
        except SystemExit as leaving:
            # Ended by a signal, perhaps one that uvicorn handled; or by uvicorn after a failed start.
            started = leaving.code == 0
        else:
            started = server.started
    if not started:
        raise SystemExit(1)


def _config(application: Callable[..., Any], settings: Settings, certificate: Certificate | None) -> Config:
    return Config(
        # The same object that makes the TLS contexts: it reads its files again together with the accounts.
        partial(application, settings, on_reload=(certificate.read_again,) if certificate else ()),
        ssl_context_factory=certificate.context if certificate else None,
        factory=True,
        workers=settings.workers,
        loop="service.cli.serve.tls:Loop" if certificate else "uvloop",
        http="service.edge.protocol:EdgeProtocol",
        # No route uses WebSockets, and searching for a library delays the start.
        ws="none",
        lifespan="on",
        interface="asgi3",
        # `logs.configure` has set up logging, and uvicorn would replace it.
        log_config=None,
        # The application logs each request itself, with its route and outcome.
        access_log=False,
        server_header=False,
        # `TrustedProxies` decides which proxy is trusted, also for the fast path.
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.drain_seconds,
    )


class _Server(Server):
    """One process that reports when it is ready, and announces a stop to connections still being made."""

    def __init__(self, config: Config, ready: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Also for a stop without open connections, while one is being made, as by a TLS handshake.
        self.lifespan.state["deadlines"].drain()
        await super().shutdown(sockets)


class _Worker(Process):
    """One of several processes.

    uvicorn makes a worker's server on first access: in the main thread, or in the thread that reports to the parent.
    On a busy machine both made one, and the parent was told forever that the unused one had not started.
    """

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        """Make the server before that thread starts, and run it."""
        self._server = _Server(self.config)
        super().target(sockets)


class _Workers(Multiprocess):
    """Several processes behind one socket; ready when all the first ones are."""

    def __init__(self, config: Config, listeners: list[socket.socket], ready: Callable[[], None]) -> None:
        super().__init__(config, listeners)
        self._ready = ready
        self.started = False

    def _begin(self) -> _Worker:
        worker = _Worker(self.config, self.sockets)
        worker.start()
        return worker

    def init_processes(self) -> None:
        """Start one worker, and the others once it answers, because they would fail for the same reason."""
        first = self._begin()
        self.processes.append(first)
        first.wait_until_ready(WORKER_START_SECONDS)
        if first.exitcode != STARTUP_FAILURE:
            self.processes += [self._begin() for _ in range(self.processes_num - 1)]
            self._await_ready(WORKER_START_SECONDS)

    def _await_ready(self, seconds: float) -> None:
        self.started = all(process.wait_until_ready(seconds) for process in self.processes)
        if self.started:
            self._ready()

    def keep_subprocess_alive(self) -> None:
        """Replace each worker that ended or hangs. A worker that could not start stops all."""
        for place, worker in enumerate(self.processes):
            if self.should_exit.is_set() or worker.is_alive(WORKER_SILENCE_SECONDS):
                continue
            worker.kill()
            worker.join()
            if worker.exitcode == STARTUP_FAILURE:
                log.error("worker %d could not start, and so the service ends", worker.pid)
                self.should_exit.set()
            else:
                self.processes[place] = another = self._begin()
                status = worker.exitcode
                log.error("worker %d ended with status %s: %d takes its place", worker.pid, status, another.pid)
        # A worker that took longer to start, as on a busy machine, or that was replaced before it started.
        if not self.started and not self.should_exit.is_set():
            self._await_ready(1.0)

    def handle_ttin(self) -> None:
        """Start one more worker, in the same way as the others."""
        self.processes_num += 1
        self.processes.append(self._begin())

    def handle_signals(self) -> None:
        """Pass SIGHUP on, so that workers read their accounts again and keep their connections."""
        super().handle_signals()
        # It stays blocked in this process, so that each worker starts with it blocked.
        if signal.SIGHUP in signal.sigpending():
            signal.sigwait({signal.SIGHUP})
            for process in self.processes:
                if process.pid is not None and process.process.is_alive():
                    os.kill(process.pid, signal.SIGHUP)


def application(settings: Settings, *, on_reload: tuple[Work, ...] = ()) -> Application:
    """The application, in a process that ends when its parent is gone, because nobody else would end it then."""
    make_without_collecting()
    # Imported here: the parent passes this function on and needs nothing of the service itself.
    from service.app import create_app  # noqa: PLC0415

    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    logs.configure(settings)
    try:
        return create_app(settings, on_reload=on_reload)
    except SettingsError as error:
        log.error("%s", error)
        # This exit code tells the parent not to retry.
        sys.exit(STARTUP_FAILURE)


def make_without_collecting() -> None:
    """Disable garbage collection until the lifespan begins: objects of the start stay, and most belong to modules."""
    gc.disable()


def _end_with_parent() -> None:
    # Imported here: a single process, and the parent itself, wait for nobody.
    from multiprocessing.connection import wait  # noqa: PLC0415

    parent = multiprocessing.parent_process()
    if parent is not None:
        # The sentinel of a process becomes ready when the process has ended, in whatever way.
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
