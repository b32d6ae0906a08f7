"""The dashboard's modules as two scripts, and scripts and styles without what means nothing to a browser.

Small modules compressed one by one weigh half as much again as together, and take as many requests. The first script
draws the list of tokens; the second holds the other screens and is fetched when one of them is first asked for.
"""

import re
from collections.abc import Collection, Mapping

_MAIN = "js/main.js"
_SCREENS = "js/screens.js"
_IMPORT = re.compile(r'^import \{ (.*) \} from "\./(.+)";\n', re.MULTILINE)
_REEXPORT = re.compile(r'^export \{ (.*) \} from "\./(.+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let) (\w+))", re.MULTILINE)
_STYLE_COMMENT = re.compile(r"/\*(?s:.*?)\*/")
_STYLE_SIGN = re.compile(r"\s*([{}:;,>])\s+")
_STYLE_NAME = re.compile(r"--[\w-]+")
_COMMENT = "//", "/*"
# A text, a pattern, a comment, the beginning of a text with values in it, a brace, or what stands between these.
_CODE = re.compile(
    r"""\"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|//.*|/\*(?s:.*?)\*/"""
    r"""|(?<=[(,=:[])/(?:[^/[\\\n]|\\.|\[(?:[^]\\\n]|\\.)*])+/|`|[{}]|[^"'`{}/]+|/"""
)
_TEXT = re.compile(r"`|\$\{|(?:[^`$\\]|\\(?s:.)|\$(?!\{))+")
_LINE_END = re.compile(r"\s*\n\s*")
# Not a plus or a minus beside another: two of them that meet are another sign.
_SPACED = re.compile(r" ?(=>|[!=]==|&&|\|\||\?\?|\.\.\.|[<>]=|[,{}()[\]?:;=<>*]) ?|(?<![+-]) ([+-]=?) (?![+-])")
_ENDED = ";", ","
# Behind a space only where a word stands before it: async (problem) => …
_ALONE = re.compile(r"(?<!\w)\((\w+)\)=>")
_LET = re.compile(r"let\b")
_CONSTANT = re.compile(r"\bconst\b")
# Names of constants, and of functions that are made of several words: no member is called so.
_NAME = re.compile(r"\b(?:[A-Z][A-Z_]{2,}|[a-z]+[A-Z]\w*)\b")
_DECLARED = re.compile(
    r"^(?:export )?(?:(?:async )?function|const|let) \[?([A-Z][A-Z_, ]{2,}|[a-z]+[A-Z]\w*)\b", re.MULTILINE
)
# A line that goes on with the next one, or goes on from the last one.
_CONTINUED = re.compile(r"(?<=[(\[,;])\n|\n(?=[:?.&|+])|,\n?(?=[\])])")


def bundle(modules: dict[str, str]) -> dict[str, str]:
    """Two scripts of all these modules: the main one with what it imports, and the rest behind that of the screens.

    No name means two things in the modules. What the second script needs of the first one, that exports.
    """
    first, short = _in_order(modules, _MAIN), _short(modules)
    second = [path for path in _in_order(modules, _SCREENS) if path not in first]
    shared = sorted({name for path in second for name in _names_from(modules[path], first)})
    imported = f'import{{{",".join(short.get(name, name) for name in shared)}}}from"./main.js";'
    return {
        _MAIN: _as_one(modules, first, short, {*shared}),
        _SCREENS: imported + _as_one(modules, second, short, _screens(modules)),
    }


def _screens(modules: dict[str, str]) -> set[str]:
    return {name for names, _ in _REEXPORT.findall(modules[_SCREENS]) for name in names.split(", ")}


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
    return [
        name.strip() for names, path in _IMPORT.findall(module) if f"js/{path}" in others for name in names.split(",")
    ]


def _short(modules: dict[str, str]) -> dict[str, str]:
    """A sign for each of these names that a module declares, except those of screens, which are asked for by text."""
    names = ", ".join(found for text in modules.values() for found in _DECLARED.findall(text)).split(", ")
    return {name: f"${place:x}" for place, name in enumerate(names) if name not in _screens(modules)}


def _as_one(modules: dict[str, str], paths: list[str], short: Mapping[str, str], exported: Collection[str]) -> str:
    def export(found: re.Match[str]) -> str:
        return found.group() if found.group(1) in exported else ""

    bare = (_EXPORT.sub(export, _REEXPORT.sub("", _IMPORT.sub("", modules[path]))) for path in paths)
    return squeeze("".join(bare), short)


def squeeze(script: str, short: Mapping[str, str]) -> str:
    """Without what means nothing outside of texts and patterns: comments, space around signs, the end of a line that
    goes on, the sign before a closing brace; declarations that follow each other are one. Every statement ends in a
    semicolon or a brace. Constants get short names.
    """
    squeezed = ""
    # Where we are: "`" in a text with values in it; between braces "let" in a declaration, "" in another statement.
    inside = [""]
    at = 0
    while at < len(script):
        in_text = inside[-1] == "`"
        found = (_TEXT if in_text else _CODE).match(script, at)
        if found is None:
            raise ValueError(f"no script from here: {script[at : at + 80]}")
        part, at = found.group(), found.end()
        if in_text:
            if part == "`":
                inside.pop()
            elif part == "${":
                inside.append("")
        elif part.startswith(_COMMENT):
            continue
        elif part in ("`", "{"):
            inside.append(part.removesuffix("{"))
        elif part == "}":
            inside.pop()
            squeezed = squeezed[:-1] if squeezed.endswith(_ENDED) else squeezed
        elif part[0] not in "\"'/":
            part, inside[-1] = _merged(_plain(part, squeezed[-1:], short), inside[-1])
        squeezed += part
    return squeezed


def _plain(code: str, before: str, short: Mapping[str, str]) -> str:
    """Code between texts, patterns and braces; `before`: the sign that it stands behind."""
    code = _SPACED.sub(r"\1\2", _LINE_END.sub("\n", code)).strip(" ")
    code = _CONSTANT.sub("let", _ALONE.sub(r"\1=>", _CONTINUED.sub("", code)))
    if before in ("", "{", "}", "(", "[", *_ENDED):
        code = code.removeprefix("\n")
    return _NAME.sub(lambda found: short.get(found.group(), found.group()), code)


def _merged(code: str, within: str) -> tuple[str, str]:
    """Declarations that follow each other as one; and what the code ends in, as `within` tells what it begins in."""
    merged, *others = code.split(";")
    within = _kind(merged) or within
    for statement in others:
        both = within and _kind(statement)
        merged += "," + statement.removeprefix("let").lstrip() if both else f";{statement}"
        within = _kind(statement)
    return merged, within


def _kind(statement: str) -> str:
    return "let" if _LET.match(statement) else ""


def tight(style: str) -> str:
    """Without comments and space around signs that need none, names of values short. A space before a colon stays: it
    means a descendant.
    """
    tightened = _STYLE_SIGN.sub(r"\1", _STYLE_COMMENT.sub("", style)).replace(";}", "}").lstrip()
    names = list(dict.fromkeys(_STYLE_NAME.findall(tightened)))
    return _STYLE_NAME.sub(lambda found: f"--{names.index(found.group()):x}", tightened)
