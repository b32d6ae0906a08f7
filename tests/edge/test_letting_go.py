"""Secrets stay in memory no longer than a second, or until the answer."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock
from weakref import WeakSet

import pytest

from service.edge.deadlines import Deadlines
from service.edge.known_heads import NOTHING_SAID, KnownHeads
from tests.edge.test_known_heads import head_of


@pytest.mark.anyio
async def test_secrets_are_let_go_each_second_and_behind_the_last_connection() -> None:
    told: list[float] = []
    clock = iter(range(10))
    deadlines = Deadlines(lambda: next(clock), on_second=lambda: told.append(deadlines.now))
    idle = Mock(unread_bytes=0, unread_since=0, idle_since=0, head_since=None, body_since=None)
    idle.transport.get_write_buffer_size.return_value = 0
    connections = {idle}
    deadlines.watch(connections, 60)
    for _ in range(7):
        deadlines._tick()
    assert told == [4, 8]
    connections.clear()
    deadlines._tick()
    assert told == [4, 8, 9]


@pytest.mark.anyio
async def test_many_heads_are_let_go_in_steps_between_which_others_have_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.edge.known_heads._LET_GO_AT_ONCE", 2)

    class Asked:
        pass

    heads, alive = KnownHeads(), WeakSet[Asked]()
    for number in range(5):
        packet = b"GET /validate HTTP/1.1\r\nHost: a\r\nX-A: %d\r\n\r\n" % number
        head = head_of()
        head.asked = Asked()
        alive.add(head.asked)
        heads.keep(heads.find(packet, NOTHING_SAID)[0], head)
    del head
    heads.forget()
    assert heads.find(packet, NOTHING_SAID)[1] is None
    counts = [len(alive)]
    while counts[-1]:
        await asyncio.sleep(0)
        counts.append(len(alive))
    assert counts == [3, 1, 0]
