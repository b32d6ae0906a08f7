"""Rotation: a new secret under the same id, the old one for an overlap, and never a third that works."""

import asyncio
from typing import Any

import pytest

from service.app import Service
from service.errors import Conflict, NotFound, StoreUnavailable
from service.model import Kind, Outcome, RateLimit, Status
from service.store.managed import records
from service.store.managed.query import Query
from service.tokens.managed.tokens import Created
from tests.builders import ADMIN, DAY, actions, all_keys, create, outcome, peeked, works
from tests.conftest import Clock, MakeService, TurnTime

OVERLAP = 3600


async def rotate(service: Service, created: Created, **more: Any) -> Created:
    return await service.rules.managed.rotation.rotate(created.token.token_id, ADMIN, **more)


async def test_without_an_overlap_the_old_secret_stops_with_the_answer(service: Service) -> None:
    first = await create(service)
    second = await rotate(service, first)
    assert second.secret != first.secret
    assert second.token.token_id == first.token.token_id
    assert await works(service, first.secret, second.secret) == [False, True]
    assert await peeked(service, first.secret) is Outcome.REVOKED
    assert (second.token.rotations, second.token.predecessor) == (1, b"")
    assert await actions(service, first.token.token_id) == ["token.created", "token.rotated"]


@pytest.mark.parametrize("overlap_seconds", [0, OVERLAP])
async def test_what_stands_in_the_place_of_derived_tokens_keeps_no_old_secret(
    service: Service, overlap_seconds: int
) -> None:
    first = await create(service)
    token_id = first.token.token_id
    shard = service.stores.shards.of_id(token_id)
    assert shard is not None
    await shard.link.execute("SET", shard.keys.derived(token_id), "")
    second = await rotate(service, first, overlap_seconds=overlap_seconds)
    assert await works(service, first.secret, second.secret) == [overlap_seconds > 0, True]
    await service.rules.managed.tokens.revoke(token_id, ADMIN)
    assert await works(service, first.secret, second.secret) == [False, False]


async def test_in_the_overlap_both_secrets_work_and_speak_for_the_same_token(service: Service) -> None:
    first = await create(service, scopes=("a:b",), subject="ci-bot")
    second = await rotate(service, first, overlap_seconds=OVERLAP)
    old = await service.rules.authority.verify(first.secret.encode(), (Kind.MANAGED,))
    new = await service.rules.authority.verify(second.secret.encode(), (Kind.MANAGED,))
    assert old.credential is not None
    assert new.credential is not None
    assert (old.credential.token_id, old.credential.subject, old.credential.scopes) == (
        new.credential.token_id,
        "ci-bot",
        ("a:b",),
    )
    assert old.credential.expires_at == int(service.clock()) + OVERLAP
    assert new.credential.expires_at == first.token.expires_at


async def test_the_overlap_ends_by_itself(faked: Service, turn_time: TurnTime) -> None:
    first = await create(faked)
    second = await rotate(faked, first, overlap_seconds=OVERLAP)
    turn_time(OVERLAP - 2)
    assert await works(faked, first.secret, second.secret) == [True, True]
    turn_time(3)
    assert await works(faked, first.secret, second.secret) == [False, True]
    assert await peeked(faked, first.secret) is Outcome.REVOKED


async def test_the_old_secrets_record_says_when_it_ends_even_if_redis_kept_it(
    make_service: MakeService, clock: Clock
) -> None:
    service = await make_service(background=False)
    first = await create(service)
    await rotate(service, first, overlap_seconds=OVERLAP)
    clock.forward(OVERLAP + 1)
    assert await outcome(service, first.secret) is Outcome.EXPIRED


async def test_the_overlap_never_passes_the_tokens_expiry(service: Service) -> None:
    first = await create(service, days=0.01)
    second = await rotate(service, first, overlap_seconds=7 * DAY)
    assert second.token.predecessor_until == first.token.expires_at


async def test_a_second_rotation_leaves_one_predecessor(service: Service) -> None:
    first = await create(service)
    second = await rotate(service, first, overlap_seconds=OVERLAP)
    third = await rotate(service, first, overlap_seconds=OVERLAP)
    assert await works(service, first.secret, second.secret, third.secret) == [False, True, True]
    fourth = await rotate(service, first)
    assert await works(service, second.secret, third.secret, fourth.secret) == [False, False, True]
    credentials = [key for key in await all_keys(service) if b":c:" in key]
    assert len(credentials) == 1


