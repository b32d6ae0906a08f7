"""Rate limits and uses: exact however many ask at once, and spent by nothing but an admitted request."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from service.app import Service
from service.model import Calendar, Kind, Outcome, RateLimit
from service.store.credentials import Charge
from service.tokens.charging import Limited
from tests.builders import ADMIN, create, outcome, peeked
from tests.conftest import Clock, MakeService, TurnTime


async def outcomes(service: Service, secret: str, count: int) -> Counter[Outcome]:
    return Counter(await asyncio.gather(*[outcome(service, secret) for _ in range(count)]))


async def uses_left(service: Service, token_id: str) -> int:
    return (await service.rules.managed.tokens.get(token_id)).uses_left


@pytest.mark.parametrize(("limit", "admitted"), [(RateLimit(50, 3600), 50), (RateLimit(100, 3600, 7), 7)])
async def test_a_limit_admits_exactly_its_burst_of_two_hundred_at_once(
    still: Service, limit: RateLimit, admitted: int
) -> None:
    created = await create(still, rate_limits=(limit,))
    for known in (False, True):
        counted = await outcomes(still, created.secret, 200)
        assert counted[Outcome.ACTIVE] == (0 if known else admitted)
        assert counted[Outcome.RATE_LIMITED] == 200 - counted[Outcome.ACTIVE]


async def test_how_a_token_without_limits_stands_is_not_asked(still: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(still.stores.credentials, "dues", None)
    assert await still.rules.standings.of([(await create(still)).token]) == {}


@pytest.mark.parametrize("places", [(0, 1, 2), (2, 1, 0)])
async def test_a_request_is_charged_to_all_limits_or_to_none(
    faked: Service, turn_time: TurnTime, places: tuple[int, ...]
) -> None:
    named = RateLimit(2, 10, name="burst"), RateLimit(3, 3600, name="hour"), RateLimit(90, 86400, 9, name="day")
    created = await create(faked, rate_limits=tuple(named[place] for place in places))

    async def ask() -> tuple[str, dict[str, tuple[int, int]]]:
        verdict = await faked.rules.authority.verify(created.secret.encode(), (Kind.MANAGED,))
        left = {one.limit.name: (one.remaining, one.retry_after) for one in verdict.quotas}
        (standing,) = (await faked.rules.standings.of([created.token])).values()
        assert {one.limit.name: one.remaining for one in standing} == {name: told[0] for name, told in left.items()}
        return verdict.outcome.value, left

    assert await ask() == ("active", {"burst": (1, 0), "hour": (2, 0), "day": (8, 0)})
    assert await ask() == ("active", {"burst": (0, 0), "hour": (1, 0), "day": (7, 0)})
    for _ in range(3):
        assert await ask() == ("rate_limited", {"burst": (0, 5), "hour": (1, 0), "day": (7, 0)})
    turn_time(5)
    assert await ask() == ("active", {"burst": (0, 0), "hour": (0, 0), "day": (6, 0)})
    for _ in range(2):
        assert await ask() == ("rate_limited", {"burst": (0, 5), "hour": (0, 1195), "day": (6, 0)})


@pytest.mark.parametrize("shards", [1, 16])
async def test_processes_share_a_limit_and_the_uses(make_service: MakeService, shards: int) -> None:
    processes = [await make_service(shards=shards, background=False) for _ in range(4)]
    created = await create(processes[0], rate_limits=(RateLimit(90, 3600),), max_uses=60)
    counted: Counter[Outcome] = Counter()
    for part in await asyncio.gather(*[outcomes(process, created.secret, 50) for process in processes]):
        counted += part
    assert counted[Outcome.ACTIVE] == 60
    assert await uses_left(processes[0], created.token.token_id) == 0


@pytest.mark.parametrize(
    "limits",
    [
        (RateLimit(1000, 1),),
        (RateLimit(40, 3600),),
        (RateLimit(100, 60, 7),),
        (RateLimit(2000, 1, 30),),
        (RateLimit(64, 7, name="burst"), RateLimit(45, 3600, name="hour")),
        (RateLimit(50, 0, name="day", calendar=Calendar("day")), RateLimit(60, 9, name="burst")),
    ],
)
async def test_what_is_asked_in_one_turn_is_told_the_same_as_one_after_the_other(
    faked: Service, turn_time: TurnTime, limits: tuple[RateLimit, ...]
) -> None:
    together, alone = [await create(faked, name, rate_limits=limits) for name in ("together", "alone")]
    authority, digests = faked.rules.authority, []
    for token in (together, alone):
        for _ in range(2):
            assert await outcome(faked, token.secret) == "active"
        digests.append(authority.digest(Kind.MANAGED, token.secret.encode()))
    ours, other = [authority.charging.limited[digest] for digest in digests]

    def ask(limited: Limited) -> asyncio.Future[Charge]:
        answered: asyncio.Future[Charge] = asyncio.get_running_loop().create_future()
        limited.ask(answered.set_result)
        return answered

    for seconds, count in ((0, 1), (0, 2), (0, 16), (1, 64), (0, 3), (3, 5)):
        turn_time(seconds)
        told = await asyncio.gather(*[ask(ours) for _ in range(count)])
        expected = [await ask(other) for _ in range(count)]
        for mine, right in zip(told, expected, strict=True):
            assert (mine.verdict, mine.states[::3]) == (right.verdict, right.states[::3])
            # In whole milliseconds, of which two rounded up may come to one more.
            assert mine.states == pytest.approx(right.states, abs=1)


async def test_what_was_asked_in_one_turn_is_charged_by_one_script(
    faked: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = await create(faked, rate_limits=(RateLimit(100, 3600),))
    for _ in range(2):
        assert await outcome(faked, created.secret) == "active"
    limited = faked.rules.authority.charging.limited[
        faked.rules.authority.digest(Kind.MANAGED, created.secret.encode())
    ]
    sent: list[bytes] = []
    monkeypatch.setattr(limited, "_submit", lambda command, answer: sent.append(command))
    for _ in range(64):
        limited.ask(lambda reply: None)
    await asyncio.sleep(0)
    assert len(sent) == 1


async def test_what_was_charged_together_is_not_all_answered_in_one_step(
    still: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = await create(still, rate_limits=(RateLimit(1000, 3600),))
    await outcome(still, created.secret)
    (limited,) = still.rules.authority.charging.limited.values()
    answered: list[Any] = []
    monkeypatch.setattr("service.store.driver.replies._STEP_SECONDS", -1.0)
    for _ in range(3):
        limited.ask(answered.append)
    steps = set()
    while len(answered) < 3:
        await asyncio.sleep(0)
        steps.add(len(answered))
    assert steps == {0, 1, 2, 3}


async def test_uses_are_spent_to_the_last_and_never_below(still: Service) -> None:
    created = await create(still, max_uses=5)
    assert await outcomes(still, created.secret, 30) == Counter({Outcome.ACTIVE: 5, Outcome.USES_EXHAUSTED: 25})
    assert await outcomes(still, created.secret, 10) == Counter({Outcome.USES_EXHAUSTED: 10})
    assert await uses_left(still, created.token.token_id) == 0
    assert await peeked(still, created.secret) is Outcome.USES_EXHAUSTED


async def test_a_refusal_for_rate_spends_no_use_and_a_used_up_token_no_rate(still: Service) -> None:
    created = await create(still, rate_limits=(RateLimit(3, 3600),), max_uses=5)
    assert (await outcomes(still, created.secret, 20))[Outcome.ACTIVE] == 3
    assert await uses_left(still, created.token.token_id) == 2


@pytest.mark.parametrize("known", [False, True])
async def test_a_refusal_for_scope_or_network_spends_nothing(still: Service, *, known: bool) -> None:
    created = await create(
        still, scopes=("a",), networks=("10.0.0.0/8",), rate_limits=(RateLimit(2, 3600),), max_uses=2
    )
    inside = {"address": "10.0.0.1"}
    if known:
        assert await outcome(still, created.secret, **inside) == "active"
    for _ in range(5):
        assert await outcome(still, created.secret, required=("b",), **inside) == "insufficient_scope"
        assert await outcome(still, created.secret, address="192.0.2.1") == "network_denied"
    left = 1 if known else 2
    assert await uses_left(still, created.token.token_id) == left
    assert [await outcome(still, created.secret, **inside) for _ in range(3)].count(Outcome.ACTIVE) == left


async def test_a_scope_taken_away_since_the_last_request_spends_nothing(still: Service) -> None:
    """The limit's memory still holds the old record; the charge must not go by it."""
    created = await create(still, scopes=("a",), max_uses=5)
    assert await outcome(still, created.secret, required=("a",)) == "active"
    await still.rules.managed.tokens.update(created.token.token_id, {"scopes": ("b",)}, ADMIN)
    assert await outcome(still, created.secret, required=("a",)) == "insufficient_scope"
    assert await uses_left(still, created.token.token_id) == 4


