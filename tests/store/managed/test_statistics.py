"""Statistics: exact before and after a sweep, whatever time has ended meanwhile."""

from typing import Any

import msgspec

from service.app import Service
from service.metrics import EXPIRY_WINDOWS
from service.model import Statistics, Status
from service.store.managed.statistics import TokenCounts
from tests.builders import ADDRESS, ADMIN, DAY, create, sign_in
from tests.conftest import Clock


async def told(service: Service) -> dict[str, int]:
    return msgspec.structs.asdict(await service.rules.managed.queries.statistics())


async def test_an_empty_house_counts_nothing(still: Service) -> None:
    assert await still.rules.managed.queries.statistics() == Statistics(0, 0, 0, 0, 0, 0, 0, 0)


async def test_every_change_is_counted_at_once(still: Service) -> None:
    ids = [(await create(still, f"token {number}", days=20)).token.token_id for number in range(5)]
    await still.rules.managed.tokens.update(ids[0], {"active": False}, ADMIN)
    await still.rules.managed.tokens.update(ids[1], {"active": False}, ADMIN)
    await still.rules.managed.tokens.update(ids[1], {"active": True}, ADMIN)
    await still.rules.managed.tokens.revoke(ids[2], ADMIN)
    await still.rules.managed.tokens.update(ids[3], {"active": False}, ADMIN)
    await still.rules.managed.tokens.revoke(ids[3], ADMIN)
    await still.rules.managed.tokens.update(ids[4], {"expires_at": int(still.clock() + 10 * DAY)}, ADMIN)
    counted = await told(still)
    assert {name: counted[name] for name in ("total", "active", "inactive", "revoked", "expired", "expiring14d")} == {
        "total": 3,
        "active": 2,
        "inactive": 1,
        "revoked": 2,
        "expired": 0,
        "expiring14d": 1,
    }


async def test_the_numbers_are_the_same_before_and_after_a_sweep(aging: Service, clock: Clock) -> None:
    for number in range(3):
        await create(aging, f"short {number}", days=1)
    await create(aging, "long", days=100)
    off = (await create(aging, "off", days=1)).token.token_id
    await aging.rules.managed.tokens.update(off, {"active": False}, ADMIN)
    gone = (await create(aging, "gone", days=1)).token.token_id
    await aging.rules.managed.tokens.revoke(gone, ADMIN)
    await aging.rules.one_time.issue(address=ADDRESS, anonymous=True, ttl_seconds=60)
    await aging.rules.one_time.issue(address=ADDRESS, anonymous=True, ttl_seconds=3600)
    await sign_in(aging)
    assert await told(aging) == {
        "total": 5,
        "active": 4,
        "expired": 0,
        "inactive": 1,
        "revoked": 1,
        "expiring14d": 3,
        "one_time_outstanding": 2,
        "sessions": 1,
    }
    for seconds, one_time, sessions, moved in ((61, 1, 1, 0), (2 * DAY, 0, 0, 4)):
        clock.forward(seconds)
        before = await told(aging)
        assert (before["one_time_outstanding"], before["sessions"]) == (one_time, sessions)
        assert await aging.rules.managed.sweeper.sweep() == moved
        assert await told(aging) == before
    assert (before["total"], before["active"], before["expired"], before["inactive"], before["revoked"]) == (
        5,
        1,
        4,
        0,
        1,
    )
    assert before["expiring14d"] == 0


async def test_of_some_tokens_whatever_statuses_are_asked_for_are_counted(make_service: Any, turn_time: Any) -> None:
    still: Service = await make_service(fake=True)
    due, off, gone, due_off, stays = [
        (await create(still, name, days=days)).token.token_id
        for name, days in (("due", 1), ("off", 9), ("gone", 9), ("due off", 1), ("stays", 9))
    ]
    for token_id in (off, due_off):
        await still.rules.managed.tokens.update(token_id, {"active": False}, ADMIN)
    await still.rules.managed.tokens.revoke(gone, ADMIN)
    turn_time(2 * DAY)
    counts, found = TokenCounts(still.stores.shards), dict(zip(Status, (1, 1, 2, 1), strict=True))
    made = [due, off, gone, due_off, stays]
    for moved in (2, 0):
        for number in range(1, 16):
            wanted = frozenset(status for place, status in enumerate(Status) if number >> place & 1)
            told = await counts.among(made, wanted, still.clock())
            assert told == sum(found[status] for status in wanted), wanted
        assert await still.rules.managed.sweeper.sweep() == moved


async def test_a_token_that_expires_this_second_counts_as_expired(still: Service, clock: Clock) -> None:
    token = (await create(still, "ci", days=1)).token
    clock.forward(token.expires_at - still.clock() - 0.5)
    assert (await told(still))["active"] == 1
    clock.forward(0.5)
    counted = await told(still)
    assert (counted["active"], counted["expired"], counted["expiring14d"]) == (0, 1, 0)


async def test_what_expires_soon_is_told_by_window(still: Service) -> None:
    for number, days in enumerate((0.5, 3, 10, 20, 100)):
        await create(still, f"token {number}", days=days)
    off = (await create(still, "off", days=0.5)).token.token_id
    await still.rules.managed.tokens.update(off, {"active": False}, ADMIN)
    told_by_window = await TokenCounts(still.stores.shards).expiring(int(still.clock()), EXPIRY_WINDOWS)
    assert told_by_window == {"1d": 1, "7d": 2, "14d": 3, "30d": 4}


async def test_tokens_that_never_expire_are_active_for_ever(make_service: Any, turn_time: Any) -> None:
    service = await make_service(fake=True, max_lifetime_days=0)
    await create(service, "eternal", days=0)
    await create(service, "for a day", days=1)
    turn_time(10_000 * DAY)
    assert await service.rules.managed.sweeper.sweep() == 1
    counted = await told(service)
    assert (counted["total"], counted["active"], counted["expired"]) == (1, 1, 0)
