"""The authority: every outcome, and no record accepted that this service did not write for this very secret."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from service.app import Service
from service.errors import StoreUnavailable
from service.keyring import Keyring
from service.model import Credential, Kind, Outcome, RateLimit
from service.tokens.secret import mint, parse, with_checksum
from tests.builders import ADDRESS, ADMIN, DAY, create, outcome, sign_in
from tests.conftest import SERVER_KEY, Clock, MakeService, TurnTime
from tests.links import Recording, away

EVERY = tuple(Kind)


async def peek(service: Service, secret: bytes | str, **more: Any) -> Outcome:
    asked = secret.encode() if isinstance(secret, str) else secret
    return (await service.rules.authority.peek(asked, EVERY, **more)).outcome


async def one_time(service: Service, **more: Any) -> bytes:
    return (await service.rules.one_time.issue(address=ADDRESS, anonymous=False, **more)).secret.encode()


async def test_an_unknown_secret_is_unknown_and_a_malformed_one_is_not_asked_for(
    make_service: MakeService,
) -> None:
    service = await make_service(background=False, wrap=Recording)
    link = service.stores.shards[0].link
    for kind in (Kind.SESSION, Kind.MANAGED):
        assert await outcome(service, mint(kind)) == "unknown"
    assert link.names() == ["GET", "GET"]
    for secret in (b"", b"x", b"rtk_" + b"0" * 64, b"\xff" * 64, mint(Kind.ONE_TIME).encode(), b"a" * 10_000):
        assert await outcome(service, secret) == "malformed"
        assert not (await service.rules.one_time.consume(b"rtk_" + secret)).active
    assert len(link.asked) == 2


async def test_no_kind_opens_another_kinds_door(still: Service) -> None:
    secrets = {
        Kind.ONE_TIME: await one_time(still),
        Kind.SESSION: await sign_in(still),
        Kind.MANAGED: (await create(still)).secret.encode(),
    }
    for kind, secret in secrets.items():
        for door in (Kind.SESSION, Kind.MANAGED):
            verdict = await still.rules.authority.verify(secret, (door,))
            assert verdict.outcome is (Outcome.ACTIVE if kind is door else Outcome.MALFORMED)
            assert (await still.rules.authority.peek(secret, (door,))).outcome is verdict.outcome
        if kind is not Kind.ONE_TIME:
            assert (await still.rules.one_time.consume(secret)).outcome is Outcome.MALFORMED
            assert await peek(still, secret) == "active"
    # Never by `verify`, even where every kind is named; looking does not spend.
    assert not (await still.rules.authority.verify(secrets[Kind.ONE_TIME], EVERY)).active
    assert [await peek(still, secrets[Kind.ONE_TIME]) for _ in range(2)] == [Outcome.ACTIVE] * 2
    assert (await still.rules.one_time.consume(secrets[Kind.ONE_TIME])).active


async def test_peeking_tells_why_a_managed_token_is_gone(faked: Service, turn_time: TurnTime) -> None:
    off, gone, late = [await create(faked, name, days=2) for name in ("off", "gone", "late")]
    await faked.rules.managed.tokens.update(off.token.token_id, {"active": False}, ADMIN)
    await faked.rules.managed.tokens.revoke(gone.token.token_id, ADMIN)
    assert [await peek(faked, one.secret) for one in (off, gone, late)] == ["inactive", "revoked", "active"]
    turn_time(2 * DAY - 60)
    await faked.rules.managed.sweeper.sweep()
    turn_time(DAY)
    assert [await peek(faked, one.secret) for one in (off, gone, late)][1:] == ["revoked", "expired"]
    # From outside, and to the gateway, they are all simply not valid.
    assert {await outcome(faked, one.secret) for one in (off, gone, late)} == {Outcome.UNKNOWN}
    turn_time(40 * DAY)
    assert {await peek(faked, one.secret) for one in (off, gone, late)} == {Outcome.UNKNOWN}


async def test_a_record_past_its_date_is_refused_though_redis_still_has_it(still: Service, clock: Clock) -> None:
    managed, session, once = (await create(still, days=1)).secret, await sign_in(still), await one_time(still)
    clock.forward(301)
    assert (await still.rules.one_time.consume(once)).outcome is Outcome.EXPIRED
    clock.forward(2 * DAY)
    assert await outcome(still, managed) == "expired"
    assert await outcome(still, session) == "expired"
    assert await peek(still, managed) == "expired"


async def test_a_credential_ends_with_the_second_of_its_date_and_not_after_it(still: Service) -> None:
    for secret in ((await create(still, days=1)).secret.encode(), await sign_in(still)):
        (digest,) = still.rules.authority.digests(parse(secret), secret)
        decoded = await still.rules.authority.read(digest)
        assert decoded is not None
        end = decoded.credential.expires_at
        judged = [still.rules.authority.evaluate(decoded, (), ADDRESS, now).outcome for now in (end - 0.001, end)]
        assert judged == ["active", "expired"]


async def test_scopes_and_networks_are_evaluated_on_every_path(still: Service) -> None:
    created = await create(still, scopes=("a:*",), networks=("10.0.0.0/8",))
    asked = {"required": ("a:b",), "address": "10.1.1.1"}
    assert await outcome(still, created.secret, **asked) == "active"
    assert await outcome(still, created.secret, **(asked | {"address": "192.0.2.1"})) == "network_denied"
    assert await outcome(still, created.secret, **(asked | {"address": ""})) == "network_denied"
    assert await outcome(still, created.secret, **(asked | {"required": ("a:b", "c")})) == "insufficient_scope"
    # A third party's own address says nothing about the holder's.
    assert await peek(still, created.secret, required=("a:b",)) == "active"
    assert await peek(still, created.secret, required=("c",)) == "insufficient_scope"


async def test_the_missing_scopes_are_named(still: Service) -> None:
    created = await create(still, scopes=("a",))
    verdict = await still.rules.authority.verify(created.secret.encode(), EVERY, required=("a", "b", "c"))
    assert verdict.missing_scopes == ("b", "c")


async def replace_record(service: Service, secret: str, change: Callable[[bytes], bytes]) -> None:
    """What somebody who can write to Redis, but has not the server key, may do."""
    digest = Keyring(SERVER_KEY).digest(Kind.MANAGED, secret.encode())
    shard = service.stores.shards.of_digest(digest)
    record = await shard.link.execute("GET", shard.keys.credential(digest))
    await shard.link.execute("SET", shard.keys.credential(digest), change(record), "KEEPTTL")


def widened(record: bytes) -> bytes:
    credential = msgspec.msgpack.decode(record[16:], type=Credential)
    return record[:16] + msgspec.msgpack.encode(msgspec.structs.replace(credential, scopes=("*",)))


def resealed(record: bytes) -> bytes:
    body = widened(record)[16:]
    return Keyring("somebody else's key, also long enough").seal(b"d" * 32, body)


@pytest.mark.parametrize(
    "change",
    [
        widened,
        resealed,
        lambda record: b"",
        lambda record: record[:15],
        lambda record: record[:16],
        lambda record: record[16:],
        lambda record: record + b"\x00",
        lambda record: record[:-1] + b"\xff",
    ],
)
async def test_a_tampered_record_is_unknown_and_counted(still: Service, change: Callable[[bytes], bytes]) -> None:
    created = await create(still)
    assert await outcome(still, created.secret) == "active"
    await replace_record(still, created.secret, change)
    assert await outcome(still, created.secret) == "unknown"
    assert await peek(still, created.secret) == "unknown"
    assert still.metrics.tampered._value.get() >= 1


async def test_a_limited_token_whose_record_was_tampered_with_is_unknown_though_it_was_known(still: Service) -> None:
    created = await create(still, rate_limits=(RateLimit(100, 60),))
    assert await outcome(still, created.secret) == "active"
    await replace_record(still, created.secret, widened)
    assert await outcome(still, created.secret) == "unknown"
    assert still.metrics.tampered._value.get() >= 1


async def test_a_record_copied_under_another_digest_is_unknown(still: Service) -> None:
    """Neither a revoked token's record, kept aside, nor a mightier token's, under one's own secret."""
    mighty, own = await create(still, "mighty", scopes=("*",)), await create(still, "own")
    records: list[bytes] = []
    await replace_record(still, mighty.secret, lambda record: records.append(record) or record)
    await replace_record(still, own.secret, lambda _: records[0])
    assert await outcome(still, own.secret) == "unknown"
    assert await outcome(still, mighty.secret) == "active"


