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
# Longer than gateways keep idle connections, so that it is they who close them.
KEEP_ALIVE_SECONDS = 130
WORKER_START_SECONDS = 30.0
# After that a worker counts as hung. On a busy machine one that starts is silent for seconds.
WORKER_SILENCE_SECONDS = 15


def run(
    settings: Settings, listeners: list[socket.socket], certificate: Certificate | None, *, ready: Callable[[], None]
) -> None:
    """Serve until a signal ends it; `ready` is called once requests are answered.

    Raises SystemExit(1) when the service could not start: the reason is in the log then.
    """
    if settings.workers > 1:
        # Called as in metrics.py, which must not be imported before the variable below is set.
        with tempfile.TemporaryDirectory(prefix="token-service-metrics-") as folder:
            # Where the workers' counts meet; prometheus-client reads the variable when it is imported.
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
            workers = _Workers(_config(application, settings, certificate), listeners, ready)
            workers.run()
        started = workers.started
    else:
        make_without_collecting()
        # Only here: the parent of several workers never needs it.
        from service.app import create_app  # noqa: PLC0415

        server = _Server(_config(create_app, settings, certificate), ready)
        try:
            server.run(listeners)
        except SystemExit as leaving:
            # By a signal, also one that uvicorn has obeyed; or uvicorn's own way out of a start that failed.
            started = leaving.code == 0
        else:
            started = server.started
    if not started:
        raise SystemExit(1)


def _config(application: Callable[..., Any], settings: Settings, certificate: Certificate | None) -> Config:
    return Config(
        # The very object that makes the connections: it reads its files again with the accounts.
        partial(application, settings, on_reload=(certificate.read_again,) if certificate else ()),
        ssl_context_factory=certificate.context if certificate else None,
        factory=True,
        workers=settings.workers,
        loop="service.cli.serve.tls:Loop" if certificate else "uvloop",
        http="service.edge.protocol:EdgeProtocol",
        # No route speaks WebSocket, and to search for a library that does takes time at the start.
        ws="none",
        lifespan="on",
        interface="asgi3",
        # `logs.configure` has set logging up; uvicorn would replace it.
        log_config=None,
        # The application writes a line of its own, with the route and the outcome.
        access_log=False,
        server_header=False,
        # Which proxy is believed is decided by `TrustedProxies`, for the fast path as well.
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.drain_seconds,
    )


class _Server(Server):
    """One process that says when it is ready, and tells of a stop whoever comes behind it."""

    def __init__(self, config: Config, ready: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Also where there is no connection that would tell of it, but one that is being made, as by TLS.
        self.lifespan.state["deadlines"].drain()
        await super().shutdown(sockets)


class _Worker(Process):
    """One of several processes.

    uvicorn makes its server where it is first asked for: by the main thread, or by the one that tells the parent of it.
    On a busy machine each made one, and the parent was told for ever that the one which never began had not begun.
    """

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        """Make the server before that thread is there, and run it."""
        self._server = _Server(self.config)
        super().target(sockets)


class _Workers(Multiprocess):
    """Several processes behind one socket; ready when the first ones all are."""

    def __init__(self, config: Config, listeners: list[socket.socket], ready: Callable[[], None]) -> None:
        super().__init__(config, listeners)
        self._ready = ready
        self.started = False

    def _begin(self) -> _Worker:
        worker = _Worker(self.config, self.sockets)
        worker.start()
        return worker

    def init_processes(self) -> None:
        """One worker, and the others once it answers: what refuses its start would refuse theirs, too."""
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
        """Put another worker into the place of each that ended or hangs; one that could not start stops them all."""
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
        # One that took longer to begin, as on a busy machine, or ended and was replaced before it did.
        if not self.started and not self.should_exit.is_set():
            self._await_ready(1.0)

    def handle_ttin(self) -> None:
        """Begin one more, as the others are begun."""
        self.processes_num += 1
        self.processes.append(self._begin())

    def handle_signals(self) -> None:
        """Pass SIGHUP on: a worker reads its accounts again without leaving its connections."""
        super().handle_signals()
        # It stays held back in this process, so that each worker begins with it held back.
        if signal.SIGHUP in signal.sigpending():
            signal.sigwait({signal.SIGHUP})
            for process in self.processes:
                if process.pid is not None and process.process.is_alive():
                    os.kill(process.pid, signal.SIGHUP)


def application(settings: Settings, *, on_reload: tuple[Work, ...] = ()) -> Application:
    """The application, in a process that ends when its parent is gone: nobody else would end it then."""
    make_without_collecting()
    # The parent hands this function on and needs nothing of the service itself.
    from service.app import create_app  # noqa: PLC0415

    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    logs.configure(settings)
    try:
        return create_app(settings, on_reload=on_reload)
    except SettingsError as error:
        log.error("%s", error)
        # Tells the parent not to try again.
        sys.exit(STARTUP_FAILURE)


def make_without_collecting() -> None:
    """Collect no garbage until the lifespan begins: what is made at the start stays, and most of it are modules."""
    gc.disable()


def _end_with_parent() -> None:
    # A single process, and the parent itself, wait for nobody.
    from multiprocessing.connection import wait  # noqa: PLC0415

    parent = multiprocessing.parent_process()
    if parent is not None:
        # The sentinel of a process becomes ready when it has ended, however that came.
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
