"""The real service as a process of its own, started as a user starts it, and commands against it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from click.testing import CliRunner, Result

from service.cli import program
from tests.api.running import PATIENT, Lifespan, clean


def own_environment(folder: Path, **more: str) -> dict[str, str]:
    """This environment without its TOKENS_*, all that a command writes below `folder`."""
    own = {
        "TOKENS_DATA_DIR": str(folder / "data"),
        "TOKENS_PORT": "0",
        **PATIENT,
        "TMPDIR": str(folder),
        "XDG_STATE_HOME": str(folder / "state"),
    }
    return clean(own | more)


@contextmanager
def running(folder: Path, *, workers: int = 1, **more: str) -> Iterator[Lifespan]:
    """`token-service serve` until the block ends, or until it has ended by itself."""
    service = Lifespan(own_environment(folder, **more), workers=workers)
    try:
        yield service
    finally:
        service.close()


def run_here(*arguments: str, stdin: str = "", env: Mapping[str, str | None] | None = None) -> Result:
    """A command in this process. What would end in a traceback raises."""
    return CliRunner().invoke(program, arguments, stdin, env, catch_exceptions=False, prog_name="token-service")


def call(service: Lifespan, *arguments: str, stdin: str = "", **more: str) -> Result:
    """A command against this service, piped; as a process each would take most of its time to start.

    Those of the README and the operator's guide are run as processes, by tests/contract.
    """
    others = {name: None for name in os.environ if name.startswith("TOKENS_")}
    return run_here(*arguments, stdin=stdin, env={**others, **service.environment, "TOKENS_URL": service.url, **more})
