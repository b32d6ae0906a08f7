"""The watch over Redis: what forbids it, said once, and the number of shards settled for good."""

import asyncio
import gc
import time
import weakref
from collections import Counter
from operator import attrgetter
from typing import Any

import pytest

from service.app import Service
from service.errors import StartRefused, StoreUnavailable
from service.keyring import Keyring
from service.store.driver.server_clock import ServerClock
from service.store.driver.shards import Shards
from service.store.monitoring.inspection import Inspection
from service.store.monitoring.monitor import Monitor
from tests.builders import until
from tests.conftest import SERVER_KEY, Clock, MakeService
from tests.links import Recording, Wrapped

MARKS = Keyring(SERVER_KEY).marks("t")


class Saying(Wrapped):
    """The real server, except what it says of itself and what it fails to do."""

    def __init__(self, link: Any) -> None:
        super().__init__(link)
        self.info = ""
        self.fails: set[str] = set()
        self.time = 0

    async def execute(self, *args: Any, **how: Any) -> Any:
        if args[0] in self.fails:
            raise StoreUnavailable(
                "The token store is not answering. Try again.", cause="nothing listens at its address"
            )
        if args[0] == "INFO" and self.info:
            return self.info.encode()
        if args[0] == "TIME" and self.time:
            return [b"%d" % self.time, b"0"]
        return await super().execute(*args, **how)


@pytest.fixture
async def link(make_service: MakeService) -> Saying:
    service: Service = await make_service(background=False, wrap=Saying)
    link = service.stores.shards[0].link
    assert isinstance(link, Saying)
    return link


@pytest.fixture
def monitor(link: Saying, namespace: str, clock: Clock) -> Monitor:
    return Monitor(Shards(namespace, [link]), ServerClock(clock), MARKS)


@pytest.mark.parametrize("asked", ["clocks.check", "check", "_inspect"])
async def test_a_server_that_is_away_leaves_the_collector_nothing(link: Saying, monitor: Monitor, asked: str) -> None:
    link.fails = {"TIME", "INFO", "SET"}
    check = attrgetter(asked)(monitor)

    gc.disable()
    try:
        with pytest.raises(StoreUnavailable) as refused:
            await check()
        # Not what the collector finds: that may be of any test before.
        kept = weakref.ref(refused.value)
        # Its traceback knows this very frame.
        del refused
        await until(lambda: kept() is None)
    finally:
        gc.enable()


CHECKS = {
    "redis": "",
    "role": "",
    "version": "",
    "eviction": "",
    "writes": "",
    "scripts": "",
    "namespace": "",
    "server_key": "",
    "store_reset": "",
    "clock": "",
}


async def test_a_fit_server_passes_every_check(monitor: Monitor) -> None:
    assert not monitor.usable
    assert await monitor.checks() == CHECKS
    assert monitor.usable
    assert monitor.faults == ""


async def test_a_fault_is_told_by_its_check_and_warned_of_once(
    monitor: Monitor, link: Saying, caplog: pytest.LogCaptureFixture
) -> None:
    link.info = "redis_version:6.0.1\r\nmaxmemory_policy:allkeys-lru\r\n"
    for _ in range(3):
        checks = await monitor.checks()
    assert {name for name, fault in checks.items() if fault} == {"version", "eviction"}
    assert not monitor.usable
    assert monitor.faults.count("; ") == 1
    assert len(caplog.messages) == len(set(caplog.messages)) == 3
    told, link.info = set(caplog.messages), ""
    caplog.clear()
    caplog.set_level("INFO")
    await monitor.checks()
    assert {f"no longer so: {message}" for message in told} <= set(caplog.messages)
    caplog.clear()
    link.info = "redis_version:6.0.1\r\nmaxmemory_policy:allkeys-lru\r\n"
    await monitor.checks()
    assert told <= set(caplog.messages)


# The checks that began, by number, and what lets them go on.
Held = tuple[list[int], asyncio.Event]


