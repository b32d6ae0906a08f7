"""Log lines: one JSON object each, whatever the message holds."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.logs import JsonFormatter, TextFormatter, configure
from service.settings import Settings


def record(message: str, *args: object, **facts: object) -> logging.LogRecord:
    made = logging.LogRecord("service.app", logging.WARNING, __file__, 1, message, args, None)
    made.created, made.msecs = 1795214400.25, 250.0
    if facts:
        made.facts = facts
    return made


def with_failure(made: logging.LogRecord) -> logging.LogRecord:
    try:
        raise ValueError("line one\nline two")
    except ValueError:
        made.exc_info = sys.exc_info()
    return made


def test_a_line_tells_when_how_grave_where_and_what() -> None:
    line = json.loads(JsonFormatter().format(record("accounts %s", "reloaded", accounts=3)))
    assert line == {
        "at": "2026-11-20T22:40:00.250Z",
        "level": "warning",
        "logger": "service.app",
        "message": "accounts reloaded",
        "accounts": 3,
    }


@given(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=())))
def test_each_line_is_one_json_object_whatever_the_message(message: str, fact: str) -> None:
    text = JsonFormatter().format(record("%s", message, fact=fact))
    assert len(text.splitlines()) == 1 or "\n" not in text
    assert "\n" not in text and "\r" not in text
    assert isinstance(json.loads(text), dict)


def test_a_traceback_stays_within_the_line() -> None:
    text = JsonFormatter().format(with_failure(record("broken")))
    assert "\n" not in text
    assert json.loads(text)["exception"].endswith("ValueError: line one\nline two")


def test_a_message_cannot_fake_a_second_line_for_people() -> None:
    hostile = "a\r\nb\x1b[2J\x7f\x85\x9b\u2028\u2029c"
    text = TextFormatter().format(record("user %s", "x\n12:00:00 info    all is well", name=hostile))
    assert len(text.splitlines()) == 1
    assert not set(text) & set(hostile) - set("abc[2J")


def test_the_line_for_people_has_the_same_facts() -> None:
    assert TextFormatter().format(record("started", port=8080)).endswith("warning started port=8080")
    assert "ValueError: line one" in TextFormatter().format(with_failure(record("broken")))


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(("form", "formatter"), [("json", JsonFormatter), ("text", TextFormatter)])
def test_all_logging_goes_to_standard_error_in_the_chosen_form(
    root_logger: logging.Logger, form: str, formatter: type[logging.Formatter]
) -> None:
    access = logging.getLogger("uvicorn.access")
    access.addHandler(logging.NullHandler())
    configure(Settings(log_format=form))  # type: ignore[arg-type]
    (handler,) = root_logger.handlers
    assert isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr
    assert isinstance(handler.formatter, formatter)
    assert access.handlers == [] and not access.propagate
