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
START_SECONDS = 180.0
_DEADLINE = 120.0
# Where the deadline is not what is tested: a machine that is busy elsewhere makes no answer unknown.
PATIENT = {"TOKENS_REDIS_TIMEOUT_MS": "20000"}
# As a service has it that nobody has told otherwise, for tests that take its Redis away.
IMPATIENT_MS = "250"
_READY = re.compile(r"listens on http://[^ ]*?:(\d+) ")


def comes_true(true: Callable[[], bool], *, seconds: float) -> bool:
    """Ask again and again until it is true; False when it stays false."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.01)
    return True


def wait_until(true: Callable[[], bool], *, what: str) -> None:
    """The same, as long as a busy machine may take; an AssertionError that names `what` when it stays false."""
    assert comes_true(true, seconds=_DEADLINE), f"not within {_DEADLINE} s: {what}"


class Lifespan:
    """A started service: its port, its processes and what it logged. Ends with `stop`, or `kill -9` by `kill`."""

    def __init__(self, environment: Mapping[str, str], *, workers: int = 1, port: int = 0) -> None:
        self._environment = {**PATIENT, **environment}
        self._workers = workers
        self._folder = Path(tempfile.mkdtemp(prefix="tk"))
        self.log_path = self._folder / "log"
        self.port = port
        self._begin()

    def _begin(self) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TOKENS_")}
        command = [sys.executable, "-m", "service", "serve", "--port", str(self.port)]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--workers", str(self._workers)],
                cwd=ROOT,
                env=kept | self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        try:
            self.port = self._await_port()
        except BaseException:
            self.kill()
            self._close()
            raise

    def _await_port(self) -> int:
        assert self.process.stdout is not None
        said, deadline = b"", time.monotonic() + START_SECONDS
        while (found := _READY.search(said.decode(errors="replace"))) is None:
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([self.process.stdout], [], [], left)[0]
            part = os.read(self.process.stdout.fileno(), 4096) if ready else b""
            assert part, f"the service did not start, exit status {self.process.poll()}: {said!r}\n{self.log}"
            said += part
        self.said = said.decode()
        return int(found[1])

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
        self._environment |= changed
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
        self.process.wait(30)

    def stop(self) -> int:
        """End it as an operator does; its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(30)
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
