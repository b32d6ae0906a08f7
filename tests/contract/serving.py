"""Other programs beside the tests: the service as a process of its own, and checkers of files."""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.api.running import PATIENT, clean, said_at_the_start


@contextmanager
def serving(command: Sequence[str | Path], environment: Mapping[str, str], folder: Path) -> Iterator[int]:
    """Run `command serve` with these settings alone until the context ends; yields its free port."""
    settings = {**PATIENT, **environment, "TOKENS_PORT": "0"}
    with subprocess.Popen([*command, "serve"], cwd=folder, env=clean(settings), stdout=subprocess.PIPE) as served:
        try:
            yield said_at_the_start(served)[2]
        finally:
            served.terminate()
    assert served.returncode == 0


def tool(name: str, *words: str) -> None:
    """Run a checker from the environment of these tests; what it finds is in the failure."""
    command = [str(Path(sys.executable).with_name(name)), *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
