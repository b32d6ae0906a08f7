"""Sessions in Redis: made, ended one by one and all at once, and gone with their time."""

import asyncio

import pytest

from service.app import Service
from service.model import Credential, Kind
from service.store.audit import Entry
from service.store.sessions import SessionStore, Touch, last_use
from tests.builders import DAY, all_keys, audit
from tests.conftest import TurnTime

BODY = b'{"at":1,"action":"a","actor":"a","target":"t","address":"","channel":"","request_id":""}'
ENTRY = Entry(1000, BODY, "0" * 32)
ADA = b"a" * 32


@pytest.fixture
def store(still: Service) -> SessionStore:
    return SessionStore(still.stores.shards)


def digest_for(service: Service, number: int = 0) -> bytes:
    return bytes([service.stores.shards.of_digest(ADA).index, number]) + b"d" * 30


async def create(
    service: Service, store: SessionStore, number: int = 0, *, generation: bytes = b"0", idle: int = 0
) -> bool:
    return await store.create(
        ADA,
        digest_for(service, number),
        b"sealed",
        issued_at=int(service.clock()),
        expires_at=int(service.clock()) + DAY,
        ends_at=int(service.clock()) + (idle or DAY),
        generation=generation,
        entry=ENTRY,
    )


def session(made_at: int, life: int = DAY) -> Credential:
    return Credential("id", "ada", (), made_at, made_at + life, kind=Kind.SESSION)


async def credentials(service: Service) -> int:
    return len([key for key in await all_keys(service) if b":c:" in key])


async def test_a_session_is_not_recorded_after_its_user_was_logged_out_everywhere(
    still: Service, store: SessionStore
) -> None:
    generation = await store.generation(ADA)
    assert await store.end_all(ADA, ENTRY) == 0
    assert not await create(still, store, generation=generation)
    assert await credentials(still) == 0
    assert await audit(still) == []
    assert await create(still, store, generation=await store.generation(ADA))


