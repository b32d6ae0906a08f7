"""One of several worker processes: it ends with its parent, and a bad setting ends it in a way the parent knows."""

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from itertools import count, repeat
from types import SimpleNamespace
from unittest.mock import AsyncMock, Mock

import pytest
from uvicorn.config import STARTUP_FAILURE

from service.cli.serve import listener
from service.edge.deadlines import Deadlines
from service.settings import Settings, SettingsError

SETTINGS = Settings()


@pytest.fixture(autouse=True)
def _collecting() -> Iterator[None]:
    """As a lifespan would have it again."""
    yield
    gc.enable()


def test_it_ends_when_its_parent_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[tuple[int, int]] = []
    reading, writing = os.pipe()
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: SimpleNamespace(sentinel=reading))
    monkeypatch.setattr(os, "kill", lambda process, number: ended.append((process, number)))
    os.close(writing)
    listener._end_with_parent()
    os.close(reading)
    assert ended == [(os.getpid(), signal.SIGTERM)]


def test_it_watches_nobody_where_it_has_no_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("killed"))
    listener._end_with_parent()


class Beginning:
    """A process that answers or not yet, as long as it runs."""

    answers: Iterator[bool]
    asked: list[float]
    killed: list[int]
    exitcode: int | None

    def __init__(self, *_: object) -> None:
        self.pid = next(_pids)

    def start(self) -> None: ...

    def is_alive(self, timeout: float) -> bool:
        return self.exitcode is None and timeout > 0

    def kill(self) -> None:
        self.killed.append(self.pid)

    def join(self) -> None: ...

    def wait_until_ready(self, seconds: float) -> bool:
        self.asked.append(seconds)
        return next(self.answers)


_pids = count(1)


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> listener._Workers:
    """Two of them, of which `Beginning` says how they are."""
    monkeypatch.setattr(listener, "_Worker", Beginning)
    # Of this process the signals are the test run's.
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    Beginning.answers, Beginning.asked, Beginning.killed, Beginning.exitcode = repeat(True), [], [], None
    config = listener._config(listener.application, Settings(workers=2), None)
    return listener._Workers(config, [], ready=lambda: None)


def test_workers_are_announced_once_all_answer_however_long_the_last_one_takes(workers: listener._Workers) -> None:
    ready: list[bool] = []
    workers._ready = lambda: ready.append(True)
    Beginning.answers = iter([True, True, False, True, False, True, True])
    workers.init_processes()
    workers.keep_subprocess_alive()
    assert (workers.started, ready) == (False, [])
    for _ in range(2):
        workers.keep_subprocess_alive()
        assert (workers.started, ready) == (True, [True])
    assert Beginning.asked == [30.0, 30.0, 30.0, 1.0, 1.0, 1.0, 1.0]


def test_another_worker_takes_the_place_of_one_that_ended(
    workers: listener._Workers, caplog: pytest.LogCaptureFixture
) -> None:
    workers.init_processes()
    before, Beginning.exitcode = [process.pid for process in workers.processes], -9
    workers.keep_subprocess_alive()
    after = [process.pid for process in workers.processes]
    told = "worker {} ended with status -9: {} takes its place"
    assert caplog.messages == [told.format(old, new) for old, new in zip(before, after, strict=True)]
    assert not {*before} & {*after}


def test_one_that_cannot_start_ends_the_service(workers: listener._Workers, caplog: pytest.LogCaptureFixture) -> None:
    workers.init_processes()
    first, _ = workers.processes
    Beginning.exitcode = STARTUP_FAILURE
    workers.keep_subprocess_alive()
    # The other is not looked at any more: it is ended with the rest.
    assert (workers.should_exit.is_set(), Beginning.killed) == (True, [first.pid])
    assert caplog.messages == [f"worker {first.pid} could not start, and so the service ends"]


def test_where_the_first_cannot_start_there_is_no_second(workers: listener._Workers) -> None:
    Beginning.answers, Beginning.exitcode = repeat(False), STARTUP_FAILURE
    workers.init_processes()
    assert (len(workers.processes), workers.started) == (1, False)


def test_one_more_that_a_signal_asks_for_is_begun_as_the_others(workers: listener._Workers) -> None:
    workers.init_processes()
    workers.handle_ttin()
    assert [*map(type, workers.processes)] == [Beginning] * 3


def test_a_worker_makes_its_server_before_anybody_else_could_ask_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that tells the parent of it made another one, which never began."""
    before, beside, over = {*threading.enumerate()}, list[object](), threading.Event()
    ran: list[object] = []

    class Made:
        def __init__(self, config: object) -> None:
            beside.extend({*threading.enumerate()} - before)

        def run(self, sockets: object) -> None:
            ran.append(self)

    monkeypatch.setattr("uvicorn.supervisors.multiprocess.Server", lambda **_: pytest.fail("it knows of no drain"))
    monkeypatch.setattr(listener, "_Server", Made)
    # Its thread only waits here.
    worker = listener._Worker(listener._config(listener.application, Settings(workers=2), None), [])
    monkeypatch.setattr(worker, "always_pong", over.wait)
    worker.target([])
    over.set()
    assert (beside, ran) == ([], [worker.server])


async def test_a_stop_is_known_to_whoever_comes_behind_it_though_nobody_was_there() -> None:
    """A handshake by TLS under way: that connection was kept, and the process with it as long as it may drain."""
    server, deadlines = listener._Server(listener._config(listener.application, SETTINGS, None)), Deadlines()
    server.servers, server.lifespan = [], Mock(state={"deadlines": deadlines}, shutdown=AsyncMock())
    await server.shutdown()
    assert deadlines.draining


def test_it_serves_by_the_settings_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener.logs, "configure", lambda _: None)
    watches = threading.Event()
    monkeypatch.setattr(listener, "_end_with_parent", watches.set)
    collects = []

    def create_app(settings: Settings, *, on_reload: tuple[object, ...]) -> object:
        collects.append(gc.isenabled())
        return settings, on_reload

    monkeypatch.setattr("service.app.create_app", create_app)
    assert listener.application(SETTINGS, on_reload=(print,)) == (SETTINGS, (print,))
    # What is made then stays.
    assert collects == [False]
    assert watches.wait(60)


def test_a_bad_setting_tells_the_parent_not_to_try_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(settings: Settings, *, on_reload: tuple[object, ...]) -> None:
        raise SettingsError("TOKENS_PORT: no")

    monkeypatch.setattr(listener.logs, "configure", lambda _: None)
    # One that begins late would watch what a later test has for a parent.
    monkeypatch.setattr(listener, "_end_with_parent", lambda: None)
    monkeypatch.setattr("service.app.create_app", refuse)
    with pytest.raises(SystemExit) as ended:
        listener.application(SETTINGS)
    assert ended.value.code == STARTUP_FAILURE
    assert caplog.messages == ["TOKENS_PORT: no"]
