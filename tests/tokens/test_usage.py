"""Usage: every check counted once, under its token, its day and its hour."""

import asyncio
from collections.abc import Awaitable
from copy import copy
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from service.app import Service
from service.errors import StoreUnavailable
from service.model import Kind, ManagedToken, RateLimit
from service.store.driver.scripts import Script
from service.store.usage import Count, Use
from tests.builders import ADMIN, DAY, create, sign_in
from tests.conftest import Clock, MakeService


async def make(service: Service, name: str = "gate", **terms: Any) -> tuple[ManagedToken, bytes]:
    created = await create(service, name, days=300, **terms)
    return created.token, created.secret.encode()


async def use(service: Service, secret: bytes, times: int, **how: Any) -> None:
    for _ in range(times):
        await service.rules.authority.verify(secret, (Kind.MANAGED,), **how)


async def totals_of(service: Service, token_ids: list[str], days: int) -> list[list[int]]:
    tokens = [await service.rules.managed.tokens.get(token_id) for token_id in token_ids]
    return [one.totals() for one in await service.stores.usage.days_of(tokens, int(service.clock()), days)]


async def days_of(service: Service, token_id: str, days: int) -> tuple[list[Count], list[Count]]:
    token = await service.rules.managed.tokens.get(token_id)
    return await service.stores.usage.of_token(token, int(service.clock()), days)


async def test_allowed_and_denied_checks_are_counted_by_day_and_hour(service: Service) -> None:
    token, secret = await make(service, scopes=("a",))
    await use(service, secret, 3, address="198.51.100.9", agent=b"curl/8")
    await use(service, secret, 2, required=("b",))
    await service.rules.usage.flush()
    days, hours = await days_of(service, token.token_id, 30)
    assert (len(days), len(hours)) == (30, 48)
    assert [count[1:] for count in (days[-1], hours[-1])] == [(3, 2), (3, 2)]
    assert not any(count.allowed or count.denied for count in days[:-1] + hours[:-1])
    assert (days[-1].starts_at % DAY, hours[-1].starts_at % 3600) == (0, 0)
    assert await totals_of(service, [token.token_id], 14) == [[0] * 13 + [5]]


async def test_flushes_of_two_processes_add_up(make_service: MakeService) -> None:
    one, other = await make_service(shards=16), await make_service(shards=16)
    token, secret = await make(one)
    await asyncio.gather(use(one, secret, 40), use(other, secret, 2))
    await asyncio.gather(one.rules.usage.flush(), other.rules.usage.flush())
    days, _ = await days_of(one, token.token_id, 1)
    assert days[0].allowed == 42
    assert (await other.stores.usage.totals(int(other.clock()), 1))[0].allowed == 42


async def test_uses_under_the_old_and_the_new_terms_of_a_secret_are_written_as_one(
    still: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Use] = []

    def add(uses: list[Use], now: int) -> Awaitable[None]:
        written.extend(copy(use) for use in uses)
        return asyncio.sleep(0)

    monkeypatch.setattr(still.stores.usage, "add", add)
    token, secret = await make(still)
    await use(still, secret, 2, agent=b"before")
    await still.rules.managed.tokens.update(token.token_id, {"description": "changed", "scopes": ("a",)}, ADMIN)
    await use(still, secret, 1, agent=b"after")
    await still.rules.usage.flush()
    assert [(one.token_id, one.allowed, one.agent) for one in written] == [(token.token_id, 3, b"after")]


