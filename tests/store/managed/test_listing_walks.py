"""Walks from page to page: every token exactly once, in order, though others come and go meanwhile."""

import random
from collections.abc import AsyncIterator
from functools import partial
from itertools import count

import msgspec
import pytest

from service.app import Service
from service.model import ManagedToken, Status
from service.store.managed.query import Query
from tests.builders import ADMIN, create, create_many, outcome
from tests.conftest import MakeService
from tests.links import Interrupted

SORTS = ["created_at", "name", "last_used_at", "expires_at"]
EVERY = frozenset(Status)


async def pages(service: Service, query: Query) -> AsyncIterator[list[ManagedToken]]:
    while True:
        tokens, after, _ = await service.rules.managed.queries.page(query)
        assert len(tokens) <= query.limit
        yield tokens
        if after is None:
            return
        assert len(tokens) == query.limit
        query = msgspec.structs.replace(query, after=after)


async def fill(service: Service, wanted: int) -> list[str]:
    """Tokens with many expiries and uses; their ids, oldest first."""
    ids = []
    for number in range(wanted):
        created = await create(service, f"token {random.Random(number).random():.6f}", days=1 + number % 7)
        ids.append(created.token.token_id)
        if number % 3 == 0:
            await outcome(service, created.secret)
    await service.rules.usage.flush()
    return ids


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("sort", SORTS)
async def test_a_walk_visits_every_token_once_while_others_come_and_go(
    still: Service, sort: str, *, descending: bool
) -> None:
    ids = await fill(still, 24)
    passing = [(await create(still, f"passing {number}")).token.token_id for number in range(8)]
    seen: list[str] = []
    # A page may show nothing new, so only their own number tells those that come apart.
    numbers = count()
    async for tokens in pages(still, Query(sort=sort, descending=descending, limit=3)):
        seen += [token.token_id for token in tokens]
        passing.append((await create(still, f"token 0.5 {next(numbers)}")).token.token_id)
        await still.rules.managed.tokens.revoke(passing.pop(0), ADMIN)
    assert sorted(token_id for token_id in seen if token_id in ids) == sorted(ids)


@pytest.mark.parametrize("limit", [1, 50])
@pytest.mark.parametrize("descending", [True, False])
async def test_a_walk_misses_no_token_that_is_used_for_the_first_time_meanwhile(
    still: Service, monkeypatch: pytest.MonkeyPatch, limit: int, *, descending: bool
) -> None:
    monkeypatch.setattr("service.store.managed.listing_slices._MOST", 3)
    secrets = {}
    for number in range(40):
        created = await create(still, f"token {number}")
        secrets[created.token.token_id] = created.secret
        if number % 9 == 0:
            await outcome(still, created.secret)
    seen: list[str] = []
    query = Query(descending=descending, limit=limit)
    async for portion in still.rules.managed.queries._listing.walk(query, still.clock()):
        seen += [row.token_id for row, _ in portion.found]
        # What comes next is used before it is read.
        ahead = [token_id for token_id in secrets if token_id not in seen][:: -1 if descending else 1]
        for token_id in ahead[3:6]:
            await outcome(still, secrets[token_id])
        await still.rules.usage.flush()
    assert sorted(seen) == sorted(secrets)


@pytest.mark.parametrize("text", ["", "token"])
@pytest.mark.parametrize("sort", SORTS)
async def test_both_directions_show_the_same_order(still: Service, sort: str, text: str) -> None:
    await fill(still, 17)
    walks = []
    for descending in (True, False):
        for limit in (3, 200):
            query = Query(sort=sort, descending=descending, limit=limit, text=text)
            walk = [token.token_id async for tokens in pages(still, query) for token in tokens]
            walks.append(walk if descending else walk[::-1])
    assert all(walk == walks[0] for walk in walks)
    assert len(set(walks[0])) == 17


