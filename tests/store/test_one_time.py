"""One-time tokens in Redis: burnt once, kept for a retry, and limited by issuer."""

import asyncio
from typing import Any

import pytest

from service.app import Service
from service.store.credentials import CredentialStore
from service.store.driver.shards import Shards
from service.store.fence import VOID, Fence
from service.store.one_time import RETRY_MILLISECONDS, IssueLimit, OneTimeStore
from tests.builders import all_keys
from tests.conftest import MakeService, TurnTime
from tests.links import Wrapped

REQUEST, OTHER = b"r" * 32, b"q" * 32

NO_LIMITS = [IssueLimit(b"%d" % number * 32, 0) for number in range(3)]


@pytest.fixture
def store(still: Service) -> OneTimeStore:
    return OneTimeStore(still.stores.shards, Fence())


def digest(number: int) -> bytes:
    return bytes([0, number]) + b"d" * 30


async def issue(service: Service, store: OneTimeStore, number: int = 0, **limits: int) -> int:
    kept = [store.limit(name.encode() * 4, limit, beside=digest(number)) for name, limit in limits.items()]
    return await store.issue(
        digest(number),
        b"record %d" % number,
        expires_at=int(service.clock()) + 300,
        limits=(*kept, *NO_LIMITS)[:3],
    )


async def test_what_is_admitted_faster_than_its_clock_can_tell_is_issued(still: Service, store: OneTimeStore) -> None:
    waits = [await issue(still, store, number, everybody=100 * 10**9) for number in range(40)]
    assert waits == [0] * 40


async def test_of_fifty_consumers_of_each_of_six_tokens_exactly_six_succeed(
    still: Service, store: OneTimeStore
) -> None:
    for number in range(6):
        await issue(still, store, number)
    # The racers of one token stand next to each other: interleaved, they would let a read and a later delete through.
    racers = [store.consume(digest(number), b"") for number in range(6) for _ in range(50)]
    answers = await asyncio.gather(*racers)
    for number in range(6):
        assert sorted(filter(None, answers[number * 50 : number * 50 + 50])) == [b"record %d" % number]


async def test_the_harness_catches_a_consumption_that_reads_and_then_deletes(
    make_service: MakeService,
) -> None:
    """The fault planted on purpose: were the race test blind to it, it would prove nothing.

    On fakeredis it would be blind: commands there never wait for each other.
    """
    shard = (await make_service(background=False)).stores.shards[0]
    key = shard.keys.one_time(digest(0))
    await shard.link.execute("SET", key, "record")

    async def consume_in_two_steps() -> bytes | None:
        record: bytes | None = await shard.link.execute("GET", key)
        await shard.link.execute("DEL", key)
        return record

    answers = await asyncio.gather(*[consume_in_two_steps() for _ in range(100)])
    assert len([answer for answer in answers if answer]) > 1


async def test_only_the_request_that_burnt_a_token_gets_the_answer_again(still: Service, store: OneTimeStore) -> None:
    await issue(still, store)
    assert await store.consume(digest(0), REQUEST) == b"record 0"
    assert [await store.consume(digest(0), request) for request in (REQUEST, OTHER, b"")] == [b"record 0", None, None]
    shard = still.stores.shards[0]
    assert 0 < await shard.link.execute("PTTL", shard.keys.consumed(digest(0))) <= RETRY_MILLISECONDS


async def test_a_consumption_without_a_request_keeps_no_answer(still: Service, store: OneTimeStore) -> None:
    await issue(still, store)
    assert await store.consume(digest(0), b"") == b"record 0"
    assert await store.consume(digest(0), REQUEST) is None
    assert await all_keys(still) == set()


async def test_racing_retries_of_one_request_all_get_the_answer_and_no_other_does(
    still: Service, store: OneTimeStore
) -> None:
    await issue(still, store)
    answers = await asyncio.gather(*[store.consume(digest(0), request) for request in [REQUEST] * 20 + [OTHER] * 20])
    assert answers == [b"record 0"] * 20 + [None] * 20


async def test_the_kept_answer_goes_after_thirty_seconds(faked: Service, turn_time: TurnTime) -> None:
    store = OneTimeStore(faked.stores.shards, Fence())
    await issue(faked, store)
    await store.consume(digest(0), REQUEST)
    turn_time(29)
    assert await store.consume(digest(0), REQUEST) == b"record 0"
    turn_time(1.1)
    assert await store.consume(digest(0), REQUEST) is None


async def test_an_issuer_gets_exactly_its_limit_however_many_ask_at_once(still: Service, store: OneTimeStore) -> None:
    waits = await asyncio.gather(*[issue(still, store, number, address1=2) for number in range(100)])
    assert waits.count(0) == 2
    assert max(waits) <= 30_000
    assert (
        len(await still.stores.shards[0].link.execute("ZRANGE", still.stores.shards[0].keys.one_time_index, 0, -1)) == 2
    )


async def test_an_issuer_who_waited_is_admitted_again(faked: Service, turn_time: TurnTime) -> None:
    store = OneTimeStore(faked.stores.shards, Fence())
    for number in range(4):
        await issue(faked, store, number, address1=3)
    assert await issue(faked, store, 9, address1=3) == 20_000
    turn_time(19.9)
    assert await issue(faked, store, 9, address1=3) == 100
    turn_time(0.1)
    assert await issue(faked, store, 9, address1=3) == 0
    assert await issue(faked, store, 8, address1=3) == 20_000


