"""The session of `login`, in one file per service under XDG_STATE_HOME, with mode 0600."""

import hashlib
import json
import os
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from service.cli.failure import Failure, failing
from service.user_files import expanded, write_private


class Session(NamedTuple):
    """Who is signed in at which service; `expires_at` in epoch seconds."""

    url: str
    username: str
    token: str
    expires_at: int


def read(url: str) -> Session | None:
    """The session with this service, None without one. Only the service knows, by its clock, if it has expired."""
    path = _path(url)
    try:
        session = Session(**json.loads(path.read_text(encoding="utf-8") if path else ""))
    # A file that somebody edited is no session either: `login` writes a new one.
    except (OSError, ValueError, TypeError):
        return None
    # The file's name is part of a hash, so the address is compared as well.
    return session if session.url == url else None


def place_to_keep(url: str) -> Path:
    """The path for the file of a session, in a writable folder. Raises Failure.

    Checked before a sign-in, because a session that cannot be kept would stay open at the service.
    """
    path = _path(url)
    if path is None:
        raise Failure("cannot keep the session: this user has no home directory; set XDG_STATE_HOME")
    with _keeping(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    return path


def keep(session: Session, path: Path) -> None:
    """Replace an earlier session. Raises Failure."""
    with _keeping(path):
        write_private(path, json.dumps(session._asdict()))


def _keeping(path: Path) -> AbstractContextManager[None]:
    return failing(OSError, f"cannot keep the session in {path}", "; set XDG_STATE_HOME")


def forget(url: str) -> None:
    """Remove the session's file, if there is one. Raises Failure."""
    if (path := _path(url)) is not None:
        with failing(OSError, f"cannot remove {path}"):
            path.unlink(missing_ok=True)


def _path(url: str) -> Path | None:
    """The file of a session; None if this user has no home directory."""
    given = os.environ.get("XDG_STATE_HOME", "")
    # The XDG base directory specification says to ignore a relative path.
    try:
        state = Path(given) if given.startswith("/") else expanded("~/.local/state")
    except RuntimeError:
        return None
    # A URL has characters that a file name cannot have.
    return state / "token-service" / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.json"