async def test_racing_rotations_leave_the_last_secret_and_one_predecessor(service: Service) -> None:
    first = await create(service)

    async def racer() -> str:
        try:
            return (await rotate(service, first, overlap_seconds=OVERLAP)).secret
        except StoreUnavailable:  # too many came in between: nothing was changed
            return ""

    secrets = [secret for secret in await asyncio.gather(*[racer() for _ in range(20)]) if secret]
    token = await service.rules.managed.tokens.get(first.token.token_id)
    assert token.rotations == len(secrets) >= 8
    assert len(set(secrets)) == len(secrets)
    assert sum(await works(service, first.secret, *secrets)) == 2


async def test_the_overlap_can_be_ended_at_once_and_again(service: Service) -> None:
    first = await create(service)
    second = await rotate(service, first, overlap_seconds=OVERLAP)
    token = await service.rules.managed.rotation.end_overlap(first.token.token_id, ADMIN)
    assert (token.predecessor, token.predecessor_until) == (b"", 0)
    assert await works(service, first.secret, second.secret) == [False, True]
    assert await service.rules.managed.rotation.end_overlap(first.token.token_id, ADMIN) == token
    assert await actions(service, first.token.token_id) == ["token.created", "token.rotated", "token.updated"]


async def test_nothing_is_left_to_end_of_the_overlap_of_a_token_that_is_switched_off(service: Service) -> None:
    first = await create(service)
    await rotate(service, first, overlap_seconds=OVERLAP)
    await service.rules.managed.tokens.update(first.token.token_id, {"active": False}, ADMIN)
    before = await actions(service, first.token.token_id)
    await service.rules.managed.rotation.end_overlap(first.token.token_id, ADMIN)
    assert await actions(service, first.token.token_id) == before


@pytest.mark.parametrize("state", ["inactive", "revoked"])
async def test_deactivating_ends_both_secrets_and_activating_brings_back_the_present_one(
    service: Service, state: str
) -> None:
    first = await create(service)
    second = await rotate(service, first, overlap_seconds=OVERLAP)
    if state == "inactive":
        await service.rules.managed.tokens.update(first.token.token_id, {"active": False}, ADMIN)
    else:
        await service.rules.managed.tokens.revoke(first.token.token_id, ADMIN)
    assert await works(service, first.secret, second.secret) == [False, False]
    assert [await peeked(service, one.secret) for one in (first, second)] == [Outcome.REVOKED, Outcome(state)]
    if state == "inactive":
        await service.rules.managed.tokens.update(first.token.token_id, {"active": True}, ADMIN)
        assert await works(service, first.secret, second.secret) == [False, True]


async def test_editing_in_the_overlap_binds_both_secrets_and_keeps_its_end(service: Service) -> None:
    first = await create(service, scopes=("a:b", "c:d"))
    second = await rotate(service, first, overlap_seconds=OVERLAP)
    edited = await service.rules.managed.tokens.update(first.token.token_id, {"scopes": ("a:b",)}, ADMIN)
    assert edited.predecessor_until == second.token.predecessor_until
    for secret in (first.secret, second.secret):
        assert await outcome(service, secret, required=("a:b",)) is Outcome.ACTIVE
        assert await outcome(service, secret, required=("c:d",)) is Outcome.INSUFFICIENT_SCOPE


async def test_an_earlier_expiry_given_in_the_overlap_shortens_it(service: Service) -> None:
    first = await create(service)
    await rotate(service, first, overlap_seconds=OVERLAP)
    soon = int(service.clock()) + 60
    edited = await service.rules.managed.tokens.update(first.token.token_id, {"expires_at": soon}, ADMIN)
    assert edited.predecessor_until == soon


async def test_a_token_that_is_switched_off_can_be_rotated_and_keeps_no_old_secret(service: Service) -> None:
    first = await create(service)
    await service.rules.managed.tokens.update(first.token.token_id, {"active": False}, ADMIN)
    second = await rotate(service, first, overlap_seconds=OVERLAP)
    assert await works(service, first.secret, second.secret) == [False, False]
    assert second.token.predecessor == b""
    await service.rules.managed.tokens.update(first.token.token_id, {"active": True}, ADMIN)
    assert await works(service, first.secret, second.secret) == [False, True]


async def test_what_has_ended_is_not_rotated(service: Service, clock: Clock) -> None:
    revoked, expired = await create(service, "a"), await create(service, "b", days=1)
    await service.rules.managed.tokens.revoke(revoked.token.token_id, ADMIN)
    with pytest.raises(Conflict, match="revoked"):
        await rotate(service, revoked)
    clock.forward(DAY + 1)
    with pytest.raises(Conflict, match="expired"):
        await rotate(service, expired)
    for unknown in ("00ffffffffffffff", "zz", "ff00000000000000"):
        with pytest.raises(NotFound):
            await service.rules.managed.rotation.rotate(unknown, ADMIN)


