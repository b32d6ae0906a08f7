"""The real service as a process of its own, started as a user starts it."""

import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.api.running import PATIENT

DEADLINE = 120.0
COMMAND = (sys.executable, "-m", "service")


def own_environment(folder: Path, **more: str) -> dict[str, str]:
    """This environment without its TOKENS_*, all that a command writes below `folder`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TOKENS_")}
    return {
        **kept,
        "TOKENS_DATA_DIR": str(folder / "data"),
        "TOKENS_PORT": "0",
        **PATIENT,
        "TMPDIR": str(folder),
        "XDG_STATE_HOME": str(folder / "state"),
        **more,
    }


class Lifespan:
    """`token-service serve`, ready; what it printed until then is `said`."""

    def __init__(self, folder: Path, *arguments: str, **more: str) -> None:
        self.folder = folder
        self.log = folder / "log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "serve", *arguments],
                env=own_environment(folder, **more),
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
            )
        self.said = self._listen()
        found = re.search(r"listens on (https?://\S+)", self.said)
        if found is None:
            self.end(signal.SIGKILL)
            raise AssertionError(self.said + self.log.read_text())
        self.url = found[1]
        self.port = int(self.url.rpartition(":")[2])

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(DEADLINE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def _listen(self) -> str:
        assert self.process.stdout is not None
        said, deadline = b"", time.monotonic() + DEADLINE
        while b"listens on" not in said:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            piece = self.process.stdout.read(65536) if ready else b""
            if not piece:
                break
            said += piece
        return said.decode()


@contextmanager
def running(folder: Path, *arguments: str, **more: str) -> Iterator[Lifespan]:
    """The service until the block ends, or until it has ended by itself."""
    service = Lifespan(folder, *arguments, **more)
    try:
        yield service
    finally:
        service.end()


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Ask every 10 ms until it is so."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE} s for {what}"
        threading.Event().wait(0.01)
