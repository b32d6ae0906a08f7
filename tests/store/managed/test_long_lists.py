"""Lists of very many: no scan holds the service, each goes on from where it was, and one that takes long ends early."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from service.app import Service
from service.errors import StoreUnavailable
from service.model import Status
from service.store.managed.query import Query
from service.store.managed.search import Blocks
from tests.builders import ADMIN, DAY, create, create_many, outcome
from tests.conftest import Clock, MakeService, TurnTime
from tests.links import Recording, Wrapped, busy
from tests.store.managed.test_listing_walks import pages

SORTS = ["created_at", "name", "last_used_at", "expires_at"]
SCOPES = tuple(f"orders:{number:08}" for number in range(5))


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page's time is over at its second look, and a look is at three records."""
    monkeypatch.setattr("service.store.managed.listing._SECONDS", -1.0)
    monkeypatch.setattr("service.store.managed.listing._LEAST_PORTIONS", 2)
    monkeypatch.setattr("service.store.managed.listing._AT_ONCE", 3)
    monkeypatch.setattr("service.store.managed.listing_slices._AT_ONCE", 3)
    monkeypatch.setattr("service.store.managed.listing_slices._SORTED_AT_ONCE", 4)
    monkeypatch.setattr("service.store.managed.listing_slices._MOST", 3)


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.usefixtures("hurried")
async def test_a_page_whose_time_is_over_says_where_to_go_on(still: Service, sort: str, *, descending: bool) -> None:
    for number in range(30):
        await create(still, f"token {number:02}", days=1 + number % 7, scopes=("rare",) if number % 10 == 0 else ())
    query = Query(scope="rare", sort=sort, descending=descending, limit=3)
    first, after, total = await still.rules.managed.queries.page(query)
    assert (len(first) < 3, after is None, total) == (True, False, None)
    found, pages = list(first), 1
    while after is not None:
        tokens, after, _ = await still.rules.managed.queries.page(msgspec.structs.replace(query, after=after))
        found, pages = found + tokens, pages + 1
    assert sorted(token.name for token in found) == ["token 00", "token 10", "token 20"]
    assert 3 < pages < 20


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.usefixtures("hurried")
async def test_a_text_that_almost_every_name_has_is_searched_in_the_order_of_the_list(
    still: Service, monkeypatch: pytest.MonkeyPatch, sort: str
) -> None:
    await create_many(still, *[f"token {number:02}" for number in range(12)])
    walks = []
    for few in (100, 4):
        monkeypatch.setattr("service.store.managed.listing._FEW", few)
        query = Query(text="TOKEN", sort=sort, limit=5)
        walks.append([token.name async for page in pages(still, query) for token in page])
    assert walks[0] == walks[1]
    assert len(set(walks[0])) == 12


Reads = tuple[Service, list[Any]]


@pytest.fixture
async def reads(make_service: MakeService, monkeypatch: pytest.MonkeyPatch) -> Reads:
    """A service that reads its indexes by five, and each read so far."""
    monkeypatch.setattr("service.store.managed.listing_slices._MOST", 5)
    asked: list[Any] = []

    class Counting(Recording):
        async def execute(self, *args: Any, **how: Any) -> Any:
            if (args[0], how.get("operation")) == ("EVALSHA", "read_index"):
                asked.append(args)
            return await super().execute(*args, **how)

    return await make_service(fake=True, background=False, wrap=Counting, max_lifetime_days=0), asked


@pytest.mark.parametrize(
    ("named", "query"),
    [
        ("never used", Query(sort="last_used_at", descending=False, limit=1)),
        ("never used", Query(never_used=True)),
        ("endless", Query(sort="expires_at", limit=1)),
        ("expired", Query(statuses=frozenset({Status.EXPIRED}))),
        ("expired", Query(statuses=frozenset({Status.EXPIRED}), sort="expires_at")),
    ],
)
async def test_a_page_of_the_few_of_a_kind_passes_none_of_another(
    reads: Reads, turn_time: TurnTime, named: str, query: Query
) -> None:
    service, asked = reads
    used = [await create(service, "expired", days=1), await create(service, "endless", days=0)]
    await create(service, "never used", days=20)
    used += await create_many(service, *[f"token {number}" for number in range(40)])
    for one in used:
        assert await outcome(service, one.secret) == "active"
    await service.rules.usage.flush()
    turn_time(2 * DAY)
    await service.rules.managed.sweeper.sweep()
    asked.clear()
    tokens, _, _ = await service.rules.managed.queries.page(query)
    assert [token.name for token in tokens][:1] == [named]
    # Where the forty are read, too, it is 9.
    assert len(asked) == 1


