"""The words: plain English by mechanism, one word per idea; those that only their author knew are gone."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache

import pytest

from tests.contract.sources import ROOT, SERVICE

BANNED = [
    "roof",
    "dialects?",
    "ground",
    "courier",
    "premises",
    "guardian",
    "ledger",
    "sealer",
    "census",
    "rehearsals?",
    "thirsty",
    "dear",
    "brakes",
    "straight",
    "tally",
    "tallies",
    "poured",
    "forges?",
    "withdraws?",
    "withdrawn",
    "withdrawing",
    "judges?",
    "judged",
    "trail",
    "foreign",
    "ere",
    "born",
    "pours?",
    "sealers",
    "withdrawals?",
    "rehears(?:e|ed|ing)",
    "for who",
    "fronts?",
    "chains?",
    "opened",
    "joined",
    "look(?:s|ed|ing)?",
    "tails?",
    "grace",
    "fore(?:tells?|told)",
]
CODE_ONLY = ["floors?", "stamps?"]  # Lua rounds by `floor`, make marks by a stamp
CODE_WORDS = re.compile(rf"\b({'|'.join([*BANNED, *CODE_ONLY])})\b", re.IGNORECASE)
WORDS = re.compile(rf"\b({'|'.join(BANNED)})\b", re.IGNORECASE)
EXCEPT = re.compile(r"\bbut for\b", re.IGNORECASE)
# "..., for X does": a clause with its own verb, where "because" is meant. Verbs that no phrase after "for" needs.
BECAUSE = re.compile(
    r"[,;] for (?:(?:the|a|an|this|that|most|some|each|one|none|few|many|it|they|there|what|who|nobody|not|then|two|of) )"
    r"(?:[\w'`-]+ ){0,5}?(?:is|are|was|were|may|must|can|has|have|had|does|do|costs?|takes?|needs?|means?|goes|would)\b"
)


def prose_of(source: str) -> Iterator[tuple[int, str]]:
    """Comments, docstrings and other strings of a Python source, and its names with their underscores as spaces."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            for offset, line in enumerate(token.string.splitlines()):
                yield token.start[0] + offset, line
        elif token.type == tokenize.NAME and token.string not in ("chain", "load_cert_chain"):  # libraries call them so
            yield token.start[0], re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", token.string).replace("_", " ")


@cache
def hits(text: str) -> list[str]:
    """Of a line or a name; most names come again and again."""
    return [hit[0] for pattern in (CODE_WORDS, EXCEPT, BECAUSE) for hit in pattern.finditer(text)]


def names_in(source: str) -> list[str]:
    """The names of a source's functions and classes, as words."""
    found = re.findall(r"\b(?:def|class) (\w+)", source)
    return [re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ") for name in found]


def faults_in(source: str) -> list[tuple[int, str]]:
    return [(line, hit) for line, text in prose_of(source) for hit in hits(text)]


SOURCES = sorted(path.relative_to(ROOT).as_posix() for path in SERVICE.rglob("*.py"))
TESTS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py"))
TESTS.remove("tests/contract/test_words.py")
TEXTS = ["README.md", "CHANGELOG.md", "Makefile", "Dockerfile", "pyproject.toml"]
TEXTS += sorted(
    path.relative_to(ROOT).as_posix() for sort in ("lua", "js", "css", "html") for path in SERVICE.rglob(f"*.{sort}")
)


def test_the_service_is_written_in_plain_words() -> None:
    faults = {name: found for name in SOURCES if (found := faults_in((ROOT / name).read_text("utf-8")))}
    assert faults == {}


def test_the_tests_are_named_in_plain_words() -> None:
    named = {
        name: [hit[0] for text in names_in((ROOT / name).read_text("utf-8")) for hit in WORDS.finditer(text)]
        for name in TESTS
    }
    assert {name: found for name, found in named.items() if found} == {}
    assert [hit[0] for text in names_in("def test_the_trail_of_a_dear_one(): ...") for hit in WORDS.finditer(text)] == [
        "trail",
        "dear",
    ]


def test_documents_and_scripts_are_written_in_plain_words() -> None:
    faults = {
        name: found
        for name in TEXTS
        for text in [(ROOT / name).read_text("utf-8")]
        if (found := [hit[0] for pattern in (WORDS, EXCEPT, BECAUSE) for hit in pattern.finditer(text)])
    }
    assert faults == {}


@pytest.mark.parametrize(
    "planted",
    [
        "# the courier",
        "x = '''All, for one is dear.'''",
        "def judge(): ...",
        "class Ledger: ...",
        "'all but for one'",
        "def look_up(): ...",
    ],
)
def test_the_check_sees_a_banned_word(planted: str) -> None:
    assert faults_in(planted)


def test_the_check_lets_plain_sentences_pass() -> None:
    text = '"""Kept open, for ever; one for each, rounded to 0, because a seal covers it."""'
    assert faults_in(text) == []
    assert ast.parse(text)
