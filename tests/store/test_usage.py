"""Usage in Redis: added, never lost to another process, and gone with its token."""

import asyncio
import gc
from itertools import chain
from typing import Any
from unittest.mock import AsyncMock

import pytest

from service.app import Service
from service.errors import StoreFull, StoreUnavailable
from service.store.usage import DAY, DAYS_KEPT, HOUR, HOURS_KEPT, Count, UsageStore, Use
from tests.builders import all_keys, create
from tests.conftest import MakeService
from tests.links import Interrupted, Wrapped

NOW = 1_795_214_400  # 2026-11-20T22:40:00Z
TODAY = NOW // DAY * DAY


@pytest.fixture
def store(still: Service) -> UsageStore:
    return UsageStore(still.stores.shards)


def use(token_id: str, **more: object) -> Use:
    # The digest of a token's secret is in the shard of its id.
    digest = next((bytes([shard]) for shard in range(16) if token_id.startswith(f"{shard:02x}")), b"d")
    facts = {"used_at": 5, "allowed": 3, "denied": 1, "address": "192.0.2.1", "agent": b"curl"} | more
    return Use(token_id, digest, **facts)  # type: ignore[arg-type]


async def test_uses_of_many_processes_add_up(still: Service, store: UsageStore) -> None:
    token = (await create(still, "ci")).token
    await asyncio.gather(*[store.add([use(token.token_id)], NOW) for _ in range(50)])
    await store.add([use(token.token_id, allowed=0, denied=2)], NOW + DAY)
    assert await store.series(token.token_id, NOW + DAY, 3, DAY) == [
        Count(TODAY - DAY, 0, 0),
        Count(TODAY, 150, 50),
        Count(TODAY + DAY, 0, 2),
    ]
    assert (await store.series(token.token_id, NOW, 1, HOUR)) == [Count(NOW // 3600 * 3600, 150, 50)]


async def test_days_that_are_over_add_up_also_what_is_told_of_them_late(still: Service, store: UsageStore) -> None:
    token = (await create(still, "ci")).token
    days = range(NOW, NOW + 20 * DAY, DAY)
    for number, now in enumerate(days):
        await store.add([use(token.token_id, allowed=number, denied=100 * (number % 3))], now)
    # By a process whose clock or whose flush is behind: into a day that has a number, and into one that had none.
    for late in (days[17], days[0], days[17]):
        await store.add([use(token.token_id, allowed=1000, denied=0)], late)
    counted = [(one.allowed, one.denied) for one in await store.series(token.token_id, days[-1], 21, DAY)]
    more = {0: 1000, 17: 2000}
    assert counted == [(0, 0), *((number + more.get(number, 0), 100 * (number % 3)) for number in range(20))]
    (shown,) = await store.days_of([token.token_id], days[-1], 14)
    assert shown.totals() == [sum(one) for one in counted[-14:]]


async def test_a_day_whose_counts_did_not_come_into_a_list_comes_there_with_the_next_list(
    still: Service, store: UsageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = (await create(still, "ci")).token
    days = range(NOW, NOW + 9 * DAY, DAY)
    for number, now in enumerate(days):
        with monkeypatch.context() as patched:
            if number == 1:
                patched.setattr(store._fold, "run", AsyncMock(side_effect=StoreUnavailable("away")))
                with pytest.raises(StoreUnavailable):
                    await store.add([use(token.token_id)], now)
            else:
                await store.add([use(token.token_id)], now)
    assert await store.series(token.token_id, days[-1], 9, DAY) == [Count(day // DAY * DAY, 3, 1) for day in days]


async def test_a_day_that_all_tokens_begin_at_once_is_folded_in_steps_and_their_hour_in_others(
    still: Service, store: UsageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For fifty of them Redis stood still for 1.7 ms."""
    at_once = store.at_once(of_a_crowd=True)
    tokens = [(await create(still, f"ci {number}")).token for number in range(at_once)]
    run, keys = store._fold.run, []

    async def watched(link: Any, some: tuple[bytes, ...], *args: Any) -> Any:
        keys.append(some)
        return await run(link, some, *args)

    monkeypatch.setattr(store._fold, "run", watched)
    await store.add([use(token.token_id) for token in tokens], NOW - DAY)
    # Behind a first one there is nothing to be folded.
    assert keys == []
    for _ in range(2):
        await store.add([use(token.token_id) for token in tokens], NOW)
    # Each once, though it is used twice.
    assert len(set(chain.from_iterable(keys))) == sum(map(len, keys)) == 2 * at_once
    assert max(map(len, keys)) <= 16 < at_once


async def test_a_hundred_days_are_a_few_fields_to_read_a_page_by(still: Service, store: UsageStore) -> None:
    """A hash of one field a day and an answer took Redis 1.7 ms for a page of fifty tokens: a list has seven days."""
    token = (await create(still, "ci")).token
    for day in range(2 * DAYS_KEPT):
        await store.add([use(token.token_id)], NOW + day * DAY)
    shard = still.stores.shards.of_id(token.token_id)
    assert shard is not None
    kept = -(-DAYS_KEPT // 7) + 1
    # With the newest day, its two counts, and both answers.
    assert await shard.link.execute("HLEN", shard.keys.usage_by_day(token.token_id)) <= 2 * kept + 3


async def test_what_was_counted_is_read_though_whoever_began_the_day_was_cut_off(
    make_service: MakeService,
) -> None:
    """Else the last day of a token that is used no more would never be shown, and the next one not while it lasts."""
    service = await make_service(background=False, wrap=Interrupted)
    link, store = service.stores.shards[0].link, UsageStore(service.stores.shards)
    token, other = [(await create(service, name)).token for name in ("ci", "other")]
    for one in (token, other):
        await store.add([use(one.token_id)], NOW - DAY)
    link.before["fold_usage"] = StoreUnavailable("cut off")
    with pytest.raises(StoreUnavailable):
        await store.add([use(token.token_id), use(other.token_id)], NOW)
    link.before.clear()
    await store.add([use(token.token_id)], NOW)
    days, hours = await store.of_token(token.token_id, NOW, 2)
    assert (days, hours[-1]) == (
        [Count(TODAY - DAY, 3, 1), Count(TODAY, 6, 2)],
        Count(NOW // HOUR * HOUR, 6, 2),
    )
    shown = await store.days_of([token.token_id, "00" * 8, other.token_id], NOW, 2)
    assert [one.totals() for one in shown] == [[4, 8], [0, 0], [4, 4]]


async def test_days_that_are_begun_are_there_with_a_later_reply_where_nothing_is_to_be_folded(
    make_service: MakeService,
) -> None:
    service = await make_service(background=False, wrap=Interrupted)
    link, store = service.stores.shards[0].link, UsageStore(service.stores.shards)
    ids = [(await create(service, name)).token.token_id for name in ("used", "cut off", "never used")]
    await store.add([use(ids[0])], NOW)
    await store.add([use(ids[1])], NOW - DAY)
    link.before["fold_usage"] = StoreUnavailable("cut off")
    with pytest.raises(StoreUnavailable):
        await store.add([use(ids[1])], NOW)
    begun = [store.begin_days(token_id, NOW, 2) for token_id in (*ids, "of no shard")]
    assert [one.take() for one in begun] == [None] * 4
    await link.execute("EXISTS", "whatever")
    taken = [one.take() for one in begun]
    assert [series and series.totals() for series in taken] == [[0, 4], None, [0, 0], None]


async def test_a_redis_that_is_full_shows_the_days_that_it_has_in_lists(make_service: MakeService) -> None:
    service = await make_service(background=False, wrap=Interrupted)
    link, store = service.stores.shards[0].link, UsageStore(service.stores.shards)
    token = (await create(service, "ci")).token
    for now in (NOW - 2 * DAY, NOW - DAY):
        await store.add([use(token.token_id)], now)
    link.before["fold_usage"] = StoreFull("full")
    with pytest.raises(StoreFull):
        await store.add([use(token.token_id)], NOW)
    (shown,) = await store.days_of([token.token_id], NOW, 3)
    assert shown.totals()[0] == 4


async def test_usage_that_is_gone_before_it_is_folded_does_not_come_back(make_service: MakeService) -> None:
    """As with a token that is purged meanwhile, or a primary that is lost: a key that was made anew would not end."""
    service = await make_service(background=False, wrap=Interrupted)
    shard, store = service.stores.shards[0], UsageStore(service.stores.shards)
    token = (await create(service, "ci")).token
    keys = shard.keys.usage_by_day(token.token_id), shard.keys.usage_by_hour(token.token_id)

    async def lose() -> None:
        await shard.link.link.execute("DEL", *keys)

    await store.add([use(token.token_id)], NOW - DAY)
    shard.link.before["fold_usage"] = lose
    await store.add([use(token.token_id)], NOW)
    assert await shard.link.execute("EXISTS", *keys) == 0


@pytest.mark.parametrize(
    "strange", ["", "x", "1,2", "1,2,3,4,5,6,x", "-1,0,0,0,0,0,0", f"0,0,0,0,0,0,{10**30}", "\xff"]
)
async def test_what_is_no_list_of_ours_counts_nothing_and_what_comes_behind_it_counts(
    still: Service, store: UsageStore, strange: str
) -> None:
    token = (await create(still, "ci")).token
    await store.add([use(token.token_id)], NOW)
    shard = still.stores.shards.of_id(token.token_id)
    assert shard is not None
    days = shard.keys.usage_by_day(token.token_id)
    await shard.link.execute("HSET", days, f"A{NOW // DAY // 7}", strange.encode("latin-1"))
    for later in (0, 0, 1, 1):
        await store.add([use(token.token_id)], NOW + later * DAY)
    assert (await store.series(token.token_id, NOW + DAY, 2, DAY))[-1] == Count(TODAY + DAY, 6, 2)


async def test_uses_of_many_tokens_are_written_to_each_but_to_what_is_no_record(
    still: Service, store: UsageStore
) -> None:
    """They travel together, shard by shard: one that cannot be written must not keep the others from it."""
    tokens = [(await create(still, f"ci {number}")).token for number in range(40)]
    gone = [f"{shard:02x}{'f' * 14}" for shard in range(len(still.stores.shards))]
    for shard, token_id in zip(still.stores.shards, gone, strict=True):
        await shard.link.execute("SET", shard.keys.metadata(token_id), "no hash")
    uses = [use(token.token_id, allowed=place, used_at=place) for place, token in enumerate(tokens, 1)]
    await store.add([*[use(token_id) for token_id in gone], *uses, use(tokens[0].token_id)], NOW)
    counted = [(await store.series(token.token_id, NOW, 1, DAY))[0].allowed for token in tokens]
    assert counted == [4, *range(2, 41)]
    assert [(await still.rules.managed.tokens.get(token.token_id)).last_used_at for token in tokens] == [
        5,
        *range(2, 41),
    ]


async def test_the_last_use_is_told_with_its_address_and_agent(still: Service, store: UsageStore) -> None:
    token = (await create(still, "ci")).token
    await store.add([use(token.token_id, used_at=7)], NOW)
    # A refusal is no use, and an unknown address or agent does not blot out a known one.
    await store.add([use(token.token_id, used_at=0, allowed=0, address="x", agent=b"x")], NOW)
    await store.add([use(token.token_id, used_at=9, address="", agent=b"")], NOW)
    record = await still.rules.managed.tokens.get(token.token_id)
    assert (record.last_used_at, record.last_address, record.last_agent) == (9, "192.0.2.1", "curl")


@pytest.mark.parametrize("token_id", ["00" + "f" * 14, "not an id", "ff" + "f" * 14])
async def test_usage_of_a_token_that_is_gone_makes_no_key(still: Service, store: UsageStore, token_id: str) -> None:
    before = await all_keys(still)
    await store.add([use(token_id)], NOW)
    assert await all_keys(still) == before
    assert await store.series(token_id, NOW, 2, DAY) == [Count(TODAY - DAY, 0, 0), Count(TODAY, 0, 0)]


def test_the_garbage_collector_visits_no_use() -> None:
    """Tens of thousands come and go each second: a pass through them would stop every request."""
    assert not gc.is_tracked(Use("0" * 16, b"d" * 32))


async def test_old_days_and_hours_are_dropped_and_the_keys_go_with_the_last_use(
    still: Service, store: UsageStore
) -> None:
    token = (await create(still, "ci")).token
    for day in range(0, 2 * DAYS_KEPT, 10):
        await store.add([use(token.token_id)], NOW + day * DAY)
    last = NOW + (2 * DAYS_KEPT - 10) * DAY
    days = [count.allowed for count in await store.series(token.token_id, last, 2 * DAYS_KEPT, DAY)]
    assert days[DAYS_KEPT:] == ([0] * 9 + [3]) * 10
    # A list is dropped whole, when all of its seven days are too old.
    assert set(days[: DAYS_KEPT - 6]) == {0}
    shard = still.stores.shards.of_id(token.token_id)
    assert shard is not None
    for key, kept in (
        (shard.keys.usage_by_day(token.token_id), DAYS_KEPT * DAY),
        (shard.keys.usage_by_hour(token.token_id), HOURS_KEPT * 3600),
    ):
        assert kept - 60 < await shard.link.execute("TTL", key) <= kept + DAY


async def test_the_service_s_hours_add_up_over_all_tokens(still: Service, store: UsageStore) -> None:
    await store.add_total(NOW, 2, {"expired": 1})
    await store.add_total(NOW, 5, {})
    await store.add_total(NOW - 3600, 1, {"rate_limited": 1, "expired": 2})
    assert [count[1:] for count in await store.totals(NOW, 3)] == [
        (0, {}),
        (1, {"expired": 2, "rate_limited": 1}),
        (7, {"expired": 1}),
    ]


async def test_a_session_that_is_over_is_not_touched_back_to_life(still: Service, store: UsageStore) -> None:
    before = await all_keys(still)
    await store.touch_sessions({bytes([number]) + b"d" * 31: NOW + 60 for number in range(120)})
    assert await all_keys(still) == before


async def test_the_usage_of_the_longest_page_leaves_room_for_others_between(make_service: MakeService) -> None:
    """Redis does in one go all that a connection has sent: what is to let others through is asked for after that."""
    under_way, most = 0, 0

    class Watching(Wrapped):
        async def execute(self, *args: Any, **how: Any) -> Any:
            nonlocal under_way, most
            keys = int(args[2]) if how.get("operation") == "read_usage" else 0
            under_way += keys
            most = max(most, under_way)
            try:
                return await super().execute(*args, **how)
            finally:
                under_way -= keys

    service = await make_service(background=False, wrap=Watching)
    store = UsageStore(service.stores.shards)
    ids = [f"00{number:014x}" for number in range(200)]
    shard = service.stores.shards[0]
    for place in (0, 49, 50, 199):
        newest = "t", NOW // DAY, f"a{NOW // DAY}", place + 1
        await shard.link.execute("HSET", shard.keys.usage_by_day(ids[place]), *newest)
    found = [one.totals() for one in await store.days_of(ids, NOW, 1)]
    assert {place: count for place, (count,) in enumerate(found) if count} == {0: 1, 49: 50, 50: 51, 199: 200}
    assert most == 50