async def test_a_filter_reads_no_more_of_a_record_than_whether_it_is_admitted(make_service: MakeService) -> None:
    asked: Counter[str] = Counter()

    class Counting(Recording):
        async def execute(self, *args: Any, **how: Any) -> Any:
            asked[how.get("operation") or args[0]] += 1
            return await super().execute(*args, **how)

        def submit(self, command: bytes, answer: Callable[[Any], None], *, retry: bool = False) -> None:
            asked["HGETALL"] += b"HGETALL" in command
            super().submit(command, answer, retry=retry)

    service = await make_service(fake=True, background=False, wrap=Counting)
    # One value of exactly a piece, and some that go on in further ones.
    for length in (8, 64, 65, 200):
        subject = "s" * length
        await create_many(service, f"of {length}", f"too, {length}", subject=subject, scopes=(*SCOPES, f"r:{length}"))
    await create_many(service, *[f"token {number}" for number in range(300)], scopes=("usual",), subject="someone")
    for length in (8, 64, 65, 200):
        asked.clear()
        for query in (Query(subject="s" * length), Query(scope=f"r:{length}"), Query(scope=f"r:{length}", text="o")):
            tokens, _, _ = await service.rules.managed.queries.page(query)
            assert {token.name for token in tokens} == {f"of {length}", f"too, {length}"}
        # Of three pages with two tokens each; a value in pieces may be another one.
        assert asked["HGETALL"] <= 3 * 8
    tokens, _, _ = await service.rules.managed.queries.page(Query(subject="s" * 63))
    assert tokens == []


@pytest.mark.parametrize("descending", [True, False])
async def test_a_search_for_what_many_have_skips_those_without_it(
    reads: Reads, monkeypatch: pytest.MonkeyPatch, *, descending: bool
) -> None:
    monkeypatch.setattr("service.store.managed.listing._FEW", 4)
    monkeypatch.setattr("service.store.managed.listing._MOST_MISSES", 10)
    service, asked = reads
    names = [
        f"{name} {number}" for name, count in (("Far", 6), ("between", 100), ("Near", 6)) for number in range(count)
    ]
    tokens = [created.token for created in await create_many(service, *names)]
    # Those that are skipped to, one way and the other: they stand in the set that is read backwards.
    for token in tokens:
        if token.name in {"Far 5", "Near 0"}:
            await service.rules.managed.tokens.revoke(token.token_id, ADMIN)
    query = Query(frozenset({Status.ACTIVE, Status.REVOKED}), text="AR ", descending=descending, limit=4)
    asked.clear()
    found = [token.name async for page in pages(service, query) for token in page]
    assert found == [name for name in names[:: -1 if descending else 1] if name.startswith(("Far", "Near"))]
    # Where the hundred between are read, too, it is 23.
    assert len(asked) == 6


@pytest.mark.parametrize("sort", SORTS)
async def test_what_ends_before_a_date_is_found_by_the_index_of_dates(reads: Reads, sort: str) -> None:
    service, asked = reads
    for name in ("soon", "switched off"):
        created = await create(service, name, days=3)
    await service.rules.managed.tokens.update(created.token.token_id, {"active": False}, ADMIN)
    await create_many(service, *[f"token {number}" for number in range(60)])
    asked.clear()
    query = Query(expires_before=int(service.clock() + 5 * DAY), sort=sort)
    tokens, after, _ = await service.rules.managed.queries.page(query)
    assert ({token.name for token in tokens}, after) == ({"soon", "switched off"}, None)
    # Where all are read it is 13; the index of names is not counted.
    assert len(asked) <= 1