async def test_an_issuer_whom_one_limit_refuses_is_not_charged_under_the_others(
    faked: Service, turn_time: TurnTime
) -> None:
    store = OneTimeStore(faked.stores.shards, Fence())
    for number in range(4):
        await issue(faked, store, number, address1=3, network1=5)
    assert await issue(faked, store, 5, address2=3, network1=5) == 0
    assert await issue(faked, store, 6, address2=3, network1=5) == 0
    turn_time(0.0)
    assert await issue(faked, store, 7, address2=3, network1=5) == 12_000


async def test_a_redis_whose_clock_was_set_back_keeps_nobody_out_until_then(
    faked: Service, turn_time: TurnTime
) -> None:
    store = OneTimeStore(faked.stores.shards, Fence())
    turn_time(3600)
    await issue(faked, store, address1=3)
    turn_time(-3600)
    assert await issue(faked, store, 9, address1=3) == 0


async def test_without_a_limit_no_rate_is_kept(still: Service, store: OneTimeStore) -> None:
    await issue(still, store)
    shard = still.stores.shards[0]
    assert await all_keys(still) == {shard.keys.one_time(digest(0)), shard.keys.one_time_index}


class Promoted(Wrapped):
    """A link whose server fails over, or sends a command elsewhere for this once, when a test says so."""

    replication_id = b"a" * 20  # type: ignore[assignment]
    sent_elsewhere = 0  # type: ignore[assignment]


def failover(link: Promoted) -> None:
    link.replication_id = b"b" * 20  # type: ignore[misc]


def elsewhere(link: Promoted) -> None:
    link.sent_elsewhere = 1  # type: ignore[misc]


async def spent(store: OneTimeStore, number: int) -> Any:
    """By the fast path."""
    answered = asyncio.get_running_loop().create_future()
    store.spend(digest(number), b"", lambda _, reply: answered.set_result(reply))
    return await answered


async def test_a_token_that_another_primary_issued_is_void_and_burnt(still: Service) -> None:
    link = Promoted(still.stores.shards[0].link)
    shards = Shards(still.settings.namespace, [link])
    store, reading = OneTimeStore(shards, Fence()), CredentialStore(shards, Fence(), still.clock)
    for number in range(6):
        await issue(still, store, number)
    assert [await store.consume(digest(0), REQUEST), await spent(store, 1)] == [b"record 0", b"record 1"]
    assert await reading.find_one_time(digest(2)) == b"record 2"
    failover(link)
    assert await reading.find_one_time(digest(2)) == VOID
    # Also the answer kept for a retry, here where it was not spent in the data that it was issued in.
    assert [await store.consume(digest(number), REQUEST) for number in (0, 2, 2)] == [VOID] * 3
    assert [await spent(store, number) for number in (3, 3)] == [VOID, None]
    # Without a fence they are as good as ever, and one issued without is good for whoever has one.
    unfenced = OneTimeStore(shards, Fence(stands=False))
    assert await unfenced.consume(digest(4), b"") == b"record 4"
    await issue(still, unfenced, 4)
    assert await spent(store, 4) == b"record 4"


async def test_a_token_spent_in_its_own_data_is_answered_the_same_behind_a_restart(still: Service) -> None:
    link = Promoted(still.stores.shards[0].link)
    # So that it is connected to, and has told its id if it is a Redis that has one.
    await link.execute("EXISTS", "nothing")
    link.replication_id = link.link.replication_id  # type: ignore[misc]
    store = OneTimeStore(Shards(still.settings.namespace, [link]), Fence())
    await issue(still, store)
    assert await store.consume(digest(0), REQUEST) == b"record 0"
    failover(link)
    assert [await store.consume(digest(0), request) for request in (REQUEST, OTHER, REQUEST)] == [
        b"record 0",
        None,
        b"record 0",
    ]
    # And while its slot moves.
    repeated = asyncio.ensure_future(store.consume(digest(0), REQUEST))
    await asyncio.sleep(0)
    elsewhere(link)
    assert await repeated == b"record 0"


async def test_a_token_that_a_moving_slot_has_taken_along_is_void(still: Service) -> None:
    link = Promoted(still.stores.shards[0].link)
    store = OneTimeStore(Shards(still.settings.namespace, [link]), Fence())
    await issue(still, store, 0)
    await issue(still, store, 1)
    consumed = asyncio.ensure_future(store.consume(digest(0), b""))
    answered = asyncio.ensure_future(spent(store, 1))
    await asyncio.sleep(0)
    elsewhere(link)
    assert [await consumed, await answered] == [VOID, VOID]


async def test_a_token_issued_during_a_failover_is_recorded_where_it_arrived(still: Service) -> None:
    link = Promoted(still.stores.shards[0].link)
    store = OneTimeStore(Shards(still.settings.namespace, [link]), Fence())
    issued = asyncio.ensure_future(issue(still, store))
    await asyncio.sleep(0)
    failover(link)
    assert await issued == 0
    assert await store.consume(digest(0), b"") == b"record 0"
