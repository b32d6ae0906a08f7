"""Long work in steps: one is prepared while the last is under way, and only what others computed makes it pause."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from types import SimpleNamespace

import anyio
import pytest

from service.store import pacing
from service.store.managed.listing_slices import in_order
from service.store.managed.listing_sources import Row
from service.store.pacing import Overlapped, ahead, clear_in_steps, give_way, paced, paced_list, share_turn
from tests.builders import until


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, none of which takes any time; the clock stands still but for `compute`."""
    pauses: list[float] = []
    turn = asyncio.sleep

    async def sleep(seconds: float) -> None:
        if seconds:
            pauses.append(seconds)
        await turn(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(pacing, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    return pauses


clock = [0.0]


async def compute(seconds: float, *, waits: asyncio.Event | None = None, fails: bool = False) -> None:
    clock[0] += seconds
    if waits:
        await waits.wait()
        clock[0] += seconds
    if fails:
        raise RuntimeError("as it was told")


async def test_the_next_step_is_prepared_while_the_last_is_under_way(paused: list[float]) -> None:
    answered = asyncio.Event()
    async with Overlapped(2) as steps:
        await steps.begin(compute(0.01, waits=answered))
        asyncio.get_running_loop().call_soon(answered.set)
        await steps.begin(compute(0.02))
        # What the work has computed itself, be it when an answer came, is no turn of others.
        assert not paused
        other = asyncio.ensure_future(compute(0.005))
        await steps.begin(compute(0.01))
    await other
    assert paused == [pytest.approx(0.005)]


@pytest.fixture
async def waits() -> AsyncIterator[list[float]]:
    """How long somebody who is always ready waited for each turn."""
    waited: list[float] = []

    async def honest() -> None:
        while True:
            since = clock[0]
            await asyncio.sleep(0)
            waited.append(clock[0] - since)

    asking = asyncio.ensure_future(honest())
    yield waited
    asking.cancel()


async def _pieces(done: list[str], name: str, *seconds: float) -> None:
    for taken in seconds:
        await share_turn()
        clock[0] += taken
        done.append(name)


async def test_what_is_ready_at_once_shares_turns_of_the_loop(paused: list[float], waits: list[float]) -> None:
    done: list[str] = []
    async with Overlapped(9) as steps:
        for name in "abcdefgh":
            await steps.begin(_pieces(done, name, 0.0001, 0.001, 0.001, 0.001))
    assert sorted(done) == sorted(4 * "abcdefgh")
    # Behind a piece at the end of one turn and a piece at the beginning of the next, each with a short one before it.
    assert max(waits) < 0.0025


async def test_a_part_that_gives_way_does_not_wait_for_itself(paused: list[float]) -> None:
    async def part() -> None:
        clock[0] += 0.001
        await give_way()

    with anyio.fail_after(10):
        async with Overlapped() as steps:
            await steps.begin(part())
            await steps.begin(part())


async def test_whoever_waited_longest_for_a_turn_is_first(paused: list[float], waits: list[float]) -> None:
    done: list[str] = []

    async def work(name: str) -> None:
        for _ in range(20):
            await give_way()
            clock[0] += 0.001
            done.append(name)

    await asyncio.gather(*map(work, "abc"))
    # None is two pieces ahead of another: one that is always ready again first would be done before the others began.
    ahead_by = [
        max(counts) - min(counts) for counts in ([done[:end].count(name) for name in "abc"] for end in range(60))
    ]
    assert max(ahead_by) <= 2
    assert max(waits) < 0.0025


async def test_behind_a_step_that_failed_none_is_under_way(paused: list[float]) -> None:
    answered = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, answered.set)
    last = asyncio.ensure_future(answered.wait())

    async def two_steps() -> None:
        async with Overlapped(2) as steps:
            await steps.begin(compute(0, fails=True))
            await steps.begin(compute(0, waits=answered))

    with pytest.raises(RuntimeError, match="as it was told"):
        await two_steps()
    assert last.done()


async def test_what_an_item_asks_has_left_before_the_one_ahead_of_it_is_worked_on(paused: list[float]) -> None:
    left: list[int] = []

    async def items() -> object:
        for number in range(3):
            clock[0] += 0.01
            # As a pipeline sends what was asked in a turn of the loop.
            asyncio.get_running_loop().call_soon(left.append, number)
            yield number

    seen = [(item, len(left)) async for item in ahead(items())]  # type: ignore[arg-type]
    assert (seen, paused) == ([(0, 2), (1, 3), (2, 3)], [])


class Held:
    """What a part works on."""


async def test_what_is_left_early_leaves_the_collector_nothing() -> None:
    async def items() -> AsyncIterator[int]:
        held = Held()
        kept.append(weakref.ref(held))
        while held:
            yield 1
            await asyncio.Event().wait()

    kept: list[weakref.ref[object]] = []
    listed = ahead(items())
    gc.disable()
    try:
        await anext(listed)
        await listed.aclose()
        await until(lambda: kept[0]() is None)
    finally:
        gc.enable()


async def test_a_step_that_failed_leaves_the_collector_nothing() -> None:
    async def step() -> None:
        held = Held()
        kept.append(weakref.ref(held))
        # As by Redis, behind a turn of others.
        await asyncio.sleep(0)
        raise RuntimeError(f"as it was told of {held}")

    async def steps() -> None:
        async with Overlapped(2) as some:
            for _ in range(3):
                await some.begin(step())

    async def items() -> AsyncIterator[int]:
        await step()
        yield 1

    async def listed() -> None:
        async for _ in ahead(items()):
            pass

    kept: list[weakref.ref[object]] = []
    gc.disable()
    try:
        for work in (steps, listed):
            with pytest.raises(RuntimeError, match="as it was told"):
                await work()
        await until(lambda: not any(one() for one in kept))
    finally:
        gc.enable()


@pytest.fixture
def ways_given(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How much was left each time that others had a turn."""
    left: list[int] = []

    async def give_way() -> None:
        left.append(len(rows))

    monkeypatch.setattr(pacing, "give_way", give_way)
    rows.clear()
    return left


rows: list[Row] = []


async def test_what_many_rows_took_is_freed_some_at_a_time(ways_given: list[int]) -> None:
    rows.extend(Row(number, "", "") for number in range(5))
    await clear_in_steps(rows, 2)
    assert ways_given == [3, 1, 0]


async def test_a_list_that_is_left_early_frees_its_rows_some_at_a_time(ways_given: list[int]) -> None:
    rows.extend(Row(number, "", "") for number in reversed(range(2500)))
    listed = in_order(rows, None, descending=False)
    part, edge = await anext(listed)
    assert [row.position for row in part] == list(range(64))
    assert edge == part[-1]
    # Taken out, so that whoever gave them does not keep all until the end.
    assert not rows
    await listed.aclose()
    assert len(ways_given) == 3


async def test_a_part_that_is_cancelled_before_its_first_turn_leaves_no_warning(
    recwarn: pytest.WarningsRecorder,
) -> None:
    """As of a client who leaves then."""

    async def items() -> AsyncIterator[int]:
        yield 0

    async def first() -> int:
        return await anext(ahead(items()))

    following = asyncio.ensure_future(first())
    await asyncio.sleep(0)
    following.cancel()
    await asyncio.wait([following])
    del following
    gc.collect()
    assert [str(warned.message) for warned in recwarn] == []


@pytest.mark.parametrize("as_list", [False, True])
async def test_of_many_in_one_turn_each_makes_some_items_before_it_gives_way(
    monkeypatch: pytest.MonkeyPatch, as_list: bool
) -> None:
    made: list[int] = []

    async def give_way() -> None:
        # What begins is another turn of the loop, here one that others have used up.
        made.append(0)
        pacing._Turn.began = clock[0] - 0.001

    def make(number: int) -> int:
        clock[0] += 0.0002
        made.append(number)
        return number

    monkeypatch.setattr(pacing, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(pacing._Turn, "began", clock[0] - 0.001)
    monkeypatch.setattr(pacing, "give_way", give_way)
    numbers = range(1, 10)
    read = await paced_list(map(make, numbers)) if as_list else [make(item) async for item in paced(numbers)]
    assert read == [*numbers]
    assert made == [1, 2, 3, 4, 0, 5, 6, 7, 8, 0, 9]


async def test_what_a_task_makes_in_one_turn_is_one_work(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    async def give_way() -> None:
        made.append("others")

    async def make(names: str) -> None:
        async for name in paced(names):
            clock[0] += 0.0003
            made.append(name)

    monkeypatch.setattr(pacing, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(pacing, "give_way", give_way)
    await make("ab")
    await make("cd")
    assert made == ["a", "b", "c", "others", "d"]
    # In another turn of the loop there is nothing to give way for, and another task has a step of its own.
    made.clear()
    begun = paced("ef")
    await anext(begun)
    clock[0] += 0.001
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    made.append(await anext(begun))
    other = asyncio.ensure_future(make("xy"))
    await make("g")
    await other
    assert made == ["f", "g", "x", "y"]
