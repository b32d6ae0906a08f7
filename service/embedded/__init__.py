"""The managed Redis of a machine without one: start or share it, wait until it answers, end it.

`prerequisites` checks what a server needs before it starts, `child` runs the process, `data_note` records that there is
data. No client library and no event loop here, because `serve` waits for this before it imports anything large.
"""

import fcntl
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from service.embedded.child import Child
from service.embedded.data_note import has_data, refuse_lost_data
from service.embedded.prerequisites import (
    EmbeddedError,
    Server,
    find_server,
    private_folder,
    refuse_older_server,
    server_key,
    socket_path_of,
)

__all__ = ["EmbeddedError", "EmbeddedRedis", "start"]

READY_SECONDS = 10.0
LOCK_NAME = "redis.lock"


class EmbeddedRedis(NamedTuple):
    """The running server of a data directory: owned by this process (`owner`), or shared with its owner.

    `url`: unix://<percent-encoded socket path>. `secret_key`: 64 hex digits. `close` ends an owned server and flushes
    everything written; a shared server keeps running.
    """

    url: str
    secret_key: str
    owner: bool
    close: Callable[[], None]


def start(
    data_dir: Path,
    *,
    redis_bin: str = "",
    group_may_write: bool = False,
    say: Callable[[str], None],
    lost: Callable[[str], None],
) -> EmbeddedRedis:
    """Start the server of `data_dir`, or share the one that another process runs there.

    The server holds the directory's lock as long as it lives, so exactly one of several concurrent starts owns it.
    `say` gets one line now; `lost` gets one line, from another thread, if the server ends before close(). Blocks until
    the server answers. Raises EmbeddedError.
    """
    # Without a data directory there is no server to share. Then a missing program is reported before anything is made.
    server = None if os.path.lexists(data_dir) else find_server(redis_bin)
    folder = private_folder(data_dir, group_may_write=group_may_write)
    lock = _open_lock(folder)
    try:
        if not _take(lock) and _answers(lambda: _owner(lock)[1], gone=lambda: _take(lock)):
            return _share(folder, _owner(lock), say, lost)
        if not _take(lock):
            raise EmbeddedError(
                f"the Redis in {folder} does not answer: end process {_owner(lock)[0]}, or name another TOKENS_DATA_DIR"
            )
        return _own(folder, lock, server or find_server(redis_bin), say=say, lost=lost)
    # The server inherits the open file, and so keeps the lock, until it ends.
    finally:
        os.close(lock)


def _own(
    folder: Path, lock: int, server: Server, *, say: Callable[[str], None], lost: Callable[[str], None]
) -> EmbeddedRedis:
    refuse_older_server(server, folder)
    refuse_lost_data(folder)
    # Checked before the server runs, because data under a lost key must not be served.
    secret_key = server_key(folder)
    socket_path = socket_path_of(folder)
    # Written before the server answers: processes that share the server read here whom to ask.
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode() + os.fsencode(socket_path), 0)
    except OSError as error:
        raise _not_writable(folder, error) from error
    began_before = has_data(folder)
    child = Child(server.path, socket_path, folder=folder, lock=lock)
    try:
        if started := _answers(lambda: socket_path, gone=child.ended.is_set):
            # Redis ignores a file that was cut inside its first change, and then starts empty.
            refuse_lost_data(folder, is_empty=_ask(socket_path, b"DBSIZE").startswith(b":0\r"))
            if began_before and not server.mends_its_file:
                _rewrite(socket_path, gone=child.ended.is_set)
            child.report(lost)
        # Checked after `report`, because an end before that was not reported.
        if not started or child.ended.is_set():
            raise EmbeddedError(f"{server.name} did not start in {folder}: {child.last_words()}")
    except BaseException:  # Ctrl-C too: an unfinished start leaves nothing running
        child.end()
        raise
    say(f"{server.name} runs in {folder}")
    return EmbeddedRedis(f"unix://{quote(socket_path)}", secret_key, owner=True, close=child.end)


def _share(
    folder: Path, owner: tuple[str, str], say: Callable[[str], None], lost: Callable[[str], None]
) -> EmbeddedRedis:
    process_id, socket_path = owner
    closed = threading.Event()

    def tell() -> None:
        with (folder / LOCK_NAME).open("rb") as watched:
            fcntl.flock(watched, fcntl.LOCK_SH)  # granted when the server is gone
        if not closed.is_set():
            lost(f"the Redis of process {process_id} has ended, and this service with it: its next start makes its own")

    say(f"sharing the Redis in {folder}, which ends with process {process_id}")
    # A daemon thread, because the server may never end while this process must be able to.
    threading.Thread(target=tell, name="shared-redis", daemon=True).start()
    return EmbeddedRedis(f"unix://{quote(socket_path)}", server_key(folder), owner=False, close=closed.set)


def _open_lock(folder: Path) -> int:
    try:
        return os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _not_writable(folder, error) from error


def _not_writable(folder: Path, error: OSError) -> EmbeddedError:
    return EmbeddedError(f"cannot write in the data directory {folder}: {error.strerror}; name another TOKENS_DATA_DIR")


def _take(lock: int) -> bool:
    """Take the lock if it is free; True also if this process has it already."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(lock: int) -> tuple[str, str]:
    """The owner's process id and socket path from the lock file; empty strings before they are written."""
    owner, _, path = os.pread(lock, 8192, 0).partition(b"\n")
    return owner.decode("ascii", "replace"), os.fsdecode(path)


def _answers(socket_path: Callable[[], str], *, gone: Callable[[], bool]) -> bool:
    """True once the server answers PING; False when it has ended, or is silent for READY_SECONDS.

    A server that answers LOADING is given as much time as its data needs.
    """
    deadline = time.monotonic() + READY_SECONDS
    while not gone() and time.monotonic() < deadline:
        reply = _ask(socket_path(), b"PING")
        if reply.startswith(b"+PONG"):
            return True
        if reply.startswith(b"-LOADING"):
            # It is alive and loading, perhaps a lot of data.
            deadline = time.monotonic() + READY_SECONDS
        time.sleep(0.005)
    return False


def _rewrite(socket_path: str, *, gone: Callable[[], bool]) -> None:
    """Rewrite the append-only file from the loaded data, so that nothing is appended after a torn end."""
    _ask(socket_path, b"BGREWRITEAOF")
    # The reply to BGREWRITEAOF says only that the rewrite has begun.
    while not gone() and b"aof_rewrite_in_progress:1" in _ask(socket_path, b"INFO persistence"):
        time.sleep(0.005)


def _ask(socket_path: str, command: bytes) -> bytes:
    """The first bytes of the reply; empty without a reply within a second."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(socket_path)
            probe.sendall(command + b"\r\n")
            return probe.recv(8192)
        except OSError:
            return b""
