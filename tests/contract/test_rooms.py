"""The rooms: folders form no cycle, none is too full, and each says in a few lines what lives in it."""

import ast
from collections import Counter
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.contract.sources import imports, modules, path_of

FULLEST = 13
# A map is read at a glance: what lives here, what does not, how it flows.
MAP_LINES = range(3, 17)


def is_package(module: str) -> bool:
    return path_of(module).name == "__init__.py"


def room_of(module: str) -> str:
    """The folder of a module; a module beside `app.py` counts as a room of its own, because all layers use some."""
    if is_package(module):
        return module
    folder = module.rpartition(".")[0]
    return module if folder == "service" else folder


def neighbours(trees: dict[str, ast.Module]) -> dict[str, set[str]]:
    """Each room and the rooms it imports from."""
    graph: dict[str, set[str]] = {}
    for name, tree in trees.items():
        if name == "service":
            continue
        own = {other for other in imports(tree) if other in modules() and other != "service"}
        here = graph.setdefault(room_of(name), set())
        here |= {room_of(other) for other in own} - {room_of(name)}
    return graph


def test_rooms_form_no_cycle() -> None:
    TopologicalSorter(neighbours(modules())).prepare()


def test_the_check_sees_a_cycle_of_rooms() -> None:
    planted = ast.parse("from service.tokens.managed.tokens import ManagedTokens")
    with pytest.raises(CycleError):
        TopologicalSorter(neighbours({**modules(), "service.tokens.authority": planted})).prepare()


def test_no_room_is_too_full() -> None:
    held = Counter(name.rpartition(".")[0] for name in modules() if not is_package(name))
    assert {room: count for room, count in held.items() if count > FULLEST} == {}


def test_every_room_has_a_map() -> None:
    rooms = {name: ast.get_docstring(tree) or "" for name, tree in modules().items() if is_package(name)}
    assert len(rooms) > 20
    assert [name for name, text in rooms.items() if len(text.splitlines()) not in MAP_LINES] == []


def test_a_map_names_every_file_of_its_room() -> None:
    missing = [
        name
        for name in modules()
        if name.count(".") > 1 and not is_package(name)
        for room in [name.rpartition(".")[0]]
        if name.rpartition(".")[2] not in (ast.get_docstring(modules()[room]) or "")
    ]
    assert missing == []
