"""Counters of tries at a password: reserved before, counted when wrong, each harmless when it is repeated."""

import asyncio

import pytest

from service.app import Service
from service.store.attempts import AttemptStore
from tests.builders import all_keys
from tests.conftest import MakeService, TurnTime

COUNTER = b"c" * 32
HOLD = 5000
WINDOW = 900_000


@pytest.fixture
def store(still: Service) -> AttemptStore:
    return AttemptStore(still.stores.shards)


async def reserve(store: AttemptStore, attempt: object, *, allowed: int = 5) -> int:
    return await store.reserve(COUNTER, str(attempt), allowed=allowed, hold_milliseconds=HOLD)


async def count(store: AttemptStore, attempt: object) -> int:
    return await store.count(COUNTER, str(attempt), window_milliseconds=WINDOW)


async def test_of_fifty_side_by_side_exactly_those_allowed_are_reserved(store: AttemptStore) -> None:
    waits = await asyncio.gather(*[reserve(store, number) for number in range(50)])
    assert waits.count(0) == 5
    assert all(0 < wait <= HOLD for wait in waits if wait)


async def test_one_that_is_given_back_makes_room_and_one_that_was_wrong_does_not(store: AttemptStore) -> None:
    for number in range(5):
        assert await reserve(store, number) == 0
    await store.give_back(COUNTER, "0")
    assert await reserve(store, "another") == 0
    assert [await count(store, number) for number in range(1, 5)] == [5] * 4
    assert 0 < await reserve(store, "one more") <= HOLD
    assert await count(store, "another") == 5
    assert WINDOW - 5000 < await reserve(store, "one more") <= WINDOW


async def test_what_is_repeated_after_a_lost_reply_counts_once(store: AttemptStore) -> None:
    for _ in range(3):
        assert await reserve(store, "same") == 0
    for _ in range(3):
        assert await count(store, "same") == 1
    for _ in range(3):
        await store.give_back(COUNTER, "same")
    assert [await reserve(store, number) for number in range(5)] == [0] * 5


async def test_a_reservation_lapses_in_seconds_and_a_wrong_try_counts_for_its_own_window(
    faked: Service, turn_time: TurnTime
) -> None:
    store = AttemptStore(faked.stores.shards)
    for number in range(5):
        assert await reserve(store, f"left alone {number}") == 0
    turn_time(HOLD / 1000 + 0.1)
    for number in range(5):
        assert await reserve(store, number) == 0
        await count(store, number)
        turn_time(100)
    # The first of them stops to count after its quarter of an hour, whatever came later.
    assert (await reserve(store, "sixth") + 999) // 1000 == 400
    turn_time(401)
    assert await reserve(store, "sixth") == 0
    assert await reserve(store, "seventh") > 0
    turn_time(1000)
    assert await all_keys(faked) == set()


async def test_a_pair_is_remembered_for_its_time(make_service: MakeService, turn_time: TurnTime) -> None:
    store = AttemptStore((await make_service(fake=True)).stores.shards)
    assert not await store.is_known(COUNTER)
    await store.remember(COUNTER, 60_000)
    assert await store.is_known(COUNTER)
    turn_time(61)
    assert not await store.is_known(COUNTER)
