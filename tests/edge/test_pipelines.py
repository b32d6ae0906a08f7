"""Packets with more in them than one request: none fills the memory, holds others up, or is answered in part."""

import asyncio
import re
from collections import Counter
from typing import Any

import pytest

from service.edge.ordinary import OrdinaryCycle
from service.edge.validation import ValidationCycle
from tests.edge.asking import PATIENCE_SECONDS

COUNT = 2000
FORM = b"application/x-www-form-urlencoded"
LAST = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


async def answers(port: int, sent: bytes) -> bytes:
    """All that comes back for one write of requests of which the last closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    async with asyncio.timeout(PATIENCE_SECONDS):
        got = await reader.read()
    writer.close()
    return got


async def test_a_packet_of_thousands_is_answered_in_order_and_takes_the_room_of_a_few(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[int] = []
    make = OrdinaryCycle.of

    def counted(connection: Any, *request: Any, **given: Any) -> OrdinaryCycle:
        waiting.append(len(connection.pipeline))
        return make(connection, *request, **given)

    monkeypatch.setattr(OrdinaryCycle, "of", counted)
    ids = [b"id-%d" % number for number in range(COUNT)]
    got = await answers(
        port, b"".join([b"GET /livez HTTP/1.1\r\nHost: a\r\nX-Request-Id: %b\r\n\r\n" % one for one in ids]) + LAST
    )
    assert re.findall(rb"x-request-id: (id-[0-9]+)", got) == ids
    assert got.count(b"HTTP/1.1 200 ") == COUNT + 1
    assert max(waiting) < 100


async def test_others_have_their_turn_between_questions_that_are_answered_at_once(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn, answered = 0, Counter[int]()
    start = ValidationCycle.start

    def counted(cycle: ValidationCycle) -> None:
        answered[turn] += 1
        start(cycle)

    async def turns() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(ValidationCycle, "start", counted)
    turning = asyncio.create_task(turns())
    got = await answers(port, b"GET /validate HTTP/1.1\r\nHost: a\r\n\r\n" * COUNT + LAST)
    turning.cancel()
    assert got.count(b"HTTP/1.1 401 ") == COUNT
    assert max(answered.values()) < 200


async def test_a_body_behind_another_request_is_read_when_its_turn_comes(port: int) -> None:
    """Also the rest of one that came in the packet of both, after which the client sends nothing."""
    body = b"token=" + b"a" * 12_000
    asked = b"POST /oauth2/introspect HTTP/1.1\r\nHost: a\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        FORM,
        len(body),
        body,
    )
    got = await answers(port, b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n" * 2 + asked * 2 + LAST)
    assert re.findall(rb"HTTP/1\.1 ([0-9]+)", got) == [b"200", b"200", b"401", b"401", b"200"]
