"""Replies that come together: handed over in order, and not all in one step of the loop."""

import asyncio
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest

from service.errors import StoreUnavailable
from service.store.driver.pipeline import Pipeline
from service.store.driver.replies import Replies

# One reply a step: after each more time than this has gone by.
NO_TIME = -1.0


@pytest.fixture(autouse=True)
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.store.driver.replies._STEP_SECONDS", NO_TIME)


def waited_for(count: int, answered: list[Any]) -> tuple[Replies, Mock]:
    """So many commands wait, and each appends its number and its reply; the mock is told of the connection's end."""
    lost = Mock(side_effect=lambda _: answered.append("lost"))
    replies = Replies(Mock(), lost, Mock(), Mock(), Mock(), None)
    for number in range(count):
        replies.waiting.append((b"", lambda reply, number=number: answered.append((number, reply)), False, 0.0))
    return replies, lost


async def test_others_have_their_turn_between_replies_that_came_together() -> None:
    answered: list[Any] = []
    replies, _ = waited_for(4, answered)
    replies.data_received(b":0\r\n:1\r\n:2\r\n")
    assert answered == [(0, 0)]
    asyncio.get_running_loop().call_soon(answered.append, "others")
    await asyncio.sleep(0)
    assert answered == [(0, 0), (1, 1), "others"]
    # What comes meanwhile is behind them, and does not begin another step.
    replies.data_received(b":3\r\n")
    assert len(answered) == 3
    for _ in range(3):
        await asyncio.sleep(0)
    assert answered[3:] == [(2, 2), (3, 3)]
    assert not replies.waiting


async def test_what_came_is_not_overdue_while_it_is_handed_over() -> None:
    replies, _ = waited_for(3, [])
    replies.data_received(b":0\r\n:1\r\n:2\r\n")
    for left in (1, 0):
        replies.reprieved = True
        await asyncio.sleep(0)
        assert (replies.reprieved, len(replies.waiting)) == (False, left)


async def test_what_came_before_the_end_of_the_connection_counts() -> None:
    answered: list[Any] = []
    replies, lost = waited_for(4, answered)
    replies.data_received(b":0\r\n:1\r\n:2\r\n")
    replies.connection_lost(None)
    assert answered == [(0, 0), (1, 1), (2, 2), "lost"]
    await asyncio.sleep(0)
    lost.assert_called_once_with(replies)
    assert len(replies.waiting) == 1


async def test_nothing_counts_that_came_before_the_connection_was_given_up() -> None:
    answered: list[Any] = []
    replies, _ = waited_for(2, answered)
    replies.data_received(b":0\r\n:1\r\n")
    replies.waiting.clear()
    await asyncio.sleep(0)
    assert answered == [(0, 0)]
    replies.transport.abort.assert_not_called()  # type: ignore[attr-defined]


async def test_others_have_their_turn_while_all_that_wait_are_failed() -> None:
    async def connect() -> Any:
        await asyncio.Event().wait()

    pipeline, failed = Pipeline(connect), []
    for number in range(3):
        pipeline.submit(b"", partial(lambda number, reply: failed.append((number, reply)), number))
    await pipeline.aclose()
    counts = [len(failed)]
    while counts[-1] < 3:
        await asyncio.sleep(0)
        counts.append(len(failed))
    assert counts == [1, 2, 3]
    assert [number for number, _ in failed] == [0, 1, 2]
    faults = {id(fault) for _, fault in failed if isinstance(fault, StoreUnavailable)}
    assert len(faults) == 3
