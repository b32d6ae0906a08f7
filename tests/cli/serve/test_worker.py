"""One of several worker processes: it ends with its parent, and a bad setting ends it in a way the parent knows."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from uvicorn.config import STARTUP_FAILURE

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
    monkeypatch.setattr("service.app.create_app", refuse)
    with pytest.raises(SystemExit) as ended:
        listener.application(SETTINGS)
    assert ended.value.code == STARTUP_FAILURE
    assert caplog.messages == ["TOKENS_PORT: no"]
