"""Callers that a Bearer token makes known on the fast path: a store that is away, and clients that leave meanwhile."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from service.app import Service
from service.errors import StoreUnavailable
from tests.builders import create, sign_in
from tests.conftest import MakeService
from tests.edge.asking import METRICS, PATIENCE_SECONDS, first, until_closed
from tests.edge.conftest import Turned, edge
from tests.links import Saying, Wrapped

COUNTED = b'tokens_http_requests_total{method="POST",route="/api/admin/tokens",status='


def creating(secret: str) -> bytes:
    body = b'{"name":"a","duration":"7days"}'
    head = (
        f"POST /api/admin/tokens HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {secret}\r\nContent-Length: {len(body)}"
    )
    return head.encode() + b"\r\n\r\n" + body


async def test_a_store_that_is_away_is_asked_once_for_a_caller(make_service: MakeService, turned: Turned) -> None:
    service = await make_service(background=False, wrap=Saying)
    link = service.stores.shards[0].link
    link.reply = StoreUnavailable("away")
    async with edge(service, turned) as port:
        # Asked again, by the ordinary way, it would say that nobody has this token.
        answer = await first(port, creating("A" * 64))
    assert (answer[9:12], b"\r\nretry-after: 1\r\n" in answer) == (b"503", True)


class Leaving(Wrapped):
    """A link whose replies on the fast path come when the client has just left."""

    def submit(self, command: bytes, answer: Callable[[Any], None], *, retry: bool = False) -> None:
        def behind(reply: Any) -> None:
            answer.__self__._protocol.transport.abort()  # type: ignore[attr-defined]
            answer(reply)

        self.link.submit(command, behind, retry=retry)


async def test_nothing_is_created_for_a_client_that_left_before_it_was_known(
    make_service: MakeService, turned: Turned
) -> None:
    service = await make_service(background=False, wrap=Leaving)
    secret = await sign_in(service)
    async with edge(service, turned) as port, asyncio.timeout(PATIENCE_SECONDS):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(creating(secret.decode()))
        while COUNTED not in (counted := await until_closed(port, METRICS)):
            pass
        writer.close()
    assert COUNTED + b'"400"} 1.0' in counted
    assert b'tokens_issued_total{kind="managed"} 1.0' not in counted


async def test_a_body_that_is_refused_before_its_caller_is_asked_for_is_no_use_of_a_token(
    service: Service, port: int
) -> None:
    made = await create(service, "a", scopes=("one-time:issue",))
    head = f"POST /api/one-time-tokens HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {made.secret}\r\nContent-Length: "
    assert (await first(port, head.encode() + b"1\r\n\r\n["))[9:12] == b"400"
    assert (await first(port, head.encode() + b"0\r\n\r\n"))[9:12] == b"201"
    await service.rules.usage.flush()
    token = await service.rules.managed.tokens.get(made.token.token_id)
    (days,) = await service.stores.usage.days_of([token], int(service.clock()), 1)
    assert days.totals() == [1]


@pytest.mark.parametrize(("method", "path"), [("POST", "tokens"), ("PATCH", "tokens"), ("DELETE", "tokens?id=1")])
async def test_whoever_presents_nothing_is_refused_without_a_body(port: int, method: str, path: str) -> None:
    head = f"{method} /api/admin/{path} HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n"
    assert (await first(port, head.encode()))[9:12] == b"401"
