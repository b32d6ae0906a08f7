"""A token's states: switched off and on, ended by somebody or by time; refused from the moment a change returned."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from service.app import Service
from service.errors import NotFound
from service.model import Outcome, Status
from service.store.driver.replies import WrongType
from service.store.managed.query import Query
from service.store.managed.search import Blocks
from service.store.managed.tokens import ManagedStore
from tests.builders import ADMIN, DAY, actions, all_keys, audit, create, outcome, refused, update
from tests.conftest import Clock, MakeService, TurnTime
from tests.tokens.managed.test_import_races import imported, take


async def test_switched_off_it_is_refused_and_switched_on_it_works_again(still: Service) -> None:
    created = await create(still)
    for _ in range(2):
        off = await update(still, created.token, active=False)
        assert off.status(still.clock()) is Status.INACTIVE
        assert await outcome(still, created.secret) == "unknown"
        on = await update(still, created.token, active=True)
        assert on.status(still.clock()) is Status.ACTIVE
        assert await outcome(still, created.secret) == "active"
    assert await actions(still) == ["token.created"] + ["token.deactivated", "token.activated"] * 2


async def test_switched_off_twice_it_is_told_once(still: Service) -> None:
    token = (await create(still)).token
    for _ in range(3):
        await update(still, token, active=False)
    assert await actions(still) == ["token.created", "token.deactivated"]


async def test_a_token_switched_off_can_be_edited_and_stays_off(still: Service) -> None:
    created = await create(still, "ci")
    await update(still, created.token, active=False)
    await update(still, created.token, name="new", scopes=("b",))
    assert await outcome(still, created.secret) == "unknown"
    await update(still, created.token, active=True)
    assert await outcome(still, created.secret, required=("b",)) == "active"


async def test_switching_off_and_editing_go_together(still: Service) -> None:
    created = await create(still)
    changed = await update(still, created.token, active=False, description="put away")
    assert (changed.active, changed.description) == (False, "put away")
    assert await outcome(still, created.secret) == "unknown"
    entry = (await audit(still))[-1]
    assert (entry.action, entry.after) == ("token.deactivated", {"active": False, "description": "put away"})
    assert (await still.rules.managed.queries.statistics()).inactive == 1
    await update(still, created.token, active=True)
    assert await outcome(still, created.secret) == "active"


@pytest.mark.parametrize("refusal", ["name_taken", "invalid_request"])
async def test_switching_off_together_with_what_is_refused_changes_nothing(still: Service, refusal: str) -> None:
    created = await create(still, "mine")
    await create(still, "taken")
    changes = {"name_taken": {"name": "taken"}, "invalid_request": {"expires_at": 1}}[refusal]
    assert await refused(still, created.token, active=False, **changes) == refusal
    assert await still.rules.managed.tokens.get(created.token.token_id) == created.token
    assert await outcome(still, created.secret) == "active"
    assert await actions(still) == ["token.created"] * 2


async def test_switching_off_and_editing_ends_the_old_secret_too(still: Service) -> None:
    created = await create(still)
    await still.rules.managed.rotation.rotate(created.token.token_id, ADMIN, overlap_seconds=DAY)
    assert await outcome(still, created.secret) == "active"
    await update(still, created.token, active=False, description="put away")
    assert await outcome(still, created.secret) == "unknown"
    await update(still, created.token, active=True)
    assert await outcome(still, created.secret) == "unknown"


async def test_revoked_it_is_refused_for_good_and_revoking_again_is_harmless(still: Service) -> None:
    created = await create(still)
    for _ in range(2):
        await still.rules.managed.tokens.revoke(created.token.token_id, ADMIN)
        assert await outcome(still, created.secret) == "unknown"
    assert await actions(still) == ["token.created", "token.revoked"]
    for changes in ({"active": True}, {"active": False}, {"name": "new"}, {"expires_at": int(still.clock()) + DAY}):
        assert await refused(still, created.token, **changes) == "token_revoked"
    assert (await still.rules.managed.tokens.get(created.token.token_id)).status(still.clock()) is Status.REVOKED


async def test_a_token_switched_off_or_expired_can_be_revoked(still: Service, clock: Clock) -> None:
    off, late = await create(still, "off"), await create(still, "late", days=1)
    await update(still, off.token, active=False)
    clock.forward(2 * DAY)
    for created in (off, late):
        await still.rules.managed.tokens.revoke(created.token.token_id, ADMIN)
        assert (await still.rules.managed.tokens.get(created.token.token_id)).status(still.clock()) is Status.REVOKED
        assert await outcome(still, created.secret) == "unknown"


@pytest.mark.parametrize("swept", [False, True])
async def test_an_expired_token_is_refused_until_it_gets_another_date(
    aging: Service, clock: Clock, *, swept: bool
) -> None:
    created = await create(aging, days=1)
    clock.forward(2 * DAY)
    if swept:
        assert await aging.rules.managed.sweeper.sweep() == 1
    assert await outcome(aging, created.secret) in (Outcome.EXPIRED, Outcome.UNKNOWN)
    for changes in ({"active": True}, {"active": False}, {"description": "x"}):
        assert await refused(aging, created.token, **changes) == "token_expired"
    await update(aging, created.token, expires_at=int(aging.clock()) + DAY)
    assert await outcome(aging, created.secret) == "active"
    counted = await aging.rules.managed.queries.statistics()
    assert (counted.active, counted.expired, counted.total) == (1, 0, 1)


@pytest.mark.parametrize("round_number", range(3))
async def test_a_revocation_wins_against_any_racing_change(still: Service, round_number: int) -> None:
    created = await create(still)
    await update(still, created.token, active=False)
    racing: list[Any] = [update(still, created.token, active=True) for _ in range(4)]
    racing.insert(round_number * 2, still.rules.managed.tokens.revoke(created.token.token_id, ADMIN))
    await asyncio.gather(*racing, return_exceptions=True)
    assert await outcome(still, created.secret) == "unknown"
    assert (await still.rules.managed.tokens.get(created.token.token_id)).status(still.clock()) is Status.REVOKED


@pytest.mark.parametrize("is_off", [True, False])
async def test_who_switches_off_is_told_so_though_another_switches_it_on_meanwhile(
    still: Service, monkeypatch: pytest.MonkeyPatch, *, is_off: bool
) -> None:
    created, end = await create(still), ManagedStore.end
    if is_off:
        await update(still, created.token, active=False)

    async def raced(self: ManagedStore, *args: Any, **named: Any) -> list[int]:
        monkeypatch.setattr(ManagedStore, "end", end)
        await update(still, created.token, active=False)
        done = await end(self, *args, **named)
        await update(still, created.token, active=True)
        return done

    monkeypatch.setattr(ManagedStore, "end", raced)
    assert not (await update(still, created.token, active=False)).active


async def test_a_revocation_that_four_changes_outran_is_known_as_ours(
    still: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    created, tries, end = await create(still), 0, ManagedStore.end

    async def outrun(self: ManagedStore, *args: Any, **named: Any) -> list[int]:
        nonlocal tries
        tries += 1
        if tries < 5:
            await update(still, created.token, description=f"change {tries}")
        return await end(self, *args, **named)

    monkeypatch.setattr(ManagedStore, "end", outrun)
    await still.rules.managed.tokens.revoke(created.token.token_id, ADMIN)
    assert tries == 5
    assert await refused(still, created.token, description="late") == "token_revoked"


async def test_a_request_sent_after_a_revocation_returned_is_refused_in_every_process(
    make_service: MakeService,
) -> None:
    processes = [await make_service(background=False) for _ in range(3)]
    for number in range(20):
        created = await create(processes[0], f"token {number}")
        for process in processes:
            assert await outcome(process, created.secret) == "active"
        await processes[number % 3].rules.managed.tokens.revoke(created.token.token_id, ADMIN)
        assert {await outcome(process, created.secret) for process in processes} == {Outcome.UNKNOWN}


@pytest.mark.parametrize("action", ["token.revoked", "token.deactivated", "token.rotated"])
async def test_what_ends_a_secret_is_written_down_though_a_list_is_no_list(still: Service, action: str) -> None:
    created = await create(still)
    token_id, managed = created.token.token_id, still.rules.managed
    await asyncio.gather(*[shard.link.execute("SET", shard.keys.expiry, "") for shard in still.stores.shards])
    changes: dict[str, Callable[[], Awaitable[object]]] = {
        "token.revoked": lambda: managed.tokens.revoke(token_id, ADMIN),
        "token.deactivated": lambda: update(still, created.token, active=False),
        "token.rotated": lambda: managed.rotation.rotate(token_id, ADMIN),
    }
    with pytest.raises(WrongType) as caught:
        await changes[action]()
    told = "Redis has something of another type under a key of ours: see who else writes there, and rename it"
    assert caught.value.cause == told
    assert await outcome(still, created.secret) == "unknown"
    assert await actions(still) == ["token.created", action]
    assert (await managed.tokens.get(token_id)).version == created.token.version + 1


@pytest.mark.parametrize("action", ["activate", "deactivate", "revoke"])
async def test_a_token_stays_in_a_list_though_the_one_that_it_goes_to_is_no_list(still: Service, action: str) -> None:
    token, managed = (await create(still)).token, still.rules.managed
    if action == "activate":
        await update(still, token, active=False)
    for shard in still.stores.shards:
        await shard.link.execute("SET", shard.keys.on if action == "activate" else shard.keys.off, "")
    changes: dict[str, Callable[[], Awaitable[object]]] = {
        "activate": lambda: update(still, token, active=True),
        "deactivate": lambda: update(still, token, active=False),
        "revoke": lambda: managed.tokens.revoke(token.token_id, ADMIN),
    }
    with pytest.raises(WrongType):
        await changes[action]()
    for shard in still.stores.shards:
        await shard.link.execute("DEL", shard.keys.on if action == "activate" else shard.keys.off)
    listed, _, _ = await managed.queries.page(Query(statuses=frozenset(Status)))
    assert [one.token_id for one in listed] == [token.token_id]


async def test_no_token_works_that_no_list_has(still: Service) -> None:
    for shard in still.stores.shards:
        await shard.link.execute("SET", shard.keys.on, "")
    with pytest.raises(WrongType):
        await create(still)
    assert not [key for key in await all_keys(still) if key.split(b":")[2] == b"c"]


@pytest.mark.parametrize("shards", [1, 16])
async def test_what_stands_in_the_place_of_a_block_of_names_stops_no_change_and_searches_tell_of_it(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch, turn_time: TurnTime, shards: int
) -> None:
    monkeypatch.setattr("service.store.managed.search._BLOCKS", 16)
    service = await make_service(fake=True, shards=shards, background=False)
    managed = service.rules.managed
    renamed, rotated, gone = [await create(service, name) for name in ("renamed", "rotated", "gone")]
    for shard in service.stores.shards:
        for key in Blocks(shards).keys(shard):
            await shard.link.execute("DEL", key)
            await shard.link.execute("HSET", key, "somebody", "else's")
    assert (await update(service, renamed.token, name="another name")).name == "another name"
    made = [
        renamed.secret,
        (await managed.rotation.rotate(rotated.token.token_id, ADMIN)).secret,
        (await create(service, "new")).secret,
    ]
    assert await take(service, imported(service, "a-secret-of-our-own", "gate")) == "imported"
    assert {await outcome(service, secret) for secret in (*made, "a-secret-of-our-own")} == {Outcome.ACTIVE}
    with pytest.raises(WrongType):
        await managed.queries.page(Query(text="name"))
    await managed.tokens.revoke(gone.token.token_id, ADMIN)
    turn_time(31 * DAY)
    await managed.sweeper.sweep()
    with pytest.raises(NotFound):
        await managed.tokens.get(gone.token.token_id)
