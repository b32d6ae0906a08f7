"""Changes of several tokens: each whole, each told; what cannot be changed is skipped with why."""

import asyncio
from typing import Any

import pytest

from service.app import Service
from service.errors import Conflict, StoreUnavailable
from service.model import Outcome, Status
from service.store.driver.scripts import LETTERS, Script
from service.store.managed.query import Query
from service.store.pacing import UNDER_WAY
from service.tokens.managed.bulk import Ending, Part
from service.tokens.managed.seals import Seals
from tests.builders import ADMIN, DAY, actions, create, create_many, outcome
from tests.conftest import MakeService
from tests.links import Recording, busy

NEVER_WAS = "00" + "f" * 14


async def test_several_are_switched_off_and_on_and_the_rest_is_skipped_with_why(still: Service, clock: object) -> None:
    created = await create_many(still, "one", "two", "gone")
    ids = [one.token.token_id for one in created]
    await still.rules.managed.tokens.revoke(ids[2], ADMIN)
    for active, expected in ((False, Outcome.UNKNOWN), (True, Outcome.ACTIVE)):
        result = await still.rules.managed.bulk.set_active([*ids, NEVER_WAS, "not an id"], active, ADMIN)
        assert result.updated == ids[:2]
        assert result.skipped == [(ids[2], "token_revoked"), (NEVER_WAS, "not_found"), ("not an id", "not_found")]
        assert [await outcome(still, one.secret) for one in created] == [expected, expected, Outcome.UNKNOWN]
    assert (await actions(still)).count("token.deactivated") == 2


async def test_one_id_given_twice_is_changed_once(still: Service) -> None:
    token_id = (await create(still)).token.token_id
    await still.rules.managed.bulk.set_active([token_id] * 5, False, ADMIN)
    assert await actions(still) == ["token.created", "token.deactivated"]


async def test_more_than_a_slice_is_changed_whole(make_service: MakeService) -> None:
    service = await make_service(shards=16, background=False)
    created = await create_many(service, *[f"token {number}" for number in range(205)])
    ids = [one.token.token_id for one in created]
    result = await service.rules.managed.bulk.set_active(ids, False, ADMIN)
    assert (result.updated, result.skipped) == (ids, [])
    assert (await service.rules.managed.queries.statistics()).inactive == 205
    result = await service.rules.managed.bulk.set_active(ids, True, ADMIN)
    assert (result.updated, result.skipped) == (ids, [])
    assert (await service.rules.managed.queries.statistics()).active == 205


async def test_several_are_revoked_and_what_never_was_is_skipped(still: Service) -> None:
    created = await create_many(still, "one", "two", "three")
    ids = [one.token.token_id for one in created]
    result = await still.rules.managed.bulk.revoke([ids[0], NEVER_WAS, ids[1]], ADMIN)
    assert (result.updated, result.skipped) == ([ids[0], ids[1]], [(NEVER_WAS, "not_found")])
    assert [await outcome(still, one.secret) for one in created] == ["unknown", "unknown", "active"]


async def test_an_expired_token_is_skipped(still: Service, clock: object) -> None:
    token_id = (await create(still, days=1)).token.token_id
    clock.forward(2 * DAY)  # type: ignore[attr-defined]
    for active in (True, False):
        assert (await still.rules.managed.bulk.set_active([token_id], active, ADMIN)).skipped == [
            (token_id, "token_expired")
        ]


async def test_a_filter_that_no_longer_finds_as_many_is_refused(still: Service) -> None:
    created = await create_many(still, "ci 1", "ci 2", "ci 3")
    with pytest.raises(Conflict) as refused:
        await still.rules.managed.bulk.set_active_matching(Query(text="ci"), False, ADMIN, Part(expected=2))
    assert refused.value.code == "count_changed"
    assert {await outcome(still, one.secret) for one in created} == {Outcome.ACTIVE}
    result = await still.rules.managed.bulk.set_active_matching(Query(text="ci"), False, ADMIN, Part(expected=3))
    assert result.updated == [one.token.token_id for one in created]
    assert {await outcome(still, one.secret) for one in created} == {Outcome.UNKNOWN}


