"""The seal on a record: what somebody who writes to Redis without the server key changes or puts back gives no right."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from service.app import Service
from service.errors import Conflict
from service.model import ManagedToken, Outcome, RateLimit, Status
from service.store.driver.scripts import LETTERS
from service.store.driver.shards import Shard
from service.store.managed import records
from service.store.managed.query import Query
from service.tokens.managed.tokens import Created
from tests.builders import ADMIN, DAY, create, outcome, peeked
from tests.conftest import TurnTime

OVERLAP = 3600
# What scripts write without the server key; a new field is either sealed or named here, with a reason in records.py.
COUNTED = {"uses_left", "last_used_at", "last_address", "last_agent", "last_hour", "predecessor_used_at", "contests"}
OTHER: dict[type, str] = {str: "x", int: "7", bool: "0"}
DIGEST = b"d" * 32
PLANTED: dict[str, str | bytes] = {
    "digest": DIGEST,
    "predecessor": DIGEST,
    "scopes": "more:*",
    "networks": "192.0.2.0/24",
    "metadata": '{"a":"b"}',
    "version": "9",
    "imported": "1",
    "rate_limits": "[[9,1]]",
}


def place(service: Service, token: ManagedToken) -> tuple[Shard, bytes]:
    shard = service.stores.shards.of_id(token.token_id)
    assert shard is not None
    return shard, shard.keys.metadata(token.token_id)


async def full(service: Service) -> Created:
    """A token of which every term is given, with an old secret in its overlap."""
    first = await create(
        service,
        scopes=("a", "b"),
        subject="bob",
        rate_limits=(RateLimit(5, 60),),
        networks=("10.0.0.0/8",),
        max_uses=9,
        metadata={"team": "x"},
        description="of a job",
    )
    return await service.rules.managed.rotation.rotate(first.token.token_id, ADMIN, overlap_seconds=OVERLAP)


async def refused(service: Service, token: ManagedToken) -> set[str]:
    """How each change that writes the record anew is refused."""
    codes = set()
    for change in (
        service.rules.managed.tokens.update(token.token_id, {"description": "harmless"}, ADMIN),
        service.rules.managed.tokens.update(token.token_id, {"active": True, "description": "harmless"}, ADMIN),
        service.rules.managed.rotation.rotate(token.token_id, ADMIN),
    ):
        try:
            await change
        except Conflict as conflict:
            codes.add(conflict.code)
        else:
            codes.add("done")
    return codes


async def test_a_change_of_any_field_is_noticed_but_of_those_that_scripts_count(still: Service) -> None:
    token = (await full(still)).token
    shard, key = place(still, token)
    noticed = {}
    fields = [field for field in msgspec.structs.fields(ManagedToken) if field.name != "token_id"]
    for field in fields:
        letter = records.LETTERS[field.name]
        was = await shard.link.execute("HGET", key, letter)
        planted = PLANTED.get(field.name) or OTHER[field.type]
        assert was not in (planted, str(planted).encode())
        await shard.link.execute("HSET", key, letter, planted)
        try:
            await still.rules.managed.tokens.update(token.token_id, {"description": "of a job"}, ADMIN)
            noticed[field.name] = False
        except Conflict as conflict:
            noticed[field.name] = conflict.code == "record_tampered"
        command = ("HDEL", key, letter) if was is None else ("HSET", key, letter, was)
        await shard.link.execute(*command)
    assert noticed == {field.name: field.name not in COUNTED for field in fields}
    assert records.COUNTED == COUNTED


@pytest.mark.parametrize("name", ["networks", "scopes", "rate_limits", "subject", "max_uses", "expires_at"])
async def test_terms_of_an_inactive_token_are_sealed_though_it_has_no_credential(still: Service, name: str) -> None:
    """Those of an active one are compared with its credential too, which would hide that the seal left one out."""
    token = (await full(still)).token
    await still.rules.managed.tokens.update(token.token_id, {"active": False}, ADMIN)
    shard, key = place(still, token)
    await shard.link.execute("HSET", key, records.LETTERS[name], PLANTED.get(name, "7"))
    with pytest.raises(Conflict) as caught:
        await still.rules.managed.tokens.update(token.token_id, {"active": True}, ADMIN)
    assert caught.value.code == "record_tampered"


async def test_a_record_under_another_id_is_none_of_ours(still: Service) -> None:
    """The id is the key's; the seal covers it all the same."""
    created = await create(still, scopes=("a",))
    shard, key = place(still, created.token)
    other = msgspec.structs.replace(created.token, token_id=created.token.token_id[:2] + "f" * 14)
    await shard.link.execute("HSET", place(still, other)[1], *await shard.link.execute("HGETALL", key))
    assert await refused(still, other) == {"record_tampered"}