@pytest.mark.parametrize("sort", SORTS)
async def test_what_had_ended_before_the_retention_was_shortened_is_found_by_its_date(
    make_service: MakeService, turn_time: TurnTime, sort: str
) -> None:
    before, after = [await make_service(fake=True, retention_days=days) for days in (90, 30)]
    await create(before, days=1)
    turn_time(2 * DAY)
    await before.rules.managed.sweeper.sweep()
    query = Query(expires_before=int(before.clock()), sort=sort)
    tokens, _, _ = await after.rules.managed.queries.page(query)
    assert [token.name for token in tokens] == ["ci"]


async def test_a_walk_reads_each_slice_once(reads: Reads) -> None:
    """A scan that began again for each page or slice would ask for more with the square of the tokens."""
    service, asked = reads
    await create_many(service, *[f"token {number}" for number in range(50)])
    asked.clear()
    assert await service.rules.managed.queries.page(Query(scope="none", statuses=frozenset({Status.ACTIVE}))) == (
        [],
        None,
        None,
    )
    # Those never used, and with each slice of them that none was used.
    assert len(asked) == 11


async def test_a_search_asks_for_few_bytes_at_a_time_and_no_record_of_another(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, int] = {}
    named: list[int] = []

    class Counting(Recording):
        async def execute(self, *args: Any, **how: Any) -> Any:
            asked[how.get("operation", "")] = asked.get(how.get("operation", ""), 0) + 1
            named.append(int(args[2]) if len(args) > 2 else 0)
            return await super().execute(*args, **how)

    service = await make_service(background=False, wrap=Counting)
    await create_many(service, *[f"token {number}" for number in range(50)])
    asked.clear()
    assert await service.rules.managed.queries.page(Query(text="é")) == ([], None, None)
    assert set(asked) == {"find_names"}
    named.clear()
    monkeypatch.setattr("service.store.managed.search._SLICE_BYTES", 2500)  # ten blocks that are not there, of 1,024
    asked.clear()
    await service.rules.managed.queries.page(Query(text="é"))
    assert asked["find_names"] > 100
    # The first is named many; the others about as many as will be read, for each that is named takes Redis time.
    assert max(named[1:]) <= 20 < named[0]