@pytest.mark.parametrize("others", [0, 41])
@pytest.mark.parametrize("is_done", [False, True], ids=["not done", "reply lost"])
@pytest.mark.parametrize(
    "lost",
    ["find_names", "read_index", "count_statuses", "HGETALL", "deactivate_tokens", "rotate_or_update_token"],
)
async def test_a_change_of_many_outlasts_a_redis_that_is_busy_for_a_moment(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch, lost: str, others: int, *, is_done: bool
) -> None:
    monkeypatch.setattr("service.store.pacing._TRIED_AGAIN_AFTER", (0.0, 0.0))
    failures: list[int] = []
    service = await make_service(background=False, wrap=busy(lost, failures, is_done=is_done))
    created = await create_many(service, *[f"token {number}" for number in range(40)])
    ids, change = sorted(one.token.token_id for one in created), service.rules.managed.bulk.set_active_matching
    # Of few the names are searched, of most the list is read.
    await create_many(service, *[f"other {number}" for number in range(others)])
    for active, done in ((False, "token.deactivated"), (True, "token.activated")):
        if active is (lost == "rotate_or_update_token"):
            failures += [1, 2]
        result = await change(Query(text="token"), active, ADMIN, Part(40))
        assert (sorted(result.updated), result.skipped, failures) == (ids, [], [])
        assert (await actions(service)).count(done) == 40
    failures += range(1, 1000)
    if lost not in ("deactivate_tokens", "rotate_or_update_token"):
        with pytest.raises(StoreUnavailable):
            await change(Query(text="token"), False, ADMIN, Part(40))


@pytest.mark.parametrize("status", [{Status.ACTIVE}, {Status.ACTIVE, Status.INACTIVE}], ids=["active", "both"])
@pytest.mark.parametrize("is_done", [False, True], ids=["not done", "reply lost"])
@pytest.mark.parametrize("through", range(6))
async def test_a_change_of_many_that_redis_breaks_off_says_where_to_go_on(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch, through: int, status: set[Status], *, is_done: bool
) -> None:
    # Asked for again the first slice would be refused: a part is changed, and the filter finds another number.
    monkeypatch.setattr("service.store.pacing._TRIED_AGAIN_AFTER", ())
    # A slice must not end because the machine is busy.
    monkeypatch.setattr("service.tokens.managed.bulk._SECONDS", 60.0)
    failures: list[int] = []
    service = await make_service(background=False, wrap=busy("deactivate_tokens", failures, is_done=is_done))
    ids = {one.token.token_id for one in await create_many(service, *[f"token {number}" for number in range(90)])}
    query, bulk = Query(text="token", statuses=frozenset(status)), service.rules.managed.bulk
    matched = await bulk.preview(query, Ending.DEACTIVATE)
    failures += [*[1] * 20, *[0] * through]
    done = await bulk.set_active_matching(query, False, ADMIN, Part(matched.count))
    # In steps of sixteen, of which one was refused; another may have overtaken it, and is made without an answer.
    assert (len(done.updated) % 16, done.remaining) == (0, 90 - len(done.updated))
    assert 16 * (through - UNDER_WAY + 1) <= len(done.updated) <= 16 * through
    updated = set(done.updated)
    if not is_done:
        with pytest.raises(StoreUnavailable):
            await bulk.set_active_matching(query, False, ADMIN, Part(after=done.next))
    failures.clear()
    while done.next:
        done = await bulk.set_active_matching(query, False, ADMIN, Part(after=done.next))
        updated.update(done.updated)
    assert (await service.rules.managed.queries.statistics()).inactive == len(ids)
    # What was made without an answer is not active any more, and a filter for that alone does not find it again.
    assert updated == ids or (len(status) == 1 and updated < ids)


@pytest.mark.parametrize("ending", Ending)
async def test_a_step_is_one_call_whatever_becomes_of_each_token(make_service: MakeService, ending: Ending) -> None:
    service = await make_service(background=False, wrap=Recording)
    created = await create_many(service, "one", "forged", "two", "over", "of another type", "three")
    one, forged, two, over, strange, three = [token.token.token_id for token in created]
    shard = service.stores.shards[0]
    await shard.link.execute("HSET", shard.keys.metadata(forged), LETTERS["subject"], "root")
    await service.rules.managed.tokens.revoke(over, ADMIN)
    await shard.link.execute("SET", shard.keys.metadata(strange), "somebody else's")
    shard.link.asked.clear()
    ids = [one, forged, two, over, strange, three]
    if ending is Ending.REVOKE:
        result = await service.rules.managed.bulk.revoke(ids, ADMIN)
    else:
        result = await service.rules.managed.bulk.set_active(ids, False, ADMIN)
    ended = [one, forged, two, over, three] if ending is Ending.REVOKE else [one, forged, two, three]
    refused = [] if ending is Ending.REVOKE else [(over, "token_revoked")]
    assert (result.updated, result.skipped) == (ended, [*refused, (strange, "not_found")])
    assert {await outcome(service, token.secret) for token in created if token.token.token_id in ended} == {"unknown"}
    # The record that is not ours is by itself.
    assert [args[1] for args in shard.link.asked].count(Script(f"{ending}_tokens")._sha) == 2
    assert (await actions(service)).count(f"token.{ending}d") == 4 + (ending is Ending.REVOKE)


