"""Long work in steps: one is prepared while the last is under way, and only what others computed makes it pause."""

import asyncio
from types import SimpleNamespace

import pytest

from service.store import pacing
from service.store.managed.listing_slices import Row, in_order
from service.store.pacing import Overlapped, ahead, let_go

pytestmark = pytest.mark.anyio


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
        await steps.begin([compute(0.01, waits=answered)])
        asyncio.get_running_loop().call_soon(answered.set)
        await steps.begin([compute(0.01), compute(0.01)])
        # What the work has computed itself, be it when an answer came, is no turn of others.
        assert not paused
        other = asyncio.ensure_future(compute(0.005))
        await steps.begin([compute(0.01)])
    await other
    assert paused == [pytest.approx(0.005)]


async def test_behind_a_step_that_failed_none_is_under_way(paused: list[float]) -> None:
    answered = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, answered.set)
    last = asyncio.ensure_future(answered.wait())

    async def two_steps() -> None:
        async with Overlapped(2) as steps:
            await steps.begin([compute(0, fails=True)])
            await steps.begin([compute(0, waits=answered)])

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
    await let_go(rows, 2)
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
