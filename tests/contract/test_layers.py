"""The house: imports point down, apis never meet, files stay small, and each layer keeps what is its own."""

import ast
import re
from pathlib import Path

import pytest

import service
from service.store.driver import keys
from tests.contract.sources import ROOT, SERVICE, imports, modules, nodes, path_of, texts

SHARED = {
    "addresses",
    "errors",
    "logs",
    "metrics",
    "model",
    "settings",
    "counters",
    "identifiers",
    "keyring",
    "user_files",
}
LAYERS = {
    "dashboard": 1,
    "store": 1,
    "tokens": 2,
    "api": 3,
    "edge": 4,
    "composition": 5,
    "app": 5,
    "lifespan": 5,
    "embedded": 5,
    "cli": 6,
    "__main__": 7,
}


def layer_of(module: str) -> int:
    """0 for the shared types; a module of no layer is a KeyError."""
    part = module.split(".")[1]
    return 0 if part in SHARED else LAYERS[part]


def upward(module: str, tree: ast.AST) -> list[str]:
    """The imports of a module that point up, or sideways to another part of the composition root."""
    if module == "service":
        return []
    here = layer_of(module)
    own = {name for name in imports(tree) if name.startswith("service.")}
    return sorted(name for name in own if layer_of(name) > here)


def apis() -> set[str]:
    """The modules that answer to one kind of client: those with a class that lists operations."""
    return {
        name
        for name, tree in modules().items()
        if name.startswith("service.api.")
        and any(isinstance(node, ast.ClassDef) and node.name.endswith("Api") for node in tree.body)
    }


def test_imports_point_down() -> None:
    assert {name: wrong for name, tree in modules().items() if (wrong := upward(name, tree))} == {}


def test_the_check_sees_an_import_that_points_up() -> None:
    planted = ast.parse(
        "def late():\n    from service.tokens.authority import Authority\n    import service.api.http.call"
    )
    assert upward("service.store.driver.pipeline", planted) == ["service.api.http.call", "service.tokens.authority"]
    assert upward("service.tokens.managed.tokens", planted) == ["service.api.http.call"]
    assert upward("service.settings", ast.parse("from service.store.driver import keys")) == [
        "service.store.driver",
        "service.store.driver.keys",
    ]
    assert upward("service.app", planted) == []
    with pytest.raises(KeyError):
        layer_of("service.utils")


def test_an_api_imports_no_other_api() -> None:
    found = apis()
    assert len(found) >= 8
    crossing = [(name, other) for name in found for other in imports(modules()[name]) & found if other != name]
    # Each speaks to one kind of client; what two of them share lives beside them, in neither.
    assert crossing == []


def test_what_apis_share_imports_no_api() -> None:
    shared = {name for name in modules() if name.startswith("service.api.")} - apis()
    assert [(name, other) for name in shared for other in imports(modules()[name]) & apis()] == []


def test_the_map_of_the_house_names_every_part() -> None:
    parts = {name.split(".")[1] for name in modules() if name.count(".")} - {"__main__"}
    words = set(re.findall(r"[a-z_]+", service.__doc__ or ""))
    assert parts - words == set()


def test_no_module_is_named_for_nothing() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "base", "manager", "impl", "misc", "core"}
    assert [name for name in modules() if vague & set(name.split("."))] == []


def test_every_module_says_what_lives_in_it() -> None:
    assert [name for name, tree in modules().items() if not ast.get_docstring(tree)] == []


