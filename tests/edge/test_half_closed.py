"""Clients that close their half of a connection behind a request, as `nc -N` and simple health checks do."""

import asyncio
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest

from service.app import Service
from service.edge.reading import ReadingProtocol
from tests.builders import create, sign_in
from tests.conftest import MakeService
from tests.edge.asking import METRICS, PATIENCE_SECONDS, asking, until_closed
from tests.edge.conftest import Turned, edge
from tests.edge.test_callers import COUNTED, creating
from tests.links import Wrapped


async def half_closed(port: int, sent: bytes) -> bytes:
    """All that comes back to a client that has no more to send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    writer.write_eof()
    async with asyncio.timeout(PATIENCE_SECONDS):
        got = await reader.read()
    writer.close()
    return got


@pytest.mark.parametrize(
    "asked",
    [
        # Answered when Redis has answered, on the fast path; by the ordinary way, also piece by piece; in order.
        ["GET /validate"],
        ["PUT /validate"],
        ["GET /readyz"],
        ["HEAD /openapi.json"],
        ["GET /api/admin/audit?format=ndjson"],
        ["GET /validate", "GET /validate", "GET /openapi.json"],
        # More than is parsed at once, behind one that watches for its client.
        ["GET /api/admin/audit?format=ndjson", *["GET /validate"] * 100],
    ],
)
async def test_a_question_is_answered_all_the_same(service: Service, port: int, asked: list[str]) -> None:
    secret = (await create(service, scopes=("tokens:read",))).secret
    requests = "".join(f"{line} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {secret}\r\n\r\n" for line in asked)
    got = await half_closed(port, requests.encode())
    assert [answer[:3] for answer in got.split(b"HTTP/1.1 ")[1:]] == [b"200"] * len(asked)


async def test_a_question_whose_beginning_came_before_an_earlier_answer_is_answered(
    service: Service, port: int
) -> None:
    """With that answer its connection counted as idle, and as nothing else when the rest of the head was there."""
    secret = (await create(service)).secret
    asked = f"GET /validate HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {secret}\r\n\r\n".encode()
    async with asking(port, asked + asked[:30]) as (reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(asked[30:])
        writer.write_eof()
        got = await reader.read()
    assert b"HTTP/1.1 200 " in got


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /validate HTTP/1.1\r\nHost: a\r\n",
        b"POST /api/token HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{",
    ],
)
async def test_what_is_no_whole_request_is_not_waited_for(port: int, sent: bytes) -> None:
    assert await half_closed(port, sent) == b""


@pytest.mark.parametrize("unparsed", [b"", b"GET /livez"])
def test_over_tls_no_connection_is_kept_for_its_answer(unparsed: bytes) -> None:
    """No half of one can be closed there, and asyncio warns of whoever would keep it."""
    connection: Any = Mock(scheme="https", _unparsed=unparsed, _change=None, idle_since=None, _in_head=False)
    connection.body_since = None
    assert ReadingProtocol.eof_received(connection) is False


class Late(Wrapped):
    """A link whose replies on the fast path come when the connection of whoever asked has ended."""

    def submit(self, command: bytes, answer: Callable[[Any], None], *, retry: bool = False) -> None:
        def behind(reply: Any) -> None:
            # A bound method of the cycle that asked; others ask, too, for no connection.
            connection = getattr(answer.__self__, "_protocol", None)  # type: ignore[attr-defined]
            if connection is None or connection.transport.is_closing():
                answer(reply)
            else:
                asyncio.get_running_loop().call_later(0.005, behind, reply)

        self.link.submit(command, behind, retry=retry)


VALIDATION = b"GET /validate HTTP/1.1\r\nHost: a\r\nX-API-Key: %b\r\n\r\n" % (b"A" * 64)


@pytest.mark.parametrize("behind", [b"", VALIDATION])
async def test_nothing_is_created_where_the_client_may_have_left(
    make_service: MakeService, turned: Turned, behind: bytes
) -> None:
    service = await make_service(wrap=Late, background=False)
    secret = await sign_in(service)
    async with edge(service, turned) as port, asyncio.timeout(PATIENCE_SECONDS):
        assert await half_closed(port, creating(secret.decode()) + behind) == b""
        while COUNTED not in (counted := await until_closed(port, METRICS)):
            pass
    assert COUNTED + b'"400"} 1.0' in counted


@pytest.mark.parametrize("number", [50, 1000])
async def test_of_many_changes_none_is_made_that_is_not_answered(service: Service, port: int, number: int) -> None:
    """More than is parsed, or than is read, at once: while they wait for their turn nobody sees that their client may have left."""
    secret = (await create(service, scopes=("tokens:write",))).secret
    one = creating(secret)
    many = b"".join([one.replace(b'"a"', b'"%04d"' % place).replace(b": 31", b": 34") for place in range(number)])
    got = await half_closed(port, many)
    made = (await service.rules.managed.queries.statistics()).total - 1
    assert made == got.count(b"rtk_")


async def test_a_question_is_answered_behind_a_change_that_is_answered(service: Service, port: int) -> None:
    secret = (await create(service, scopes=("tokens:write",))).secret
    async with asking(port, creating(secret)) as (reader, writer):
        await reader.readuntil(b"rtk_")
        writer.write(VALIDATION)
        writer.write_eof()
        got = await reader.read()
    assert b"HTTP/1.1 401 " in got