async def test_the_reply_to_another_question_is_noticed(make_service: MakeService) -> None:
    service = await make_service(background=False)
    one, two = await create(service, "one"), await create(service, "two")
    shard = service.stores.shards[0]
    keys = [shard.keys.credential(Keyring(SERVER_KEY).digest(Kind.MANAGED, c.secret.encode())) for c in (one, two)]
    crossed = await shard.link.execute("GET", keys[1])

    class Crossing(Recording):
        async def execute(self, *args: Any, **how: Any) -> Any:
            return crossed if args == ("GET", keys[0]) else await super().execute(*args, **how)

    confused = await make_service(background=False, wrap=Crossing)
    assert await outcome(confused, one.secret) == "unknown"


@pytest.mark.parametrize("shards", [1, 16])
async def test_what_the_previous_server_key_issued_goes_on_until_it_is_no_longer_given(
    make_service: MakeService, shards: int
) -> None:
    before = await make_service(shards=shards, background=False)
    managed, session = await create(before, rate_limits=(RateLimit(100, 60),)), await sign_in(before, "uma")
    issued = [await one_time(before) for _ in range(2)]
    new_key = "the next server key, long enough too"
    both = await make_service(shards=shards, background=False, secret_key=new_key, secret_key_previous=SERVER_KEY)
    assert await outcome(both, managed.secret) == "active"
    assert await peek(both, managed.secret) == "active"
    assert (await both.rules.one_time.consume(issued[0])).active
    assert await outcome(both, (await create(both, "new")).secret) == "active"
    assert await outcome(both, with_checksum("0" * 56)) == "unknown"
    renamed = await both.rules.managed.tokens.update(managed.token.token_id, {"scopes": ("a",)}, ADMIN)
    assert renamed.scopes == ("a",)
    assert await outcome(both, managed.secret, required=("a",)) == "active"
    after = await make_service(shards=shards, background=False, secret_key=new_key)
    assert await outcome(after, managed.secret) == "unknown"
    assert not (await after.rules.one_time.consume(issued[1])).active
    # A session's password mark is made with the present key, so that a change of keys asks everyone to sign in again.
    assert await outcome(both, session) == "unknown"


async def test_no_answer_from_redis_is_neither_yes_nor_no(make_service: MakeService) -> None:
    service = await make_service(background=False, wrap=away)
    for kind in (Kind.SESSION, Kind.MANAGED):
        with pytest.raises(StoreUnavailable):
            await outcome(service, mint(kind))
    with pytest.raises(StoreUnavailable):
        await service.rules.one_time.consume(mint(Kind.ONE_TIME).encode())


async def test_one_validation_is_one_round_trip(make_service: MakeService) -> None:
    service = await make_service(background=False, wrap=Recording)
    link = service.stores.shards[0].link
    plain, limited = await create(service, "plain"), await create(service, "limited", rate_limits=(RateLimit(100, 60),))
    for created, commands in ((plain, ["GET"]), (limited, ["GET", "EVALSHA", "EVAL"]), (limited, ["EVALSHA"])):
        link.asked.clear()
        assert await outcome(service, created.secret) == "active"
        assert link.names() in (commands, commands[:2])