@pytest.fixture
def held(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> Held:
    """The checks of the server take until they are let go on."""
    check, begun, going_on = monitor.check, list[int](), asyncio.Event()

    async def counted() -> Inspection:
        begun.append(len(begun))
        await going_on.wait()
        return await check()

    monkeypatch.setattr(monitor, "check", counted)
    return begun, going_on


async def test_one_check_answers_all_who_asked_before_it_began(monitor: Monitor, held: Held) -> None:
    """Anybody may ask for it, as often as they like."""
    begun, going_on = held
    asked = [asyncio.ensure_future(monitor.checks()) for _ in range(20)]
    # What began before the question may be of before a fault: all but its asker wait for the next.
    await until(lambda: begun == [0])
    going_on.set()
    found = await asyncio.gather(*asked)
    assert begun == [0, 1]
    assert all(one == found[0] and not any(one.values()) for one in found)
    await monitor.checks()
    assert begun == [0, 1, 2]


async def test_a_check_that_is_given_up_answers_nobody(monitor: Monitor, held: Held) -> None:
    begun, going_on = held
    first, second, third = (asyncio.ensure_future(monitor.checks()) for _ in range(3))
    await until(lambda: begun == [0])
    going_on.set()
    # Whoever waits goes on all the same, and the next check waits again.
    going_on.clear()
    await until(lambda: begun == [0, 1])
    second.cancel()
    going_on.set()
    assert await third == await first
    assert begun == [0, 1, 2]


async def test_a_server_that_recovers_is_usable_again(monitor: Monitor, link: Saying) -> None:
    link.info = "redis_version:6.0.0\r\n"
    await monitor.check()
    assert not monitor.usable
    link.info = ""
    await monitor.check()
    assert monitor.usable


@pytest.mark.parametrize(("command", "check"), [("INFO", "redis"), ("EVALSHA", "scripts")])
async def test_a_server_that_does_not_answer_is_not_usable(
    monitor: Monitor, link: Saying, command: str, check: str
) -> None:
    await monitor.check()
    link.fails = {command} | ({"SET"} if command == "INFO" else set())
    assert [name for name, fault in (await monitor.checks()).items() if fault] == [check]
    assert not monitor.usable


async def test_the_first_process_settles_the_number_of_shards_and_another_number_is_refused(
    link: Saying, namespace: str
) -> None:
    first, other, same = (
        Monitor(Shards(namespace, [link] * count), ServerClock(time.time), MARKS) for count in (16, 1, 16)
    )
    for monitor in (first, other, same):
        await monitor.check()
    assert (first.usable, other.usable, same.usable) == (True, False, True)
    assert "was first started with 16 shards" in other.faults
    assert (await other.checks())["namespace"] == other.faults


async def test_a_full_server_is_asked_what_was_settled_before(monitor: Monitor, link: Saying, namespace: str) -> None:
    await Monitor(Shards(namespace, [link] * 16), ServerClock(time.time), MARKS).check()
    link.fails = {"SET"}
    await monitor.check()
    assert "16 shards" in monitor.faults


async def test_a_fresh_server_that_refuses_writes_is_not_held_against_the_shards(
    monitor: Monitor, link: Saying
) -> None:
    link.fails = {"SET"}
    await monitor.check()
    assert monitor.faults == ""


@pytest.mark.parametrize("count", [0, 2, 15, 17])
async def test_a_namespace_has_one_or_sixteen_shards(link: Saying, namespace: str, count: int) -> None:
    with pytest.raises(ValueError, match="shards"):
        Shards(namespace, [link] * count)


async def test_the_watch_reads_the_clock_four_times_a_second_and_at_all_else_rarely(
    monitor: Monitor, link: Saying, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    now, asked, done = loop.time(), Recording(link.link), asyncio.Event()
    link.link = asked
    monkeypatch.setattr(loop, "time", lambda: now)
    seconds: list[Counter[str]] = []
    turns = 0

    async def pause(length: float) -> None:
        nonlocal now, turns
        if asyncio.current_task() is not watching:
            # The connection sleeps too, where it must be opened again.
            return await sleep(length)
        now, turns = now + length, turns + 1
        if turns % 4 == 0:
            seconds.append(Counter(name for name in asked.names() if name in ("TIME", "INFO")))
            asked.asked.clear()
            link.fails = {"INFO", "SET"} if len(seconds) == 60 else set()
        if len(seconds) == 64:
            done.set()
            await asyncio.Event().wait()
        return None

    sleep = asyncio.sleep
    monkeypatch.setattr("service.store.monitoring.monitor.asyncio.sleep", pause)
    watching = asyncio.create_task(monitor.watch())
    await done.wait()
    watching.cancel()
    assert {second["TIME"] for second in seconds} == {4}
    # Well for a minute, then away, then well again: rarely, often, rarely.
    assert [second["INFO"] for second in seconds] == [1] + [0] * 60 + [1, 0, 0]
    assert monitor.usable


@pytest.mark.parametrize(
    ("ahead", "warned", "ready"), [(1.9, 0, True), (2.1, 1, True), (-12, 1, True), (29, 1, True), (-60, 1, False)]
)
async def test_a_clock_that_differs_is_followed_and_said_once(
    link: Saying, namespace: str, caplog: pytest.LogCaptureFixture, ahead: float, warned: int, *, ready: bool
) -> None:
    # Both stand still: what an exchange takes on a busy machine is no part of this.
    link.time = 1_800_000_000
    clock = ServerClock(lambda: link.time - ahead)
    monitor = Monitor(Shards(namespace, [link]), clock, MARKS)
    for _ in range(3):
        checks = await monitor.checks()
    assert clock() == link.time
    assert monitor.clocks.seconds_apart == pytest.approx(abs(ahead))
    assert sum("set both machines' clocks" in message for message in caplog.messages) == warned
    assert (checks["clock"] == "") is ready
    # Redis may be used all the same.
    assert monitor.usable


async def test_nodes_whose_clocks_differ_are_told(link: Saying, namespace: str, clock: Clock) -> None:
    nodes = [Saying(link.link) for _ in range(3)]
    for node, ahead in zip(nodes, (0, 40, -50), strict=True):
        node.time = int(clock()) + ahead
    shards = Shards(namespace, [nodes[0]] * 5 + [nodes[1]] * 6 + [nodes[2]] * 5)
    told = (await Monitor(shards, ServerClock(lambda: int(clock())), MARKS).checks())["clock"]
    assert told == (
        "the clocks of Redis' nodes and of this machine are 90.0 s apart (to this one that of shard 11 -50.0 s, "
        "that of shard 5 +40.0 s): set them"
    )


async def test_nodes_that_do_not_answer_are_told_by_their_shards_with_the_reason(link: Saying, namespace: str) -> None:
    other = Saying(link.link)
    other.fails = {"INFO", "SET"}
    shards = Shards(namespace, [link] * 14 + [other] * 2)
    where = (await Monitor(shards, ServerClock(time.time), MARKS).checks())["redis"]
    assert where == "the nodes of shards 14 do not answer: nothing listens at its address"


async def test_while_any_node_answers_those_that_do_not_turn_no_traffic_away(link: Saying, namespace: str) -> None:
    """Of the first shard neither, where the namespace keeps what it was started with: all was turned away for it."""
    first, others = Saying(link.link), Saying(link.link)
    monitor = Monitor(Shards(namespace, [first] * 5 + [others] * 11), ServerClock(time.time), MARKS)
    assert not any((await monitor.checks()).values())
    first.fails = {"INFO", "SET", "GETDEL", "GET", "EVAL", "EVALSHA", "TIME"}
    found = await monitor.checks()
    assert found["redis"] == "the nodes of shards 0 do not answer: nothing listens at its address"
    assert {name for name, fault in found.items() if fault} < monitor.partial
    # Looked after every second: a process that starts now does not know yet whether its server key is the right one.
    assert not monitor.usable
    others.fails = first.fails
    assert set(await monitor.checks()) == {"redis"}
    assert "redis" not in monitor.partial


async def test_a_service_refuses_to_start_on_a_server_that_deletes_tokens(make_service: MakeService) -> None:
    def wrap(link: Any) -> Saying:
        saying = Saying(link)
        saying.info = "redis_version:7.0.0\r\nmaxmemory_policy:allkeys-lru\r\n"
        return saying

    with pytest.raises(StartRefused, match="allkeys-lru deletes tokens"):
        await make_service(wrap=wrap)


async def test_a_service_starts_without_redis(make_service: MakeService, caplog: pytest.LogCaptureFixture) -> None:
    def wrap(link: Any) -> Saying:
        saying = Saying(link)
        saying.fails = {"INFO", "SET"}
        return saying

    await make_service(wrap=wrap)
    assert any("starting without Redis" in message for message in caplog.messages)