async def test_a_search_for_what_nearly_all_have_ends_where_that_is_told_by_what_was_read(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches: list[Any] = []

    class Counting(Wrapped):
        async def execute(self, *args: Any, **how: Any) -> Any:
            searches.extend([args] if how.get("operation") == "find_names" else [])
            return await super().execute(*args, **how)

    # One in every seventeenth block.
    blocks = iter(range(0, 1024, 17))
    monkeypatch.setattr("service.tokens.idempotency.mint_id", lambda shard: f"{shard:02x}{next(blocks):04x}{10 * 'a'}")
    service = await make_service(background=False, wrap=Counting)
    await create_many(service, *[f"token {number}" for number in range(60)])
    monkeypatch.setattr("service.store.managed.search._SLICE_BYTES", 2500)
    monkeypatch.setattr("service.store.managed.search._TELLING", 10)
    asked = []
    # Eleven finds tell that there are more than so many, or not.
    for few in (40, 100):
        monkeypatch.setattr("service.store.managed.listing._FEW", few)
        searches.clear()
        tokens, _, _ = await service.rules.managed.queries.page(Query(text="TOKEN", sort="name", limit=60))
        assert len(tokens) == 60
        asked.append(len(searches))
    assert 0 < 3 * asked[0] < asked[1]


async def test_a_search_for_what_nearly_all_have_reads_no_more_than_tells_that_of_one_block(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies: list[Any] = []

    class Counting(Wrapped):
        async def execute(self, *args: Any, **how: Any) -> Any:
            reply = await super().execute(*args, **how)
            replies.extend([reply] if how.get("operation") == "find_names" else [])
            return reply

    ids = iter(range(99))
    monkeypatch.setattr("service.tokens.idempotency.mint_id", lambda shard: f"{shard:02x}{0:04x}{next(ids):010x}")
    monkeypatch.setattr("service.store.managed.search._TELLING_OF_BLOCK", 10)
    service = await make_service(background=False, wrap=Counting)
    for count in (10, 11):
        await create_many(service, *[f"token {number}" for number in range(len(replies) and 10, count)])
        replies.clear()
        tokens, _, _ = await service.rules.managed.queries.page(Query(text="TOKEN", sort="last_used_at"))
        assert len(tokens) == count
        assert [len(reply) - 1 for reply in replies if len(reply) > 1 or reply[0] < 0] == [10 if count == 10 else 0]
    # What changes all that is found needs every one.
    names = service.rules.managed.bulk._listing._names
    assert sum([len(found) async for found in names.find("token")]) == 11


async def test_a_search_passes_an_id_in_one_step_though_it_has_the_text_in_many_places(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = iter(range(10))
    monkeypatch.setattr("service.tokens.idempotency.mint_id", lambda shard: f"{shard:02x}{0:04x}{next(ids)}aaaaaaaaa")
    service = await make_service(background=False)
    await create_many(service, *[f"token {number}" for number in range(10)])
    shard = service.stores.shards.of_name("token 0")
    first, second, *_ = Blocks(len(service.stores.shards)).keys(shard)
    find = service.rules.managed.bulk._listing._names._find
    # Each place that is looked at is counted as so many bytes that a second block is not read.
    asked = (shard.link, (first, second), "aaaa", 10 * 1000, 16 * "0", 16 * "9", "all", 100)
    assert (await find.run(*asked))[0] == 2


async def test_redis_searches_names_while_what_it_found_before_is_read(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, counts = 0, set[int]()

    class Counting(Wrapped):
        async def execute(self, *args: Any, **how: Any) -> Any:
            nonlocal under_way
            under_way += 1
            counts.add(under_way)
            try:
                return await super().execute(*args, **how)
            finally:
                under_way -= 1

    service = await make_service(background=False, wrap=Counting)
    await create_many(service, *[f"token {number}" for number in range(50)])
    monkeypatch.setattr("service.store.managed.search._SLICE_BYTES", 2500)
    names = service.rules.managed.bulk._listing._names
    counts.clear()
    assert sum([len(found) async for found in names.find("token")]) == 50
    assert max(counts) == 2
    # To search for the nearest goes by what the slice before has found.
    counts.clear()
    assert await names.nearest("token", 0, descending=False)
    assert counts == {1}
    # Whoever has found enough leaves nothing behind that Redis is still asked for.
    found = names.find("token")
    assert await anext(found)
    # What was asked for meanwhile begins.
    await asyncio.sleep(0)
    await found.aclose()
    assert under_way == 0


@pytest.mark.parametrize("lost", ["read_index", "HGETALL", "HMGET"])
async def test_a_walk_through_everything_outlasts_a_redis_that_is_busy_for_a_moment(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    monkeypatch.setattr("service.store.pacing._TRIED_AGAIN_AFTER", (0.0, 0.0))
    failures: list[int] = []
    service = await make_service(background=False, wrap=busy(lost, failures))
    await create_many(service, *[f"token {number}" for number in range(5)], scopes=("a",))
    query, listing = Query(scope="a"), service.rules.managed.bulk._listing
    failures += [1, 2]
    assert len([record async for some in listing.records(query, service.clock()) for record in some]) == 5
    failures += [1, 2]
    assert await listing.count(query, service.clock()) == 5
    # All of them were met.
    assert failures == []
    failures += range(100)
    with pytest.raises(StoreUnavailable):
        await anext(listing.records(query, service.clock()))


async def test_names_are_compared_whatever_their_case_and_composition(still: Service) -> None:
    await create_many(still, "Éclair", "STRASSE", "İstanbul")
    for text in ("éclair", "E\u0301CLAIR", "straße", "\u0130STANBUL"):
        tokens, _, _ = await still.rules.managed.queries.page(Query(text=text))
        assert len(tokens) == 1, text


async def test_a_search_follows_a_token_through_its_life(still: Service) -> None:
    created = await create(still, "before", days=1)
    token_id = created.token.token_id

    async def found(text: str) -> list[str]:
        tokens, _, _ = await still.rules.managed.queries.page(Query(frozenset(Status), text=text))
        return [token.name for token in tokens]

    await still.rules.managed.tokens.update(token_id, {"name": "after"}, ADMIN)
    assert (await found("before"), await found("after")) == ([], ["after"])
    rotated = await still.rules.managed.rotation.rotate(token_id, ADMIN)
    assert await found(rotated.secret[-8:]) == ["after"]
    assert await found(created.secret[-8:]) == []
    await still.rules.managed.tokens.revoke(token_id, ADMIN)
    assert await found("after") == ["after"]


async def test_what_was_purged_leaves_nothing_to_search(faked: Service, turn_time: TurnTime) -> None:
    created = await create(faked, "gone", days=1)
    assert await outcome(faked, created.secret) == "active"
    await faked.rules.usage.flush()
    for days in (2, 31):
        turn_time(days * DAY)
        await faked.rules.managed.sweeper.sweep()
    assert await faked.rules.managed.queries.page(Query(frozenset(Status), text="gone")) == ([], None, None)
    for shard in faked.stores.shards:
        blocks = Blocks(len(faked.stores.shards)).keys(shard)
        assert await shard.link.execute("EXISTS", *blocks, shard.keys.last_uses) == 0


async def test_rows_that_went_leave_the_others_to_be_found_and_their_room_to_be_taken_back(
    make_service: MakeService, turn_time: TurnTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.managed.search._BLOCKS", 1)
    # Which of sixteen that go takes the room of the others back is told by the id.
    numbers = iter(range(1000))
    monkeypatch.setattr("service.tokens.idempotency.mint_id", lambda shard: f"{shard:02x}{next(numbers):014x}")
    service = await make_service(fake=True)
    for number in range(40):
        await create(service, f"token {number:02}", days=1 + 100 * (number % 2))
    (shard,) = service.stores.shards
    (block,) = Blocks(1).keys(shard)
    before = await shard.link.execute("GET", block)
    for days in (2, 33):
        turn_time(days * DAY)
        await service.rules.managed.sweeper.sweep()
    left = await shard.link.execute("GET", block)
    assert left.count(b"token") == 20 < left.count(b"\n")
    assert len(left) < len(before) * 0.8
    tokens, _, _ = await service.rules.managed.queries.page(Query(text="TOKEN", limit=50))
    assert sorted(token.name for token in tokens) == [f"token {number:02}" for number in range(1, 40, 2)]


async def test_a_token_used_again_moves_in_the_list_by_last_use(still: Service, clock: Clock) -> None:
    one, two, _ = await create_many(still, "one", "two", "never")
    for used in (one, two, one):
        clock.forward(10)
        assert await outcome(still, used.secret) == "active"
        await still.rules.usage.flush()
    tokens, _, _ = await still.rules.managed.queries.page(Query(sort="last_used_at"))
    assert [token.name for token in tokens] == ["one", "two", "never"]
    await still.rules.managed.tokens.revoke(one.token.token_id, ADMIN)
    tokens, _, _ = await still.rules.managed.queries.page(Query(sort="last_used_at", statuses=frozenset(Status)))
    assert [token.name for token in tokens] == ["one", "two", "never"]


async def test_of_everything_few_long_records_are_held_at_once(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.batch_size._BATCH_BYTES", 2000)
    service = await make_service(background=False)
    for number in range(12):
        await create(service, f"token {number}", metadata={"long": 250 * "x"})
    everything = service.rules.managed.queries.everything
    assert sum([len(records) async for records in everything(Query())]) == 12
    # How long they are is known by then.
    held = [len(records) async for records in everything(Query())]
    assert (sum(held), max(held) <= 6) == (12, True)


async def test_records_that_are_taken_out_of_a_list_of_everything_are_let_go(still: Service) -> None:
    """Else megabytes go in one step, once the next ones were read."""
    await create_many(still, *[f"token {number}" for number in range(3)])
    alone = object()
    # Counted in the same way: from Python 3.14 on a call may borrow what a name holds.
    references = [sys.getrefcount(alone)]
    async for records in still.rules.managed.queries.everything(Query()):
        while records:
            record = records.pop()
            references.append(sys.getrefcount(record))
    assert references == 4 * references[:1]
