"""The README's table of settings is what the code has, row by row."""

from __future__ import annotations

from typing import Any

from service.settings import described
from tests.contract.sources import ROOT, documented_settings


def written(default: Any) -> str:
    """A default as the table shows it."""
    if isinstance(default, bool):
        return "on" if default else "off"
    return str(default)


def test_the_table_of_settings_is_that_of_the_code() -> None:
    table = documented_settings((ROOT / "README.md").read_text(encoding="utf-8"))
    assert table == [(name, written(default), meaning) for name, default, meaning in described()]


def test_the_check_sees_a_changed_row() -> None:
    row = "| `TOKENS_PORT` | `8080` | port to listen on |\n"
    assert documented_settings(row) == [("TOKENS_PORT", "8080", "port to listen on")]
    assert documented_settings(row.replace("8080", "9090")) == [("TOKENS_PORT", "9090", "port to listen on")]
    assert documented_settings("| `TOKENS_ADMIN_PASSWORD` |  | a password |") == [
        ("TOKENS_ADMIN_PASSWORD", "", "a password")
    ]