async def test_a_revoked_token_is_not_given_back_by_writing_that_it_is_active(still: Service) -> None:
    created = await create(still)
    shard, key = place(still, created.token)
    await still.rules.managed.tokens.revoke(created.token.token_id, ADMIN)
    await shard.link.execute("HSET", key, LETTERS["active"], 1, LETTERS["revoked_at"], 0)
    assert await refused(still, created.token) == {"record_tampered"}
    assert await outcome(still, created.secret) == "unknown"


async def test_a_revocation_is_done_though_somebody_wrote_that_it_was(still: Service) -> None:
    created = await create(still)
    shard, key = place(still, created.token)
    await still.rules.managed.tokens.update(created.token.token_id, {"active": False}, ADMIN)
    await shard.link.execute("HSET", key, LETTERS["revoked_at"], 1)
    await still.rules.managed.revocation.revoke(created.secret.encode(), ADMIN)
    await shard.link.execute("HSET", key, LETTERS["revoked_at"], 0)
    assert await refused(still, created.token) == {"record_tampered"}
    assert await outcome(still, created.secret) == "unknown"


async def narrow(service: Service, token: ManagedToken) -> None:
    await service.rules.managed.tokens.update(token.token_id, {"scopes": ("a",)}, ADMIN)


async def switch_off(service: Service, token: ManagedToken) -> None:
    await service.rules.managed.tokens.update(token.token_id, {"active": False}, ADMIN)


async def shorten(service: Service, token: ManagedToken) -> None:
    await service.rules.managed.tokens.update(token.token_id, {"expires_at": int(service.clock()) + DAY}, ADMIN)


async def end_the_overlap(service: Service, token: ManagedToken) -> None:
    await service.rules.managed.rotation.end_overlap(token.token_id, ADMIN)


async def rotate(service: Service, token: ManagedToken) -> None:
    await service.rules.managed.rotation.rotate(token.token_id, ADMIN)


async def revoke(service: Service, token: ManagedToken) -> None:
    await service.rules.managed.tokens.revoke(token.token_id, ADMIN)


async def revoke_and_forget_why(service: Service, token: ManagedToken) -> None:
    await revoke(service, token)
    shard, _ = place(service, token)
    assert await shard.link.execute("DEL", shard.keys.reason(token.digest)) == 1