async def test_no_session_outlives_a_log_out_everywhere_that_comes_after_it(
    still: Service, store: SessionStore
) -> None:
    """Sign-ins and one log-out at once, next to each other: what was recorded before it is ended by it."""
    for place in range(0, 20, 4):
        signing_in = [create(still, store, number, generation=b"%d" % (place // 4)) for number in range(20)]
        signing_in.insert(place, store.end_all(ADA, ENTRY))  # type: ignore[arg-type]
        await asyncio.gather(*signing_in)
        assert await credentials(still) == 0


async def test_all_sessions_end_also_when_they_fill_several_pages(
    still: Service, store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.sessions._ENDED_AT_ONCE", 4)
    assert all([await create(still, store, number) for number in range(11)])
    told = len(await audit(still))
    assert await store.end_all(ADA, ENTRY) == 11
    # One, and not one for each page: a user of many sessions would push changes out of the log.
    assert len(await audit(still)) == told + 1
    assert await credentials(still) == 0
    assert (
        await still.stores.shards.of_digest(ADA).link.execute(
            "ZCARD", still.stores.shards.of_digest(ADA).keys.session_index
        )
        == 0
    )


async def test_others_have_a_turn_between_the_slices_of_many_sessions(
    still: Service, store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[str] = []

    async def give_way() -> None:
        turns.append("others")

    for name, value in (("_PAGE", 3), ("_ENDED_AT_ONCE", 4), ("give_way", give_way)):
        monkeypatch.setattr(f"service.store.sessions.{name}", value)
    assert all([await create(still, store, number) for number in range(9)])
    assert [len(part) async for part in store.listed(None, 0, 8)] == [3, 3, 2]
    assert [len(part) async for part in store.in_slices(ADA)] == [3, 3, 3]
    assert await store.end_all(ADA, ENTRY) == 9
    assert len(turns) == 3 + 3 + 3


async def test_of_fifty_who_end_one_session_exactly_one_does(still: Service, store: SessionStore) -> None:
    await create(still, store)
    ended = await asyncio.gather(*[store.end(ADA, digest_for(still), ENTRY) for _ in range(50)])
    assert sorted(ended) == [False] * 49 + [True]
    assert len(await audit(still)) == 2


async def test_a_session_ends_with_its_idle_time_and_with_its_full_time(faked: Service, turn_time: TurnTime) -> None:
    store = SessionStore(faked.stores.shards)
    await create(faked, store, 0, idle=600)
    await create(faked, store, 1)
    turn_time(599)
    assert await credentials(faked) == 2
    turn_time(2)
    assert await credentials(faked) == 1
    turn_time(DAY)
    assert await credentials(faked) == 0
    # The list of the user's sessions goes with the next sweep.
    await faked.rules.managed.sweeper.sweep()
    assert not [key for key in await all_keys(faked) if b":su:" in key]


async def test_who_signs_in_again_and_again_keeps_no_sessions_that_ended(still: Service, store: SessionStore) -> None:
    shard = still.stores.shards.of_digest(ADA)
    own = shard.keys.user_sessions(ADA)
    await create(still, store, 0)
    await shard.link.execute("ZADD", own, *[part for number in range(150) for part in (1, f"ended {number}")])
    for number, left in ((1, 52), (2, 3)):
        await create(still, store, number)
        assert await shard.link.execute("ZCARD", own) == left


@pytest.mark.parametrize("life", [1, 60, DAY, 7 * DAY])
def test_a_place_in_the_index_tells_the_second_of_the_last_use_and_the_end(life: int) -> None:
    for made_at in (1_700_000_000, 2_100_000_000, 4_000_000_000):
        one = session(made_at, life)
        for used in {0, 1, life // 3, life - 1, life}:
            for ends in {used, min(used + 601, life), life}:
                touch = Touch(b"d" * 32, one, made_at + used, made_at + ends)
                # As the sweep and the counts go by it: over with its last second, and not before.
                assert touch.ends_at - 1 < touch.score < touch.ends_at
                assert last_use(one, float(repr(touch.score))) == touch.used_at


def test_of_a_session_of_years_the_last_use_is_told_to_a_few_minutes() -> None:
    one = session(1_900_000_000, 3660 * DAY)
    for used in range(0, 3660 * DAY, 40 * DAY):
        touch = Touch(b"d" * 32, one, one.issued_at + used, one.expires_at)
        assert last_use(one, touch.score) == pytest.approx(touch.used_at, abs=300)


def test_clocks_that_differ_tell_of_no_use_outside_the_life_of_a_session() -> None:
    one = session(1_800_000_000)
    for used_at, told in ((one.issued_at - 9, one.issued_at), (one.expires_at + 9, one.expires_at)):
        assert last_use(one, Touch(b"d" * 32, one, used_at, one.expires_at).score) == told


@pytest.mark.parametrize("score", [1.8e9, 0.0, float("inf"), float("-inf"), float("nan"), 1e300, 0.1])
def test_a_score_that_tells_of_no_use_tells_none(score: float) -> None:
    assert last_use(session(1_800_000_000), score) == 0


async def test_sessions_are_touched_and_those_that_are_over_not_back_to_life(
    still: Service, store: SessionStore
) -> None:
    now = int(still.clock())
    one, place = session(now), digest_for(still)
    assert await create(still, store, idle=600)
    assert await store.last_uses([(place, one)]) == [0]
    before = await all_keys(still)
    gone = [bytes([number]) + b"g" * 31 for number in range(120)]
    await store.touch([Touch(digest, one, now, now + 700) for digest in [*gone, place]])
    assert await all_keys(still) == before
    assert await store.last_uses([(digest, one) for digest in [place, *gone]]) == [now] + [0] * 120
    shard = still.stores.shards.of_digest(place)
    assert await shard.link.execute("ZCARD", shard.keys.session_index) == 1
    assert 600 < await shard.link.execute("TTL", shard.keys.credential(place)) <= 700

    await store.end(ADA, place, ENTRY)
    await store.touch([Touch(place, one, now, now + 800)])
    assert await credentials(still) == 0
    assert await shard.link.execute("ZCARD", shard.keys.session_index) == 0
