"""Changes of one turn of the loop, made by one call: each asker is told of its own, and of what befell the call."""

import asyncio

import pytest

from service.errors import StoreUnavailable
from service.store.driver.confirmation import Doubts, doubt
from service.store.driver.many_tokens import Batcher


async def test_one_call_makes_what_is_asked_for_in_a_turn_of_each_group() -> None:
    calls: list[tuple[str, list[int]]] = []

    async def double(group: str, numbers: list[int]) -> list[int]:
        calls.append((group, numbers))
        return [2 * number for number in numbers]

    batcher = Batcher(double, most=16)
    even, odd = range(0, 36, 2), range(1, 5, 2)
    asked = [batcher.ask(group, number) for group, numbers in (("even", even), ("odd", odd)) for number in numbers]
    assert await asyncio.gather(*asked) == [2 * number for number in (*even, *odd)]
    # No call makes so many that validations would wait for it.
    assert calls == [("even", [*even[:16]]), ("even", [*even[16:]]), ("odd", [*odd])]
    assert await batcher.ask("even", 1) == 2
    assert calls[3:] == [("even", [1])]


async def test_each_asker_raises_what_the_call_raised() -> None:
    async def refuse(_group: str, _items: list[int]) -> list[int]:
        raise StoreUnavailable("away")

    batcher = Batcher(refuse, most=16)
    told = await asyncio.gather(*[batcher.ask("", number) for number in range(3)], return_exceptions=True)
    assert [str(fault) for fault in told] == [str(StoreUnavailable("away"))] * 3
    # Whoever raises one adds to it where that was.
    assert len(set(map(id, told))) == 3


async def test_a_doubt_is_told_to_each_asker() -> None:
    async def unconfirmed(_group: str, items: list[int]) -> list[int]:
        doubt("no replica")
        return items

    batcher = Batcher(unconfirmed, most=16)

    async def asker(number: int) -> tuple[int, list[str]]:
        with Doubts() as found:
            return await batcher.ask("", number), found

    assert await asyncio.gather(asker(1), asker(2)) == [(1, ["no replica"]), (2, ["no replica"])]


@pytest.mark.parametrize("fault", [None, StoreUnavailable("away")])
async def test_an_asker_that_left_keeps_no_other_waiting(fault: Exception | None) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def late(_group: str, items: list[int]) -> list[int]:
        begun.set()
        await go_on.wait()
        if fault:
            raise fault
        return items

    batcher = Batcher(late, most=16)
    left, other = batcher.ask("", 1), batcher.ask("", 2)
    await begun.wait()
    left.cancel()
    go_on.set()
    (told,) = await asyncio.gather(other, return_exceptions=True)
    assert told == 2 if fault is None else str(told) == str(fault)
