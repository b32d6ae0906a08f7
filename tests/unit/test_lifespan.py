"""What a process does by itself: a fault in one task is told, and the task goes on."""

import asyncio
import gc
import sys
from collections.abc import Callable
from unittest.mock import Mock

import pytest

from service import lifespan
from service.app import Service
from service.errors import StoreUnavailable
from service.lifespan import Background, Lifespan, Work, collect_rarely
from service.settings import Settings
from service.store.driver.keys import Stream
from service.store.monitoring.monitor import Monitor
from service.tokens.managed.sweeper import Sweeper
from service.tokens.sessions import Sessions
from tests.builders import create, outcome, until
from tests.conftest import MakeService


@pytest.mark.parametrize(
    ("fault", "told"), [(ValueError("a fault of ours"), True), (StoreUnavailable("Redis is away."), False)]
)
async def test_background_work_that_fails_is_told_and_done_again(
    make_service: MakeService,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: Exception,
    *,
    told: bool,
) -> None:
    swept: list[int] = []
    pause = asyncio.sleep

    async def sweep(_: Sweeper) -> int:
        swept.append(1)
        raise fault

    # A second of the background passes with each turn of the loop.
    monkeypatch.setattr("service.lifespan.asyncio.sleep", lambda seconds: pause(0))
    monkeypatch.setattr(Sweeper, "sweep", sweep)
    await make_service()
    await until(lambda: len(swept) >= 3)
    monkeypatch.undo()
    assert ("background work failed" in caplog.messages) is told


async def test_work_that_stands_still_is_told_once_with_the_key_that_another_has_taken(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service = await make_service(background=False)
    shard, tried = service.stores.shards[0], []
    key = shard.keys.checkpoints(Stream.CHANGES)
    await shard.link.execute("HSET", key, "a", "b")
    pause, seal = asyncio.sleep, service.rules.audit.checkpoints.seal

    async def sealed() -> None:
        tried.append(1)
        await seal()

    monkeypatch.setattr("service.lifespan.asyncio.sleep", lambda seconds: pause(0))
    work = asyncio.create_task(lifespan._every(1.0, sealed, "seal"))
    await until(lambda: len(tried) >= 3)
    monkeypatch.undo()
    work.cancel()
    said = [one for one in caplog.messages if one.startswith("background work stands still: ")]
    assert len(said) == 1
    assert f"under our key {key.decode()}: " in said[0]


async def test_what_runs_all_the_while_begins_again_after_a_fault(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begun: list[int] = []
    pause = asyncio.sleep

    async def watch(_: Monitor) -> None:
        begun.append(1)
        raise ValueError("a fault of ours")

    monkeypatch.setattr("service.lifespan.asyncio.sleep", lambda seconds: pause(0))
    monkeypatch.setattr(Monitor, "watch", watch)
    await make_service()
    await until(lambda: len(begun) >= 3)
    monkeypatch.undo()
    assert "background work failed" in caplog.messages


async def test_what_is_done_once_is_done_as_soon_as_redis_answers(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    pause = asyncio.sleep

    async def end_outdated(_: Sessions) -> None:
        tried.append(1)
        if len(tried) < 3:
            raise StoreUnavailable("Redis is away.")

    monkeypatch.setattr("service.lifespan.asyncio.sleep", lambda seconds: pause(0))
    monkeypatch.setattr(Sessions, "end_outdated", end_outdated)
    await make_service()
    await until(lambda: len(tried) >= 3)
    for _ in range(20):
        await pause(0)
    monkeypatch.undo()
    assert len(tried) == 3


async def test_a_process_begins_and_ends_in_order() -> None:
    did: list[str] = []

    def work(name: str) -> Work:
        async def do() -> None:
            did.append(name)

        return do

    async def all_the_while() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            did.append("background ends")

    monitor = Mock(faults="", check=work("check"), watch=all_the_while)
    metrics = Mock(close=lambda: did.append("metrics end"))
    port = Mock(start=lambda: did.append("port"), stop=work("port ends"))
    background = Background(
        prepare=work("prepare"),
        begin=work("begin"),
        repeated=(),
        flush=(work("flush"), work("flush more")),
        reload=(),
        follow=None,
        close=(work("close"), work("close last")),
    )
    async with Lifespan(monitor, metrics, {}, background, port)():
        did.append("traffic")
        await until(lambda: "begin" in did)
    begun = ["check", "prepare", "port", "traffic", "begin"]
    ended = ["background ends", "flush", "flush more", "port ends", "metrics end", "close", "close last"]
    assert did == begun + ended


async def test_what_a_process_has_left_at_its_end_is_written_before_it_leaves_redis(
    make_settings: Callable[..., Settings], make_service: MakeService
) -> None:
    service = Service(make_settings(redis_timeout_ms=5000))
    shard, deliveries = service.stores.shards[0], service.rules.webhooks.deliveries
    async with service.lifespan():
        made = await create(service, "gate")
        assert await deliveries._hold(shard)
        assert await outcome(service, made.secret) == "active"
    another = await make_service(background=False)
    assert (await another.rules.managed.tokens.get(made.token.token_id)).last_used_at
    assert await another.stores.shards[0].link.execute("GET", shard.keys.delivery_lock) is None


async def test_the_loop_waits_for_no_thread_that_computes(make_service: MakeService) -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    try:
        await make_service()
        assert sys.getswitchinterval() <= 0.001
    finally:
        sys.setswitchinterval(before)


def test_the_collector_runs_rarely_and_not_at_what_the_start_made() -> None:
    thresholds, frozen = gc.get_threshold(), gc.get_freeze_count()
    gc.disable()
    try:
        passes = gc.get_stats()[2]["collections"]
        collect_rarely()
        assert gc.get_stats()[2]["collections"] == passes
        assert gc.isenabled()
        assert gc.get_freeze_count() > frozen
        # Python's own number is 700; a pass through more new ones than this was seen to take two milliseconds.
        assert 5 * 700 < gc.get_threshold()[0] <= 5000
    finally:
        gc.enable()
        gc.unfreeze()
        gc.set_threshold(*thresholds)
