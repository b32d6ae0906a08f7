"""Files of the user who runs the service: paths below `~`, and private files, written atomically."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from errno import EINVAL
from pathlib import Path


def expanded(path: str) -> Path:
    """A path with `~` resolved. Raises RuntimeError if this user has no home directory.

    An empty or relative HOME counts as none: files would go into the root directory, or into any working directory.
    """
    whole = Path(path).expanduser()
    # `expanduser` uses HOME as it is, even empty or relative.
    if path.startswith("~") and not (whole.is_absolute() and os.environ.get("HOME", "/")):
        raise RuntimeError("this user has no home directory")
    return whole


def is_missing(path: Path) -> bool:
    """True if no file or link has this name. False if that cannot be seen: whoever opens the path gets the reason."""
    # Not `exists`: in another user's directory it raises, and from Python 3.14 on reports an existing file as missing.
    try:
        path.lstat()
    except OSError as error:
        return isinstance(error, FileNotFoundError)
    return False


def write_private(path: Path, content: str | Iterable[bytes]) -> None:
    """Replace the file's content. Raises OSError, and what the pieces raise; then the file is unchanged.

    When root writes, the file keeps its owner, or gets the directory's, so that a service of that user can read it.
    """
    # A link stays: the file that it leads to is replaced.
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise OSError(EINVAL, "it is no file", str(path))
    with _draft(path, content) as draft:
        draft.replace(path)


def make_private(path: Path, content: str | Iterable[bytes]) -> bool:
    """Write a file that must not exist yet. False, and no change, if another process was faster."""
    with _draft(path, content) as draft:
        try:
            # A hard link fails if the name is taken; a rename would replace the file of a faster process.
            path.hardlink_to(draft)
        except FileExistsError:
            return False
    return True


@contextmanager
def _draft(path: Path, content: str | Iterable[bytes]) -> Iterator[Path]:
    """A file beside `path` with this content, of mode 0600 as mkstemp makes it; removed afterwards, unless renamed."""
    # In the same directory, because a rename does not cross file systems.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            if os.geteuid() == 0:
                owner = (path if path.exists() else path.parent).stat()
                os.fchown(handle, owner.st_uid, owner.st_gid)
            file.writelines([content.encode()] if isinstance(content, str) else content)
            file.flush()
            # Before the rename, so that after a power failure the file is either complete or the old one.
            os.fsync(handle)
        yield draft
    finally:
        draft.unlink(missing_ok=True)
