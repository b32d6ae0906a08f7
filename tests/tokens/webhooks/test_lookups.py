"""Names of receivers: found by the system, and a name server that is silent holds nobody else up."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from service.tokens.webhooks.lookups import Lookups
from tests.builders import until

WAIT_SECONDS = 20.0


class Silent:
    """A name server that says nothing of some names until it is `released`."""

    def __init__(self, find: Any) -> None:
        self._find = find
        self.released = threading.Event()
        self.asked: list[str] = []

    def __call__(self, host: Any, *others: Any, **named: Any) -> Any:
        if str(host).startswith("silent"):
            self.asked.append(host)
            assert self.released.wait(WAIT_SECONDS), "nobody released the lookup"
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return self._find(host, *others, **named)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Silent]:
    silent = Silent(socket.getaddrinfo)
    monkeypatch.setattr(socket, "getaddrinfo", silent)
    yield silent
    silent.released.set()


async def test_the_system_resolves_names_and_every_notation_of_an_address() -> None:
    resolve = Lookups().resolve
    found = await asyncio.gather(*[resolve(host, 443) for host in ("127.0.0.1", "0x7f000001", "localhost")])
    assert found[0] == ["127.0.0.1"]
    assert all(address in ("127.0.0.1", "::1") for addresses in found for address in addresses)


async def test_names_that_no_server_answers_for_leave_the_loop_its_own_threads(silent: Silent) -> None:
    resolve = Lookups().resolve
    # More than any loop has threads for it.
    waiting = [asyncio.ensure_future(resolve(f"silent{number}.example.com", 443)) for number in range(40)]
    await until(lambda: len(silent.asked) == 40)
    async with asyncio.timeout(WAIT_SECONDS / 2):
        # As Redis is found.
        assert await asyncio.get_running_loop().getaddrinfo("localhost", 6379, type=socket.SOCK_STREAM)
        assert await resolve("localhost", 443)
    silent.released.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(one, OSError) for one in found)


async def test_a_name_is_resolved_once_for_all_who_wait_for_it(silent: Silent) -> None:
    resolve = Lookups().resolve
    waiting = [asyncio.ensure_future(resolve("silent.example.com", 443)) for _ in range(3)]
    await until(lambda: len(silent.asked) == 1)
    waiting[0].cancel()
    silent.released.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in found] == [asyncio.CancelledError, socket.gaierror, socket.gaierror]
    assert silent.asked == ["silent.example.com"]
    # What is over is not kept: a name may mean another address by now.
    with pytest.raises(socket.gaierror):
        await resolve("silent.example.com", 443)
    assert len(silent.asked) == 2


async def test_a_lookup_that_fails_once_nobody_waits_for_it_is_no_error_of_ours(silent: Silent) -> None:
    resolve, told = Lookups().resolve, []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    waiting = asyncio.ensure_future(resolve("silent.example.com", 443))
    await until(lambda: len(silent.asked) == 1)
    waiting.cancel()
    silent.released.set()
    await until(lambda: all(one.name != "lookup" for one in threading.enumerate()))
    # Its answer comes behind that of the first.
    with pytest.raises(socket.gaierror):
        await resolve("silent2.example.com", 443)
    assert told == []


async def test_too_many_silent_names_are_refused_and_end_no_process_late(silent: Silent) -> None:
    resolve = Lookups().resolve
    waiting = [asyncio.ensure_future(resolve(f"silent{number}.example.com", 443)) for number in range(64)]
    await until(lambda: len(silent.asked) == 64)
    with pytest.raises(OSError, match="too many names"):
        await resolve("localhost", 443)
    assert all(one.daemon for one in threading.enumerate() if one.name == "lookup")
    silent.released.set()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await resolve("localhost", 443)
