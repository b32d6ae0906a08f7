"""The sockets that `serve` listens on: its own on addresses and paths, or those that systemd passes."""

import errno
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from service.addresses import bracketed, resolved_by
from service.cli.failure import Failure, failing
from service.settings import UNIX, Settings

log = logging.getLogger(__name__)
# uvicorn's own value; the kernel uses net.core.somaxconn if that is less.
BACKLOG = 2048
# The group may connect, so that a gateway's user can be added to it.
_SOCKET_MODE = 0o660
# SD_LISTEN_FDS_START of sd_listen_fds(3).
_FIRST_INHERITED = 3
_HINTS = {
    errno.EADDRINUSE: "end what listens there, or choose another port with --port or TOKENS_PORT",
    errno.EACCES: "choose a port above 1023 with --port or TOKENS_PORT",
    errno.EADDRNOTAVAIL: "choose an address of this machine with --host or TOKENS_HOST",
}


class Listeners(NamedTuple):
    """Listening sockets and their places: URLs and `unix:` paths. `port` is the first address's, 0 without one."""

    sockets: list[socket.socket]
    places: list[str]
    port: int

    @property
    def url(self) -> str:
        """The first address, which a browser can open; without one a place that a gateway must lead to."""
        return next((place for place in self.places if not place.startswith(UNIX)), self.places[0])


@contextmanager
def listening(settings: Settings) -> Iterator[Listeners]:
    """The sockets, made before anything else starts. Closed at the end, and own paths removed. Raises Failure."""
    with ExitStack() as held:
        sockets = inherited()
        if not sockets:
            port = settings.port
            for host in settings.hosts:
                if host.startswith(UNIX):
                    sockets.append(held.enter_context(_listening_at(Path(host.removeprefix(UNIX)))))
                else:
                    sockets.append(held.enter_context(listen(host, port)))
                    # With port 0 the first address gets any free port, and the others the same one.
                    port = sockets[-1].getsockname()[1]
        ports = [one.getsockname()[1] for one in sockets if one.family != socket.AF_UNIX]
        yield Listeners(sockets, [_place(settings, one) for one in sockets], ports[0] if ports else 0)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on one address. Raises Failure.

    An IPv6 address accepts only IPv6, because mapped IPv4 addresses would match no trusted proxy and no network.
    """
    with failing(OSError, f"cannot listen on {host}", "; choose another with --host or TOKENS_HOST"):
        name = resolved_by(host)
        family, *_, address = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    try:
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        hint = _HINTS.get(error.errno or 0, "choose others with --host and --port")
        raise Failure(f"cannot listen on {host} port {port}: {os.strerror(error.errno or 0)}; {hint}") from None


@contextmanager
def _listening_at(path: Path) -> Iterator[socket.socket]:
    with _bound(path) as listener:
        mine = path.stat().st_ino
        try:
            yield listener
        finally:
            # Unless another process has put its own socket there since.
            if path.exists() and path.stat().st_ino == mine:
                path.unlink()


def _bound(path: Path) -> socket.socket:
    """A listening unix socket. A leftover socket is replaced, one that a process answers at is not."""
    if answers_at(path):
        raise Failure(f"cannot listen at {path}: another process does; end that, or choose another TOKENS_HOST")
    if holds_no_socket(path):
        # `bind` would say that the address is in use.
        raise Failure(f"cannot listen at {path}: it is there and no socket; remove it, or choose another TOKENS_HOST")
    listener = socket.socket(socket.AF_UNIX)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(_SOCKET_MODE)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise Failure(f"cannot listen at {path}: {error.strerror or error}; choose another TOKENS_HOST") from None
    return listener


def answers_at(path: Path) -> bool:
    """True if a process listens on this unix socket; a leftover one refuses connections."""
    with socket.socket(socket.AF_UNIX) as probe:
        # Otherwise it would wait for a process that is too busy to accept.
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except OSError as error:
            # Busy, of another user, or a datagram socket, such as a service manager's.
            return error.errno in (errno.EAGAIN, errno.EPROTOTYPE) or (
                error.errno == errno.EACCES and os.path.lexists(path)
            )
    return True


def holds_no_socket(path: Path) -> bool:
    """True if this path has something other than a socket."""
    return os.path.lexists(path) and not path.is_socket()


def inherited() -> list[socket.socket]:
    """The sockets of systemd's socket activation (sd_listen_fds), none without it. Raises Failure.

    Removes the variables, because they are not for child processes.
    """
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    # A child may inherit the variables of a parent for which the sockets were meant.
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    found = []
    for descriptor in range(_FIRST_INHERITED, _FIRST_INHERITED + int(count)):
        try:
            found.append(socket.socket(fileno=descriptor))
            listens = found[-1].getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError:
            listens = 0
        if not listens:
            raise Failure(f"LISTEN_FDS={count}: descriptor {descriptor} is no stream socket that listens")
        # They are inheritable at first, and would stay open in all child processes.
        found[-1].set_inheritable(False)
    return found


@contextmanager
def service_manager() -> Iterator[Callable[[], None]]:
    """A function that notifies the service manager that requests are answered (sd_notify); no effect without one.

    Connects before anything starts, and raises Failure if the manager cannot be reached.
    """
    path = os.environ.pop("NOTIFY_SOCKET", "")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        if path:
            with failing(OSError, f"NOTIFY_SOCKET={path}", "; unset it if no service manager starts this"):
                # A leading @ means the NUL of the abstract namespace (sd_notify(3)).
                manager.connect(f"\0{path[1:]}" if path.startswith("@") else path)
        yield (lambda: _tell_ready(manager)) if path else (lambda: None)


def _tell_ready(manager: socket.socket) -> None:
    try:
        manager.send(b"READY=1")
    except OSError as error:
        # It was there at the start. Requests are answered without it.
        log.warning("the service manager cannot be told that requests are answered: %s", error.strerror)


def _place(settings: Settings, listener: socket.socket) -> str:
    if listener.family == socket.AF_UNIX:
        return f"{UNIX}{listener.getsockname()}"
    host, port, *_ = listener.getsockname()
    return f"{'https' if settings.tls_cert_file else 'http'}://{bracketed(host)}:{port}"
