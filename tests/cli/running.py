"""The real service as a process of its own, started as a user starts it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.api.running import COMMAND, DEADLINE, PATIENT, Lifespan, clean


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


def call(service: Lifespan, *arguments: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    """A command against this service, piped."""
    return subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        env=clean({**service.environment, "TOKENS_URL": service.url, **more}),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