async def test_a_scope_given_since_the_last_request_is_in_force(still: Service) -> None:
    created = await create(still, scopes=("a",), rate_limits=(RateLimit(100, 60),))
    assert await outcome(still, created.secret, required=("b",)) == "insufficient_scope"
    assert await outcome(still, created.secret) == "active"
    await still.rules.managed.tokens.update(created.token.token_id, {"scopes": ("b",)}, ADMIN)
    assert await outcome(still, created.secret, required=("b",)) == "active"


@pytest.mark.parametrize(
    ("before", "after", "admitted", "after_one"),
    [
        # One of ten used before leaves two of three; one of three used leaves two thirds of ten.
        ((RateLimit(10, 3600),), (RateLimit(3, 3600),), 3, 2),
        ((RateLimit(3, 3600),), (RateLimit(10, 3600),), 10, 6),
        ((RateLimit(3, 3600),), (), 20, 20),
        ((), (RateLimit(3, 3600),), 3, 3),
        # By its name a limit keeps what was used of it, wherever it stands.
        ((RateLimit(3, 3600),), (RateLimit(9, 60, name="new"), RateLimit(3, 3600)), 3, 2),
    ],
)
async def test_a_changed_limit_is_in_force_with_the_next_request(
    still: Service, before: tuple[RateLimit, ...], after: tuple[RateLimit, ...], admitted: int, after_one: int
) -> None:
    created = await create(still, rate_limits=before)
    other = await create(still, "other", rate_limits=before)
    assert await outcome(still, other.secret) == "active"
    await still.rules.managed.tokens.update(created.token.token_id, {"rate_limits": after}, ADMIN)
    await still.rules.managed.tokens.update(other.token.token_id, {"rate_limits": after}, ADMIN)
    assert (await outcomes(still, created.secret, 20))[Outcome.ACTIVE] == admitted
    assert (await outcomes(still, other.secret, 20))[Outcome.ACTIVE] == after_one


