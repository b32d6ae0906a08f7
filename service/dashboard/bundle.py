"""The dashboard's files as they are served: its modules as one script, all compressed once, under a checksum.

Forty small modules compressed one by one weigh half as much again as together, and take as many requests.
"""

from __future__ import annotations

import gzip
import re
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

_MEDIA_TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
_MAIN = "js/main.js"
# Runs before the first paint, so it is no module and stays alone.
_CLASSIC = "js/theme.js"
_IMPORT = re.compile(r'^import .* from "\./(.+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let)\b)", re.MULTILINE)
# Comments that have their lines to themselves.
_COMMENT = re.compile(r"^[ \t]*(?://.*|/\*(?s:.*?)\*/)\n", re.MULTILINE)
_STYLE_SIGN = re.compile(r"\s*([{}:;,])\s+")
# Not where a comment shares the line, which ends it.
_GOES_ON = re.compile(r"^((?!.*//).*[{(\[,;])\n", re.MULTILINE)
# No text that is shown has one of these between spaces; a test reads them all.
_OPERATOR = re.compile(r" (=|=>|===|!==|&&|\|\|) ")
_INDENT = re.compile(r"^\s+", re.MULTILINE)


class Asset(NamedTuple):
    """One file: as it is, compressed, and what it is."""

    body: bytes
    packed: bytes
    media_type: bytes


class Files(NamedTuple):
    """All files by their path, and the checksum that their addresses carry."""

    assets: dict[str, Asset]
    version: str


@cache
def load() -> Files:
    """Read, concatenate and compress the page's files, once in a process."""
    sources = dict(_read(files("service").joinpath("dashboard")))
    scripts = {path: body.decode() for path, body in sources.items() if path.startswith("js/") and path != _CLASSIC}
    for path in scripts:
        del sources[path]
    if _MAIN in scripts:
        sources[_MAIN] = concatenated(scripts).encode()
    if "app.css" in sources:
        sources["app.css"] = tight(_lighter(sources["app.css"].decode())).encode()
    if "index.html" in sources:
        sources["index.html"] = _lighter(sources["index.html"].decode()).encode()
    version = sha256(b"".join(body for _, body in sorted(sources.items()))).hexdigest()[:12]
    if "index.html" in sources:
        sources["index.html"] = sources["index.html"].replace(b"@VERSION@", version.encode())
    assets = {
        path: Asset(body, gzip.compress(body, 9, mtime=0), _MEDIA_TYPES["." + path.rpartition(".")[2]])
        for path, body in sources.items()
    }
    return Files(assets, version)


def concatenated(scripts: dict[str, str]) -> str:
    """One module of all that the main one imports, each behind what it needs itself; no name means two things."""
    order: list[str] = []

    def visit(path: str) -> None:
        if path in order or path in visiting:
            return
        visiting.add(path)
        for name in _IMPORT.findall(scripts[path]):
            visit(f"js/{name}")
        order.append(path)

    visiting: set[str] = set()
    visit(_MAIN)
    return "".join(_lighter(_EXPORT.sub("", _IMPORT.sub("", scripts[path]))) for path in order)


def _lighter(text: str) -> str:
    """Without what is for whoever reads the files: comments, indentation, the end of a line that
    goes on and the space around operators.

    Text over several lines stays whole. A file that has some puts no text into another.
    """
    if not any(line.count("`") % 2 for line in text.splitlines()):
        return _without_layout(text)
    parts = text.split("`")
    parts[::2] = map(_without_layout, parts[::2])
    return "`".join(parts)


def _without_layout(code: str) -> str:
    return _OPERATOR.sub(r"\1", _GOES_ON.sub(r"\1", _INDENT.sub("", _COMMENT.sub("", code))))


def tight(style: str) -> str:
    """Without the space around signs that need none. One before a colon stays: there it means a descendant."""
    return _STYLE_SIGN.sub(r"\1", style)


def _read(folder: Traversable, prefix: str = "") -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _read(entry, f"{prefix}{entry.name}/")
        elif "." + entry.name.rpartition(".")[2] in _MEDIA_TYPES:
            found.append((prefix + entry.name, entry.read_bytes()))
    return found
