"""The home directory of the user who runs this, in paths that begin with `~`."""

import os
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
