"""Packets with more in them than one request: none fills the memory, holds others up, or is answered in part."""

import asyncio
import re
import socket
import struct
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from service.api.http.proxies import TrustedProxies
from service.edge.limits import ConnectionLimits
from service.edge.ordinary import OrdinaryCycle
from service.edge.validation import ValidationCycle
from tests.builders import create, sign_in, until
from tests.conftest import MakeService
from tests.edge.asking import PATIENCE_SECONDS
from tests.edge.conftest import Turned, edge
from tests.links import Wrapped

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


async def test_a_search_ends_with_its_client_though_another_request_is_behind_it(
    make_service: MakeService, turned: Turned
) -> None:
    asked: list[bytes] = []
    begun, left = asyncio.Event(), asyncio.Event()

    class Searching(Wrapped):
        async def execute(self, *args: Any, **how: Any) -> Any:
            if how.get("operation") == "find_names":
                begun.set()
                await left.wait()
            return await super().execute(*args, **how)

        def submit(self, command: bytes, answer: Callable[[Any], None], *, retry: bool = False) -> None:
            asked.append(command)
            super().submit(command, answer, retry=retry)

    service = await make_service(background=False, wrap=Searching)
    await create(service, "gate")
    search = b"GET /api/admin/tokens?q=gate HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %b\r\n\r\n"
    limits = ConnectionLimits(TrustedProxies(), per_address=0)
    async with edge(service, turned, limits) as port, asyncio.timeout(PATIENCE_SECONDS):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        others = asyncio.all_tasks()
        writer.write(search % await sign_in(service) + LAST)
        await begun.wait()
        # By a reset: one that only sends no more may wait for its answer.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await until(lambda: not limits._open)
        left.set()
        await until(lambda: asyncio.all_tasks() <= others)
    # The records of what it found.
    assert not [command for command in asked if b"HGETALL" in command]