async def test_uses_during_a_flush_are_counted_once(still: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(still.stores.usage, "at_once", lambda *, of_a_crowd: 2)
    made = [await make(still, f"token {number}") for number in range(7)]

    async def use_all() -> None:
        for _, secret in made:
            await use(still, secret, 3)

    await use_all()
    await asyncio.gather(still.rules.usage.flush(), use_all())
    await still.rules.usage.flush()
    assert await totals_of(still, [token.token_id for token, _ in made], 1) == [[6]] * 7
    assert (await still.stores.usage.totals(int(still.clock()), 1))[0].allowed == 42


@pytest.mark.parametrize(("crowd", "parts"), [(41, [16, 16, 8]), (40, [40])])
async def test_uses_of_many_tokens_are_written_in_parts_that_hold_no_validation_up(
    still: Service, monkeypatch: pytest.MonkeyPatch, crowd: int, parts: list[int]
) -> None:
    """Fifty took Redis as long as a validation takes in all, and each that came meanwhile waited twice as long. Where a
    crowd waits to be written that is felt in any case, and small parts took this process a fifth of its time.
    """
    monkeypatch.setattr("service.tokens.usage._CROWD", crowd)
    run, written = Script.run, list[int]()

    async def watched(script: Script, link: Any, keys: tuple[bytes, ...], *args: Any) -> Any:
        if script.name == "record_usage":
            written.append((len(keys) - 4) // 2)
        return await run(script, link, keys, *args)

    monkeypatch.setattr(Script, "run", watched)
    made = [await make(still, f"token {number}") for number in range(40)]
    for _, secret in made:
        await use(still, secret, 1)
    await still.rules.usage.flush()
    # Each shard further has a script of its own.
    assert sum(written) == 40
    assert max(written) <= max(parts)
    assert written == parts or len(still.stores.usage._shards) > 1
    assert await totals_of(still, [token.token_id for token, _ in made], 1) == [[1]] * 40


async def test_a_flush_ends_behind_one_that_is_under_way(still: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    _, secret = await make(still)
    await use(still, secret, 1)
    writing, may_end = asyncio.Event(), asyncio.Event()
    add = still.stores.usage.add

    async def slowly(*uses: Any) -> None:
        writing.set()
        await may_end.wait()
        await add(*uses)

    monkeypatch.setattr(still.stores.usage, "add", slowly)
    first = asyncio.create_task(still.rules.usage.flush())
    await writing.wait()
    second = asyncio.create_task(still.rules.usage.flush())
    for _ in range(3):
        await asyncio.sleep(0)
    assert not second.done()
    may_end.set()
    await second
    assert first.done()
    assert (await still.stores.usage.totals(int(still.clock()), 1))[0].allowed == 1


async def test_the_last_use_is_told_with_its_address_and_agent(service: Service) -> None:
    token, secret = await make(service)
    await use(service, secret, 1, address="2001:db8::7", agent=b"a\x00b\x1b[31m" + b"x" * 300)
    await service.rules.usage.flush()
    record = await service.rules.managed.tokens.get(token.token_id)
    assert abs(record.last_used_at - service.clock()) < 5
    assert record.last_address == "2001:db8::7"
    assert record.last_agent.startswith("ab[31mx")
    assert len(record.last_agent) == 64


@pytest.mark.parametrize("address", ["fe80::1%a b", "fe80::1%é", ""])
@pytest.mark.parametrize("agent", ["", "curl/8 (x) 1", "é ü"])
async def test_an_address_and_an_agent_are_told_apart_whatever_is_in_them(
    still: Service, address: str, agent: str
) -> None:
    """A zone of IPv6 may be any text."""
    token, secret = await make(still)
    await use(still, secret, 2, address=address, agent=agent.encode("latin-1"))
    await still.rules.usage.flush()
    record = await still.rules.managed.tokens.get(token.token_id)
    assert (record.last_used_at, record.last_address, record.last_agent) == (int(still.clock()), address, agent)
    assert await totals_of(still, [token.token_id], 1) == [[2]]


async def test_a_use_that_is_told_late_is_not_the_last_one(make_service: MakeService, clock: Clock) -> None:
    late, early = [await make_service(background=False) for _ in range(2)]
    token, secret = await make(late)
    await use(late, secret, 1, address="198.51.100.1", agent=b"late")
    clock.forward(1)
    await use(early, secret, 1, address="198.51.100.2", agent=b"early")
    for service in (early, late):
        await service.rules.usage.flush()
    told = await late.rules.managed.tokens.get(token.token_id)
    assert (told.last_used_at, told.last_address, told.last_agent) == (int(clock()), "198.51.100.2", "early")
    assert await late.stores.shards[0].link.execute("ZSCORE", late.stores.shards[0].keys.last_uses, told.token_id) == (
        b"%d" % clock()
    )


async def test_what_was_refused_is_no_last_use(service: Service) -> None:
    token, secret = await make(service, networks=("192.0.2.0/24",))
    await use(service, secret, 1, address="192.0.2.1", agent=b"holder")
    await use(service, secret, 1, address="198.51.100.9", agent=b"stranger")
    await service.rules.usage.flush()
    record = await service.rules.managed.tokens.get(token.token_id)
    assert (record.last_address, record.last_agent) == ("192.0.2.1", "holder")


async def test_what_is_no_address_is_not_kept(service: Service) -> None:
    token, secret = await make(service)
    await use(service, secret, 1, address="192.0.2.1", agent=b"first")
    await service.rules.usage.flush()
    await use(service, secret, 1, address="<script>alert(1)</script>")
    await service.rules.usage.flush()
    assert (await service.rules.managed.tokens.get(token.token_id)).last_address == "192.0.2.1"


async def test_a_purged_token_gets_no_record_by_a_late_flush(service: Service) -> None:
    token, secret = await make(service)
    await use(service, secret, 1)
    shard = service.stores.shards.of_id(token.token_id)
    assert shard is not None
    await shard.link.execute("DEL", shard.keys.metadata(token.token_id))
    await service.rules.usage.flush()
    assert await shard.link.execute("EXISTS", *shard.keys.record_and_usage(token.token_id)) == 0


async def test_more_tokens_than_one_write_takes_are_all_counted(make_service: MakeService) -> None:
    service = await make_service(shards=16)
    made = [await make(service, f"gate {number}") for number in range(250)]
    await asyncio.gather(*[use(service, secret, 1) for _, secret in made])
    await service.rules.usage.flush()
    assert await totals_of(service, [token.token_id for token, _ in made], 1) == [[1]] * 250


async def test_a_limit_that_refuses_is_told_once_a_flush(service: Service) -> None:
    told: list[str] = []
    service.rules.usage.on_limited = told.append
    token, secret = await make(service, rate_limits=(RateLimit(2, 60),))
    await use(service, secret, 5)
    await service.rules.usage.flush()
    await service.rules.usage.flush()
    assert told == [token.token_id]


async def written_by(service: Service, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Of each flush from now on the uses that were written, by token in their order; the store's are not."""
    written: list[list[int]] = []
    flush = service.rules.usage.flush_due

    def add(uses: list[Use], now: int) -> Awaitable[None]:
        written[-1].extend(use.allowed for use in uses)
        return asyncio.sleep(0)

    async def told() -> None:
        written.append([])
        await flush()

    monkeypatch.setattr(service.stores.usage, "add", add)
    monkeypatch.setattr(service.rules.usage, "flush_due", told)
    return written


async def test_uses_of_many_tokens_wait_for_others_of_the_same_and_at_most_four_seconds(
    still: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.tokens.usage._AT_ONCE", 2)
    usage, made = still.rules.usage, [await make(still, f"token {number}") for number in range(11)]
    written = await written_by(still, monkeypatch)
    for second in range(6):
        for _, secret in [*(made[:8] if second == 0 else made[9:] if second == 2 else ()), made[8]]:
            await use(still, secret, 1)
        await usage.flush_due()
    # One was used each second: four times until the flush that wrote it, and twice behind that.
    assert written == [[1, 1], [1, 1], [1, 1], [1, 1, 4], [1, 1], [2]]
    assert (await still.stores.usage.totals(int(still.clock()), 1))[0].allowed == 16


async def test_no_more_uses_wait_than_have_room_and_the_end_writes_all(
    still: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.tokens.usage._AT_ONCE", 1)
    monkeypatch.setattr("service.tokens.usage._MOST_WAITING", 4)
    written = await written_by(still, monkeypatch)
    for number in range(7):
        await use(still, (await make(still, f"token {number}"))[1], 1)
    monkeypatch.setattr("service.tokens.usage._MOST_KNOWN", 4)
    await still.rules.usage.flush_due()
    assert written == [[1, 1, 1]]
    assert len(still.rules.usage.recent) == 4
    await still.rules.usage.flush()
    assert written == [[1] * 7]
    assert (await still.stores.usage.totals(int(still.clock()), 1))[0].allowed == 7


async def test_a_flush_that_redis_does_not_take_is_dropped_and_those_behind_it_are_not(
    still: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.tokens.usage._AT_ONCE", 3)
    monkeypatch.setattr(still.stores.usage, "at_once", lambda *, of_a_crowd: 2)
    made, dropped = [await make(still, f"token {number}") for number in range(5)], Mock()
    usage, add = still.rules.usage, still.stores.usage.add
    monkeypatch.setattr(usage, "on_dropped", dropped)
    for _, secret in made:
        await use(still, secret, 1)
    monkeypatch.setattr(still.stores.usage, "add", Mock(side_effect=StoreUnavailable("away")))
    await usage.flush_due()
    monkeypatch.setattr(still.stores.usage, "add", add)
    await usage.flush_due()
    dropped.assert_called_once_with()
    assert await totals_of(still, [token.token_id for token, _ in made], 1) == [[0], [0], [0], [1], [1]]


async def test_what_is_dropped_is_let_go_a_part_at_a_time(still: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(still.stores.usage, "at_once", lambda *, of_a_crowd: 1)
    monkeypatch.setattr("service.tokens.usage._LET_GO_AT_ONCE", 2)
    usage, left = still.rules.usage, list[int]()

    async def others() -> None:
        left.append(len(usage._waiting))

    monkeypatch.setattr("service.tokens.usage.give_way", others)
    monkeypatch.setattr(still.stores.usage, "add", Mock(side_effect=StoreUnavailable("away")))
    for number in range(6):
        await use(still, (await make(still, f"token {number}"))[1], 1)
    await usage.flush()
    assert left == [3, 1, 0]


async def test_sessions_do_not_wait_behind_many_tokens(still: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.tokens.usage._AT_ONCE", 0)
    monkeypatch.setattr(still.rules.usage, "idle_seconds", 600)
    touched = AsyncMock()
    monkeypatch.setattr(still.stores.sessions, "touch", touched)
    await use(still, (await make(still))[1], 1)
    session = await sign_in(still)
    await still.rules.authority.verify(session, (Kind.SESSION,))
    for _ in range(2):
        await still.rules.usage.flush_due()
    digest = still.rules.authority.digest(Kind.SESSION, session)
    ((touches,), _) = touched.await_args_list[0]
    (one,) = touches
    assert (one.digest, one.ends_at) == (digest, one.used_at + 601)
    assert one.used_at == pytest.approx(still.clock(), abs=2)
    assert touched.await_count == 1
    assert (await still.stores.usage.totals(int(still.clock()), 1))[0].allowed == 1


async def test_sessions_that_redis_did_not_take_are_touched_the_next_time(
    still: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(still.stores.usage, "at_once", lambda *, of_a_crowd: 1)
    touched = AsyncMock(side_effect=[StoreUnavailable("away"), None])
    monkeypatch.setattr(still.stores.sessions, "touch", touched)
    for session in [await sign_in(still) for _ in range(2)]:
        await still.rules.authority.verify(session, (Kind.SESSION,))
    for _ in range(2):
        await still.rules.usage.flush_due()
    assert touched.await_count == 2
    assert (await still.stores.usage.totals(int(still.clock()), 1))[0].allowed == 2


async def test_what_was_used_is_known_for_three_flushes_behind_the_one_that_wrote_it(still: Service) -> None:
    usage, made = still.rules.usage, [await make(still, name) for name in ("busy", "still")]
    for second in range(5):
        for _, secret in made[: 2 if second == 0 else 1]:
            await use(still, secret, 1)
        known = [token.digest in usage.recent for token, _ in made]
        assert known == [True, second < 4]
        await usage.flush_due()
    assert [await totals_of(still, [token.token_id], 1) for token, _ in made] == [[[5]], [[1]]]