async def test_a_rate_limit_and_the_uses_are_the_tokens_not_the_secrets(service: Service) -> None:
    first = await create(service, rate_limits=(RateLimit(2, 3600),), max_uses=50)
    assert await works(service, first.secret, first.secret, first.secret) == [True, True, False]
    second = await rotate(service, first, overlap_seconds=OVERLAP)
    assert await outcome(service, second.secret) is Outcome.RATE_LIMITED
    assert await outcome(service, first.secret) is Outcome.RATE_LIMITED
    assert (await service.rules.managed.tokens.get(first.token.token_id)).uses_left == 48


async def test_the_last_use_of_the_old_secret_is_kept_apart(service: Service) -> None:
    first = await create(service)
    second = await rotate(service, first, overlap_seconds=OVERLAP)
    await works(service, second.secret)
    await service.rules.usage.flush()
    assert (await service.rules.managed.tokens.get(first.token.token_id)).predecessor_used_at == 0
    await works(service, first.secret)
    await service.rules.usage.flush()
    assert (await service.rules.managed.tokens.get(first.token.token_id)).predecessor_used_at > 0
    third = await rotate(service, first, overlap_seconds=OVERLAP)
    assert third.token.predecessor_used_at == 0


async def test_a_rotated_token_is_found_by_its_new_last_characters_alone(service: Service) -> None:
    first = await create(service, "alpha")
    second = await rotate(service, first)
    await service.rules.managed.tokens.update(first.token.token_id, {"name": "beta"}, ADMIN)
    third = await rotate(service, first)
    found = {
        last_eight: [token.token_id for token in (await service.rules.managed.queries.page(Query(text=last_eight)))[0]]
        for last_eight in (first.secret[-8:], second.secret[-8:], third.secret[-8:])
    }
    assert list(found.values()) == [[], [], [first.token.token_id]]
    assert (await service.rules.managed.queries.statistics()).total == 1
    await service.rules.managed.tokens.revoke(first.token.token_id, ADMIN)
    assert (await create(service, "beta")).token.status(service.clock()) is Status.ACTIVE


async def test_after_a_melee_of_changes_no_secret_outlives_the_token(service: Service) -> None:
    first = await create(service)
    token_id, secrets = first.token.token_id, [first.secret]

    async def change(number: int) -> None:
        try:
            if number % 3 == 0:
                secrets.append((await rotate(service, first, overlap_seconds=OVERLAP)).secret)
            elif number % 3 == 1:
                await service.rules.managed.tokens.update(token_id, {"active": number % 2 == 0}, ADMIN)
            else:
                await service.rules.managed.tokens.update(token_id, {"description": f"edit {number}"}, ADMIN)
        except StoreUnavailable:  # too many came in between: nothing was changed
            pass

    await asyncio.gather(*[change(number) for number in range(24)])
    assert len(secrets) > 2
    assert sum(await works(service, *secrets)) <= 2
    assert len([key for key in await all_keys(service) if b":c:" in key]) <= 2
    await service.rules.managed.tokens.revoke(token_id, ADMIN)
    assert not any(await works(service, *secrets))
    assert [key for key in await all_keys(service) if b":c:" in key] == []


async def test_a_record_changed_outside_the_service_is_not_rotated_or_edited(service: Service) -> None:
    """Whoever writes to Redis could else have the service seal wider scopes, or a predecessor of their own."""
    victim, own = await create(service, "victim", scopes=("admin:all",)), await create(service, "own")
    shard = service.stores.shards.of_id(victim.token.token_id)
    assert shard is not None
    own_digest = own.token.digest
    for name, value in (("scopes", "more:*"), ("predecessor", own_digest), ("predecessor_until", "99999999999")):
        planted = records.LETTERS[name], value
        await shard.link.execute("HSET", shard.keys.metadata(victim.token.token_id), *planted)
        with pytest.raises(Conflict, match="outside the service"):
            await rotate(service, victim)
        with pytest.raises(Conflict, match="outside the service"):
            await service.rules.managed.tokens.update(victim.token.token_id, {"description": "x"}, ADMIN)
        text = {"scopes": "admin:all", "predecessor": ""}.get(name, "0")
        await shard.link.execute("HSET", shard.keys.metadata(victim.token.token_id), planted[0], text)
    await service.rules.managed.tokens.update(victim.token.token_id, {"description": "x"}, ADMIN)
    await service.rules.managed.tokens.revoke(victim.token.token_id, ADMIN)
