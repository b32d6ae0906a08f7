"""`make chaos`: its rows are gathered while it runs and printed as a table at the end."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import SERVER_KEY

Row = Callable[[str, str, object], None]
_ROWS: list[tuple[str, str, str]] = []


@pytest.fixture
def row() -> Row:
    """Adds a line: what was done, what must be, what was."""
    return lambda fault, must, found: _ROWS.append((fault, must, str(found)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line("")
    for fault, must, found in [("fault, under load", "must be", "was"), ("---", "---", "---"), *_ROWS]:
        terminalreporter.write_line(f"| {fault} | {must} | {found} |")


@pytest.fixture(scope="module")
def settings(accounts_file: Path) -> dict[str, str]:
    return {
        "TOKENS_SECRET_KEY": SERVER_KEY,
        "TOKENS_ACCOUNTS_FILE": str(accounts_file),
        "TOKENS_ONE_TIME_ISSUE_PER_MINUTE": "1000000",
        "TOKENS_ONE_TIME_ISSUE": "open",
    }
