"""Quotas that a calendar fills again: exact at the border of a window, by the time of Redis, whoever asks."""

import asyncio
from collections import Counter

import pytest

from service.app import Service
from service.errors import StoreUnavailable
from service.model import Calendar, Kind, Outcome, RateLimit
from service.store.credentials import Charge
from service.store.limits import windows
from service.store.limits.windows import NoSuchZone, window_of
from tests.builders import ADMIN, DAY, create, month_day, outcome
from tests.conftest import Clock, MakeService


def quota(size: int, calendar: Calendar | None = None) -> RateLimit:
    """Of a month that ends in none of the next days, where it is not another one that a test turns the clock to."""
    return RateLimit(size, 0, name="quota", calendar=calendar or Calendar("month", month_day(), "Europe/Berlin"))


@pytest.mark.parametrize("unit", ["hour", "day", "month"])
async def test_a_quota_is_full_again_when_its_window_ends_and_not_before(
    faked: Service, fake_clock: Clock, unit: str
) -> None:
    calendar = Calendar(unit, 31 if unit == "month" else 1, "America/Havana")
    _, end = window_of(calendar, fake_clock.now)
    created = await create(faked, days=60, rate_limits=(RateLimit(9, 1, name="burst"), quota(3, calendar)))

    async def ask() -> tuple[str, tuple[int, int, int]]:
        verdict = await faked.rules.authority.verify(created.secret.encode(), (Kind.MANAGED,))
        told = next(one for one in verdict.quotas if one.limit.calendar)
        ((_, standing),) = (await faked.rules.standings.of([created.token])).values()
        assert standing.remaining == told.remaining
        assert 0 <= told.reset_seconds - standing.reset_seconds <= 1
        return verdict.outcome.value, (told.remaining, told.reset_seconds, told.retry_after)

    fake_clock.now = end - 10.5
    assert [await ask() for _ in range(4)] == [
        ("active", (2, 11, 0)),
        ("active", (1, 11, 0)),
        ("active", (0, 11, 0)),
        ("rate_limited", (0, 11, 11)),
    ]
    fake_clock.now = end - 0.1
    assert await ask() == ("rate_limited", (0, 1, 1))
    fake_clock.now = end + 0.1
    assert (await ask())[1][0] == 2
    assert await outcome(faked, created.secret, cost=3) == "rate_limited"
    assert await outcome(faked, created.secret, cost=2) == "active"


async def test_behind_the_first_request_of_a_window_the_others_take_the_short_way_again(
    faked: Service, fake_clock: Clock
) -> None:
    """As the fast path asks: what is None goes on in a task, which asks anew."""
    authority = faked.rules.authority
    calendar = Calendar("hour", 1, "UTC")
    _, end = window_of(calendar, fake_clock.now)
    created = await create(faked, rate_limits=(quota(9, calendar),))
    digest = authority.digest(Kind.MANAGED, created.secret.encode())

    async def ask() -> bool:
        limited = authority.charging.limited[digest]
        answered: asyncio.Future[Charge] = asyncio.get_running_loop().create_future()
        limited.ask(answered.set_result)
        verdict = authority.evaluate(limited.decoded, (), "", fake_clock.now)
        return authority.charging.charged(limited.decoded, verdict, await answered, fake_clock.now) is not None

    fake_clock.now = end - 1
    assert [await outcome(faked, created.secret) for _ in range(2)] == ["active"] * 2
    assert await ask()
    fake_clock.now = end + 0.1
    assert not await ask()
    assert await outcome(faked, created.secret) == "active"
    assert await ask()


@pytest.mark.parametrize("days", [-40, 40])
async def test_the_window_is_that_of_redis_whatever_clock_the_process_has(
    still: Service, clock: Clock, days: int
) -> None:
    """That of the process is off; the scripts go by the server's."""
    created = await create(still, days=99, rate_limits=(quota(5),))
    clock.forward(days * DAY)
    counted = Counter(await asyncio.gather(*[outcome(still, created.secret) for _ in range(20)]))
    assert counted == {Outcome.ACTIVE: 5, Outcome.RATE_LIMITED: 15}
    clock.forward(-days * DAY)
    assert await outcome(still, created.secret) == "rate_limited"


@pytest.mark.parametrize("shards", [1, 16])
async def test_processes_share_a_quota_which_keeps_its_count_when_its_size_changes(
    make_service: MakeService, shards: int
) -> None:
    processes = [await make_service(shards=shards, background=False) for _ in range(4)]
    created = await create(processes[0], rate_limits=(quota(60),))
    counted: Counter[Outcome] = Counter()
    for part in await asyncio.gather(
        *[asyncio.gather(*[outcome(one, created.secret) for _ in range(40)]) for one in processes]
    ):
        counted += Counter(part)
    assert counted == {Outcome.ACTIVE: 60, Outcome.RATE_LIMITED: 100}
    for size, left in ((62, 2), (50, 0)):
        changed = (quota(size),)
        await processes[0].rules.managed.tokens.update(created.token.token_id, {"rate_limits": changed}, ADMIN)
        answers = [await outcome(processes[1], created.secret) for _ in range(3)]
        assert answers.count(Outcome.ACTIVE) == left


async def test_a_quota_whose_zone_a_process_does_not_know_admits_nothing(
    still: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = await create(still, rate_limits=(quota(5),))

    def absent(name: str) -> None:
        raise NoSuchZone("install tzdata")

    monkeypatch.setattr(windows, "zone_of", absent)
    with pytest.raises(StoreUnavailable, match="install tzdata"):
        await outcome(still, created.secret)
