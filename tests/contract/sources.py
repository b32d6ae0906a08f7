"""The service's sources as a contract test reads them: modules by name, what they import, the strings they hold."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SERVICE = ROOT / "service"
LUA = sorted((SERVICE / "store" / "lua").glob("*.lua"))


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the service by its dotted name."""
    found = {}
    for path in sorted(SERVICE.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def path_of(module: str) -> Path:
    """The file of a module."""
    path = ROOT.joinpath(*module.split("."))
    return path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"


@cache
def nodes(tree: ast.AST) -> tuple[ast.AST, ...]:
    """Every node of a source; kept, as a dozen tests look through them all."""
    return tuple(ast.walk(tree))


@cache
def imports(tree: ast.AST) -> frozenset[str]:
    """Every module a source imports, wherever in it; of `from a import b` both `a` and, if it is one, `a.b`."""
    found: set[str] = set()
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found.add(node.module or "")
            found |= {name for alias in node.names if (name := f"{node.module}.{alias.name}") in modules()}
    return frozenset(found)


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every string or bytes constant with its line, the constant parts of f-strings too, but no docstrings."""
    documented = {
        id(node.body[0].value)
        for node in nodes(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in nodes(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in documented:
            value = node.value
            yield node.lineno, value if isinstance(value, str) else value.decode("latin-1")


def documented_settings(readme: str) -> list[tuple[str, str, str]]:
    """The rows of the README's table of settings: name, default, meaning."""
    rows = re.findall(r"^\| `(TOKENS_[A-Z_0-9]+)` \| (.*?) \| (.*?) \|$", readme, re.MULTILINE)
    return [(name, default.strip().strip("`"), meaning) for name, default, meaning in rows]
