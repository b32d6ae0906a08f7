"""A primary that became a replica: noticed by the next look at its role, and asked nothing until it is one again."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from functools import partial

import pytest

from service.errors import StoreUnavailable
from service.store.driver.pipeline import Pipeline
from service.store.driver.replies import NotPrimary
from service.store.driver.role_check import RoleCheck
from tests.api.redis_child import RedisChild
from tests.builders import until
from tests.links import connector


@pytest.fixture(scope="module")
def own_redis() -> Iterator[RedisChild]:
    with closing(RedisChild()) as child:
        child.client.set("known", "yes")
        yield child


@pytest.fixture
def redis(own_redis: RedisChild) -> Iterator[RedisChild]:
    yield own_redis
    own_redis.client.replicaof("NO", "ONE")
    own_redis.client.config_set("replica-read-only", "yes")


def demote(redis: RedisChild) -> None:
    """Make it the replica of nothing; it goes on to answer from what it knows."""
    redis.client.replicaof("127.0.0.1", "1")


@pytest.fixture
async def pipeline(redis: RedisChild) -> AsyncIterator[Pipeline]:
    made = Pipeline(connector(redis.url, timeout_seconds=10), timeout_seconds=10)
    yield made
    await made.aclose()


@pytest.fixture
async def blind(redis: RedisChild) -> AsyncIterator[Pipeline]:
    """One that does not look at the role of its own accord."""
    made = Pipeline(
        connector(redis.url, timeout_seconds=10), timeout_seconds=10, check=partial(RoleCheck, seconds=math.inf)
    )
    yield made
    await made.aclose()


async def known(pipeline: Pipeline) -> bool:
    try:
        return bool(await pipeline.execute("GET", "known", retry=True) == b"yes")
    except StoreUnavailable:
        return False


async def test_a_quarter_of_a_second_after_the_last_role_no_reply_counts_before_the_next(
    redis: RedisChild, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    now = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now)
    assert await known(pipeline)
    demote(redis)
    assert await known(pipeline)
    now += 0.25
    replies = await asyncio.gather(
        *[pipeline.execute("GET", "known", retry=True) for _ in range(50)], return_exceptions=True
    )
    assert {type(reply) for reply in replies} == {NotPrimary}
    assert not pipeline.up


async def test_the_role_is_asked_four_times_a_second_however_much_is_asked(
    redis: RedisChild, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    now = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now)
    assert await known(pipeline)
    redis.client.config_resetstat()
    for _ in range(64):
        now += 1 / 64
        assert await known(pipeline)
    assert redis.client.info("commandstats")["cmdstat_role"]["calls"] == 4


async def test_a_refused_write_is_noticed_at_once(redis: RedisChild, blind: Pipeline) -> None:
    assert await known(blind)
    demote(redis)
    assert await known(blind)
    asked = [blind.execute("SET", "x", "1"), blind.execute("GET", "known", retry=True)]
    replies = await asyncio.gather(*asked, return_exceptions=True)
    # What stood behind it in the same packet does not count either.
    assert [type(reply) for reply in replies] == [NotPrimary, NotPrimary]
    assert not await known(blind)


async def test_no_connection_to_a_replica_is_used(redis: RedisChild, blind: Pipeline) -> None:
    demote(redis)
    # One that takes writes would not be noticed by what it refuses.
    redis.client.config_set("replica-read-only", "no")
    for _ in range(3):
        assert not await known(blind)
    redis.client.replicaof("NO", "ONE")
    await until(lambda: known(blind))


async def test_a_lost_connection_leads_to_another_check(redis: RedisChild, blind: Pipeline) -> None:
    assert await known(blind)
    demote(redis)
    redis.client.client_kill_filter(_type="normal", skipme=True)
    with pytest.raises(NotPrimary, match="is a slave: connect to the master"):
        await blind.execute("GET", "known", retry=True)


async def test_a_replica_is_said_once_and_so_is_its_promotion(
    redis: RedisChild, pipeline: Pipeline, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.driver.causes._WELL_AFTER_SECONDS", 0)
    demote(redis)
    for _ in range(5):
        assert not await known(pipeline)
        await asyncio.sleep(0)
    redis.client.replicaof("NO", "ONE")
    await until(lambda: known(pipeline))
    await until(lambda: len(caplog.messages) > 1)
    assert caplog.messages == [
        "Redis must not be asked: This Redis is a slave: connect to the master.",
        "Redis answers again",
    ]


async def test_a_server_that_does_not_tell_its_role_is_not_asked(redis: RedisChild) -> None:
    redis.client.acl_setuser("barred", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-role"])
    pipeline = Pipeline(
        connector(redis.url.replace("unix://", "unix://barred:x@"), timeout_seconds=10), timeout_seconds=10
    )
    with pytest.raises(NotPrimary, match="allow the service's user the command ROLE"):
        await pipeline.execute("GET", "known")
    await pipeline.aclose()