async def test_activations_are_checked_by_one_question_and_made_in_short_steps(
    make_service: MakeService,
) -> None:
    service = await make_service(background=False, wrap=Recording)
    ids = [one.token.token_id for one in await create_many(service, *[f"token {number}" for number in range(40)])]
    await service.rules.managed.bulk.set_active(ids, False, ADMIN)
    asked = service.stores.shards[0].link.asked
    asked.clear()
    assert (await service.rules.managed.bulk.set_active(ids, True, ADMIN)).updated == ids
    checked = [args for args in asked if args[0] == "MGET"]
    changed = [args for args in asked if args[1] == Script("rotate_or_update_token")._sha]
    assert (len(checked), len(changed)) == (1, 3)
    # The rows of their names, which stay, are not sent along.
    assert not [word for args in changed for word in args if isinstance(word, bytes) and word.startswith(b"token ")]


async def test_a_step_of_activations_is_one_call_whatever_becomes_of_each_token(
    make_service: MakeService,
) -> None:
    service = await make_service(background=False, wrap=Recording)
    created = await create_many(service, "one", "forged", "two", "over", "put back", "on")
    one, forged, two, over, put_back, on = [token.token.token_id for token in created]
    shard = service.stores.shards[0]
    before = await shard.link.execute("HGETALL", shard.keys.metadata(put_back))
    await service.rules.managed.bulk.set_active([one, forged, two, put_back], False, ADMIN)
    await shard.link.execute("HSET", shard.keys.metadata(forged), LETTERS["subject"], "root")
    await service.rules.managed.tokens.revoke(over, ADMIN)
    await shard.link.execute("HSET", shard.keys.metadata(put_back), *before)
    shard.link.asked.clear()
    result = await service.rules.managed.bulk.set_active([one, forged, two, over, put_back, on], True, ADMIN)
    assert result.updated == [one, two, on]
    assert result.skipped == [(forged, "record_tampered"), (over, "token_revoked"), (put_back, "record_tampered")]
    assert [await outcome(service, token.secret) for token in created] == [
        "active" if token.token.token_id in result.updated else "unknown" for token in created
    ]
    assert [args[1] for args in shard.link.asked].count(Script("rotate_or_update_token")._sha) == 1
    assert (await actions(service)).count("token.activated") == 2


# As a record's seal is checked, as its credential is, and as the seal of what is written is made: of a token with all
# the metadata there may be each takes a thirtieth of a millisecond, and a step has up to 64 of them.
@pytest.mark.parametrize(
    ("active", "made"), [(True, ("is_ours", "_agrees", "of")), (False, ("is_ours", "of"))], ids=["activate", "end"]
)
async def test_others_may_have_a_turn_between_two_tokens_of_a_step(
    still: Service, monkeypatch: pytest.MonkeyPatch, *, active: bool, made: tuple[str, ...]
) -> None:
    ids = [one.token.token_id for one in await create_many(still, *[f"token {number}" for number in range(9)])]
    await still.rules.managed.bulk.set_active(ids, not active, ADMIN)
    had, seen = [0], {name: list[int]() for name in made}

    async def others() -> None:
        while True:
            had[0] += 1
            await asyncio.sleep(0)

    def noting(name: str) -> None:
        act = getattr(Seals, name)

        def noted(*args: Any) -> Any:
            seen[name].append(had[0])
            return act(*args)

        monkeypatch.setattr(Seals, name, noted)

    for name in made:
        noting(name)
    # Each turn is used up by what was begun in it.
    monkeypatch.setattr("service.store.pacing._SHARE_SECONDS", 0.0)
    asking = asyncio.ensure_future(others())
    assert (await still.rules.managed.bulk.set_active(ids, active, ADMIN)).updated == ids
    asking.cancel()
    assert {name: len(set(turns)) for name, turns in seen.items()} == dict.fromkeys(made, len(ids))