CHANGES: list[Callable[[Service, ManagedToken], Awaitable[None]]] = [
    narrow,
    switch_off,
    shorten,
    end_the_overlap,
    rotate,
    revoke,
    revoke_and_forget_why,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
async def test_an_old_record_put_back_whole_is_noticed(still: Service, change: Any) -> None:
    created = await full(still)
    await put_back_after(still, created.token, change)
    assert await refused(still, created.token) == {"record_tampered"}


@pytest.mark.parametrize("change", [narrow, revoke], ids=lambda change: change.__name__)
async def test_so_is_one_of_a_token_that_was_switched_off_then_and_is_now(still: Service, change: Any) -> None:
    created = await create(still, scopes=("a", "b"))
    await switch_off(still, created.token)
    await put_back_after(still, created.token, change)
    assert await refused(still, created.token) == {"record_tampered"}
    assert await outcome(still, created.secret) == "unknown"


async def put_back_after(service: Service, token: ManagedToken, change: Any) -> None:
    shard, key = place(service, token)
    old = await shard.link.execute("HGETALL", key)
    await change(service, token)
    await shard.link.execute("DEL", key)
    await shard.link.execute("HSET", key, *old)


async def test_a_changed_record_is_revoked_and_not_vouched_for(still: Service) -> None:
    created = await create(still, scopes=("a",))
    shard, key = place(still, created.token)
    await shard.link.execute("HSET", key, LETTERS["scopes"], "a b")
    await still.rules.managed.tokens.update(created.token.token_id, {"active": False}, ADMIN)
    assert await refused(still, created.token) == {"record_tampered"}
    # Its credential is gone, so nothing genuine says any more that this is the secret to end.
    with pytest.raises(Conflict, match="by its secret"):
        await still.rules.managed.tokens.revoke(created.token.token_id, ADMIN)
    assert (await still.rules.managed.tokens.get(created.token.token_id)).status(still.clock()) is Status.REVOKED
    assert await outcome(still, created.secret) == "unknown"


async def test_changes_without_end_do_not_hold_a_revocation_up(still: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    created = await create(still)
    shard, key = place(still, created.token)
    store = still.rules.managed.tokens._store
    get = store.get

    async def get_and_change(token_id: str, _ahead: object) -> Any:
        record = await get(token_id)
        assert record is not None
        await shard.link.execute("HSET", key, LETTERS["version"], record.token.version + 1)
        return record

    monkeypatch.setattr(store, "get", get_and_change)
    assert await still.rules.managed.tokens.revoke(created.token.token_id, ADMIN)
    monkeypatch.undo()
    assert (await still.rules.managed.tokens.get(created.token.token_id)).status(still.clock()) is Status.REVOKED
    assert await outcome(still, created.secret) == "unknown"


async def test_a_credential_that_ended_a_moment_ago_is_no_sign_of_somebody_else(
    faked: Service, turn_time: TurnTime
) -> None:
    created = await create(faked, days=1)
    turn_time(DAY + 1)
    await faked.rules.managed.tokens.update(created.token.token_id, {"expires_at": int(faked.clock()) + DAY}, ADMIN)
    assert await outcome(faked, created.secret) == "active"


async def test_a_revoked_token_stays_so_though_its_old_record_was_put_back_and_switched_off(still: Service) -> None:
    created = await create(still)
    shard, key = place(still, created.token)
    old = await shard.link.execute("HGETALL", key)
    await still.rules.managed.tokens.revoke(created.token.token_id, ADMIN)
    await shard.link.execute("DEL", key)
    await shard.link.execute("HSET", key, *old)
    await still.rules.managed.tokens.update(created.token.token_id, {"active": False}, ADMIN)
    with pytest.raises(Conflict) as caught:
        await still.rules.managed.tokens.update(created.token.token_id, {"active": True}, ADMIN)
    assert caught.value.code == "record_tampered"
    assert await outcome(still, created.secret) == "unknown"


GARBAGE = (b"", b"\xff", b"9" * 40, b"x" * records.PIECE)


async def test_what_nobody_can_read_in_a_record_is_no_fault_of_the_service(still: Service) -> None:
    """It hides no other token, refuses no revocation by the secret, and gives no right."""
    for field in msgspec.structs.fields(ManagedToken):
        if field.name not in records.LETTERS:
            continue
        for garbage in GARBAGE:
            created = await create(still)
            shard, key = place(still, created.token)
            await shard.link.execute("HSET", key, records.LETTERS[field.name], garbage)
            await still.rules.managed.tokens.get(created.token.token_id)
            await still.rules.managed.queries.page(Query(scope="none"))
            await still.rules.managed.revocation.revoke(created.secret.encode(), ADMIN)
            assert await outcome(still, created.secret) == "unknown"
            await shard.link.execute("DEL", key)


@pytest.mark.parametrize("garbage", [b"", b"\xff", b"garbage", b"a b c d", b"revoked", b"inactive x y z"])
async def test_a_reason_that_nobody_can_read_is_the_last_word(still: Service, garbage: bytes) -> None:
    created = await create(still)
    await still.rules.managed.tokens.update(created.token.token_id, {"active": False}, ADMIN)
    shard, _ = place(still, created.token)
    await shard.link.execute("SET", shard.keys.reason(created.token.digest), garbage)
    assert await peeked(still, created.secret) is Outcome.REVOKED
    assert await refused(still, created.token) == {"record_tampered"}
