"""The dashboard's files as they are served: all modules in two scripts, everything compressed and under a checksum."""

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
# Runs before the first paint, so it is not a module and stays a separate file.
_CLASSIC = "js/theme.js"


class Files(NamedTuple):
    """All files by path, compressed, and the checksum in their addresses."""

    packed: dict[str, bytes]
    version: str


@cache
def load() -> Files:
    """Read, concatenate and compress the page's files, once per process."""
    # Imported here: its patterns take a millisecond to compile, and most processes are never asked for the page.
    from service.dashboard.minifier import bundle, tight  # noqa: PLC0415

    texts = dict(_read(files("service").joinpath("dashboard")))
    modules = {path: texts.pop(path) for path in list(texts) if path.startswith("js/") and path != _CLASSIC}
    texts |= bundle(modules)
    texts["app.css"] = tight(texts["app.css"])
    texts["index.html"] = re.sub(r"\s*\n\s*", "\n", texts["index.html"])
    # Computed before the page names it, because a checksum cannot cover itself.
    version = sha256("".join(text for _, text in sorted(texts.items())).encode()).hexdigest()[:12]
    texts["index.html"] = texts["index.html"].replace("@VERSION@", version)
    return Files({path: pack(text.encode()) for path, text in texts.items()}, version)


def pack(body: bytes) -> bytes:
    """The body compressed, without a time, so that every process makes the same bytes."""
    return gzip.compress(body, 9, mtime=0)


def below(prefix: str, page: bytes) -> bytes:
    """The compressed page for a service that lies below a path: its links begin with that path."""
    return pack(gzip.decompress(page).replace(b'="/dashboard/', f'="{prefix}/dashboard/'.encode()))


def _read(folder: Traversable, prefix: str = "") -> list[tuple[str, str]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _read(entry, f"{prefix}{entry.name}/")
        elif PurePath(entry.name).suffix in MEDIA_TYPES:
            found.append((prefix + entry.name, entry.read_text("utf-8")))
    return found
