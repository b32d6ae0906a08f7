"""One of several worker processes: it ends with its parent, and a bad setting ends it in a way the parent knows."""

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import multiprocess

from service.cli.serve import listener
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


def test_workers_are_announced_once_all_answer_however_long_the_last_one_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([True, True, False, True, False, True, True])
    asked = []

    class Beginning:
        """A process that runs, and answers or not yet."""

        pid, exitcode = 1, None

        def __init__(self, *_: object) -> None: ...

        def start(self) -> None: ...

        def is_alive(self, timeout: float) -> bool:
            return timeout > 0

        def wait_until_ready(self, seconds: float) -> bool:
            asked.append(seconds)
            return next(answers)

    monkeypatch.setattr("uvicorn.supervisors.multiprocess.Process", Beginning)
    # Of this process the signals are the test run's.
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    ready: list[bool] = []
    config = listener._config(listener.application, Settings(workers=2), None)
    workers = listener._Workers(config, [], lambda: ready.append(True))
    workers.init_processes()
    workers.keep_subprocess_alive()
    assert (workers.started, ready) == (False, [])
    for _ in range(2):
        workers.keep_subprocess_alive()
        assert (workers.started, ready) == (True, [True])
    assert asked == [30.0, 30.0, 30.0, 1.0, 1.0, 1.0, 1.0]


def test_a_worker_makes_its_server_before_anybody_else_could_ask_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that tells the parent of it made another one, which never began."""
    before, beside, over = {*threading.enumerate()}, list[object](), threading.Event()
    ran: list[object] = []

    class Made:
        def __init__(self, config: object) -> None:
            beside.extend({*threading.enumerate()} - before)

        def run(self, sockets: object) -> None:
            ran.append(self)

    monkeypatch.setattr("uvicorn.supervisors.multiprocess.Server", Made)
    # As `Multiprocess` makes one; its thread only waits here.
    worker = multiprocess.Process(listener._config(listener.application, Settings(workers=2), None), [])
    monkeypatch.setattr(worker, "always_pong", over.wait)
    worker.target([])
    over.set()
    assert (beside, ran) == ([], [worker.server])


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