async def test_more_uses_given_are_in_force_with_the_next_request(still: Service) -> None:
    created = await create(still, max_uses=1)
    assert (await outcomes(still, created.secret, 3))[Outcome.ACTIVE] == 1
    await still.rules.managed.tokens.update(created.token.token_id, {"max_uses": 4}, ADMIN)
    assert (await outcomes(still, created.secret, 9))[Outcome.ACTIVE] == 4
    await still.rules.managed.tokens.update(created.token.token_id, {"max_uses": 0}, ADMIN)
    assert (await outcomes(still, created.secret, 9))[Outcome.ACTIVE] == 9


async def test_a_limit_fills_up_again_with_time(faked: Service, turn_time: TurnTime) -> None:
    created = await create(faked, rate_limits=(RateLimit(6, 60),))
    assert (await outcomes(faked, created.secret, 9))[Outcome.ACTIVE] == 6
    turn_time(20)
    assert (await outcomes(faked, created.secret, 9))[Outcome.ACTIVE] == 2
    turn_time(3600)
    assert (await outcomes(faked, created.secret, 9))[Outcome.ACTIVE] == 6
    # A Redis whose clock was set back keeps nobody out until then.
    turn_time(-3600)
    assert (await outcomes(faked, created.secret, 9))[Outcome.ACTIVE] == 6


