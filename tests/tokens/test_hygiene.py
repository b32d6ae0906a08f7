"""Hygiene: active tokens that nobody uses, counted now and then by one process for all."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from service.app import Service
from service.model import Kind
from service.store.managed import hygiene
from service.tokens.hygiene import Idleness
from tests.asgi import Person, holder, sign_in
from tests.builders import ADMIN, DAY, create
from tests.conftest import Clock, MakeService
from tests.links import Wrapped


async def make(service: Service, name: str, *, days: int = 300) -> tuple[str, bytes]:
    created = await create(service, name, days=days)
    return created.token.token_id, created.secret.encode()


async def use(service: Service, secret: bytes) -> None:
    assert (await service.rules.authority.verify(secret, (Kind.MANAGED,))).active
    await service.rules.usage.flush()


async def varied(service: Service, clock: Clock) -> None:
    """In 100 days: one idle all along, one idle for 40 days, one used today, one new; ended ones beside them."""
    await make(service, "idle")
    _, forty = await make(service, "used 40 days ago")
    _, busy = await make(service, "busy")
    off, _ = await make(service, "off")
    revoked, _ = await make(service, "revoked")
    await service.rules.managed.tokens.update(off, {"active": False}, ADMIN)
    await service.rules.managed.tokens.revoke(revoked, ADMIN)
    clock.forward(60 * DAY)
    await use(service, forty)
    clock.forward(40 * DAY)
    await use(service, busy)
    await make(service, "new")


async def test_idle_and_never_used_tokens_are_counted(still: Service, clock: Clock) -> None:
    assert await still.rules.hygiene.known() is None
    await varied(still, clock)
    counted = await still.rules.hygiene.count()
    assert counted == Idleness({"30d": 2, "90d": 1}, 2, counted.counted_at)
    assert await still.rules.hygiene.known() == counted


async def test_one_process_counts_every_ten_minutes(make_service: MakeService, clock: Clock) -> None:
    processes = [await make_service(shards=16, background=False) for _ in range(3)]
    counts = []
    for _ in range(3):
        await make(processes[0], f"gate {len(counts)}")
        await asyncio.gather(*[process.rules.hygiene.work() for process in processes])
        counts.append((await processes[1].rules.hygiene.known()).never_used)
        clock.forward(301)
    assert counts == [1, 1, 3]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_a_token_counts_once_however_the_slices_fall(
    still: Service, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(hygiene, "_SLICE", size)
    for number in range(20):
        await make(still, f"gate {number}")
    for shard in still.stores.shards:  # as if all of them were created in one microsecond
        for token_id in await shard.link.execute("ZRANGE", shard.keys.on, 0, 9):
            await shard.link.execute("ZADD", shard.keys.on, "1763683200123456", token_id)
    assert (await still.rules.hygiene.count()).never_used == 20


async def test_a_long_count_takes_its_lock_again_at_each_slice(still: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hygiene, "_SLICE", 2)
    for number in range(5):
        await make(still, f"gate {number}")
    counting, held = still.rules.hygiene, list[str]()

    async def hold(holder: str) -> bool:
        held.append(holder)
        return True

    monkeypatch.setattr(still.stores.hygiene, "hold", hold)
    await counting.count(pause_seconds=0.001)
    assert len(held) >= 3 and set(held) == {counting._holder}


async def test_hygiene_is_shown_and_exported(make_service: MakeService, clock: Clock) -> None:
    service = await make_service(shards=16, background=False, max_lifetime_days=0)
    await varied(service, clock)
    await make(service, "for ever", days=0)
    await make(service, "soon", days=5)
    admin = await sign_in(service)
    assert "tokens_idle" not in (await Person(service).get("/metrics")).body.decode()
    shown = (await admin.get("/api/admin/tokens/hygiene")).json()
    assert list(shown) == ["idle", "neverUsed", "countedAt", "expiring", "neverExpire", "expired"]
    assert (shown["idle"], shown["neverUsed"], shown["neverExpire"]) == ({"30d": 2, "90d": 1}, 4, 1)
    assert shown["expiring"] == {"1d": 0, "7d": 1, "14d": 1, "30d": 1}
    assert shown["expired"] == {"7d": 0}
    lines = (await Person(service).get("/metrics")).body.decode().splitlines()
    assert 'tokens_idle{window="90d"} 1.0' in lines
    assert "tokens_never_used 4.0" in lines


@pytest.mark.parametrize("swept", [False, True])
@pytest.mark.parametrize("size", [1, 2, 500])
async def test_what_expired_within_a_week_is_counted_until_it_is_gone(
    aging: Service, clock: Clock, monkeypatch: pytest.MonkeyPatch, *, size: int, swept: bool
) -> None:
    monkeypatch.setattr(hygiene, "_SLICE", size)
    ids = [(await make(aging, f"{number} of {days}", days=days))[0] for days in (2, 4, 9, 60) for number in range(3)]
    for token_id in (ids[0], ids[3], ids[6]):
        await aging.rules.managed.tokens.update(token_id, {"active": False}, ADMIN)
    await aging.rules.managed.tokens.revoke(ids[4], ADMIN)

    moved = 0

    async def expired() -> int:
        nonlocal moved
        if swept:
            moved += await aging.rules.managed.sweeper.sweep()
        return (await aging.rules.hygiene.expired())["7d"]

    assert await expired() == 0
    clock.forward(5 * DAY)
    assert await expired() == 5
    await aging.rules.managed.tokens.revoke(ids[0], ADMIN)
    await aging.rules.managed.tokens.update(ids[1], {"expires_at": int(aging.clock()) + 60 * DAY}, ADMIN)
    assert await expired() == 3
    clock.forward(5 * DAY)
    assert await expired() == 5
    clock.forward(30 * DAY)
    assert await expired() == 0
    assert moved == (8 if swept else 0)


class Sweeping(Wrapped):
    """Does `sweep` once, between two round trips: before the first command that was asked behind a reply."""

    sweep: Callable[[], Awaitable[object]] | None = None
    replied = False

    async def execute(self, *args: Any, **how: Any) -> Any:
        if self.replied and (sweep := self.sweep) is not None:
            self.sweep = None
            await sweep()
        reply = await super().execute(*args, **how)
        self.replied = self.sweep is not None
        return reply


@pytest.mark.usefixtures("fake_clock")
async def test_what_is_swept_between_two_round_trips_counts_once(make_service: MakeService, clock: Clock) -> None:
    service = await make_service(fake=True, background=False, wrap=Sweeping)
    link: Any = service.stores.shards[0].link
    for number in range(4):
        await make(service, f"over {number}", days=1 + number // 2)
    clock.forward(DAY + 1)
    assert await service.rules.managed.sweeper.sweep() == 2
    clock.forward(DAY)
    link.sweep, link.replied = service.rules.managed.sweeper.sweep, False
    assert (await service.rules.hygiene.expired())["7d"] == 4
    assert link.sweep is None, "nothing was swept meanwhile"


async def test_hygiene_is_for_readers(still: Service) -> None:
    path = "/api/admin/tokens/hygiene"
    assert (await Person(still).get(path)).status == 401
    assert (await (await holder(still, "a:b")).get(path)).status == 403
    assert (await (await sign_in(still, "vera")).get(path)).status == 200
