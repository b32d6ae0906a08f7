"""Sessions in Redis, and the counters of tries at a password."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from service.app import Service
from service.store.audit_store import Entry
from service.store.session_store import (
    TRIES_PER_ACCOUNT,
    TRIES_PER_ADDRESS,
    WINDOW_MILLISECONDS,
    Counters,
    SessionStore,
)
from tests.builders import DAY, all_keys, audit

pytestmark = pytest.mark.anyio
BODY = b'{"at":1,"action":"a","actor":"a","target":"t","address":"","channel":"","request_id":""}'
ENTRY = Entry(1000, BODY, "0" * 32)
COUNTERS = Counters(b"a" * 32, b"k" * 32, b"o" * 32)


@pytest.fixture
def store(still: Service) -> SessionStore:
    return SessionStore(still.shards)


def digest_for(service: Service, number: int = 0) -> bytes:
    return bytes([service.shards.of_name("ada").index, number]) + b"d" * 30


async def create(
    service: Service, store: SessionStore, number: int = 0, *, generation: bytes = b"0", idle: int = 0
) -> bool:
    return await store.create(
        "ada", digest_for(service, number), b"sealed", expires_at=int(service.clock()) + DAY, idle_seconds=idle,
        generation=generation, counters=COUNTERS, entry=ENTRY,
    )  # fmt: skip


async def credentials(service: Service) -> int:
    return len([key for key in await all_keys(service) if b":c:" in key])


async def test_exactly_five_of_fifty_tries_at_an_account_are_looked_at(store: SessionStore) -> None:
    attempts = await asyncio.gather(*[store.take_attempt("ada", COUNTERS) for _ in range(50)])
    allowed = [attempt for attempt in attempts if attempt.wait == 0]
    assert sorted(attempt.tries_left for attempt in allowed) == list(range(TRIES_PER_ACCOUNT))
    assert all(WINDOW_MILLISECONDS - 5000 < attempt.wait <= WINDOW_MILLISECONDS for attempt in attempts[5:])


async def test_exactly_twenty_of_fifty_tries_of_an_address_are_looked_at(store: SessionStore) -> None:
    waits = await asyncio.gather(*[store.count_address(b"x" * 32) for _ in range(50)])
    assert waits.count(0) == TRIES_PER_ADDRESS
    assert min(waits[TRIES_PER_ADDRESS:]) > WINDOW_MILLISECONDS - 5000


async def test_a_try_taken_back_may_be_made_again_and_no_more_is_given_back_than_was_taken(store: SessionStore) -> None:
    for _ in range(3):
        await store.take_attempt("ada", COUNTERS, step=-1)
        await store.count_address(b"x" * 32, step=-1)
    assert [await store.count_address(b"x" * 32) > 0 for _ in range(TRIES_PER_ADDRESS + 1)].count(True) == 1
    for _ in range(TRIES_PER_ACCOUNT):
        await store.take_attempt("ada", COUNTERS)
    assert (await store.take_attempt("ada", COUNTERS)).wait > 0
    await store.take_attempt("ada", COUNTERS, step=-1)
    assert (await store.take_attempt("ada", COUNTERS)).wait == 0
    assert (await store.take_attempt("ada", COUNTERS)).wait > 0


async def test_the_window_starts_with_the_first_try_and_is_not_drawn_out_by_later_ones(
    make_service: Callable[..., Any], turn_time: Callable[[float], None]
) -> None:
    store = SessionStore((await make_service(fake=True)).shards)
    for _ in range(TRIES_PER_ACCOUNT):
        await store.take_attempt("ada", COUNTERS)
        await store.count_address(b"x" * 32)
        turn_time(100)
    assert (await store.take_attempt("ada", COUNTERS)).wait // 60_000 == (WINDOW_MILLISECONDS - 500_001) // 60_000
    turn_time(401)
    assert (await store.take_attempt("ada", COUNTERS)).wait == 0


async def test_a_session_is_not_recorded_after_its_user_was_logged_out_everywhere(
    still: Service, store: SessionStore
) -> None:
    generation = (await store.take_attempt("ada", COUNTERS)).generation
    assert await store.end_all("ada", ENTRY) == 0
    assert not await create(still, store, generation=generation)
    assert await credentials(still) == 0
    assert await audit(still) == []
    assert await create(still, store, generation=(await store.take_attempt("ada", COUNTERS)).generation)


async def test_no_session_outlives_a_log_out_everywhere_that_comes_after_it(
    still: Service, store: SessionStore
) -> None:
    """Sign-ins and one log-out at once, next to each other: what was recorded before it is ended by it."""
    for place in range(0, 20, 4):
        signing_in = [create(still, store, number, generation=b"%d" % (place // 4)) for number in range(20)]
        signing_in.insert(place, store.end_all("ada", ENTRY))  # type: ignore[arg-type]
        await asyncio.gather(*signing_in)
        assert await credentials(still) == 0


async def test_all_sessions_end_also_when_they_fill_several_pages(
    still: Service, store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.session_store._PAGE", 4)
    assert all([await create(still, store, number) for number in range(11)])
    assert await store.end_all("ada", ENTRY) == 11
    assert await credentials(still) == 0
    assert await still.shards.of_name("ada").link.execute("ZCARD", still.shards.of_name("ada").keys.session_index) == 0


async def test_of_fifty_who_end_one_session_exactly_one_does(still: Service, store: SessionStore) -> None:
    await create(still, store)
    ended = await asyncio.gather(*[store.end("ada", digest_for(still), ENTRY) for _ in range(50)])
    assert sorted(ended) == [False] * 49 + [True]
    assert len(await audit(still)) == 2


async def test_a_session_ends_with_its_idle_time_and_with_its_full_time(
    make_service: Callable[..., Any], turn_time: Callable[[float], None]
) -> None:
    service = await make_service(fake=True)
    store = SessionStore(service.shards)
    await create(service, store, 0, idle=600)
    await create(service, store, 1)
    turn_time(599)
    assert await credentials(service) == 2
    turn_time(2)
    assert await credentials(service) == 1
    turn_time(DAY)
    assert await credentials(service) == 0
    # The list of the user's sessions goes with the last of them.
    assert not [key for key in await all_keys(service) if b":su:" in key]


async def test_a_right_password_gives_back_the_try_of_a_stranger_and_clears_those_of_a_known_address(
    still: Service, store: SessionStore
) -> None:
    for _ in range(2):
        await store.take_attempt("ada", COUNTERS)
    await create(still, store, 0)
    # Now the address is known: its tries are counted apart from the account's.
    assert [(await store.take_attempt("ada", COUNTERS)).tries_left for _ in range(3)] == [4, 3, 2]
    stranger = COUNTERS._replace(known=b"K" * 32, own=b"O" * 32)
    assert (await store.take_attempt("ada", stranger)).tries_left == 3
    await create(still, store, 1)
    assert (await store.take_attempt("ada", COUNTERS)).tries_left == 4
