"""The same question again and again, on one connection: what it was found to mean counts no longer than it is true."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from service.app import Service
from service.model import RateLimit
from tests.builders import ADDRESS, at, create, sign_in
from tests.conftest import Clock
from tests.edge.asking import PATIENCE_SECONDS

pytestmark = pytest.mark.anyio


class Gateway:
    """One that keeps its connection and numbers its requests."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.asked = 0

    async def asks(self, secret: bytes | str, *more: str, path: str = "/validate") -> tuple[int, bytes]:
        """The status, and the head of the answer, which is that to this very request."""
        self.asked += 1
        text = secret if isinstance(secret, str) else secret.decode()
        request_id = f"X-Request-Id: r-{self.asked}"
        lines = [f"GET {path} HTTP/1.1", "Host: a.test", request_id, f"Authorization: Bearer {text}", *more, "", ""]
        self._writer.write("\r\n".join(lines).encode())
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = await self._reader.readuntil(b"\r\n\r\n")
            await self._reader.readexactly(int(re.findall(rb"content-length: (\d+)", head)[0]))
        assert f"x-request-id: r-{self.asked}\r\n".encode() in head
        return int(head[9:12]), head

    async def is_told(self, secret: bytes | str, *more: str, path: str = "/validate") -> list[int]:
        """The statuses of three requests: the first is read, the second remembered, the third known."""
        return [(await self.asks(secret, *more, path=path))[0] for _ in range(3)]


@asynccontextmanager
async def connected(port: int, address: str = "127.0.0.1") -> AsyncIterator[Gateway]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    yield Gateway(reader, writer)
    writer.close()


@pytest.fixture
async def gateway(port: int) -> AsyncIterator[Gateway]:
    async with connected(port) as made:
        yield made


async def test_a_token_ends_with_its_revocation(service: Service, gateway: Gateway) -> None:
    made = await create(service, "a")
    assert await gateway.is_told(made.secret) == [200, 200, 200]
    await service.rules.managed.tokens.revoke(made.token.token_id, at(ADDRESS))
    assert await gateway.is_told(made.secret) == [401, 401, 401]


async def test_a_token_ends_by_its_date_though_redis_has_it_still(
    service: Service, gateway: Gateway, clock: Clock
) -> None:
    made = await create(service, "a", days=0.5)
    assert await gateway.is_told(made.secret) == [200, 200, 200]
    clock.forward(43201)
    assert await gateway.is_told(made.secret) == [401, 401, 401]


async def test_a_limit_set_for_a_subject_holds_for_the_next_request(service: Service, gateway: Gateway) -> None:
    made = await create(service, "a", subject="s")
    assert await gateway.is_told(made.secret) == [200, 200, 200]
    await service.rules.subject_limits.set("s", (RateLimit(2, 3600),), at(ADDRESS))
    assert await gateway.is_told(made.secret) == [200, 200, 429]


async def test_a_request_without_a_scope_says_nothing_of_one_with_it(service: Service, gateway: Gateway) -> None:
    made = await create(service, "a", scopes=("x",))
    assert await gateway.is_told(made.secret, path="/validate?required_scope=x") == [200, 200, 200]
    assert await gateway.is_told(made.secret, path="/validate?required_scope=y") == [403, 403, 403]
    assert await gateway.is_told(made.secret, "X-Required-Scope: y") == [403, 403, 403]
    assert await gateway.is_told(made.secret) == [200, 200, 200]


async def test_each_proxy_and_client_has_its_own_address(service: Service, port: int) -> None:
    made = await create(service, "a", networks=("203.0.113.0/24",))
    near, far = "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 192.0.2.9"
    async with connected(port) as proxy, connected(port, "127.0.0.2") as stranger:
        assert await proxy.is_told(made.secret, near) == [200, 200, 200]
        assert await proxy.is_told(made.secret, far) == [403, 403, 403]
        assert await proxy.is_told(made.secret) == [403, 403, 403]
        assert await stranger.is_told(made.secret, near) == [403, 403, 403]


async def test_a_session_ends_with_the_password_it_was_begun_with(service: Service, gateway: Gateway) -> None:
    secret = await sign_in(service, "uma")
    assert await gateway.is_told(secret) == [200, 200, 200]
    service.rules.accounts.known.replace({})
    assert await gateway.is_told(secret) == [401, 401, 401]
