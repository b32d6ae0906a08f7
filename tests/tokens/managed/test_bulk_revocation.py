"""The kill switch: what it ends, what it says it would end, and that nothing else is touched."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from service.app import Service
from service.errors import Conflict
from service.model import Origin, Outcome, Status
from service.store.managed.query import Query
from service.tokens.managed.bulk import Ending, Part
from tests.builders import ADMIN, actions, create, create_many, outcome, sign_in
from tests.conftest import Clock

BOB = Origin(actor="bob", address="192.0.2.2", channel="api", request_id="r2")
EVERYTHING = Query()


async def revoke(service: Service, query: Query, expected: int, **more: Any) -> Any:
    return await service.rules.managed.bulk.end(query, Ending.REVOKE, ADMIN, Part(expected, **more))


async def deactivate(service: Service, query: Query, expected: int, **more: Any) -> Any:
    return await service.rules.managed.bulk.end(query, Ending.DEACTIVATE, ADMIN, Part(expected, **more))


@pytest.mark.parametrize(
    ("query", "hit"),
    [
        (Query(created_by="bob"), {"b one", "b two"}),
        (Query(scope="orders:read"), {"a one", "b one"}),
        (Query(scope="orders:*"), {"b two"}),  # equality: a filter does not widen
        (Query(text="ONE"), {"a one", "b one"}),
        (Query(created_by="bob", scope="orders:read"), {"b one"}),
        (EVERYTHING, {"a one", "a two", "b one", "b two"}),
        (Query(created_by="nobody"), set()),
    ],
)
@pytest.mark.parametrize("end", [revoke, deactivate])
async def test_it_ends_what_the_query_finds_and_nothing_else(
    service: Service, query: Query, hit: set[str], end: Callable[..., Any]
) -> None:
    created = {
        "a one": await create(service, "a one", scopes=("orders:read",)),
        "a two": await create(service, "a two"),
        "b one": await create(service, "b one", scopes=("orders:read", "x"), origin=BOB),
        "b two": await create(service, "b two", scopes=("orders:*",), origin=BOB),
    }
    matched = await service.rules.managed.bulk.preview(query, Ending.REVOKE if end is revoke else Ending.DEACTIVATE)
    assert (matched.count, {token.name for token in matched.sample}) == (len(hit), hit)
    result = await end(service, query, len(hit))
    assert sorted(result.updated) == sorted(created[name].token.token_id for name in hit)
    assert (result.skipped, result.remaining) == ([], 0)
    works = {name for name, one in created.items() if await outcome(service, one.secret) is Outcome.ACTIVE}
    assert works == set(created) - hit
    done = "token.revoked" if end is revoke else "token.deactivated"
    assert (await actions(service)).count(done) == len(hit)


async def test_another_number_than_expected_changes_nothing(service: Service) -> None:
    created = await create_many(service, "a", "b", "c")
    for expected in (0, 2, 4):
        with pytest.raises(Conflict) as refused:
            await revoke(service, EVERYTHING, expected)
        assert refused.value.code == "count_changed"
    assert {await outcome(service, one.secret) for one in created} == {Outcome.ACTIVE}


async def test_what_is_ended_already_does_not_count(service: Service) -> None:
    active, inactive, revoked = await create_many(service, "active", "inactive", "revoked")
    await service.rules.managed.tokens.update(inactive.token.token_id, {"active": False}, ADMIN)
    await service.rules.managed.tokens.revoke(revoked.token.token_id, ADMIN)
    assert (await service.rules.managed.bulk.preview(EVERYTHING, Ending.DEACTIVATE)).count == 1
    assert (await service.rules.managed.bulk.preview(EVERYTHING, Ending.REVOKE)).count == 2
    assert (await deactivate(service, EVERYTHING, 1)).updated == [active.token.token_id]
    assert len((await revoke(service, EVERYTHING, 2)).updated) == 2
    assert (await service.rules.managed.bulk.preview(EVERYTHING, Ending.REVOKE)).count == 0


@pytest.mark.parametrize(
    ("ending", "status"),
    [(Ending.REVOKE, Status.REVOKED), (Ending.DEACTIVATE, Status.INACTIVE), (Ending.DEACTIVATE, Status.EXPIRED)],
)
async def test_a_filter_for_what_has_ended_ends_nothing_rather_than_everything(
    service: Service, ending: Ending, status: Status
) -> None:
    created = await create(service)
    query = Query(statuses=frozenset({status}))
    matched = await service.rules.managed.bulk.preview(query, ending)
    assert (matched.count, matched.sample) == (0, [])
    assert (await service.rules.managed.bulk.end(query, ending, ADMIN, Part(expected=0))).updated == []
    with pytest.raises(Conflict):
        await service.rules.managed.bulk.end(query, ending, ADMIN, Part(expected=1))
    assert await outcome(service, created.secret) is Outcome.ACTIVE


async def test_many_are_ended_in_slices_that_a_client_may_ask_for_one_by_one(service: Service) -> None:
    names = [f"t{number}" for number in range(205)]
    created = await asyncio.gather(*[create(service, name) for name in names])
    left, ended = len(created), []
    while left:
        result = await revoke(service, EVERYTHING, left, limit=80)
        assert len(result.updated) == min(80, left)
        left -= len(result.updated)
        assert result.remaining == left
        ended += result.updated
    assert sorted(ended) == sorted(one.token.token_id for one in created)
    assert {await outcome(service, one.secret) for one in created} == {Outcome.UNKNOWN}
    assert (await service.rules.managed.queries.statistics()).revoked == len(created)


@pytest.mark.parametrize("query", [EVERYTHING, Query(text="T"), Query(scope="a")])
async def test_each_slice_goes_on_behind_the_one_before_and_a_repeated_one_is_harmless(
    still: Service, query: Query
) -> None:
    created = await create_many(still, *[f"t{number}" for number in range(12)], scopes=("a",))
    result = await revoke(still, query, 12, limit=5)
    late = await create(still, "t late", scopes=("a",))
    ended = [*result.updated]
    assert (len(ended), result.remaining, await outcome(still, late.secret)) == (5, 7, Outcome.ACTIVE)
    while result.next:
        again = await still.rules.managed.bulk.end(query, Ending.REVOKE, ADMIN, Part(limit=5, after=result.next))
        repeated = await still.rules.managed.bulk.end(query, Ending.REVOKE, ADMIN, Part(limit=0, after=result.next))
        ended += again.updated + repeated.updated
        result = repeated
    assert sorted(ended) == sorted(one.token.token_id for one in created)
    # Not agreed to: it was not there when they were counted.
    assert await outcome(still, late.secret) is Outcome.ACTIVE


async def test_a_slice_ends_with_its_time(still: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.tokens.managed.bulk._SECONDS", -1.0)
    monkeypatch.setattr("service.tokens.managed.bulk.STEP", 10)
    await create_many(still, *[f"t{number}" for number in range(25)])
    result, slices = await revoke(still, EVERYTHING, 25), [10]
    assert (len(result.updated), result.remaining) == (10, 15)
    while result.next:
        result = await still.rules.managed.bulk.end(EVERYTHING, Ending.REVOKE, ADMIN, Part(after=result.next))
        slices.append(len(result.updated))
    assert slices == [10, 10, 5]


async def test_what_cannot_be_changed_is_skipped_and_counts_as_come_to(still: Service, clock: Clock) -> None:
    created = await create_many(still, "one", "two", days=1)
    await create_many(still, "three", "four")
    clock.forward(2 * 86400)
    result = await still.rules.managed.bulk.set_active_matching(EVERYTHING, False, ADMIN, Part(expected=4, limit=2))
    assert result.skipped == [(one.token.token_id, "token_expired") for one in created]
    result = await still.rules.managed.bulk.set_active_matching(EVERYTHING, False, ADMIN, Part(after=result.next))
    assert (len(result.updated), result.remaining, result.next) == (2, 0, None)


async def test_a_sample_is_ten_at_most(service: Service) -> None:
    await create_many(service, *[f"t{number}" for number in range(12)])
    matched = await service.rules.managed.bulk.preview(EVERYTHING, Ending.REVOKE)
    assert (matched.count, len(matched.sample)) == (12, 10)


async def test_a_clock_that_was_set_back_hides_no_token(still: Service, clock: Clock) -> None:
    created = await create_many(still, "one", "two", "three")
    clock.forward(-3600)
    assert len((await revoke(still, EVERYTHING, 3)).updated) == 3
    assert [await outcome(still, one.secret) for one in created] == [Outcome.UNKNOWN] * 3


async def test_tokens_made_while_it_runs_are_left_and_found_by_the_next_count(service: Service) -> None:
    await create_many(service, *[f"t{number}" for number in range(30)])
    made, result = await asyncio.gather(
        create(service, "late"), revoke(service, EVERYTHING, 30), return_exceptions=True
    )
    if isinstance(result, Conflict):  # it was there in time to be counted
        assert await outcome(service, made.secret) is Outcome.ACTIVE
        result = await revoke(service, EVERYTHING, 31)
    left = await service.rules.managed.bulk.preview(EVERYTHING, Ending.REVOKE)
    assert len(result.updated) + left.count == 31


async def test_all_sessions_of_a_user_are_ended_and_no_others(service: Service) -> None:
    own = [await sign_in(service, "uma") for _ in range(3)]
    other = await sign_in(service, "vera")
    assert await service.rules.sessions.end_all("Uma ", ADMIN) == 3
    assert {await outcome(service, secret) for secret in own} == {Outcome.UNKNOWN}
    assert await outcome(service, other) is Outcome.ACTIVE
    assert await service.rules.sessions.end_all("uma", ADMIN) == 0
