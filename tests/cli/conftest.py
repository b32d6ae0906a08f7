"""Commands run in this process, in an environment that has nothing of the machine's own."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import Result

from service.cli.client import http
from service.cli.commands import about, audit, verify
from service.cli.commands.tokens import show, states
from service.cli.doctor import command
from service.cli.terminal import output, report
from service.embedded import EmbeddedRedis
from tests.cli.running import run_here
from tests.cli.stub import Stub, serving

Run = Callable[..., Result]
Found = Callable[..., tuple[int, dict[str, tuple[str, str]]]]
# Imported before any is patched: a module first imported meanwhile would keep the patched name for ever.
_SHOWING = (output, report, show, audit, about, command, states, verify)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("TOKENS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TOKENS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    """A service that the commands speak to, signed in by TOKENS_TOKEN."""
    with serving() as stub:
        monkeypatch.setenv("TOKENS_URL", stub.url)
        monkeypatch.setenv("TOKENS_TOKEN", "the-caller")
        yield stub


@pytest.fixture
def run() -> Run:
    """Runs a command: `run("list", "--json", stdin="", env={})`. What would end in a traceback fails the test."""
    return run_here


@pytest.fixture
def found(run: Run) -> Found:
    """Runs the doctor: the exit code, and each check's result and detail."""

    def examine(**environment: str) -> tuple[int, dict[str, tuple[str, str]]]:
        result = run("doctor", "--json", env={"TOKENS_PORT": "0", **environment})
        checks = {one["check"]: (one["result"], one["detail"]) for one in json.loads(result.stdout)}
        return result.exit_code, checks

    return examine


@pytest.fixture
def outside(redis_server: EmbeddedRedis, accounts_file: Path) -> dict[str, str]:
    """The settings of a service with a Redis of its own."""
    accounts_file.chmod(0o600)
    return {
        "TOKENS_REDIS_URL": redis_server.url,
        "TOKENS_SECRET_KEY": "x" * 32,
        "TOKENS_ACCOUNTS_FILE": str(accounts_file),
    }


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output as a person sees it, 80 columns wide and in colour."""
    for module in _SHOWING:
        monkeypatch.setattr(module, "on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(click, "echo", _echo_in_colour)


def _echo_in_colour(message: object = None, *, err: bool = False, file: object = None) -> None:
    _ECHO(message, err=err, color=True)


_ECHO = click.echo


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What a command waits for the service, which takes no time here."""
    waited: list[float] = []
    monkeypatch.setattr(http.time, "sleep", waited.append)
    return waited
