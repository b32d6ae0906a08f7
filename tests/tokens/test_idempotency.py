"""Requests with an Idempotency-Key: a repeat gets the very same secret, which is stored nowhere."""

import asyncio
from typing import Any

import msgspec
import pytest

from service.app import Service
from service.errors import Conflict, Forbidden, StoreUnavailable
from service.model import Credential, Origin, Outcome
from service.tokens.idempotency import Repeatable
from service.tokens.managed.tokens import Created, NewToken
from tests.builders import ADMIN, DAY, actions, create, dump, outcome
from tests.conftest import SERVER_KEY, Clock, MakeService, TurnTime
from tests.links import AWAY, Interrupted

REQUEST = Repeatable("key-1", b'{"name":"ci"}')
TEN_MINUTES = 600


async def again(
    service: Service, name: str = "ci", request: Repeatable = REQUEST, *, origin: Origin = ADMIN
) -> Created:
    return await service.rules.managed.tokens.create(NewToken(name, int(service.clock()) + DAY), origin, request)


async def test_a_repeat_answers_the_same_token_and_creates_nothing(service: Service, clock: Clock) -> None:
    first = await again(service)
    clock.forward(1)  # a duration leads to another date then: the token keeps its own
    second = await again(service)
    assert (second.secret, second.token, second.repeated) == (first.secret, first.token, True)
    assert not first.repeated
    assert (await service.rules.managed.queries.statistics()).total == 1
    assert await actions(service) == ["token.created"]
    assert await outcome(service, first.secret) is Outcome.ACTIVE


async def test_fifty_tries_at_once_create_one_token(service: Service) -> None:
    made = await asyncio.gather(*[again(service) for _ in range(50)])
    assert len({created.secret for created in made}) == 1
    assert sum(not created.repeated for created in made) == 1
    assert (await service.rules.managed.queries.statistics()).total == 1
    assert await actions(service) == ["token.created"]


@pytest.mark.parametrize("shards", [1, 16])
async def test_a_repeat_after_a_change_of_the_server_key_answers_the_same_token(
    make_service: MakeService, shards: int
) -> None:
    before = await make_service(shards=shards, background=False)
    first = await again(before)
    more = {"secret_key": "the next server key, long enough too", "secret_key_previous": SERVER_KEY}
    after = await make_service(shards=shards, background=False, **more)
    second = await again(after)
    assert (second.secret, second.token, second.repeated) == (first.secret, first.token, True)
    with pytest.raises(Conflict) as refused:
        await again(after, request=Repeatable("key-1", b"other words"))
    assert refused.value.code == "idempotency_mismatch"
    # What begins under the new key goes by that, and outlives the old one.
    new = await again(after, "new", Repeatable("key-2", b"words"))
    alone = await make_service(shards=shards, background=False, secret_key=more["secret_key"])
    assert await outcome(alone, new.secret) is Outcome.ACTIVE
    assert (await again(alone, "new", Repeatable("key-2", b"words"))).secret == new.secret


@pytest.mark.parametrize("shards", [1, 16])
async def test_first_tries_at_once_while_keys_are_exchanged_are_one_request(
    make_service: MakeService, shards: int
) -> None:
    new = "the next server key, long enough too"
    begun = await make_service(shards=shards, background=False)
    one = await make_service(shards=shards, background=False, secret_key_previous=new)
    other = await make_service(shards=shards, background=False, secret_key=new, secret_key_previous=SERVER_KEY)
    created = await create(one)
    # Those who have not heard of the new key yet, and the exchange itself, each side first.
    for number, sides in enumerate([(begun, one), (one, begun), *[(one, other), (other, one)] * 4]):
        request = Repeatable(f"key-{number}", b"words")
        tries = [side.rules.managed.rotation.rotate for side in (*sides, *sides)]
        told = await asyncio.gather(
            *[rotate(created.token.token_id, ADMIN, overlap_seconds=DAY, request=request) for rotate in tries]
        )
        assert len({rotated.secret for rotated in told}) == 1
        assert {rotated.token.rotations for rotated in told} == {number + 1}


