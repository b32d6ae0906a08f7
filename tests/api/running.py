"""The service as a user starts it: `python -m service serve` in a process of its own, told by its environment."""

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "service")
DEADLINE = 120.0
_START_SECONDS = 180.0
# Where the deadline is not what is tested: a machine that is busy elsewhere makes no answer unknown.
PATIENT = {"TOKENS_REDIS_TIMEOUT_MS": "20000"}
# As a service has it that nobody has told otherwise, for tests that take its Redis away.
IMPATIENT_MS = "250"
_READY = re.compile(r"listens on (https?://\S+:(\d+)) ")


def comes_true(true: Callable[[], object], *, seconds: float) -> bool:
    """Ask again and again until it is true; False when it stays false."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.01)
    return True


def wait_until(true: Callable[[], object], *, what: str) -> None:
    """The same, as long as a busy machine may take; an AssertionError that names `what` when it stays false."""
    assert comes_true(true, seconds=DEADLINE), f"not within {DEADLINE} s: {what}"


def clean(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with these settings for its own."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("TOKENS_")}, **settings}


def said_at_the_start(process: subprocess.Popen[bytes]) -> tuple[str, str, int]:
    """All that a service prints until it listens, and there its first URL and port."""
    assert process.stdout is not None
    said, deadline = b"", time.monotonic() + _START_SECONDS
    while (found := _READY.search(said.decode(errors="replace"))) is None:
        left = deadline - time.monotonic()
        ready = left > 0 and select.select([process.stdout], [], [], left)[0]
        part = os.read(process.stdout.fileno(), 4096) if ready else b""
        assert part, f"the service did not start, exit status {process.poll()}: {said!r}"
        said += part
    return said.decode(), found[1], int(found[2])


class Lifespan:
    """A started service: where it listens, its processes, what it said and logged. Ends with `stop`, or by `kill`."""

    def __init__(self, environment: Mapping[str, str], *, workers: int = 1, port: int = 0) -> None:
        self.environment = {**PATIENT, **environment}
        self._workers = workers
        self._folder = Path(tempfile.mkdtemp(prefix="tk"))
        self.log_path = self._folder / "log"
        self.port = port
        self._begin()

    def _begin(self) -> None:
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "serve", "--port", str(self.port), "--workers", str(self._workers)],
                cwd=ROOT,
                env=clean(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        try:
            self.said, self.url, self.port = said_at_the_start(self.process)
        except BaseException as error:
            error.add_note(self.log)
            self.kill()
            self._close()
            raise

    @property
    def log(self) -> str:
        """Everything on standard error so far."""
        return self.log_path.read_text(errors="replace")

    def worker_pids(self) -> list[int]:
        """The processes that answer requests: the workers, or the one there is."""
        if self._workers == 1:
            return [self.process.pid]
        return [pid for pid in _children(self.process.pid) if b"spawn_main" in _command_line(pid)]

    def replace_worker(self, pid: int, number: signal.Signals = signal.SIGTERM) -> None:
        """End one worker by a signal, and wait until another one stands in its place."""
        before = set(self.worker_pids())
        os.kill(pid, number)
        wait_until(lambda: len(set(self.worker_pids()) - before) == 1, what="a new worker")

    def hang_up(self) -> None:
        """SIGHUP, which makes it read its accounts again."""
        self.process.send_signal(signal.SIGHUP)

    def restart(self, **changed: str) -> None:
        """Start it anew on the same port, after it was stopped or killed, with other settings if there are any."""
        assert self.process.poll() is not None, "it is still running"
        self.environment |= changed
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._begin()

    def kill(self) -> None:
        """kill -9 of it and its workers, at once; a Redis of its own is ended by that, and has a moment to write."""
        for pid in (*self.worker_pids(), self.process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(DEADLINE)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it as an operator does; its exit status."""
        self.process.send_signal(number)
        try:
            return self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def close(self) -> None:
        """Stop it and remove its folder."""
        try:
            self.stop()
        finally:
            self._close()

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _children(pid: int) -> list[int]:
    """The direct children of a process, as Linux lists them."""
    try:
        listed = [Path(task, "children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for text in listed for child in text.split()]


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
