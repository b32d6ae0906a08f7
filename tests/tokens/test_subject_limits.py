"""Limits that all tokens of a subject share: one pool, exact wherever it lies, and in force at once."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from typing import Any

import pytest

from service.app import Service
from service.errors import StoreUnavailable
from service.model import Calendar, Kind, Outcome, RateLimit
from service.settings import Settings
from service.store.driver.keys import shard_of_name
from service.store.driver.pipeline import Pipeline
from service.store.limits.subjects import Shared, digest_of
from service.tokens.managed.derivation import Narrowed
from tests.builders import ADMIN, actions, all_keys, create, month_day, outcome, peeked
from tests.conftest import Clock, MakeService
from tests.links import AWAY, Interrupted, connector
from tests.tokens.test_limits import full


def month(size: int) -> RateLimit:
    return RateLimit(size, 0, name="month", calendar=Calendar("month", month_day()))


async def limit(service: Service, *limits: RateLimit, subject: str = "acme") -> None:
    await service.rules.subject_limits.set(subject, limits, ADMIN)


async def left(service: Service, subject: str = "acme") -> int:
    clock: Clock = service.clock.ours
    clock.catch_up()
    return (await service.rules.subject_limits.show(subject)).quotas[0].remaining


async def of_acme(service: Service, count: int, **more: Any) -> list[str]:
    """Secrets of tokens that speak for it, in many shards if there are many."""
    return [(await create(service, f"t{number}", subject="acme", **more)).secret for number in range(count)]


@pytest.mark.parametrize("shards", [1, 16])
@pytest.mark.parametrize("size", [month(40), RateLimit(40, 86400, name="month")])
async def test_all_tokens_of_a_subject_draw_from_one_pool_in_every_process(
    make_service: MakeService, shards: int, size: RateLimit
) -> None:
    processes = [await make_service(shards=shards, background=False) for _ in range(4)]
    secrets = await of_acme(processes[0], 6, days=9)
    other = (await create(processes[0], "other", subject="acme2")).secret
    for secret in (*secrets, other):
        assert [await outcome(one, secret) for one in processes] == ["active"] * 4
    await limit(processes[0], size)
    counted = Counter(await asyncio.gather(*[outcome(one, each) for each in secrets * 3 for one in processes]))
    assert counted == {Outcome.ACTIVE: 40, Outcome.RATE_LIMITED: 32}
    assert (await left(processes[1]), await outcome(processes[2], other)) == (0, "active")
    await processes[3].rules.subject_limits.remove("acme", ADMIN)
    assert {await outcome(one, each) for each in secrets for one in processes} == {"active"}


@pytest.mark.parametrize("shards", [1, 16])
@pytest.mark.parametrize("own", [(), (RateLimit(1000, 86400),)])
async def test_a_change_is_in_force_with_the_first_request_after_it(
    make_service: MakeService, shards: int, own: tuple[RateLimit, ...]
) -> None:
    """Whatever a process remembers of the token, with the very next question it goes by the new limits."""
    here, there = [await make_service(shards=shards, background=False) for _ in range(2)]
    secrets = await of_acme(here, 3, rate_limits=own)
    for size in (1, 2, 1, 3):
        await there.rules.subject_limits.set("acme", (RateLimit(size, 86400, name=f"n{size}-{len(own)}"),), ADMIN)
        before = await left(here)
        admitted = [await outcome(here, secret) for secret in secrets]
        assert admitted.count(Outcome.ACTIVE) == min(before, 3)
        await there.rules.subject_limits.remove("acme", ADMIN)
        assert [await outcome(here, secret) for secret in secrets] == ["active"] * 3


@pytest.mark.parametrize("shards", [1, 16])
@pytest.mark.parametrize("own", [(), (RateLimit(100_000, 86400),)])
async def test_a_change_amid_traffic_counts_every_request_that_begins_after_it(
    make_service: MakeService, shards: int, own: tuple[RateLimit, ...]
) -> None:
    here, there = [await make_service(shards=shards, background=False) for _ in range(2)]
    secrets = await of_acme(here, 4, rate_limits=own)
    over = False

    async def go_on(secret: str) -> None:
        while not over:
            await outcome(here, secret)

    traffic = [asyncio.create_task(go_on(secret)) for secret in secrets * 3]
    try:
        for number in range(4):
            await limit(there, RateLimit(5, 86400, name=f"n{number}"))
            counted = Counter(await asyncio.gather(*[outcome(here, secret) for secret in secrets * 5]))
            assert counted[Outcome.ACTIVE] <= 5
            await there.rules.subject_limits.remove("acme", ADMIN)
            assert {await outcome(here, secret) for secret in secrets} == {"active"}
    finally:
        over = True
        await asyncio.gather(*traffic)


@pytest.mark.parametrize("shards", [1, 16])
@pytest.mark.parametrize("cut_off", ["before it is counted", "before all shards have it", "before it counts as told"])
async def test_a_change_that_was_cut_off_is_heard_of_without_another(
    make_service: MakeService, shards: int, cut_off: str
) -> None:
    here, there = [await make_service(shards=shards, background=False, wrap=Interrupted) for _ in range(2)]
    link = there.stores.shards[0].link
    secrets = await of_acme(here, 2)
    assert [await outcome(here, secret) for secret in secrets] == ["active"] * 2
    if cut_off == "before it is counted":
        link.before["count_change"] = AWAY
    elif cut_off == "before all shards have it":
        link.after["count_change"] = AWAY
    else:
        link.before["ZREM"] = AWAY
    with suppress(StoreUnavailable):
        await limit(there, month(1))
    link.before.clear()
    link.after.clear()
    await here.stores.subjects.tell_again()
    assert sorted([await outcome(here, secret) for secret in secrets]) == ["active", "rate_limited"]
    assert [key for key in await all_keys(here) if key.endswith(b":slt")] == []


@pytest.mark.parametrize("shards", [1, 16])
async def test_on_a_full_server_limits_are_taken_away_and_every_process_hears_of_it(
    make_service: MakeService, shards: int
) -> None:
    here, there = [await make_service(shards=shards, background=False) for _ in range(2)]
    await limit(here, month(1))
    (secret,) = await of_acme(here, 1)
    assert [await outcome(one, secret) for one in (there, there)] == ["active", "rate_limited"]
    async with full(here):
        await here.rules.subject_limits.remove("acme", ADMIN)
        assert await outcome(there, secret) == "active"
    assert "subject.unlimited" in await actions(here)
    assert [key for key in await all_keys(here) if key.endswith(b":slt")] == []


async def test_a_change_that_comes_while_another_is_told_stays_to_be_told(make_service: MakeService) -> None:
    service = await make_service(background=False, wrap=Interrupted)
    link = service.stores.shards[0].link

    async def cut_off() -> None:
        link.before["count_change"] = [AWAY]
        with pytest.raises(StoreUnavailable):
            await limit(service, month(2))

    # Once the first is counted, and before it counts as told.
    link.after["count_change"] = [cut_off]
    await limit(service, month(1))
    shard = service.stores.shards.of_name("acme")
    assert await shard.link.execute("ZCARD", shard.keys.limits_untold) == 1


async def test_what_somebody_else_noted_as_a_change_is_told_once(still: Service) -> None:
    shard = still.stores.shards[-1]
    for strange in (b"\xff\xfe", b"seal \xff", b"seal"):
        await shard.link.execute("ZADD", shard.keys.limits_untold, 0, strange)
    await still.stores.subjects.tell_again()
    assert await shard.link.execute("ZCARD", shard.keys.limits_untold) == 0


@pytest.mark.parametrize("back_to", [0, 1, 2])
async def test_a_failover_that_sets_the_count_of_changes_back_keeps_no_shard_from_hearing_of_the_next(
    make_service: MakeService, back_to: int
) -> None:
    service = await make_service(shards=16, background=False)
    shards, key = service.stores.shards, service.stores.shards[0].keys.limits_changed
    for size in (1, 2, 3):
        await limit(service, month(size))
    # What its last primary had not sent to the replica that took over.
    await shards[0].link.execute("SET", key, f"{back_to} acme")
    await limit(service, month(4), subject="other")
    heard = {await shard.link.execute("GET", shard.keys.limits_changed) for shard in shards}
    assert {one.partition(b" ")[2] for one in heard} == {b"other"}
    assert len(heard) == 1


@pytest.mark.parametrize("shards", [1, 16])
async def test_a_record_that_was_forgotten_meanwhile_draws_all_the_same(make_service: MakeService, shards: int) -> None:
    service = await make_service(shards=shards, background=False)
    await limit(service, month(3))
    (secret,) = await of_acme(service, 1, rate_limits=(RateLimit(100, 86400),))
    counted = []
    for _ in range(4):
        counted.append(await outcome(service, secret))
        service.rules.authority.open.cache_clear()
    assert counted == ["active"] * 3 + ["rate_limited"]


@pytest.mark.parametrize("shards", [1, 16])
async def test_what_one_refuses_the_other_is_not_charged(make_service: MakeService, shards: int) -> None:
    service = await make_service(shards=shards, background=False)
    await limit(service, month(20))
    secrets = await of_acme(service, 6, rate_limits=(RateLimit(2, 86400),), max_uses=9)
    counted = Counter(await asyncio.gather(*[outcome(service, secret) for secret in secrets * 4]))
    assert counted == {Outcome.ACTIVE: 12, Outcome.RATE_LIMITED: 12}
    assert await left(service) == 8
    await limit(service, month(12))
    fresh = await create(service, "fresh", subject="acme", rate_limits=(RateLimit(5, 86400),), max_uses=9)
    verdict = await service.rules.authority.verify(fresh.secret.encode(), (Kind.MANAGED,))
    told = {quota.limit.name: (quota.remaining, quota.retry_after > 0) for quota in verdict.quotas}
    assert (verdict.outcome, told) == ("rate_limited", {"default": (5, False), "subject:month": (0, True)})
    assert (await service.rules.managed.tokens.get(fresh.token.token_id)).uses_left == 9


@pytest.mark.parametrize("shards", [1, 16])
async def test_a_token_without_uses_left_is_told_so_wherever_its_subject_is_counted(
    make_service: MakeService, shards: int
) -> None:
    service = await make_service(shards=shards, background=False)
    await limit(service, month(4))
    secrets = await of_acme(service, 4, max_uses=1)
    assert [await outcome(service, secret) for secret in secrets] == ["active"] * 4
    # Also without room in the pool: that comes back with the month, a use does not.
    assert (await left(service), [await outcome(service, secret) for secret in secrets]) == (0, ["uses_exhausted"] * 4)


async def test_a_revoked_token_is_told_so_and_charges_nothing(make_service: MakeService) -> None:
    service = await make_service(shards=16, background=False)
    await limit(service, month(9))
    for number in range(4):
        created = await create(service, f"t{number}", subject="acme", rate_limits=(RateLimit(9, 60),))
        assert await outcome(service, created.secret) == "active"
        await service.rules.managed.tokens.revoke(created.token.token_id, ADMIN)
        assert await outcome(service, created.secret) == "unknown"
    assert await left(service) == 5


async def test_who_derives_a_token_that_speaks_for_nobody_is_counted_all_the_same(still: Service) -> None:
    await limit(still, month(3))
    parent = await create(still, subject="acme", scopes=("self:derive",))
    derived = await still.rules.managed.derivation.derive(parent.secret.encode(), Narrowed(subject=""), ADMIN)
    assert [await outcome(still, derived.secret) for _ in range(2)] == ["active"] * 2
    assert [await outcome(still, parent.secret) for _ in range(2)] == ["active", "rate_limited"]


async def test_nobody_asks_for_the_limits_of_who_speaks_for_nobody(
    still: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    get = still.stores.subjects.get

    async def noted(subject: str) -> Shared:
        asked.append(subject)
        return await get(subject)

    monkeypatch.setattr(still.stores.subjects, "get", noted)
    assert await still.rules.subject_limits.of(["", "ann", "ann"]) == {}
    assert asked == ["ann"]


async def test_a_request_is_charged_its_cost_and_peeking_nothing(make_service: MakeService) -> None:
    service = await make_service(shards=16, background=False)
    await limit(service, month(9))
    for secret in await of_acme(service, 3):
        assert await peeked(service, secret) == "active"
        assert [await outcome(service, secret, cost=cost) for cost in (10, 3)] == ["rate_limited", "active"]
    assert await left(service) == 0
    assert await peeked(service, secret) is Outcome.RATE_LIMITED


async def test_subjects_are_listed_in_order_whatever_shard_they_lie_in(make_service: MakeService) -> None:
    service = await make_service(shards=16, background=False)
    names = [f"s{number:02}" for number in range(12)]
    assert len({shard_of_name(name, 16) for name in names}) > 4
    for name in names:
        await limit(service, month(5), subject=name)
    found = await service.rules.subject_limits.page("", 5)
    found += await service.rules.subject_limits.page(found[-1].subject, 50)
    assert [one.subject for one in found] == names


async def test_a_page_of_subjects_is_full_though_limits_went_meanwhile(make_service: MakeService) -> None:
    service = await make_service(background=False)
    for number in range(6):
        await limit(service, month(5), subject=f"s{number}")
    (shard,) = service.stores.shards
    gone = [shard.keys.limits(digest_of(f"s{number}")) for number in (0, 1, 3)]
    assert await shard.link.execute("DEL", *gone) == 3
    found = await service.rules.subject_limits.page("", 2)
    assert [one.subject for one in found] == ["s2", "s4"]
    assert [one.subject for one in await service.rules.subject_limits.page("s4", 2)] == ["s5"]


AT_ONCE, POOL = 10, 400


def _draw(settings: Settings, shards: int, secrets: list[str], counted: Any, stop: Any, begun: Any) -> None:
    """Ask as a process of its own until the pool is empty, and count what is admitted."""

    async def ask() -> None:
        link = Pipeline(connector(settings.redis_url), timeout_seconds=30)
        service = Service(settings, links=[link] * shards)
        try:
            while not stop.value:
                found = Counter(
                    await asyncio.gather(*[outcome(service, each) for each in (secrets * AT_ONCE)[:AT_ONCE]])
                )
                with counted.get_lock():
                    counted.value += found[Outcome.ACTIVE]
                if counted.value >= POOL // 4:
                    begun.send_bytes(b".")
                if found[Outcome.RATE_LIMITED]:
                    stop.value = 1
        finally:
            await service.rules.accounts.passwords.aclose()
            await link.aclose()

    asyncio.run(ask())


@pytest.mark.slow
async def test_a_pool_is_exact_under_four_processes_one_of_which_is_killed(
    make_service: MakeService, make_settings: Callable[..., Settings]
) -> None:
    service = await make_service(shards=16)
    await limit(service, month(POOL))
    secrets = await of_acme(service, 5, rate_limits=(RateLimit(10_000, 3600),))
    spawn = get_context("spawn")
    # One lock alone is shared, and it is held here while the process is killed.
    counted, stop, (reached, begun) = spawn.Value("i", 0), spawn.RawValue("b", 0), spawn.Pipe(duplex=False)
    drawing = [spawn.Process(target=_draw, args=(make_settings(), 16, secrets, counted, stop, begun)) for _ in range(4)]
    for one in drawing:
        one.start()
    try:
        assert await asyncio.to_thread(reached.poll, 60)
        with counted.get_lock():
            drawing[0].kill()
        for one in drawing:
            await asyncio.to_thread(one.join, 60)
    finally:
        for one in drawing:
            one.kill()
    # What the killed one was asked last may be drawn and never told; nothing is admitted twice.
    rest = Counter([await outcome(service, secret) for secret in secrets * AT_ONCE])
    admitted = counted.value + rest[Outcome.ACTIVE]
    assert POOL - 2 * AT_ONCE <= admitted <= POOL
    assert await left(service) == 0


async def test_a_record_that_is_read_anew_is_known_to_share_what_its_subject_shares(
    make_service: MakeService,
) -> None:
    """Else each token of a known subject would be asked about twice, once more tokens come than are remembered."""
    service = await make_service(background=False)
    authority, (secret, limited) = service.rules.authority, await of_acme(service, 2)
    digest, again = (authority.digest(Kind.MANAGED, one.encode()) for one in (secret, limited))
    sealed = await service.stores.credentials.find(digest)
    assert authority.open_once(digest, sealed).limited  # Of this subject nothing is known yet.
    assert await outcome(service, secret) == "active"
    assert not authority.open_once(digest, sealed).limited
    await limit(service, month(40))
    assert await outcome(service, limited) == "active"
    found = authority.open_once(again, await service.stores.credentials.find(again))
    assert [one.limit for one in found.limits] == [40]
