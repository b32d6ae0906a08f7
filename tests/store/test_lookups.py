"""Lookups behind the question whether limits of subjects changed, as the fast path asks them."""

from collections.abc import AsyncIterator, Iterator
from itertools import count
from time import perf_counter
from typing import Any

import pytest

from service.embedded import EmbeddedRedis
from service.errors import StoreUnavailable
from service.store.driver.pipeline import Pipeline
from service.store.driver.replies import packed
from service.store.driver.shards import Shards
from service.store.limits.subjects import Changes
from tests.builders import until
from tests.links import connector

LOOKUP = packed("GET", "t-lookups:absent")


@pytest.fixture
async def pipeline(redis_server: EmbeddedRedis) -> AsyncIterator[Pipeline]:
    made = Pipeline(connector(redis_server.url), timeout_seconds=10, limit=5)
    await made.execute("PING")
    yield made
    await made.aclose()


def changes_of(pipeline: Pipeline, clock: Iterator[int]) -> Changes:
    (shard,) = Shards("t-lookups", [pipeline])
    return Changes(shard, lambda _: None, lambda: next(clock))


def asked(pipeline: Pipeline) -> list[bytes]:
    """The commands that are about to be sent."""
    return [command for command, *_ in pipeline.turn]


async def test_all_of_a_turn_go_behind_one_question_and_by_one_clock(pipeline: Pipeline) -> None:
    changes, answered = changes_of(pipeline, count(7)), list[Any]()
    for turn in range(2):
        before = perf_counter()
        changes.find(LOOKUP, answered.append)
        began = changes.began
        assert before <= began <= perf_counter()
        for _ in range(3):
            changes.find(LOOKUP, answered.append)
        assert asked(pipeline) == [changes._command, *[LOOKUP] * 4]
        # Before any reply: that of the question may come last, where a slot moves.
        assert (changes.began, changes.asked_at) == (began, 7 + turn)
        await until(lambda: len(answered) == 4)
        assert answered == [None] * 4
        answered.clear()


async def test_a_link_that_takes_no_more_refuses_what_is_asked(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.limits.subjects._TAKEN_UNASKED", 3)
    changes, answered = changes_of(pipeline, count()), list[Any]()
    for _ in range(7):
        changes.find(LOOKUP, answered.append)
    assert asked(pipeline) == [changes._command, *[LOOKUP] * 4]
    await until(lambda: len(answered) == 7)
    assert [type(reply) for reply in answered].count(StoreUnavailable) == 3


async def test_behind_a_question_that_was_refused_none_is_taken_as_asked(pipeline: Pipeline) -> None:
    changes, answered = changes_of(pipeline, count()), list[Any]()
    pipeline._reachable = False
    changes.find(LOOKUP, answered.append)
    pipeline._reachable = True
    changes.find(LOOKUP, answered.append)
    assert asked(pipeline) == [changes._command, LOOKUP]
    await until(lambda: len(answered) == 2)
    assert sorted(str(type(reply)) for reply in answered) == sorted(map(str, (StoreUnavailable, type(None))))