async def test_the_same_key_for_another_request_is_refused(service: Service) -> None:
    first = await again(service)
    for name in ("ci", "other", "third", "fourth"):  # with sixteen shards these live in several
        with pytest.raises(Conflict) as refused:
            await again(service, name, Repeatable("key-1", b"other words"))
        assert refused.value.code == "idempotency_mismatch"
    with pytest.raises(Conflict) as refused:
        await service.rules.managed.rotation.rotate(first.token.token_id, ADMIN, request=REQUEST)
    assert refused.value.code == "idempotency_mismatch"
    assert (await service.rules.managed.queries.statistics()).total == 1


async def test_keys_of_different_callers_have_nothing_to_do_with_each_other(service: Service) -> None:
    first = await again(service, "a")
    other = Origin(actor="someone else", address="", channel="api", request_id="")
    second = await again(service, "b", origin=other)
    assert second.secret != first.secret
    assert not second.repeated


async def test_a_key_is_forgotten_after_ten_minutes(faked: Service, turn_time: TurnTime) -> None:
    first = await again(faked)
    turn_time(TEN_MINUTES - 5)
    assert (await again(faked)).secret == first.secret
    turn_time(10)
    with pytest.raises(Conflict) as refused:
        await again(faked)
    assert refused.value.code == "name_taken"
    assert (await again(faked, "other")).secret != first.secret


async def test_a_name_that_is_taken_stays_taken_for_a_repeatable_request(service: Service) -> None:
    await create(service)
    for _ in range(2):
        with pytest.raises(Conflict) as refused:
            await again(service)
        assert refused.value.code == "name_taken"


@pytest.mark.parametrize("change", ["renamed", "deactivated", "in its overlap"])
async def test_a_late_repeat_changes_nothing_about_a_token_that_went_on(service: Service, change: str) -> None:
    first = await again(service)
    token_id = first.token.token_id
    if change == "renamed":
        await service.rules.managed.tokens.update(token_id, {"name": "renamed"}, ADMIN)
        await create(service, "ci")
    elif change == "deactivated":
        await service.rules.managed.tokens.update(token_id, {"active": False}, ADMIN)
    else:
        await service.rules.managed.rotation.rotate(token_id, ADMIN, overlap_seconds=60)
    before = await service.rules.managed.tokens.get(token_id)
    works = await outcome(service, first.secret)
    repeat = await again(service)
    assert (repeat.secret, repeat.repeated) == (first.secret, True)
    assert await service.rules.managed.tokens.get(token_id) == before
    assert await outcome(service, first.secret) is works


@pytest.mark.parametrize("end", ["revoked", "expired", "rotated", "overlap over", "switched off"])
async def test_a_repeat_never_answers_a_secret_that_has_ended(service: Service, clock: Clock, end: str) -> None:
    managed = service.rules.managed
    token_id = (await again(service)).token.token_id
    rotate = Repeatable("key-2", b"{}")
    await managed.rotation.rotate(token_id, ADMIN, request=rotate)
    if end == "revoked":
        await managed.tokens.revoke(token_id, ADMIN)
    elif end == "expired":
        clock.forward(DAY + 1)
    else:
        await managed.rotation.rotate(token_id, ADMIN, overlap_seconds=0 if end == "rotated" else 60)
        if end == "switched off":
            # It ends the overlap for good, also where the token is switched on again.
            await managed.tokens.update(token_id, {"active": False}, ADMIN)
        else:
            clock.forward(61)
    before = await managed.tokens.get(token_id)
    for repeat in (again(service), managed.rotation.rotate(token_id, ADMIN, request=rotate)):
        with pytest.raises(Conflict) as refused:
            await repeat
        assert (refused.value.code, "Idempotency-Key" in str(refused.value)) == ("token_revoked", True)
    assert await managed.tokens.get(token_id) == before


async def test_a_repeat_finishes_what_a_crash_left_undone(make_service: MakeService) -> None:
    """The key was remembered, then the process died before the token was made."""
    service = await make_service()
    derived = await service.rules.managed.tokens._repeats.admit(REQUEST, ADMIN.actor, "create")
    made = await again(service)
    assert not made.repeated
    assert made.token.token_id == derived.token_id(0)


