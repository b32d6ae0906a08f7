"""Usage in Redis: added, never lost to another process, and gone with its token."""

import asyncio
import gc
from collections import defaultdict
from itertools import chain
from random import Random
from typing import Any

import pytest

from service.app import Service
from service.errors import StoreFull, StoreUnavailable
from service.model import ManagedToken
from service.store.driver.scripts import LETTERS
from service.store.usage import DAY, DAYS_KEPT, HOUR, HOURS_KEPT, Count, UsageStore, Use
from tests.builders import all_keys, create
from tests.conftest import MakeService
from tests.links import Interrupted

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


async def record(service: Service, token_id: str) -> ManagedToken:
    return await service.rules.managed.tokens.get(token_id)


async def series(service: Service, token_id: str, now: int, length: int, seconds: int) -> list[Count]:
    return await UsageStore(service.stores.shards).series(await record(service, token_id), now, length, seconds)


async def test_uses_of_many_processes_add_up(still: Service, store: UsageStore) -> None:
    token = (await create(still, "ci")).token
    await asyncio.gather(*[store.add([use(token.token_id)], NOW) for _ in range(50)])
    await store.add([use(token.token_id, allowed=0, denied=2)], NOW + DAY)
    assert await series(still, token.token_id, NOW + DAY, 3, DAY) == [
        Count(TODAY - DAY, 0, 0),
        Count(TODAY, 150, 50),
        Count(TODAY + DAY, 0, 2),
    ]
    assert (await series(still, token.token_id, NOW, 1, HOUR)) == [Count(NOW // 3600 * 3600, 150, 50)]


@pytest.mark.parametrize("steps", [(HOUR,), (HOUR, 7 * HOUR, 9 * HOUR), (DAY, 8 * DAY), (50 * HOUR, 30 * DAY, HOUR)])
async def test_each_day_and_hour_has_what_was_counted_in_it_whatever_lies_between(
    still: Service, store: UsageStore, steps: tuple[int, ...]
) -> None:
    """Over the ends of days and months and years, of lists and of their turns, and with what is told late."""
    chance = Random(f"{steps}")
    token_id = (await create(still, "ci")).token.token_id
    counted = defaultdict[tuple[int, int], list[int]](lambda: [0, 0])
    now, asked = NOW, 0
    for _ in range(120):
        now += chance.choice((*steps, 0, 0, 600))
        at = now - chance.choice((0, 0, 0, HOUR, 3 * HOUR))
        allowed, denied = chance.choice(((1, 0), (7, 0), (2, 3), (0, 1)))
        await store.add([use(token_id, allowed=allowed, denied=denied)], at)
        for seconds in (DAY, HOUR):
            counted[seconds, at // seconds][0] += allowed
            counted[seconds, at // seconds][1] += denied
        for seconds, length in ((DAY, DAYS_KEPT), (DAY, 1), (DAY, 14), (HOUR, HOURS_KEPT)):
            shown = await series(still, token_id, now, length, seconds)
            periods = range(now // seconds - length + 1, now // seconds + 1)
            assert shown == [Count(one * seconds, *counted.get((seconds, one), (0, 0))) for one in periods]
            asked += sum(any(one[1:]) for one in shown[:-1])
    assert asked > 50


async def test_an_hour_that_all_tokens_begin_at_once_is_put_away_in_steps(
    still: Service, store: UsageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty of them in one script are more than a millisecond in which Redis answers nobody."""
    at_once = store.at_once(of_a_crowd=True)
    tokens = [(await create(still, f"ci {number}")).token for number in range(at_once)]
    run, keys = store._put_away.run, []

    async def watched(link: Any, some: tuple[bytes, ...], *args: Any) -> Any:
        keys.append(some[::2])
        return await run(link, some, *args)

    monkeypatch.setattr(store._put_away, "run", watched)
    await store.add([use(token.token_id) for token in tokens], NOW - HOUR)
    # Behind a first one there is nothing to be put away.
    assert keys == []
    for _ in range(2):
        await store.add([use(token.token_id) for token in tokens], NOW)
    assert len(set(chain.from_iterable(keys))) == sum(map(len, keys)) == at_once
    assert max(map(len, keys)) <= 16 < at_once


async def test_a_hundred_days_are_a_few_fields_to_read_a_page_by(still: Service, store: UsageStore) -> None:
    """A hash of one field a day and an answer took Redis 1.7 ms for a page of fifty tokens: a list has seven days."""
    token = (await create(still, "ci")).token
    for day in range(2 * DAYS_KEPT):
        await store.add([use(token.token_id)], NOW + day * DAY + day % 24 * HOUR)
    shard = still.stores.shards.of_id(token.token_id)
    assert shard is not None
    # Sixteen lists of days and eight of hours, of what was allowed and of what was denied.
    assert await shard.link.execute("HLEN", shard.keys.usage(token.token_id)) == 2 * (16 + 8) + 1


@pytest.mark.parametrize("fault", [StoreUnavailable("cut off"), StoreFull("full")])
async def test_what_was_counted_is_read_and_put_away_though_whoever_began_the_hour_was_cut_off(
    make_service: MakeService, fault: Exception
) -> None:
    service = await make_service(background=False, wrap=Interrupted)
    link, store = service.stores.shards[0].link, UsageStore(service.stores.shards)
    ids = [(await create(service, name)).token.token_id for name in ("ci", "other")]
    both = [use(one) for one in ids]
    await store.add(both, NOW - DAY)
    link.before["put_hours_away"] = fault
    for now in (NOW - HOUR, NOW):
        with pytest.raises(type(fault)):
            await store.add(both, now)

    async def shown() -> list[Any]:
        tokens = [await record(service, one) for one in ids]
        days, hours = await store.of_token(tokens[0], NOW, 2)
        return [days, hours[-2:], [one.totals() for one in await store.days_of(tokens, NOW, 2)]]

    this_hour = NOW // HOUR * HOUR
    hours = [Count(this_hour - HOUR, 3, 1), Count(this_hour, 3, 1)]
    assert await shown() == [[Count(TODAY - DAY, 3, 1), Count(TODAY, 6, 2)], hours, [[4, 8]] * 2]
    link.before.clear()
    await store.add([use(ids[0])], NOW)
    hours[-1] = Count(this_hour, 6, 2)
    assert await shown() == [[Count(TODAY - DAY, 3, 1), Count(TODAY, 9, 3)], hours, [[4, 12], [4, 8]]]
    assert [len((await record(service, one)).last_hour.split(",")) for one in ids] == [4, 12]


async def test_hours_that_were_left_in_the_record_are_put_away_the_oldest_first(make_service: MakeService) -> None:
    """The list of a later one takes the place of that of an earlier one, eight lists or sixteen before, not it that."""
    service = await make_service(background=False, wrap=Interrupted)
    link, store = service.stores.shards[0].link, UsageStore(service.stores.shards)
    token_id = (await create(service, "ci")).token.token_id
    await store.add([use(token_id)], NOW - HOUR - 16 * 7 * DAY)
    link.before["put_hours_away"] = StoreUnavailable("cut off")
    with pytest.raises(StoreUnavailable):
        await store.add([use(token_id)], NOW - HOUR)
    link.before.clear()
    await store.add([use(token_id)], NOW)
    assert (await series(service, token_id, NOW, 1, DAY))[0] == Count(TODAY, 6, 2)
    assert await series(service, token_id, NOW, 2, HOUR) == [
        Count(NOW // HOUR * HOUR - HOUR, 3, 1),
        Count(NOW // HOUR * HOUR, 3, 1),
    ]


async def test_an_hour_that_is_put_away_between_two_reads_is_counted_once(still: Service, store: UsageStore) -> None:
    token_id = (await create(still, "ci")).token.token_id
    await store.add([use(token_id)], NOW)
    before = await record(still, token_id)
    await store.add([use(token_id)], NOW + HOUR)
    # As of when the record was read.
    assert await store.series(before, NOW + HOUR, 2, HOUR) == [
        Count(NOW // HOUR * HOUR, 3, 1),
        Count(NOW // HOUR * HOUR + HOUR, 0, 0),
    ]
    begun = store.begin_days(token_id, NOW + HOUR, 2)
    await store.add([use(token_id)], NOW + 2 * HOUR)
    # The hour before is neither in these days nor in the record.
    assert begun.take(await record(still, token_id)) is None


async def test_days_that_are_begun_are_there_with_a_later_reply(make_service: MakeService) -> None:
    service = await make_service(background=False, wrap=Interrupted)
    link, store = service.stores.shards[0].link, UsageStore(service.stores.shards)
    tokens = [(await create(service, name)).token for name in ("used", "cut off", "never used")]
    await store.add([use(tokens[0].token_id)], NOW)
    await store.add([use(tokens[1].token_id)], NOW - DAY)
    link.before["put_hours_away"] = StoreUnavailable("cut off")
    with pytest.raises(StoreUnavailable):
        await store.add([use(tokens[1].token_id)], NOW)
    tokens = [await record(service, token.token_id) for token in tokens]
    begun = [store.begin_days(token.token_id, NOW, 2) for token in tokens]
    assert [one.take(token) for one, token in zip(begun, tokens, strict=True)] == [None] * 3
    begun = [store.begin_days(token.token_id, NOW, 2) for token in tokens]
    await link.execute("EXISTS", "whatever")
    taken = [one.take(token) for one, token in zip(begun, tokens, strict=True)]
    assert [series and series.totals() for series in taken] == [[0, 4], [4, 4], [0, 0]]
    assert store.begin_days("of no shard", NOW, 2).take(tokens[0]) is None


async def test_usage_that_is_gone_before_it_is_put_away_does_not_come_back(make_service: MakeService) -> None:
    """As with a token that is purged meanwhile, or a primary that is lost: a key that was made anew would not end."""
    service = await make_service(background=False, wrap=Interrupted)
    shard, store = service.stores.shards[0], UsageStore(service.stores.shards)
    token = (await create(service, "ci")).token
    keys = shard.keys.record_and_usage(token.token_id)

    async def lose() -> None:
        await shard.link.link.execute("DEL", *keys)

    await store.add([use(token.token_id)], NOW - DAY)
    shard.link.before["put_hours_away"] = lose
    await store.add([use(token.token_id)], NOW)
    assert await shard.link.execute("EXISTS", *keys) == 0


@pytest.mark.parametrize(
    "strange",
    ["", "x", "1,2", "@,1,2,3,4,5,6,x", "@,-1,0,0,0,0,0,0", f"@,0,0,0,0,0,0,{10**30}", "\xff", "9,9,9,9,9,9,9,9", "@"],
)
async def test_what_is_no_list_of_ours_counts_nothing_and_what_comes_behind_it_counts(
    still: Service, store: UsageStore, strange: str
) -> None:
    token = (await create(still, "ci")).token
    await store.add([use(token.token_id)], NOW - DAY)
    await store.add([use(token.token_id)], NOW)
    shard = still.stores.shards.of_id(token.token_id)
    assert shard is not None
    list_ = NOW // DAY // 7
    text = strange.replace("@", f"{list_}").encode("latin-1")
    await shard.link.execute("HSET", shard.keys.usage(token.token_id), f"A{list_ % 16}", text)
    assert await series(still, token.token_id, NOW, 1, DAY) == [Count(TODAY, 3, 1)]
    for later in (0, 0, 1, 1):
        await store.add([use(token.token_id)], NOW + later * DAY)
    assert (await series(still, token.token_id, NOW + DAY, 2, DAY))[-1] == Count(TODAY + DAY, 6, 2)


@pytest.mark.parametrize("strange", ["", "x", "1,2", "1,2,3,x", "1,2,3,4,5", "\xff"])
async def test_what_is_no_hour_of_ours_counts_nothing_and_the_next_one_counts(
    still: Service, store: UsageStore, strange: str
) -> None:
    token = (await create(still, "ci")).token
    shard = still.stores.shards.of_id(token.token_id)
    assert shard is not None
    field = LETTERS["last_hour"]
    await shard.link.execute("HSET", shard.keys.metadata(token.token_id), field, strange.encode("latin-1"))
    assert await series(still, token.token_id, NOW, 1, DAY) == [Count(TODAY, 0, 0)]
    await store.add([use(token.token_id)], NOW)
    assert await series(still, token.token_id, NOW, 1, DAY) == [Count(TODAY, 3, 1)]


async def test_where_somebody_else_keeps_something_no_usage_is_put_and_other_tokens_have_theirs(
    still: Service, store: UsageStore
) -> None:
    ids = [(await create(still, name)).token.token_id for name in ("strange", "ours")]
    shard = still.stores.shards.of_id(ids[0])
    assert shard is not None
    await shard.link.execute("SET", shard.keys.usage(ids[0]), "no hash")
    for hours in range(5):
        await store.add([use(one) for one in ids], NOW - hours * HOUR)
    shown = [await series(still, one, NOW, 2, DAY) for one in ids]
    assert [sum(day.allowed for day in days) for days in shown] == [3, 15]
    assert len((await record(still, ids[0])).last_hour.split(",")) == 4
    assert await shard.link.execute("GET", shard.keys.usage(ids[0])) == b"no hash"


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
    counted = [(await series(still, token.token_id, NOW, 1, DAY))[0].allowed for token in tokens]
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


def test_the_garbage_collector_visits_no_use() -> None:
    """Tens of thousands come and go each second: a pass through them would stop every request."""
    assert not gc.is_tracked(Use("0" * 16, b"d" * 32))


async def test_usage_goes_a_hundred_days_after_the_last_use_or_with_the_record(
    still: Service, store: UsageStore
) -> None:
    token_id = (await create(still, "ci")).token.token_id
    shard = still.stores.shards.of_id(token_id)
    assert shard is not None
    before = await all_keys(still)
    await store.add([use(token_id)], NOW)
    # A first hour is in the record alone.
    assert set(await all_keys(still)) - set(before) == {shard.keys.last_uses}
    await store.add([use(token_id)], NOW + HOUR)
    assert DAYS_KEPT * DAY - 60 < await shard.link.execute("TTL", shard.keys.usage(token_id)) <= DAYS_KEPT * DAY
    assert await series(still, token_id, NOW + DAYS_KEPT * DAY, DAYS_KEPT, DAY) == [
        Count(TODAY + (day + 1) * DAY, 0, 0) for day in range(DAYS_KEPT)
    ]
    last = await series(still, token_id, NOW + (DAYS_KEPT - 1) * DAY, DAYS_KEPT, DAY)
    assert last[0] == Count(TODAY, 6, 2)


async def test_the_service_s_hours_add_up_over_all_tokens(still: Service, store: UsageStore) -> None:
    await store.add_total(NOW, 2, {"expired": 1})
    await store.add_total(NOW, 5, {})
    await store.add_total(NOW - 3600, 1, {"rate_limited": 1, "expired": 2})
    assert [count[1:] for count in await store.totals(NOW, 3)] == [
        (0, {}),
        (1, {"expired": 2, "rate_limited": 1}),
        (7, {"expired": 1}),
    ]
