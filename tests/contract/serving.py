"""Other programs beside the tests: the service as a process of its own, and checkers of files."""

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.api.running import PATIENT

START_SECONDS = 180


@contextmanager
def serving(command: Sequence[str | Path], environment: Mapping[str, str], folder: Path) -> Iterator[int]:
    """Run `command serve` with these settings alone until the context ends; yields its free port."""
    settings = {**PATIENT, **environment, "TOKENS_PORT": "0"}
    with subprocess.Popen(
        [*command, "serve"], bufsize=0, cwd=folder, env=clean(settings), stdout=subprocess.PIPE
    ) as served:
        try:
            yield _port(served)
        finally:
            served.terminate()
    assert served.returncode == 0


def clean(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with these settings for its own."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("TOKENS_")},
        **settings,
    }


def _port(served: subprocess.Popen[bytes]) -> int:
    assert served.stdout is not None
    said = b""
    deadline = time.monotonic() + START_SECONDS
    while (found := re.search(rb"listens on http://[^:]+:(\d+)", said)) is None:
        ready, _, _ = select.select([served.stdout], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"the service did not listen within {START_SECONDS} s: {said!r}"
        chunk = served.stdout.read(65536)
        assert chunk, f"the service ended before it listened: {said!r}"
        said += chunk
    return int(found[1])


def tool(name: str, *words: str) -> None:
    """Run a checker from the environment of these tests; what it finds is in the failure."""
    command = [str(Path(sys.executable).with_name(name)), *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
