"""A client that leaves ends what was looked up for it, and a stop what it did not wait out."""

import asyncio
from typing import Any

import pytest

from service.app import Service
from tests.asgi import sign_in
from tests.builders import DEADLINE, create
from tests.conftest import MakeService
from tests.links import AWAY, Interrupted, Wrapped


@pytest.mark.parametrize(
    ("method", "path", "query", "body"),
    [
        ("GET", "/api/admin/tokens", b"q=x", b""),
        ("GET", "/api/admin/tokens", b"sort=name&status=expired", b""),
        ("GET", "/api/admin/tokens/export", b"q=x", b""),
        ("POST", "/api/admin/tokens/revoke", b"", b'{"filter":{"q":"x"},"dryRun":true}'),
    ],
)
async def test_a_search_ends_with_the_connection_it_is_for(
    make_service: MakeService, method: str, path: str, query: bytes, body: bytes
) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    class Endless(Wrapped):
        """A search of names, or a walk through them, that never comes to an end."""

        async def execute(self, *args: Any, **how: Any) -> Any:
            if how.get("operation") != "find_names" and args[0] != "ZRANGEBYLEX":
                return await super().execute(*args, **how)
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

    service = await make_service(background=False, wrap=Endless)
    await create(service)
    admin = await sign_in(service)
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Any:
        if message := next(messages, None):
            return message
        await begun.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        """Nobody is there."""

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query,
        "client": ("192.0.2.7", 1),
        "headers": [(b"authorization", f"Bearer {admin.secret}".encode())],
    }
    async with asyncio.timeout(DEADLINE) as patience:
        await service.application(scope, receive, send)
    # The application answers also what is cancelled.
    assert not patience.expired()
    assert ended.is_set()


async def test_a_request_that_a_stop_cuts_off_is_answered_to_be_sent_again(service: Service) -> None:
    reading = asyncio.Event()
    sent: list[Any] = []

    async def receive() -> Any:
        reading.set()
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/oauth2/revoke",
        "query_string": b"",
        "client": ("192.0.2.7", 1),
        "headers": [(b"content-type", b"application/x-www-form-urlencoded"), (b"content-length", b"7")],
    }
    serving = asyncio.ensure_future(service.application(scope, receive, send))
    await reading.wait()
    serving.cancel()
    await serving
    assert (sent[0]["status"], dict(sent[0]["headers"])[b"retry-after"]) == (503, b"1")
    assert b'"code":"stopping"' in sent[1]["body"]


@pytest.mark.parametrize(
    ("path", "query", "reading"),
    [("/api/admin/tokens/export", {}, "HGETALL"), ("/api/admin/audit", {"format": "csv"}, "XREVRANGE")],
)
async def test_a_download_that_fails_at_once_is_refused(
    make_service: MakeService, path: str, query: dict[str, str], reading: str
) -> None:
    """As where one node of a cluster is away: a 200 had no end."""
    service = await make_service(background=False, wrap=Interrupted)
    await create(service)
    service.stores.shards[0].link.before = dict.fromkeys((reading, "read_index"), AWAY)
    answer = await (await sign_in(service)).get(path, **query)
    assert (answer.status, answer.json()["code"]) == (503, "store_unavailable")
