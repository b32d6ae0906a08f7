"""The watch over Redis: what forbids it, said once, and the number of shards settled for good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from service.api.front import StartRefused
from service.app import Service
from service.errors import StoreUnavailable
from service.store.guardian import Guardian
from service.store.shards import Shards
from tests.links import Wrapped

pytestmark = pytest.mark.anyio


class Saying(Wrapped):
    """The real server, but for what it says of itself and what it fails to do."""

    def __init__(self, link: Any) -> None:
        super().__init__(link)
        self.info = ""
        self.fails: set[str] = set()

    async def execute(self, *args: Any, **how: Any) -> Any:
        if args[0] in self.fails:
            raise StoreUnavailable("The token store is not answering. Try again.")
        if args[0] == "INFO" and self.info:
            return self.info.encode()
        return await super().execute(*args, **how)


@pytest.fixture
async def link(make_service: Callable[..., Any]) -> Saying:
    service: Service = await make_service(background=False, wrap=Saying)
    link = service.shards[0].link
    assert isinstance(link, Saying)
    return link


@pytest.fixture
def guardian(link: Saying, namespace: str) -> Guardian:
    return Guardian(Shards(namespace, [link]))


CHECKS = {"redis": "", "role": "", "version": "", "eviction": "", "scripts": "", "namespace": ""}


async def test_a_fit_server_passes_every_check(guardian: Guardian) -> None:
    assert not guardian.usable
    assert await guardian.checks() == CHECKS
    assert guardian.usable
    assert guardian.faults == ""


async def test_a_fault_is_told_by_its_check_and_warned_of_once(
    guardian: Guardian, link: Saying, caplog: pytest.LogCaptureFixture
) -> None:
    link.info = "redis_version:6.0.1\r\nmaxmemory_policy:allkeys-lru\r\n"
    for _ in range(3):
        checks = await guardian.checks()
    assert {name for name, fault in checks.items() if fault} == {"version", "eviction"}
    assert not guardian.usable
    assert guardian.faults.count("; ") == 1
    assert len(caplog.messages) == len(set(caplog.messages)) == 3


async def test_a_server_that_recovers_is_usable_again(guardian: Guardian, link: Saying) -> None:
    link.info = "redis_version:6.0.0\r\n"
    await guardian.look()
    assert not guardian.usable
    link.info = ""
    await guardian.look()
    assert guardian.usable


@pytest.mark.parametrize("command", ["INFO", "EVALSHA"])
async def test_a_server_that_does_not_answer_is_not_usable(guardian: Guardian, link: Saying, command: str) -> None:
    await guardian.look()
    link.fails = {command} | ({"SET"} if command == "INFO" else set())
    assert list(await guardian.checks()) == ["redis"]
    assert not guardian.usable


async def test_the_first_process_settles_the_number_of_shards_and_another_number_is_refused(
    link: Saying, namespace: str
) -> None:
    first, other, same = (Guardian(Shards(namespace, [link] * count)) for count in (16, 1, 16))
    for guardian in (first, other, same):
        await guardian.look()
    assert (first.usable, other.usable, same.usable) == (True, False, True)
    assert "was first started with 16 shards" in other.faults
    assert (await other.checks())["namespace"] == other.faults


async def test_a_full_server_is_asked_what_was_settled_before(guardian: Guardian, link: Saying, namespace: str) -> None:
    await Guardian(Shards(namespace, [link] * 16)).look()
    link.fails = {"SET"}
    await guardian.look()
    assert "16 shards" in guardian.faults


async def test_a_fresh_server_that_refuses_writes_is_not_held_against_the_shards(
    guardian: Guardian, link: Saying
) -> None:
    link.fails = {"SET"}
    await guardian.look()
    assert guardian.faults == ""


@pytest.mark.parametrize("count", [0, 2, 15, 17])
async def test_a_namespace_has_one_or_sixteen_shards(link: Saying, namespace: str, count: int) -> None:
    with pytest.raises(ValueError, match="shards"):
        Shards(namespace, [link] * count)


async def test_the_watch_looks_again_and_again(
    guardian: Guardian, link: Saying, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    looked = asyncio.Event()

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        link.fails = {"INFO", "SET"} if len(pauses) == 1 else set()
        if len(pauses) == 3:
            looked.set()
            await asyncio.Event().wait()

    monkeypatch.setattr("service.store.guardian.asyncio.sleep", pause)
    watching = asyncio.create_task(guardian.watch())
    await looked.wait()
    watching.cancel()
    # Well, then away, then well again: rarely, often, rarely.
    assert pauses == [60, 1, 60]


async def test_a_service_refuses_to_start_on_a_server_that_deletes_tokens(make_service: Callable[..., Any]) -> None:
    def wrap(link: Any) -> Saying:
        saying = Saying(link)
        saying.info = "redis_version:7.0.0\r\nmaxmemory_policy:allkeys-lru\r\n"
        return saying

    with pytest.raises(StartRefused, match="allkeys-lru deletes tokens"):
        await make_service(wrap=wrap)


async def test_a_service_starts_without_redis(
    make_service: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    def wrap(link: Any) -> Saying:
        saying = Saying(link)
        saying.fails = {"INFO", "SET"}
        return saying

    await make_service(wrap=wrap)
    assert any("starting without Redis" in message for message in caplog.messages)