def too_long(module: str, tree: ast.Module) -> list[str]:
    """Functions that do not fit on a screen, and the file if it should be split along the life cycle."""
    long = [
        node.name
        for node in nodes(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno + 1 > 50
    ]
    return long + (["the file"] if len(path_of(module).read_text(encoding="utf-8").splitlines()) > 293 else [])


def test_files_and_functions_stay_small() -> None:
    assert {name: long for name, tree in modules().items() if (long := too_long(name, tree))} == {}


def taken_by(each: ast.ClassDef) -> int:
    """How many things the constructor of a class takes, its own or that of a dataclass."""
    made = [node for node in each.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    if made:
        arguments = made[0].args
        return len(arguments.posonlyargs + arguments.args + arguments.kwonlyargs) - 1
    is_dataclass = any("dataclass" in ast.unparse(decorator) for decorator in each.decorator_list)
    fields = [node for node in each.body if isinstance(node, ast.AnnAssign)]
    return sum("init=False" not in ast.unparse(node) for node in fields) if is_dataclass else 0


def crowded(tree: ast.Module) -> list[str]:
    """The classes whose constructors take more than seven things: what belongs together is no object yet."""
    return [each.name for each in ast.walk(tree) if isinstance(each, ast.ClassDef) and taken_by(each) > 7]


def test_no_constructor_takes_more_than_seven_things() -> None:
    assert {name: found for name, tree in modules().items() if (found := crowded(tree))} == {}
    taken = ", ".join(f"a{number}" for number in range(7))
    assert crowded(ast.parse(f"class A:\n def __init__(self, {taken}): ...")) == []
    assert crowded(ast.parse(f"class A:\n def __init__(self, {taken}, *, b): ...")) == ["A"]
    fields = "".join(f" a{number}: int\n" for number in range(7))
    assert crowded(ast.parse(f"@dataclass(eq=False)\nclass A:\n{fields} b: int = field(default=0, init=False)")) == []
    assert crowded(ast.parse(f"@dataclass(eq=False)\nclass A:\n{fields} b: int")) == ["A"]


FAMILIES = {
    value.removesuffix("%d")
    for _, value in texts(modules()["service.store.driver.keys"])
    if re.fullmatch(r"[a-z]{1,2}:(%d)?|[a-z]{2,5}", value)
}


def key_like(tree: ast.AST) -> list[tuple[int, str]]:
    """Strings from which a key could be put together: a family and its colon, or a namespace and its tag."""
    families = "|".join(sorted(family[:-1] for family in FAMILIES if family.endswith(":")))
    built = re.compile(rf"(^|:|\}}:)({families}):|:\{{|\}}:|^:[a-z]|:meta\b")
    return [(line, text) for line, text in texts(tree) if built.search(text) and " " not in text and "/" not in text]


def test_the_families_of_keys_are_seen() -> None:
    assert {"c:", "x:", "r:", "m:", "o:", "od:", "su:", "sg:", "by:"} <= FAMILIES
    table = re.findall(r"^([a-z]{1,3}):<", keys.__doc__ or "", re.MULTILINE)
    assert {family[:-1] for family in FAMILIES if family.endswith(":")} >= set(table)


def test_key_names_are_built_in_one_place() -> None:
    store = {name: tree for name, tree in modules().items() if name.startswith("service.store.")}
    del store["service.store.driver.keys"]
    assert {name: built for name, tree in store.items() if (built := key_like(tree))} == {}


@pytest.mark.parametrize(
    "planted",
    ["f'{ns}:{{{tag}}}:c:{h}'", "prefix + b'c:' + h", "key + b':probe'", "f'{namespace}:meta'", "x = 't:{u0}:on'"],
)
def test_the_check_sees_a_key_built_elsewhere(planted: str) -> None:
    assert key_like(ast.parse(planted))


def commands_sent(tree: ast.AST) -> list[int]:
    """Lines that ask Redis by the name of a command."""
    return [
        node.lineno
        for node in nodes(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("execute", "submit", "execute_command")
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and str(node.args[0].value).isupper()
    ]


def test_only_the_store_asks_redis() -> None:
    asking = {name for name, tree in modules().items() if commands_sent(tree)}
    assert {name for name in asking if not name.startswith("service.store.")} <= MAY_NAME_REDIS
    assert "service.store.credentials" in asking
    driving = {name for name, tree in modules().items() if any(i.split(".")[0] == "redis" for i in imports(tree))}
    assert {name for name in driving if not name.startswith("service.store.")} <= MAY_NAME_REDIS


# It looks at a server that the service may not be able to use at all.
MAY_NAME_REDIS = {"service.cli.doctor.redis_server"}

STATUSES = {
    201,
    204,
    301,
    302,
    303,
    304,
    307,
    308,
    401,
    402,
    403,
    404,
    405,
    406,
    408,
    409,
    410,
    411,
    412,
    413,
    415,
    422,
    428,
    429,
    431,
    501,
    502,
    503,
    504,
}


def statuses_in(tree: ast.AST) -> list[int]:
    return [
        node.lineno
        for node in nodes(tree)
        if isinstance(node, ast.Constant) and not isinstance(node.value, bool) and node.value in STATUSES
    ]


# It reads the statuses that the receivers of webhooks answer; it answers nobody.
READS_ANSWERS = "service.tokens.webhooks.sender"


def test_only_the_layers_of_http_know_a_status_code() -> None:
    below = {
        name: tree
        for name, tree in modules().items()
        if name.split(".")[-1] in SHARED or name.startswith(("service.store", "service.tokens"))
        if name != READS_ANSWERS
    }
    assert {name: lines for name, tree in below.items() if (lines := statuses_in(tree))} == {}
    speaking = {
        name
        for name, tree in below.items()
        for other in imports(tree)
        if other.split(".")[0] in ("starlette", "uvicorn") or other == "http"
    }
    assert speaking == set()


def test_the_check_sees_a_status_code() -> None:
    assert statuses_in(ast.parse("def f():\n    return 404")) == [2]
    assert statuses_in(modules()["service.api.http.problems"])


def test_only_the_rules_count_what_they_decide() -> None:
    counting = {
        name.split(".")[1]
        for name, tree in modules().items()
        for node in nodes(tree)
        if isinstance(node, ast.Attribute) and node.attr.lstrip("_") == "decisions"
    }
    assert counting == {"metrics", "composition", "tokens"}


def test_only_secret_and_passwords_draw_random_numbers() -> None:
    drawing = {
        name
        for name, tree in modules().items()
        if imports(tree) & {"random", "secrets", "uuid"}
        or any(isinstance(node, ast.Attribute) and node.attr == "urandom" for node in nodes(tree))
    }
    allowed = {
        "service.tokens.secret",
        "service.tokens.accounts.passwords",
        "service.api.http.application",
        "service.embedded.child",
    }
    assert {
        name for name in drawing if name.startswith(("service.store", "service.tokens", "service.api", "service.edge"))
    } <= allowed


def test_nothing_below_the_composition_root_reads_the_wall_clock() -> None:
    """Times come in as an argument, so that a test can turn them."""
    reading = {
        (name, node.lineno)
        for name, tree in modules().items()
        if name.startswith(("service.store", "service.tokens", "service.model"))
        for node in nodes(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.time", "datetime.now", "datetime.utcnow")
    }
    assert reading == set()


def test_a_test_for_each_layer_lies_beside_it() -> None:
    for folder in ("unit", "store", "tokens", "api", "edge", "contract", "fault"):
        assert list(Path(ROOT, "tests", folder).glob("test_*.py")), folder
    assert SERVICE.is_dir()
