"""Lists: each order, each filter, and searches by part of a name or the end of a token."""

from itertools import product
from typing import Any

import msgspec
import pytest

from service.app import Service
from service.model import Status
from service.store.decoding import own_scores
from service.store.managed.query import Query
from tests.builders import ADMIN, DAY, at, create, create_many, outcome
from tests.conftest import Clock, MakeService
from tests.store.managed.test_listing_walks import pages

EVERY = frozenset(Status)


async def names(service: Service, **query: Any) -> list[str]:
    tokens, after, _ = await service.rules.managed.queries.page(Query(**query))
    assert after is None
    return [token.name for token in tokens]


async def test_the_newest_come_first(still: Service) -> None:
    await create_many(still, "one", "two", "three")
    assert await names(still) == ["three", "two", "one"]
    assert await names(still, descending=False) == ["one", "two", "three"]


@pytest.mark.parametrize("descending", [True, False])
async def test_a_page_of_several_lists_takes_from_each_what_may_be_on_it(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch, *, descending: bool
) -> None:
    service = await make_service(background=False)
    for number in range(40):
        token_id = (await create(service, f"token {number:02}")).token.token_id
        if number % 2:
            await service.rules.managed.tokens.update(token_id, {"active": False}, ADMIN)
    taken: list[int] = []

    def counting(reply: list[bytes]) -> Any:
        taken.append(len(reply) // 2)
        return own_scores(reply)

    monkeypatch.setattr("service.store.managed.listing_sources.own_scores", counting)
    tokens, _, _ = await service.rules.managed.queries.page(Query(limit=9, descending=descending))
    names = [f"token {number:02}" for number in range(40)]
    assert [token.name for token in tokens] == (names[:-10:-1] if descending else names[:9])
    # Ten of the one and as far back as those of the other, of the fourteen that were read of each.
    assert taken in ([10, 10], [10, 9], [9, 10])


async def test_an_empty_house_has_an_empty_list(still: Service) -> None:
    for sort in ("created_at", "name", "last_used_at", "expires_at"):
        assert await names(still, sort=sort, statuses=EVERY) == []
        assert await names(still, sort=sort, text="x") == []


async def test_what_somebody_else_put_in_the_place_of_a_record_is_passed_over(still: Service) -> None:
    _, other, _ = [one.token for one in await create_many(still, "one", "two", "three")]
    shard = still.stores.shards.of_id(other.token_id)
    assert shard is not None
    await shard.link.execute("SET", shard.keys.metadata(other.token_id), "of a wrong type")
    assert await names(still) == ["three", "one"]


async def test_names_are_put_in_order_by_their_characters(still: Service) -> None:
    await create_many(still, "b", "a", "B", "ä", "a b", "a-b", "10", "9", "\U0001f511", "ﬀ")
    expected = ["10", "9", "B", "a", "a b", "a-b", "b", "ä", "ﬀ", "\U0001f511"]
    assert await names(still, sort="name", descending=False) == expected
    assert await names(still, sort="name", descending=True) == expected[::-1]
    assert await names(still, sort="name", descending=False, limit=200, text="") == expected


async def test_tokens_are_put_in_order_by_their_expiry_and_those_without_one_come_last(
    make_service: MakeService,
) -> None:
    service = await make_service(shards=16, background=False, max_lifetime_days=0)
    for name, days in (("month", 30), ("never", 0), ("day", 1), ("year", 364)):
        await create(service, name, days=days)
    expected = ["day", "month", "year", "never"]
    assert await names(service, sort="expires_at", descending=False) == expected
    assert await names(service, sort="expires_at", descending=True) == expected[::-1]
    first, after, _ = await service.rules.managed.queries.page(Query(sort="expires_at", limit=1))
    rest, _, _ = await service.rules.managed.queries.page(Query(sort="expires_at", after=after))
    assert [token.name for token in first + rest] == expected[::-1]


async def test_tokens_are_put_in_order_by_their_last_use(still: Service, clock: Clock) -> None:
    created = await create_many(still, "never", "first", "second")
    for one in created[1:]:
        clock.forward(10)
        assert await outcome(still, one.secret) == "active"
        await still.rules.usage.flush()
    assert await names(still, sort="last_used_at") == ["second", "first", "never"]
    assert await names(still, sort="last_used_at", descending=False) == ["never", "first", "second"]


@pytest.fixture
async def four(aging: Service, clock: Clock) -> Service:
    """One token of each status, the expired one not swept yet."""
    created = {one.token.name: one.token.token_id for one in await create_many(aging, "active", "inactive", "revoked")}
    await create(aging, "expired", days=1)
    await aging.rules.managed.tokens.update(created["inactive"], {"active": False}, ADMIN)
    await aging.rules.managed.tokens.revoke(created["revoked"], ADMIN)
    clock.forward(2 * DAY)
    return aging


@pytest.mark.parametrize("sort", ["created_at", "name", "last_used_at", "expires_at"])
@pytest.mark.parametrize("swept", [False, True])
async def test_each_status_is_listed_alone_and_the_revoked_only_when_asked_for(
    four: Service, sort: str, *, swept: bool
) -> None:
    if swept:
        assert await four.rules.managed.sweeper.sweep() == 1
    for status in Status:
        assert await names(four, sort=sort, statuses=frozenset({status})) == [status.value]
        assert await names(four, sort=sort, statuses=frozenset({status}), text="e") == [status.value]
    assert sorted(await names(four, sort=sort)) == ["active", "expired", "inactive"]
    assert sorted(await names(four, sort=sort, statuses=EVERY)) == ["active", "expired", "inactive", "revoked"]


async def test_each_status_is_counted_alone(four: Service) -> None:
    for swept in (False, True):
        if swept:
            assert await four.rules.managed.sweeper.sweep() == 1
        for status in Status:
            for chosen in ({"text": "e"}, {"created_by": "admin"}, {"text": "e", "created_by": "admin"}):
                query = Query(frozenset({status}), **chosen)
                assert await four.rules.managed.bulk._listing.count(query, four.clock()) == 1


async def test_the_total_is_told_where_nothing_but_the_status_is_asked(four: Service) -> None:
    for swept in (False, True):
        if swept:
            assert await four.rules.managed.sweeper.sweep() == 1
        for statuses, total in ((frozenset(), 3), (EVERY, 4), (frozenset({Status.REVOKED}), 1)):
            _, _, told = await four.rules.managed.queries.page(Query(statuses, limit=1))
            assert told == total
    for filtered in (
        {"text": "a"},
        {"created_by": "admin"},
        {"scope": "a"},
        {"subject": "a"},
        {"last_address": "192.0.2.2"},
        {"expires_before": 9},
        {"unused_since": 9},
        {"never_used": True},
        {"ids": ("00" * 8,)},
    ):
        _, _, told = await four.rules.managed.queries.page(Query(**filtered))
        assert told is None


async def test_a_list_can_be_narrowed_by_creator_scope_expiry_and_idleness(still: Service, clock: Clock) -> None:
    by_vera = at("192.0.2.2")
    await create(still, "one", scopes=("a", "b"), days=10)
    await create(still, "two", scopes=("a:*",), subject="svc:b", days=20, origin=by_vera)
    used = await create(still, "three", days=300)
    clock.forward(5 * DAY)
    assert await outcome(still, used.secret, address="198.51.100.9") == "active"
    await still.rules.usage.flush()
    now = int(still.clock())
    assert await names(still, created_by="anonymous") == ["two"]
    assert await names(still, created_by="admin") == ["three", "one"]
    assert await names(still, created_by="Admin") == []
    assert await names(still, created_by="admin", sort="name", descending=False) == ["one", "three"]
    assert await names(still, scope="a") == ["one"]
    assert await names(still, scope="a:*") == ["two"]
    assert await names(still, subject="svc:b") == ["two"]
    assert await names(still, subject="svc") == []
    assert await names(still, last_address="198.51.100.9") == ["three"]
    assert await names(still, expires_before=now + 6 * DAY) == ["one"]
    assert await names(still, expires_before=now + 300 * DAY) == ["three", "two", "one"]
    assert await names(still, unused_since=now - 4 * DAY) == ["two", "one"]
    assert await names(still, unused_since=now - 6 * DAY) == []
    assert await names(still, never_used=True) == ["two", "one"]
    assert await names(still, never_used=True, created_by="admin", sort="last_used_at") == ["one"]
    assert await names(still, scope="a", text="on", created_by="admin") == ["one"]


@pytest.mark.parametrize("sort", ["created_at", "name", "expires_at", "last_used_at"])
async def test_tokens_are_picked_by_their_ids_in_the_order_asked_for(four: Service, sort: str) -> None:
    everything, _, _ = await four.rules.managed.queries.page(Query(EVERY))
    ids = {token.name: token.token_id for token in everything}
    asked = (ids["revoked"], "00" * 8, "no id", ids["active"], ids["active"])
    whole = [name for name in await names(four, sort=sort, statuses=EVERY) if name in ("active", "revoked")]
    assert await names(four, sort=sort, statuses=EVERY, ids=asked) == whole
    assert await names(four, sort=sort, ids=asked) == ["active"]
    assert await names(four, sort=sort, ids=asked, text="rev", statuses=EVERY) == ["revoked"]
    query = Query(EVERY, ids=asked, sort=sort, limit=1)
    first, after, _ = await four.rules.managed.queries.page(query)
    rest, end, _ = await four.rules.managed.queries.page(msgspec.structs.replace(query, after=after))
    assert ([token.name for token in first + rest], end) == (whole, None)


@pytest.mark.parametrize("sort", ["created_at", "name", "expires_at", "last_used_at"])
async def test_the_revoked_of_one_creator_are_listed_when_asked_for(still: Service, sort: str) -> None:
    gone, _ = await create_many(still, "gone", "here")
    await still.rules.managed.tokens.revoke(gone.token.token_id, ADMIN)
    assert await names(still, created_by="admin", sort=sort) == ["here"]
    assert await names(still, created_by="admin", sort=sort, statuses=frozenset({Status.REVOKED})) == ["gone"]


FOUND = {
    "deploy": ["Deploy Key", "my DEPLOYMENT"],
    "DEPLOY": ["Deploy Key", "my DEPLOYMENT"],
    "ploy k": ["Deploy Key"],
    "straße": ["Straße 5"],
    "ÉCOLE": ["école"],
    "*": ["a*b"],
    "?": ["what?"],
    "[a-z]": ["set[a-z]"],
    "\\": ["back\\slash"],
    "a*b": ["a*b"],
    "^": ["^top"],
    "-": ["set[a-z]"],
    "]": ["set[a-z]"],
    "👩‍🚀": ["👩‍🚀 crew"],
    "\u200d": ["👩‍🚀 crew"],
    "50\u00a0%": ["50\u00a0%"],
    "\n": [],
    "\x00": [],
    "nothing": [],
}


@pytest.mark.parametrize("sort", ["created_at", "name", "expires_at", "last_used_at"])
async def test_a_search_finds_part_of_a_name_in_any_case_and_takes_signs_as_they_are(still: Service, sort: str) -> None:
    await create_many(
        still,
        "Deploy Key",
        "my DEPLOYMENT",
        "Straße 5",
        "école",
        "a*b",
        "aXb",
        "what?",
        "set[a-z]",
        "back\\slash",
        "^top",
        "👩‍🚀 crew",
        "50\u00a0%",
    )
    assert {text: sorted(await names(still, text=text, sort=sort)) for text in FOUND} == FOUND


async def test_a_search_finds_the_last_characters_of_a_token(still: Service) -> None:
    created = await create_many(still, "one", "two", "three")
    for one in created:
        last_eight = one.secret[-8:]
        for text in (last_eight, last_eight[-6:], last_eight.upper()):
            assert one.token.name in await names(still, text=text)
        # The middle of the last eight, an id or a time of creation that a search also passes is no find.
        for text in (last_eight[:-1], last_eight[:-1] + "g", one.token.token_id, str(one.token.created_micros)):
            assert await names(still, text=text) == []


async def test_a_search_never_meets_a_neighbouring_part_of_the_member(still: Service) -> None:
    one = (await create(still, "name")).token
    for text in (f"name\x00{one.token_id}", "\x00", f"{one.last_eight}\x00"):
        assert await names(still, text=text) == []


async def test_a_list_leaves_out_ids_whose_record_is_gone(still: Service) -> None:
    one, _ = await create_many(still, "gone", "here")
    shard = still.stores.shards.of_id(one.token.token_id)
    assert shard is not None
    await shard.link.execute("DEL", shard.keys.metadata(one.token.token_id))
    for sort in ("created_at", "name", "expires_at", "last_used_at"):
        assert await names(still, sort=sort) == ["here"]
        assert await names(still, sort=sort, text="e") == ["here"]


@pytest.mark.slow
async def test_a_search_that_finds_many_pages_walks_through_them_in_order(make_service: MakeService) -> None:
    """Sorted sets of more than 128 members are stored, and scanned, in another way."""
    many = await make_service(shards=16, background=False)
    for number in range(700):
        await create(many, f"token {number:03} {'even' if number % 2 == 0 else 'odd'}")
    expected = [f"token {number:03} even" for number in range(0, 700, 2)]
    for sort, descending, limit in product(("created_at", "name"), (False, True), (3, 50)):
        query = Query(text="EVEN", sort=sort, descending=descending, limit=limit)
        found: list[str] = []
        while limit * 5 > len(found):
            tokens, after, _ = await many.rules.managed.queries.page(query)
            found += [token.name for token in tokens]
            query = msgspec.structs.replace(query, after=after)
        assert found == (expected[::-1] if descending else expected)[: limit * 5], sort
    for sort in ("created_at", "name"):
        tokens, after, _ = await many.rules.managed.queries.page(Query(text="odd", sort=sort, limit=200))
        assert len(tokens) == 200
        tokens, after, _ = await many.rules.managed.queries.page(Query(text="odd", sort=sort, limit=200, after=after))
        assert (len(tokens), after) == (150, None)


@pytest.mark.slow
async def test_a_search_reads_on_until_every_name_was_seen(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.managed.search._SLICE_BYTES", 1)
    service = await make_service(background=False)
    await create_many(service, *[f"token {number:03}" for number in range(200)])
    tokens, _, _ = await service.rules.managed.queries.page(
        Query(text="token", sort="name", limit=200, descending=False)
    )
    assert [token.name for token in tokens] == [f"token {number:03}" for number in range(200)]


@pytest.mark.parametrize("text", ["", "billing"])
async def test_a_walk_through_all_finds_each_once(still: Service, text: str) -> None:
    await create_many(still, *[f"{'billing' if number % 2 else 'other'} {number}" for number in range(30)])
    query = Query(text=text, limit=4)
    wanted = sorted(f"billing {n}" if n % 2 else f"other {n}" for n in range(30) if n % 2 or not text)
    assert await still.rules.managed.bulk._listing.count(query, still.clock()) == len(wanted)
    assert (
        sorted(
            [
                record.token.name
                async for some in still.rules.managed.bulk._listing.records(query, still.clock())
                for record in some
            ]
        )
        == wanted
    )


async def test_filters_that_no_order_helps_with_keep_the_order(still: Service) -> None:
    for number in range(12):
        await create(still, f"gate {number:02}", days=20 - number, scopes=("a",) if number % 3 else ("b",))
    expected = [f"gate {number:02}" for number in range(12) if number % 3]
    for how in ({"sort": "created_at", "text": "gate"}, {"sort": "name", "text": "gate"}):
        assert await names(still, scope="a", descending=False, **how) == expected
    assert await names(still, scope="a", sort="expires_at", descending=False) == expected[::-1]
    query = Query(scope="a", sort="expires_at", descending=False, limit=3)
    assert [token.name async for page in pages(still, query) for token in page] == expected[::-1]
