"""Joins the dashboard's modules into two scripts, and removes from scripts and styles what browsers do not need.

Small modules compressed one by one are half as large again as together, and need as many requests. The first script
draws the list of tokens; the second has the other screens and is fetched when one of them is first shown.
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
# A string, a regular expression, a comment, the start of a template literal, a brace, or code between these.
_CODE = re.compile(
    r"""\"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|//.*|/\*(?s:.*?)\*/"""
    r"""|(?<=[(,=:[])/(?:[^/[\\\n]|\\.|\[(?:[^]\\\n]|\\.)*])+/|`|[{}]|[^"'`{}/]+|/"""
)
_TEXT = re.compile(r"`|\$\{|(?:[^`$\\]|\\(?s:.)|\$(?!\{))+")
_LINE_END = re.compile(r"\s*\n\s*")
# Not a plus or minus beside another one: `+ +` without the space is a different operator.
_SPACED = re.compile(r" ?(=>|[!=]==|&&|\|\||\?\?|\.\.\.|[<>]=|[,{}()[\]?:;=<>*]) ?|(?<![+-]) ([+-]=?) (?![+-])")
_ENDED = ";", ","
# After a space only if a word stands before it: async (problem) => …
_ALONE = re.compile(r"(?<!\w)\((\w+)\)=>")
_LET = re.compile(r"let\b")
_CONSTANT = re.compile(r"\bconst\b")
# Names of constants, and of functions with more than one word in their name: no member has such a name.
_NAME = re.compile(r"\b(?:[A-Z][A-Z_]{2,}|[a-z]+[A-Z]\w*)\b")
_DECLARED = re.compile(
    r"^(?:export )?(?:(?:async )?function|const|let) \[?([A-Z][A-Z_, ]{2,}|[a-z]+[A-Z]\w*)\b", re.MULTILINE
)
# A line that continues on the next one, or continues the previous one.
_CONTINUED = re.compile(r"(?<=[(\[,;])\n|\n(?=[:?.&|+])|,\n?(?=[\])])")


def bundle(modules: dict[str, str]) -> dict[str, str]:
    """All modules as two scripts: the main one with everything it imports, and one with the other screens.

    Each name must mean the same in all modules. The first script exports what the second needs of it.
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
    """The entry and everything that it imports, each module after those it needs."""
    order: list[str] = []
    visited: set[str] = set()

    def visit(path: str) -> None:
        if path in visited:
            return
        # Added before its imports are visited, so that modules which import each other end the recursion here.
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
    """A short name for each such name that a module declares, except for screens, which are found by their names."""
    names = ", ".join(found for text in modules.values() for found in _DECLARED.findall(text)).split(", ")
    return {name: f"${place:x}" for place, name in enumerate(names) if name not in _screens(modules)}


def _as_one(modules: dict[str, str], paths: list[str], short: Mapping[str, str], exported: Collection[str]) -> str:
    def export(found: re.Match[str]) -> str:
        return found.group() if found.group(1) in exported else ""

    bare = (_EXPORT.sub(export, _REEXPORT.sub("", _IMPORT.sub("", modules[path]))) for path in paths)
    return squeeze("".join(bare), short)


def squeeze(script: str, short: Mapping[str, str]) -> str:
    """Removes what has no meaning outside strings and regular expressions: comments, spaces around operators, line ends
    inside statements, the separator before a closing brace. Joins adjacent declarations, gives constants short names.
    Every statement must end in a semicolon or a brace.
    """
    squeezed = ""
    # The nesting: "`" in a template literal; between braces "let" in a declaration, "" in another statement.
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
    """Minified code between strings, regular expressions and braces; `before`: the character before it."""
    code = _SPACED.sub(r"\1\2", _LINE_END.sub("\n", code)).strip(" ")
    code = _CONSTANT.sub("let", _ALONE.sub(r"\1=>", _CONTINUED.sub("", code)))
    if before in ("", "{", "}", "(", "[", *_ENDED):
        code = code.removeprefix("\n")
    return _NAME.sub(lambda found: short.get(found.group(), found.group()), code)


def _merged(code: str, within: str) -> tuple[str, str]:
    """Joins adjacent declarations. Also returns the kind of statement that the code ends in; it begins in `within`."""
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
    """Removes comments and spaces around characters that need none, and shortens the names of variables. A space before
    a colon stays, because it means a descendant.
    """
    tightened = _STYLE_SIGN.sub(r"\1", _STYLE_COMMENT.sub("", style)).replace(";}", "}").lstrip()
    names = list(dict.fromkeys(_STYLE_NAME.findall(tightened)))
    return _STYLE_NAME.sub(lambda found: f"--{names.index(found.group()):x}", tightened)
