"""The dashboard's files as they are served: two scripts of all modules, everything compressed, under a checksum.

Small modules compressed one by one weigh half as much again as together, and take as many requests. The first script
draws the list of tokens; the second holds the other screens and is fetched when one of them is first asked for.
"""

import gzip
import re
from collections.abc import Collection, Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import NamedTuple

_MEDIA_TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
_MAIN = "js/main.js"
_SCREENS = "js/screens.js"
# Runs before the first paint, so it is no module and stays alone.
_CLASSIC = "js/theme.js"
_IMPORT = re.compile(r'^import \{ (.*) \} from "\./(.+)";\n', re.MULTILINE)
_REEXPORT = re.compile(r'^export \{ (.*) \} from "\./(.+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let) (\w+))", re.MULTILINE)
# Comments that have their lines to themselves.
_COMMENT = re.compile(r"^[ \t]*(?://.*|/\*(?s:.*?)\*/)\n", re.MULTILINE)
_STYLE_SIGN = re.compile(r"\s*([{}:;,])\s+")
# Not where a comment shares the line, which ends it.
_GOES_ON = re.compile(r"^((?!.*//).*[{(\[,;])\n", re.MULTILINE)
# A text, a pattern, a comment, the beginning of a text with values in it, a brace, or what stands between these.
_CODE = re.compile(
    r"""\"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|//.*|(?<=[(,=:[])/(?:[^/[\\\n]|\\.|\[(?:[^]\\\n]|\\.)*])+/"""
    r"""|`|[{}]|[^"'`{}/]+|/"""
)
_TEXT = re.compile(r"`|\$\{|(?:[^`$\\]|\\(?s:.)|\$(?!\{))+")
# Not a plus or a minus beside another: two of them that meet are another sign.
_SPACED = re.compile(r" ?(=>|[!=]==|&&|\|\||\?\?|\.\.\.|[<>]=|[,{}()[\]?:;=<>*]) ?|(?<![+-]) ([+-]=?) (?![+-])")
_ENDED = ";", ","
# Behind a space only where a word stands before it: async (problem) => …
_ALONE = re.compile(r"(?<!\w)\((\w+)\)=>")
_CONSTANT = re.compile(r"\bconst\b")
# Names of constants, which nothing else is called: no member, no variable.
_CAPITALS = re.compile(r"\b[A-Z][A-Z_]{2,}\b")
_DECLARED = re.compile(r"^(?:export )?const \[?([A-Z_, ]{3,})\]? =", re.MULTILINE)
_CONTINUED = re.compile(r"\n(?=[:?.&|+])|,\n?(?=[\])])")
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
    modules = {path: body.decode() for path, body in sources.items() if path.startswith("js/") and path != _CLASSIC}
    for path in modules:
        del sources[path]
    if _MAIN in modules:
        sources |= {path: script.encode() for path, script in bundle(modules).items()}
    if "app.css" in sources:
        sources["app.css"] = tight(_lighter(sources["app.css"].decode())).encode()
    if "index.html" in sources:
        sources["index.html"] = _lighter(sources["index.html"].decode()).encode()
    # Before the page names it: a checksum cannot be over itself.
    version = sha256(b"".join(body for _, body in sorted(sources.items()))).hexdigest()[:12]
    if "index.html" in sources:
        sources["index.html"] = sources["index.html"].replace(b"@VERSION@", version.encode())
    assets = {
        # Without the time, so that every process makes the same bytes.
        path: Asset(body, gzip.compress(body, 9, mtime=0), _MEDIA_TYPES["." + path.rpartition(".")[2]])
        for path, body in sources.items()
    }
    return Files(assets, version)


def below(prefix: str, page: Asset) -> Asset:
    """The page where the service lies below a path, which its links then begin with."""
    body = page.body.replace(b'="/dashboard/', f'="{prefix}/dashboard/'.encode())
    return Asset(body, gzip.compress(body, 9, mtime=0), page.media_type)


def bundle(modules: dict[str, str]) -> dict[str, str]:
    """Two scripts of all these modules: the main one with what it imports, and the rest behind that of the screens.

    No name means two things in the modules. What the second script needs of the first one, that exports.
    """
    first, short = _in_order(modules, _MAIN), _short(modules)
    if _SCREENS not in modules:
        return {_MAIN: _as_one(modules, first, short)}
    second = [path for path in _in_order(modules, _SCREENS) if path not in first]
    shared = sorted({name for path in second for name in _names_from(modules[path], first)})
    screens = {name for names, _ in _REEXPORT.findall(modules[_SCREENS]) for name in names.split(", ")}
    imported = f'import{{{",".join(short.get(name, name) for name in shared)}}}from"./main.js";'
    return {
        _MAIN: _as_one(modules, first, short, {*shared}),
        _SCREENS: imported + _as_one(modules, second, short, screens),
    }


def _in_order(modules: dict[str, str], entry: str) -> list[str]:
    """The entry and all that it imports, each behind what it needs itself."""
    order: list[str] = []
    visited: set[str] = set()

    def visit(path: str) -> None:
        if path in visited:
            return
        # Before what it imports, so that modules which import each other end here.
        visited.add(path)
        for _, name in _IMPORT.findall(modules[path]) + _REEXPORT.findall(modules[path]):
            visit(f"js/{name}")
        order.append(path)

    visit(entry)
    return order


def _names_from(module: str, others: list[str]) -> list[str]:
    """The names that a module imports from others."""
    return [
        name.strip() for names, path in _IMPORT.findall(module) if f"js/{path}" in others for name in names.split(",")
    ]


def _short(modules: dict[str, str]) -> dict[str, str]:
    """A sign for each constant of all modules."""
    names = ", ".join(found for text in modules.values() for found in _DECLARED.findall(text)).split(", ")
    return {name: f"${place:x}" for place, name in enumerate(names)}


def _as_one(modules: dict[str, str], paths: list[str], short: Mapping[str, str], exported: Collection[str] = ()) -> str:
    def export(found: re.Match[str]) -> str:
        return found.group() if found.group(1) in exported else ""

    bare = (_EXPORT.sub(export, _REEXPORT.sub("", _IMPORT.sub("", modules[path]))) for path in paths)
    return squeezed("".join(map(_lighter, bare)), short)


def squeezed(script: str, short: Mapping[str, str] = MappingProxyType({})) -> str:
    """Without what means nothing outside of texts, patterns and comments: space around signs, the sign before a closing
    brace and the end of the line behind it. Every statement ends in a semicolon or a brace. Constants get short names.
    """
    parts: list[str] = []
    # Where we are: "`" in a text with values in it, "{" between braces.
    inside: list[str] = []
    at = 0
    while at < len(script):
        in_text = inside[-1:] == ["`"]
        found = (_TEXT if in_text else _CODE).match(script, at)
        if found is None:
            raise ValueError(f"no script from here: {script[at : at + 80]}")
        part, at = found.group(), found.end()
        if part == "`" and not in_text:
            inside.append(part)
        elif part in ("{", "${"):
            inside.append("{")
        elif part == "}" or (part == "`" and in_text):
            inside.pop()
            if part == "}" and parts[-1].endswith(_ENDED):
                parts[-1] = parts[-1][:-1]
        elif not in_text and part[0] not in "\"'/":
            part = _CONTINUED.sub("", _SPACED.sub(r"\1\2", part)).strip(" ")
            part = _CONSTANT.sub("let", _ALONE.sub(r"\1=>", part))
            part = _CAPITALS.sub(lambda found: short.get(found.group(), found.group()), part)
            if parts[-1:] == ["}"]:
                part = part.removeprefix("\n")
        parts.append(part)
    return "".join(parts)


def _lighter(text: str) -> str:
    """Without what is for whoever reads the files: comments, indentation and the end of a line that goes on.

    Text over several lines stays whole. A file that has some puts no text into another.
    """
    if not any(line.count("`") % 2 for line in text.splitlines()):
        return _without_layout(text)
    parts = text.split("`")
    parts[::2] = map(_without_layout, parts[::2])
    return "`".join(parts)


def _without_layout(code: str) -> str:
    return _GOES_ON.sub(r"\1", _INDENT.sub("", _COMMENT.sub("", code)))


def tight(style: str) -> str:
    """Without the space around signs that need none. One before a colon stays: there it means a descendant."""
    return _STYLE_SIGN.sub(r"\1", style).replace(";}", "}")


def _read(folder: Traversable, prefix: str = "") -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _read(entry, f"{prefix}{entry.name}/")
        elif "." + entry.name.rpartition(".")[2] in _MEDIA_TYPES:
            found.append((prefix + entry.name, entry.read_bytes()))
    return found