@pytest.mark.parametrize("limit", [1, 2, 5])
@pytest.mark.parametrize("descending", [True, False])
async def test_tokens_created_in_the_same_microsecond_are_all_visited(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch, limit: int, *, descending: bool
) -> None:
    """Several processes may create at once, and an import keeps the times it is given."""
    service = await make_service(background=False)
    moment = iter([1000] * 3 + [2000] * 12 + [3000] * 3)
    monkeypatch.setattr(service.rules.managed.tokens._lifetime, "begin", lambda: next(moment))
    expected = {(await create(service, f"token {number}")).token.token_id for number in range(18)}
    query = Query(descending=descending, limit=limit)
    walk = [token.token_id async for tokens in pages(service, query) for token in tokens]
    assert len(walk) == 18
    assert set(walk) == expected


async def test_tokens_that_had_the_same_name_one_after_the_other_are_all_visited(still: Service) -> None:
    ids = []
    for name in ("build", "ci"):
        for _ in range(9):
            ids.append((await create(still, name)).token.token_id)
            await still.rules.managed.tokens.revoke(ids[-1], ADMIN)
        ids.append((await create(still, name)).token.token_id)
    for sort in SORTS:
        for descending, limit in ((True, 3), (False, 3), (True, 7)):
            query = Query(EVERY, sort=sort, descending=descending, limit=limit)
            walk = [token.token_id async for tokens in pages(still, query) for token in tokens]
            assert sorted(walk) == sorted(ids)
            alive = msgspec.structs.replace(query, statuses=frozenset())
            assert len([token async for tokens in pages(still, alive) for token in tokens]) == 2


@pytest.mark.parametrize("reserved", ["a", "z"])
async def test_a_token_is_listed_by_the_name_it_bears_and_by_none_that_it_only_reserved(
    still: Service, reserved: str
) -> None:
    """As a renaming leaves behind that was cut off, or refused for another change."""
    ids = [one.token.token_id for one in await create_many(still, "ci", "d", "e")]
    token = await still.rules.managed.tokens.get(ids[1])
    assert await still.stores.managed.names.reserve(msgspec.structs.replace(token, name=reserved))
    for descending in (True, False):
        query = Query(sort="name", descending=descending, limit=1)
        walk = [token.token_id async for tokens in pages(still, query) for token in tokens]
        assert walk == ids[:: -1 if descending else 1]


@pytest.mark.slow
async def test_a_filter_that_finds_few_reads_on_to_the_end(make_service: MakeService) -> None:
    """What is left out must not end a page early: slices grow until enough is found."""
    service = await make_service(shards=16, background=False)
    for number in range(330):
        await create(service, f"token {number:03}", scopes=("rare",) if number % 110 == 0 else ())
    for sort in SORTS:
        query = Query(scope="rare", sort=sort, descending=False, limit=2)
        walk = [token.name async for tokens in pages(service, query) for token in tokens]
        assert sorted(walk) == ["token 000", "token 110", "token 220"]


@pytest.mark.parametrize("sort", SORTS)
async def test_a_token_revoked_between_two_slices_hides_no_other(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch, sort: str
) -> None:
    monkeypatch.setattr("service.store.managed.listing_slices._MOST", 4)
    service = await make_service(background=False, wrap=Interrupted)
    passing = [(await create(service, f"passing {number}")).token.token_id for number in range(4)]
    waiting = [partial(service.rules.managed.tokens.revoke, token_id, ADMIN) for token_id in passing]
    ids = await fill(service, 18)
    # Whenever a slice of an index has been read.
    service.stores.shards[0].link.after = dict.fromkeys(("read_index", "ZREVRANGEBYLEX"), waiting)
    tokens, _, _ = await service.rules.managed.queries.page(Query(sort=sort))
    assert {token.token_id for token in tokens} >= set(ids)


@pytest.mark.parametrize("sort", SORTS)
async def test_slices_go_on_within_one_microsecond(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch, sort: str
) -> None:
    monkeypatch.setattr("service.store.managed.listing_slices._MOST", 4)
    service = await make_service(background=False)
    monkeypatch.setattr(service.rules.managed.tokens._lifetime, "begin", lambda: 1000)
    ids = {(await create(service, f"token {number}")).token.token_id for number in range(15)}
    tokens, _, _ = await service.rules.managed.queries.page(Query(sort=sort))
    assert len(tokens) == 15
    assert {token.token_id for token in tokens} == ids
