"""The dashboard's files as they are served: two scripts of all modules, everything compressed, under a checksum."""

import gzip
import re
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePath
from typing import NamedTuple

MEDIA_TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
# Runs before the first paint, so it is no module and stays alone.
_CLASSIC = "js/theme.js"


class Files(NamedTuple):
    """All files by their path, compressed, and the checksum that their addresses carry."""

    packed: dict[str, bytes]
    version: str


@cache
def load() -> Files:
    """Read, concatenate and compress the page's files, once in a process."""
    # Patterns that take a millisecond to compile, and most processes are never asked for the page.
    from service.dashboard.minifier import bundle, tight  # noqa: PLC0415

    texts = dict(_read(files("service").joinpath("dashboard")))
    modules = {path: texts.pop(path) for path in list(texts) if path.startswith("js/") and path != _CLASSIC}
    texts |= bundle(modules)
    texts["app.css"] = tight(texts["app.css"])
    texts["index.html"] = re.sub(r"\s*\n\s*", "\n", texts["index.html"])
    # Before the page names it: a checksum cannot be over itself.
    version = sha256("".join(text for _, text in sorted(texts.items())).encode()).hexdigest()[:12]
    texts["index.html"] = texts["index.html"].replace("@VERSION@", version)
    return Files({path: pack(text.encode()) for path, text in texts.items()}, version)


def pack(body: bytes) -> bytes:
    """Compressed; without the time, so that every process makes the same bytes."""
    return gzip.compress(body, 9, mtime=0)


def below(prefix: str, page: bytes) -> bytes:
    """The page, compressed, where the service lies below a path, which its links then begin with."""
    return pack(gzip.decompress(page).replace(b'="/dashboard/', f'="{prefix}/dashboard/'.encode()))


def _read(folder: Traversable, prefix: str = "") -> list[tuple[str, str]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _read(entry, f"{prefix}{entry.name}/")
        elif PurePath(entry.name).suffix in MEDIA_TYPES:
            found.append((prefix + entry.name, entry.read_text("utf-8")))
    return found
