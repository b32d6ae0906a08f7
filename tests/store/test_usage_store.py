"""Usage in Redis: added, never lost to another process, and gone with its token."""

from __future__ import annotations

import asyncio

import pytest

from service.app import Service
from service.store.usage_store import KEEP_SECONDS, UsageStore, Use
from tests.builders import all_keys, create

pytestmark = pytest.mark.anyio


@pytest.fixture
def store(still: Service) -> UsageStore:
    return UsageStore(still.shards)


def use(token_id: str, **more: object) -> Use:
    facts = {"used_at": 5, "allowed": 3, "denied": 1, "address": "192.0.2.1", "agent": "curl", "digest": "d"} | more
    return Use(token_id, **facts)  # type: ignore[arg-type]


async def test_uses_of_many_processes_add_up(still: Service, store: UsageStore) -> None:
    token = (await create(still, "ci")).token
    await asyncio.gather(*[store.add([use(token.token_id)], "20261120") for _ in range(50)])
    await store.add([use(token.token_id, allowed=0, denied=2)], "20261121")
    assert await store.by_day(token.token_id) == {"a20261120": 150, "d20261120": 50, "d20261121": 2}


async def test_the_last_use_is_told_with_its_address_and_agent(still: Service, store: UsageStore) -> None:
    token = (await create(still, "ci")).token
    await store.add([use(token.token_id, used_at=7)], "20261120")
    # A refusal is no use, and an unknown address or agent does not blot out a known one.
    await store.add([use(token.token_id, used_at=0, allowed=0, address="x", agent="x")], "20261120")
    await store.add([use(token.token_id, used_at=9, address="", agent="")], "20261120")
    record = await still.managed.get(token.token_id)
    assert (record.last_used_at, record.last_address, record.last_agent) == (9, "192.0.2.1", "curl")


async def test_usage_of_a_token_that_is_gone_makes_no_key(still: Service, store: UsageStore) -> None:
    before = await all_keys(still)
    await store.add([use("00" + "f" * 14), use("not an id"), use("ff" + "f" * 14)], "20261120")
    assert await all_keys(still) == before
    assert await store.by_day("not an id") == {}
    assert await store.by_day("00" + "f" * 14) == {}


async def test_usage_is_kept_for_a_hundred_days(still: Service, store: UsageStore) -> None:
    token = (await create(still, "ci")).token
    await store.add([use(token.token_id)], "20261120")
    await store.add_hour(495_000, 2, 1)
    await store.add_hour(495_000, 5, 0)
    shard = still.shards.of_id(token.token_id)
    assert shard is not None
    hour_shard = still.shards[495_000 % len(still.shards)]
    for one, key in ((shard, shard.keys.usage_by_day(token.token_id)), (hour_shard, hour_shard.keys.usage_by_hour(495_000))):
        assert KEEP_SECONDS - 60 < await one.link.execute("TTL", key) <= KEEP_SECONDS
    held = await hour_shard.link.execute("HGETALL", hour_shard.keys.usage_by_hour(495_000))
    assert dict(zip(held[::2], held[1::2], strict=True)) == {b"allowed": b"7", b"denied": b"1"}


async def test_a_session_that_is_over_is_not_touched_back_to_life(still: Service, store: UsageStore) -> None:
    before = await all_keys(still)
    await store.touch_session(b"d" * 32, 60)
    assert await all_keys(still) == before
