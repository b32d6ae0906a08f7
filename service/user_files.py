"""Files of the user who runs this: below `~`, and those that are nobody else's business, written whole or not."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from errno import EINVAL
from pathlib import Path


def expanded(path: str) -> Path:
    """A path with `~` resolved. Raises RuntimeError where this user has no home directory.

    An empty HOME is none: it would put files into the root of the machine, a relative one into any folder.
    """
    whole = Path(path).expanduser()
    # `expanduser` takes HOME as it is, empty or relative.
    if path.startswith("~") and not (whole.is_absolute() and os.environ.get("HOME", "/")):
        raise RuntimeError("this user has no home directory")
    return whole


def is_missing(path: Path) -> bool:
    """Is nothing of this name there, not even a link? No where that cannot be seen: whoever opens it is told why."""
    # Not `exists`, which raises in somebody else's directory, or from Python 3.14 on takes what is there for missing.
    try:
        path.lstat()
    except OSError as error:
        return isinstance(error, FileNotFoundError)
    return False


def write_private(path: Path, content: str | Iterable[bytes]) -> None:
    """Put this in the place of the file. Raises OSError, and what the pieces raise; then the file is as it was.

    Root leaves a file to the owner it had, or to the directory's: a service that runs as that user reads it.
    """
    # A link stays one: what it leads to is replaced.
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise OSError(EINVAL, "it is no file", str(path))
    with _draft(path, content) as draft:
        draft.replace(path)


def make_private(path: Path, content: str | Iterable[bytes]) -> bool:
    """The same for a file that is not there yet; False, and nothing done, if another process was faster."""
    with _draft(path, content) as draft:
        try:
            # A link is refused where the name is taken; a rename would replace the file of a faster process.
            path.hardlink_to(draft)
        except FileExistsError:
            return False
    return True


@contextmanager
def _draft(path: Path, content: str | Iterable[bytes]) -> Iterator[Path]:
    """A file beside `path` with this content, at mode 0600 as mkstemp makes it; gone afterwards, unless renamed."""
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
            # Before the name is given: after a power cut the file is whole or the old one.
            os.fsync(handle)
        yield draft
    finally:
        draft.unlink(missing_ok=True)
