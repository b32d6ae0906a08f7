"""The Lua scripts: a header that says what each key and argument is, a body that keeps to it, forty lines at most."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from service.store.driver.scripts import LETTERS
from tests.contract.sources import LUA, SERVICE

DECLARED = re.compile(r"\b(KEYS|ARGV)\[(\d+)(\.\.\.)?\]")
CALL = re.compile(r"redis\.p?call\('([A-Z]+)'(?:, *([^,)]+(?:\([^)]*\))?))?")
ONE_KEY = {
    "GET",
    "SET",
    "GETDEL",
    "DEL",
    "EXISTS",
    "INCR",
    "DECR",
    "EXPIRE",
    "PEXPIRE",
    "PEXPIREAT",
    "PTTL",
    "TTL",
    "PERSIST",
    "HSET",
    "HSETNX",
    "HGET",
    "HMGET",
    "HINCRBY",
    "HDEL",
    "HEXISTS",
    "HGETALL",
    "HLEN",
    "ZADD",
    "ZREM",
    "ZSCORE",
    "ZMSCORE",
    "ZCARD",
    "ZRANGE",
    "ZRANK",
    "ZRANGEBYSCORE",
    "ZRANGEBYLEX",
    "ZREMRANGEBYLEX",
    "ZCOUNT",
    "XADD",
    "XLEN",
    "XRANGE",
    "XREVRANGE",
    "XTRIM",
    "APPEND",
    "SETRANGE",
    "STRLEN",
    "EXPIREAT",
    "SADD",
    "SREM",
    "SISMEMBER",
    "SCARD",
}
# XINFO names its key after its own first word; the run where the server checks slots sees to it.
NO_KEY = {"INFO", "TIME", "XINFO"}


# Words of Lua behind which a name belongs to the same statement, and those that go on with one.
OPENING = {"local", "if", "elseif", "else", "then", "do", "while", "for", "in", "return", "and", "or", "not"}
WITHIN = {"and", "or", "then", "do", "in", "else", "elseif", "end"}


def parts(source: str) -> tuple[str, str]:
    """Header and body."""
    found = re.fullmatch(r"--\[\[ (.*?)\n\]\]\n(.*)", source, re.DOTALL)
    assert found, "a script begins with its header"
    return found[1], found[2]


def faults(source: str) -> list[str]:
    """What is wrong with a script, in words."""
    header, body = parts(source)
    found = []
    # The header may be as long as it takes to say what a script does.
    if len(body.splitlines()) > 40:
        found.append("longer than 40 lines")
    found += [f"more than 120 columns: {line}" for line in source.splitlines() if len(line) > 120]
    found += [f"two statements: {line}" for line in body.splitlines() if has_two_statements(line)]
    found += [
        f"the header does not say {word}"
        for word in ("returns", "cost")
        if not re.search(rf"^{word}\s+\S", header, re.MULTILINE)
    ]
    named: dict[str, list[str]] = {}
    for kind in ("KEYS", "ARGV"):
        declared = [(int(number), bool(open_end)) for k, number, open_end in DECLARED.findall(header) if k == kind]
        if [number for number, _ in declared] != list(range(1, len(declared) + 1)):
            found.append(f"the header does not count {kind} from 1 without a gap")
        if any(open_end for _, open_end in declared[:-1]):
            found.append(f"only the last of {kind} may stand for many")
        fixed = len(declared) - (1 if declared and declared[-1][1] else 0)
        named[kind], problems = names_of(kind, body, fixed, many=fixed < len(declared))
        found += problems
    for name in named["KEYS"] + named["ARGV"]:
        if len(re.findall(rf"\b{name}\b", body)) < 2:
            found.append(f"{name} is named and never used")
    return found + untyped_keys(header) + imported_keys(body, set(named["KEYS"]))


def has_two_statements(line: str) -> bool:
    """Of a name or a block behind what ends an expression: in Lua another statement begins there."""
    # Without texts and the comment behind it; the body of a function on one line follows its head.
    bare = re.sub(r"--.*", "", re.sub(r"'[^']*'", "''", line))
    bare = re.sub(r"function \w*\([^)]*\)", "do", bare)
    words = re.findall(r"\w+|''|[^\s\w]", bare)
    return any(
        re.fullmatch(r"\w+|''|[)\]}]", one) and one not in OPENING and re.fullmatch(r"[A-Za-z_]\w*", other)
        for one, other in pairwise(words)
        if other not in WITHIN
    )


def names_of(kind: str, body: str, fixed: int, *, many: bool) -> tuple[list[str], list[str]]:
    """The local names that a body gives to its keys or arguments, and what is wrong with that."""
    names: dict[int, str] = {}
    for left, right in re.findall(r"^local ([\w, ]+?) = (.+)$", body, re.MULTILINE):
        lefts = [name.strip() for name in left.split(",")]
        whole = re.fullmatch(rf"unpack\({kind}(?:, (\d+)(?:, (\d+))?)?\)", right)
        if whole:
            first = int(whole[1] or 1)
            names |= {first + place: name for place, name in enumerate(lefts)}
        for place, single in enumerate(re.findall(rf"(?:tonumber\()?\b{kind}\[(\d+)\]\)?(?:,|$)", right)):
            if len(lefts) > place and not whole:
                names[int(single)] = lefts[place]
    problems = []
    if sorted(names) != list(range(1, fixed + 1)):
        problems.append(f"the header declares {fixed} {kind}, the body names {sorted(names)}")
    # The last form: a place among them that is moved on.
    forms = rf"unpack\({kind}, {fixed + 1}\)|for \w+ = {fixed + 1}, #{kind}|^local at, .* = {fixed + 1}, " + (
        rf"|ipairs\({kind}\)" if not fixed else ""
    )
    uses_many = bool(re.search(forms, body, re.MULTILINE))
    if many and not uses_many:
        problems.append(f"{kind}[{fixed + 1}...] is declared and never used")
    return list(names.values()), problems


def untyped_keys(header: str) -> list[str]:
    """Keys whose type the header leaves out."""
    texts = re.split(r"KEYS\[\d+(?:\.\.\.)?\]", re.sub(r"\nARGV.*", "", header, flags=re.DOTALL))[1:]
    types = r"\((string|hash|zset|stream|int|set)\)"
    return [f"KEYS[{n}] has no type" for n, text in enumerate(texts, 1) if not re.search(types, text)]


def imported_keys(body: str, declared: set[str]) -> list[str]:
    """Commands whose key is none of those declared, and commands that search through all keys."""
    local_keys = {
        name
        for names, listed in re.findall(r"for ([\w, ]+) in ipairs\(\{?([\w, ]+)\}?\)", body)
        if all(part.strip() in declared | {"KEYS"} for part in listed.split(","))
        for name in names.split(", ")[1:]
    }
    # A second name for a key: `local from, to = on, off`.
    for lefts, rights in re.findall(
        r"^ *(?:local |if .* then )?([\w, ]+) = ([\w, ']+?)(?: else .*)?$", body, re.MULTILINE
    ):
        pairs = zip(lefts.split(", "), rights.split(", "), strict=False)
        local_keys |= {left.removeprefix("local ") for left, right in pairs if right in declared}
    local_keys |= {
        name for name, a, b in re.findall(r"local (\w+) = .* and (\w+) or (\w+)", body) if {a, b} <= declared
    }
    # Some of the many keys at the end, from a place on.
    for names in re.findall(r"^ +local ([\w, ]+) = unpack\(KEYS, \w+, \w+ \+ \d+\)$", body, re.MULTILINE):
        local_keys |= set(names.split(", "))
    local_keys |= set(re.findall(r"^ +local (\w+) = KEYS\[\w+\]$", body, re.MULTILINE))
    # A function's parameter is a key where every call of it is given one.
    for function, parameter in re.findall(r"local function (\w+)\((\w+)", body):
        given = set(re.findall(rf"^\s*(?!local function).*?\b{function}\((\w+)", body, re.MULTILINE))
        if given <= declared | local_keys:
            local_keys.add(parameter)
    found = []
    for command, first in CALL.findall(body):
        key = first.strip()
        if command in NO_KEY:
            continue
        if command not in ONE_KEY:
            found.append(f"{command} is not among the commands a script may use")
        allowed = declared | local_keys
        choice = re.fullmatch(r"\w+ and (\w+) or (\w+)", key)
        if not (key in allowed or key.startswith("unpack(KEYS") or (choice and set(choice.groups()) <= allowed)):
            found.append(f"{command} touches {key}, which is no declared key")
    return found


@pytest.mark.parametrize("path", LUA, ids=lambda path: path.stem)
def test_a_script_keeps_to_its_header(path: Path) -> None:
    assert faults(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", LUA, ids=lambda path: path.stem)
def test_a_script_is_named_for_what_it_does_and_to_what(path: Path) -> None:
    assert re.fullmatch(r"[a-z]+_[a-z_]+", path.stem)


@pytest.mark.parametrize("path", LUA, ids=lambda path: path.stem)
def test_a_field_of_a_record_is_named_by_what_stands_for_its_letter(path: Path) -> None:
    _, body = parts(path.read_text(encoding="utf-8"))
    quoted = set(re.findall(r"'(@?\w+)'", body))
    assert quoted & LETTERS.keys() == set()
    assert {name[1:].rstrip("0123456789") for name in quoted if name.startswith("@")} <= LETTERS.keys()


GOOD = """--[[ Do a thing.
KEYS[1]  one (string)                 KEYS[2]  two (zset)
ARGV[1]  a word
ARGV[2...] members
returns  1 done
cost     O(1)
]]
local one, two = unpack(KEYS)
local word = ARGV[1]
redis.call('SET', one, word)
redis.call('ZREM', two, unpack(ARGV, 2))
return 1
"""


def test_the_check_finds_nothing_wrong_with_a_good_script() -> None:
    assert faults(GOOD) == []


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ("cost     O(1)\n", "", "does not say cost"),
        ("returns  1 done\n", "", "does not say returns"),
        ("KEYS[2]  two (zset)", "", "declares 1 KEYS"),
        ("KEYS[2]  two (zset)", "KEYS[3]  two (zset)", "without a gap"),
        ("KEYS[2]  two (zset)", "KEYS[2]  two", "KEYS[2] has no type"),
        ("ARGV[1]  a word\n", "ARGV[1]  a word\nARGV[2]  unused\n", "ARGV"),
        ("ARGV[2...] members\n", "ARGV[2...] members\nARGV[3]  one\n", "only the last"),
        ("unpack(ARGV, 2)", "word", "ARGV[2...] is declared and never used"),
        ("redis.call('SET', one, word)\n", "redis.call('SET', one, 1)\n", "word is named and never used"),
        ("'SET', one", "'SET', 'other'", "which is no declared key"),
        ("'SET', one", "'SET', one .. word", "which is no declared key"),
        ("'SET', one, word", "'KEYS', one, word", "not among the commands"),
        ("'SET', one, word", "'SCAN', one, word", "not among the commands"),
        ("return 1\n", "return 1\n" * 40, "longer than 40 lines"),
        ("word)\n", f"word) -- {'a' * 100}\n", "more than 120 columns"),
        ("word)\n", "word) return 2\n", "two statements"),
        ("word)\n", "word) local x = 1\n", "two statements"),
        ("word)\n", "word)\nif word == 'a' then word = 'b' word = 'c' end\n", "two statements"),
        ("word)\n", "word)\nlocal x, y = {}, #word if x then return end\n", "two statements"),
        ("word)\n", "word)\nif word then return end word = 1\n", "two statements"),
    ],
)
def test_the_check_sees_what_is_wrong(was: str, becomes: str, said: str) -> None:
    assert was in GOOD
    assert any(said in fault for fault in faults(GOOD.replace(was, becomes, 1)))


def test_nothing_removes_a_range_however_much_is_in_it() -> None:
    """A removal by range holds all of Redis as long as it lasts: what goes is read in slices and named,
    or of a stream so much at most."""
    removing = re.compile(r"XTRIM(?!.*\bLIMIT\b)|ZREMRANGEBYSCORE|ZREMRANGEBYRANK")
    sources = [path for path in (SERVICE / "store").rglob("*") if path.suffix in (".py", ".lua")]
    assert sources
    assert [path.name for path in sources if removing.search(path.read_text())] == []


def test_every_command_of_the_scripts_is_tried_when_a_server_is_inspected() -> None:
    """INFO may be forbidden: then less is known of the server."""
    called = {name for path in LUA for name, _ in CALL.findall(path.read_text())}
    (tries,) = (path for path in LUA if path.stem == "try_commands")
    tried = set(re.findall(r"'([A-Z]+)[ ']", tries.read_text()))
    assert called - tried == {"INFO"}
