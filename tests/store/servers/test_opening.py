"""Opening connections: a dead address holds nobody up, and TLS settings are read once."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio.connection import SSLConnection
from redis.exceptions import RedisError

from service.store.servers.opening import Opener, first_of
from service.store.servers.url import Address

pytestmark = pytest.mark.anyio


def failing(error: Exception) -> Callable[[], Awaitable[str]]:
    async def attempt() -> str:
        raise error

    return attempt


def bringing(result: str) -> Callable[[], Awaitable[str]]:
    async def attempt() -> str:
        return result

    return attempt


async def nothing(brought: str) -> None:
    raise AssertionError(f"{brought} was dropped")


async def test_what_was_brought_is_dropped_when_nobody_waits_any_more() -> None:
    brought, dropped = asyncio.Event(), list[str]()

    async def attempt() -> str:
        brought.set()
        return "late"

    async def drop(late: str) -> None:
        dropped.append(late)

    waiting = asyncio.ensure_future(first_of([attempt], drop=drop))
    await brought.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert dropped == ["late"]


async def test_one_that_never_answers_holds_nobody_up_and_is_ended() -> None:
    ended = asyncio.Event()

    async def silent() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    assert await first_of([silent, failing(OSError()), bringing("third")], drop=nothing) == "third"
    assert ended.is_set()


async def test_of_two_that_succeed_one_is_dropped() -> None:
    both, dropped = asyncio.Barrier(2), list[str]()

    def slow(result: str) -> Callable[[], Awaitable[str]]:
        async def attempt() -> str:
            await both.wait()
            return result

        return attempt

    async def drop(brought: str) -> None:
        dropped.append(brought)

    won = await first_of([slow("a"), slow("b")], drop=drop)
    assert {won, *dropped} == {"a", "b"}
    assert len(dropped) == 1


async def test_where_all_fail_the_first_failure_is_told() -> None:
    with pytest.raises(OSError, match="first"):
        await first_of([failing(OSError("first")), failing(ValueError("second"))], drop=nothing)


async def test_the_settings_of_tls_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    create = ssl.create_default_context
    monkeypatch.setattr(ssl, "create_default_context", lambda: (made.append(1), create())[1])
    opener = Opener({"connection_class": SSLConnection}, timeout_seconds=0.25)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for _ in range(3):
        with pytest.raises(RedisError, match="connecting"):
            await opener.open([Address("127.0.0.1", port)])
    assert len(made) == 1