@pytest.mark.parametrize("shards", [1, 16])
async def test_a_lost_answer_is_answered_by_a_repeat(make_service: MakeService, shards: int) -> None:
    """The script ran, its reply never came: without a key the client could not know."""
    service = await make_service(shards=shards, background=False, wrap=Interrupted)
    service.stores.shards[0].link.after["create_token"] = [AWAY]
    with pytest.raises(StoreUnavailable):
        await again(service)
    repeat = await again(service)
    assert repeat.repeated
    assert await outcome(service, repeat.secret) is Outcome.ACTIVE


async def test_a_rotation_is_repeated_with_the_same_secret(service: Service) -> None:
    first = await create(service)
    token_id, request = first.token.token_id, Repeatable("key-2", b"{}")
    rotations = await asyncio.gather(
        *[
            service.rules.managed.rotation.rotate(token_id, ADMIN, overlap_seconds=60, request=request)
            for _ in range(20)
        ]
    )
    assert len({rotated.secret for rotated in rotations}) == 1
    assert sum(not rotated.repeated for rotated in rotations) == 1
    token = await service.rules.managed.tokens.get(token_id)
    assert token.rotations == 1
    assert await outcome(service, first.secret) is Outcome.ACTIVE
    assert await outcome(service, rotations[0].secret) is Outcome.ACTIVE


async def test_a_repeat_that_read_the_record_before_the_first_try_wrote_it(make_service: MakeService) -> None:
    service = await make_service(background=False, wrap=Interrupted)
    link: Any = service.stores.shards[0].link
    first = await create(service)

    async def rotate() -> Created:
        request = Repeatable("key-2", b"{}")
        rotated: Created = await service.rules.managed.rotation.rotate(first.token.token_id, ADMIN, request=request)
        return rotated

    link.before["EXISTS"] = [rotate]
    repeat = await rotate()
    assert repeat.repeated
    assert repeat.token.rotations == 1
    assert await outcome(service, repeat.secret) is Outcome.ACTIVE


async def test_a_repeat_tells_no_secret_of_a_token_that_was_given_more_since_it_was_read(
    make_service: MakeService,
) -> None:
    service = await make_service(background=False, wrap=Interrupted)
    link: Any = service.stores.shards[0].link
    token_id = (await create(service, scopes=("orders:read",))).token.token_id
    held = Credential("00" * 8, "", ("orders:read", "tokens:write"), 0, 0)
    bound = msgspec.structs.replace(ADMIN, bound=held)

    async def rotate() -> Created:
        request = Repeatable("key-2", b"{}")
        rotated: Created = await service.rules.managed.rotation.rotate(token_id, bound, request=request)
        return rotated

    async def give_more() -> None:
        await service.rules.managed.tokens.update(token_id, {"scopes": ("orders:read", "orders:write")}, ADMIN)

    await rotate()
    link.before["EXISTS"] = [give_more]
    with pytest.raises(Forbidden):
        await rotate()


async def test_a_repeated_rotation_never_brings_an_old_secret_back(service: Service) -> None:
    first = await create(service)
    token_id, request = first.token.token_id, Repeatable("key-2", b"{}")
    second = await service.rules.managed.rotation.rotate(token_id, ADMIN, request=request)
    await service.rules.managed.rotation.rotate(token_id, ADMIN)
    fourth = await service.rules.managed.rotation.rotate(token_id, ADMIN)
    with pytest.raises(Conflict):
        await service.rules.managed.rotation.rotate(token_id, ADMIN, request=request)
    assert await outcome(service, second.secret) is not Outcome.ACTIVE
    assert await outcome(service, fourth.secret) is Outcome.ACTIVE
    assert (await service.rules.managed.tokens.get(token_id)).rotations == 3


async def test_redis_holds_nothing_a_secret_could_be_made_of(service: Service) -> None:
    made = await again(service)
    held = repr(await dump(service)).lower()
    for part in (made.secret, made.secret[4:60], made.secret[4:20], "key-1", REQUEST.words.decode()):
        assert part.lower() not in held
    derived = await service.rules.managed.tokens._repeats.admit(REQUEST, ADMIN.actor, "create")
    imported = msgspec.structs.replace(derived, keys=type(derived.keys)("another server key, long enough too"))
    shard = service.stores.shards.of_name("ci").index
    assert derived.secret_into(shard, len(service.stores.shards))[0] == made.secret
    assert imported.secret_into(shard, len(service.stores.shards))[0] != made.secret