async def test_a_process_with_a_wrong_clock_keeps_nobody_out(make_service: MakeService, clock: Clock) -> None:
    created = await create(await make_service(background=False), rate_limits=(RateLimit(6, 3600),))
    counted: Counter[Outcome] = Counter()
    for offset in (0, 3600, -7200):
        clock.forward(offset)
        process = await make_service(background=False)
        counted += await outcomes(process, created.secret, 3)
    assert counted[Outcome.ACTIVE] == 6


async def test_the_quota_tells_what_is_left_and_when_to_come_back(faked: Service, turn_time: TurnTime) -> None:
    created = await create(faked, rate_limits=(RateLimit(3, 60),))
    ask = faked.rules.authority.verify
    quotas = [(await ask(created.secret.encode(), (Kind.MANAGED,))).quotas for _ in range(4)]
    told = [(one.remaining, one.reset_seconds, one.retry_after) for (one,) in quotas]
    assert told == [(2, 20, 0), (1, 40, 0), (0, 60, 0), (0, 60, 20)]


async def test_peeking_at_a_limited_token_charges_nothing(make_service: MakeService, fake_clock: Clock) -> None:
    still = await make_service(fake=True)
    created = await create(still, rate_limits=(RateLimit(2, 3600),), max_uses=2)
    for expected in (Outcome.ACTIVE, Outcome.ACTIVE):
        for _ in range(5):
            assert await peeked(still, created.secret) is expected
        assert await outcome(still, created.secret) == "active"
    assert await peeked(still, created.secret) is Outcome.USES_EXHAUSTED


async def test_peeking_tells_that_the_limit_is_used_up(still: Service, clock: Clock) -> None:
    created = await create(still, rate_limits=(RateLimit(2, 3600),))
    assert (await outcomes(still, created.secret, 5))[Outcome.ACTIVE] == 2
    clock.catch_up()
    assert await peeked(still, created.secret) is Outcome.RATE_LIMITED
    clock.forward(1801)
    assert await peeked(still, created.secret) is Outcome.ACTIVE


async def test_a_limited_token_that_is_revoked_is_refused_and_forgotten(still: Service) -> None:
    created = await create(still, rate_limits=(RateLimit(100, 60),))
    assert await outcome(still, created.secret) == "active"
    assert len(still.rules.authority.charging.limited) == 1
    await still.rules.managed.tokens.revoke(created.token.token_id, ADMIN)
    assert await outcome(still, created.secret) == "unknown"
    assert len(still.rules.authority.charging.limited) == 0


async def test_the_memory_of_limited_tokens_is_bounded(still: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.tokens.charging._REMEMBERED", 3)
    created = [await create(still, f"token {number}", rate_limits=(RateLimit(2, 3600),)) for number in range(6)]
    for _ in range(2):
        for one in created:
            assert await outcome(still, one.secret) == "active"
    assert len(still.rules.authority.charging.limited) == 3
    assert await outcome(still, created[0].secret) == "rate_limited"


async def test_peeking_at_a_limited_token_that_may_not_be_used_says_so(still: Service) -> None:
    created = await create(still, rate_limits=(RateLimit(2, 3600),), scopes=("a",))
    verdict = await still.rules.authority.peek(created.secret.encode(), (Kind.MANAGED,), required=("b",))
    assert verdict.outcome is Outcome.INSUFFICIENT_SCOPE


async def test_peeking_at_a_token_with_uses_left_finds_it_active(still: Service) -> None:
    created = await create(still, max_uses=2)
    assert await peeked(still, created.secret) == "active"
    assert await uses_left(still, created.token.token_id) == 2
