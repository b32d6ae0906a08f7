"""One-time tokens in Redis: burnt once, kept for a retry, and limited by issuer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from service.app import Service
from service.store.one_time import RETRY_MILLISECONDS, IssueLimit, OneTimeStore
from tests.builders import all_keys

pytestmark = pytest.mark.anyio
REQUEST, OTHER = b"r" * 32, b"q" * 32

NO_LIMITS = [IssueLimit(b"%d" % number * 32, 0) for number in range(3)]


@pytest.fixture
def store(still: Service) -> OneTimeStore:
    return OneTimeStore(still.stores.shards)


def digest(number: int) -> bytes:
    return bytes([0, number]) + b"d" * 30


async def issue(service: Service, store: OneTimeStore, number: int = 0, **limits: int) -> int:
    return await store.issue(
        digest(number),
        b"record %d" % number,
        expires_at=int(service.clock()) + 300,
        limits=(*[IssueLimit(name.encode() * 4, limit) for name, limit in limits.items()], *NO_LIMITS)[:3],
    )


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
    make_service: Callable[..., Any],
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


async def test_the_kept_answer_goes_after_thirty_seconds(
    make_service: Callable[..., Any], turn_time: Callable[[float], None]
) -> None:
    service = await make_service(fake=True)
    store = OneTimeStore(service.stores.shards)
    await issue(service, store)
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


async def test_an_issuer_who_waited_is_admitted_again(
    make_service: Callable[..., Any], turn_time: Callable[[float], None]
) -> None:
    service = await make_service(fake=True)
    store = OneTimeStore(service.stores.shards)
    for number in range(4):
        await issue(service, store, number, address1=3)
    assert await issue(service, store, 9, address1=3) == 20_000
    turn_time(19.9)
    assert await issue(service, store, 9, address1=3) == 100
    turn_time(0.1)
    assert await issue(service, store, 9, address1=3) == 0
    assert await issue(service, store, 8, address1=3) == 20_000


async def test_an_issuer_whom_one_limit_refuses_is_not_charged_under_the_others(
    make_service: Callable[..., Any], turn_time: Callable[[float], None]
) -> None:
    service = await make_service(fake=True)
    store = OneTimeStore(service.stores.shards)
    for number in range(4):
        await issue(service, store, number, address1=3, network1=5)
    assert await issue(service, store, 5, address2=3, network1=5) == 0
    assert await issue(service, store, 6, address2=3, network1=5) == 0
    turn_time(0.0)
    assert await issue(service, store, 7, address2=3, network1=5) == 12_000


async def test_a_redis_whose_clock_was_set_back_keeps_nobody_out_until_then(
    make_service: Callable[..., Any], turn_time: Callable[[float], None]
) -> None:
    service = await make_service(fake=True)
    store = OneTimeStore(service.stores.shards)
    turn_time(3600)
    await issue(service, store, address1=3)
    turn_time(-3600)
    assert await issue(service, store, 9, address1=3) == 0


async def test_without_a_limit_no_rate_is_kept(still: Service, store: OneTimeStore) -> None:
    await issue(still, store)
    shard = still.stores.shards[0]
    assert await all_keys(still) == {shard.keys.one_time(digest(0)), shard.keys.one_time_index}
