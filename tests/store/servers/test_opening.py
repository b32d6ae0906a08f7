"""Opening connections: a dead address holds nobody up, and TLS settings are read once."""

import asyncio
import socket
import ssl
from typing import Any

import pytest
from redis.asyncio.connection import AbstractConnection, SSLConnection
from redis.exceptions import RedisError

from service.store.servers.opening import Connect, Opener, first_of
from service.store.servers.url import Address


class Brought(AbstractConnection):
    """A connection that was never made and notes that it was closed."""

    def __init__(self) -> None:
        self.closed = False

    async def disconnect(self, nowait: bool = False, **_: Any) -> None:
        self.closed = True

    def repr_pieces(self) -> list[Any]:
        return []

    async def _connect(self) -> None: ...

    def _host_error(self) -> str:
        return ""


def failing(error: Exception) -> Connect:
    async def attempt() -> AbstractConnection:
        raise error

    return attempt


def bringing(result: Brought) -> Connect:
    async def attempt() -> AbstractConnection:
        return result

    return attempt


async def test_what_was_brought_is_closed_when_nobody_waits_any_more() -> None:
    brought, late = asyncio.Event(), Brought()

    async def attempt() -> AbstractConnection:
        brought.set()
        return late

    waiting = asyncio.ensure_future(first_of([attempt]))
    await brought.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert late.closed


async def test_one_that_never_answers_holds_nobody_up_and_is_ended() -> None:
    ended, third = asyncio.Event(), Brought()

    async def silent() -> AbstractConnection:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return Brought()

    assert await first_of([silent, failing(OSError()), bringing(third)]) is third
    assert (ended.is_set(), third.closed) == (True, False)


async def test_of_two_that_succeed_one_is_closed() -> None:
    both, two = asyncio.Barrier(2), (Brought(), Brought())

    def slow(result: Brought) -> Connect:
        async def attempt() -> AbstractConnection:
            await both.wait()
            return result

        return attempt

    won = await first_of([slow(one) for one in two])
    assert won in two
    assert [one.closed for one in two] == [one is not won for one in two]


async def test_who_leaves_while_the_others_are_ended_leaves_no_connection() -> None:
    won, ending = Brought(), asyncio.Event()

    async def slow_to_end() -> AbstractConnection:
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await asyncio.sleep(0)
        return Brought()

    waiting = asyncio.ensure_future(first_of([slow_to_end, bringing(won)]))
    await ending.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert won.closed


async def test_where_all_fail_the_first_failure_is_told() -> None:
    with pytest.raises(OSError, match="first"):
        await first_of([failing(OSError("first")), failing(ValueError("second"))])


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
