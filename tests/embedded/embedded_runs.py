"""Runs of the managed Redis: in this process, in others, refused; what its tests start from."""

import fcntl
import json
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

import service.embedded as embedded
from service.embedded import EmbeddedError, EmbeddedRedis
from tests.api.running import DEADLINE

OWNER = """
import json, sys
from pathlib import Path
from service.embedded import start
def say(line):
    print(json.dumps({"said": line}), flush=True)
server = start(Path(sys.argv[1]), say=say, lost=say)
print(json.dumps({"url": server.url, "key": server.secret_key, "owner": server.owner}), flush=True)
sys.stdin.read()
server.close()
"""


def nobody(_: str) -> None:
    """Hears a line, and does nothing."""


@contextmanager
def fresh_folder() -> Iterator[Path]:
    """A data directory with a path short enough for a socket, not yet made."""
    root = Path(tempfile.mkdtemp(prefix="tk"))
    try:
        yield root / "data"
    finally:
        shutil.rmtree(root)


@contextmanager
def running(folder: Path, **options: str) -> Iterator[EmbeddedRedis]:
    server = embedded.start(folder, say=nobody, lost=nobody, **options)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def client(url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(url, socket_timeout=DEADLINE) as connection:
        yield connection


class Process:
    """A process of its own that starts (or shares) the server and waits for its standard input to end."""

    def __init__(self, folder: Path) -> None:
        # Unbuffered: what was read but not yet asked for would be hidden from select.
        self.popen = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(folder)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def line(self) -> dict[str, object]:
        assert self.popen.stdout is not None
        ready, _, _ = select.select([self.popen.stdout], [], [], DEADLINE)
        assert ready, "the process said nothing"
        return json.loads(self.popen.stdout.readline())

    def started(self) -> dict[str, object]:
        assert "said" in self.line()
        return self.line()

    def end(self) -> None:
        if self.popen.stdin and not self.popen.stdin.closed:
            self.popen.stdin.close()
        self.popen.wait(DEADLINE)
        assert self.popen.stdout is not None
        self.popen.stdout.close()


@contextmanager
def processes(folder: Path, count: int) -> Iterator[list[Process]]:
    started = [Process(folder) for _ in range(count)]
    try:
        yield started
    finally:
        for process in started:
            process.end()


def lock_is_free(folder: Path) -> bool:
    with (folder / "redis.lock").open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def refusal(folder: Path, **options: str) -> str:
    """The one line with which a start is refused; nothing is left running."""
    said: list[str] = []
    with pytest.raises(EmbeddedError) as refused:
        embedded.start(folder, say=said.append, lost=nobody, **options)
    assert said == []
    line = str(refused.value)
    assert "\n" not in line
    return line


def fake_server(path: Path, said: str, deed: str = "exit 1") -> Path:
    """A program that answers --version with `said` and otherwise does `deed`."""
    path.write_text(f"#!/bin/sh\ncase $1 in --version) echo '{said}' ;; *) {deed} ;; esac\n")
    path.chmod(0o755)
    return path
