"""The audit log: every change tells who, what and from where, nothing secret, and shows if it was altered."""

import msgspec
import pytest

from service.app import Service
from service.errors import Conflict, StoreFull
from service.keyring import Keyring, encode_digest
from service.model import Origin, RateLimit
from service.tokens.audit.entries import AuditEntry
from tests.builders import ADMIN, actions, audit, create, sign_in
from tests.conftest import PASSWORD, SERVER_KEY, MakeService
from tests.links import Interrupted


async def test_an_entry_says_who_did_what_to_what_and_from_where(still: Service) -> None:
    origin = Origin(actor="ada", address="198.51.100.9", channel="dashboard", request_id="req-7")
    created = await create(
        still, "ci", origin=origin, scopes=("a",), rate_limits=(RateLimit(5, 60),), metadata={"k": "v"}
    )
    (entry,) = await audit(still)
    assert (entry.actor, entry.address, entry.channel, entry.request_id, entry.action, entry.target, entry.before) == (
        "ada",
        "198.51.100.9",
        "dashboard",
        "req-7",
        "token.created",
        created.token.token_id,
        None,
    )
    assert entry.at == int(created.token.created_at)
    assert entry.after is not None
    assert entry.after["name"] == "ci"
    assert entry.after["rate_limits"] == [[5, 60, 0, "default", None]]


async def test_an_edit_tells_only_what_it_changed_before_and_after(still: Service) -> None:
    token = (await create(still, "ci", scopes=("a",), description="x")).token
    await still.rules.managed.tokens.update(token.token_id, {"scopes": ("a", "b"), "description": "x"}, ADMIN)
    entry = (await audit(still))[-1]
    assert (entry.before, entry.after) == ({"scopes": ["a"]}, {"scopes": ["a", "b"]})


async def test_no_secret_and_no_digest_is_in_the_audit_log(still: Service) -> None:
    created = await create(still)
    session = await sign_in(still)
    await still.rules.managed.tokens.update(created.token.token_id, {"active": False}, ADMIN)
    await still.rules.managed.tokens.revoke(created.token.token_id, ADMIN)
    await still.rules.sessions.end(session, ADMIN)
    shown = msgspec.json.encode(await audit(still)).decode()
    for secret in (
        created.secret,
        created.secret[4:40],
        session.decode(),
        PASSWORD,
        encode_digest(created.token.digest),
    ):
        assert secret not in shown


async def test_what_is_refused_leaves_no_entry(still: Service) -> None:
    await create(still, "ci")
    with pytest.raises(Conflict):
        await create(still, "ci")
    other = (await create(still, "other")).token
    with pytest.raises(Conflict):
        await still.rules.managed.tokens.update(other.token_id, {"name": "ci"}, ADMIN)
    assert await actions(still) == ["token.created"] * 2


async def test_each_entry_carries_its_seal(still: Service) -> None:
    await create(still)
    for shard in still.stores.shards:
        for _, fields in await shard.link.execute("XRANGE", shard.keys.changes, "-", "+"):
            pairs = dict(zip(fields[::2], fields[1::2], strict=True))
            assert pairs[b"s"].decode() == Keyring(SERVER_KEY).mac("audit", pairs[b"e"])


async def test_an_entry_may_stand_alone(still: Service) -> None:
    await still.rules.audit.log.write("export.made", ADMIN, "audit", after={"entries": 3})
    (entry,) = await audit(still)
    assert entry == AuditEntry(
        entry.at, "export.made", "admin", "audit", "192.0.2.1", "api", "r1", None, {"entries": 3}
    )


@pytest.mark.slow
async def test_the_audit_log_is_kept_to_its_bound_once_it_is_sealed(make_service: MakeService) -> None:
    service = await make_service(background=False, audit_max_entries=1000)
    (shard,) = service.stores.shards
    for _ in range(0, 1500, 100):
        for _ in range(100):
            await service.rules.audit.log.write("export.made", ADMIN, "x")
    # What no checkpoint covers could go unseen.
    assert await shard.link.execute("XLEN", shard.keys.changes) == 1500
    await service.rules.audit.checkpoints.seal()
    kept = await shard.link.execute("XLEN", shard.keys.changes)
    # Redis trims whole nodes of a hundred entries.
    assert 1000 <= kept <= 1200


async def test_all_shards_together_have_the_room_that_is_set(make_service: MakeService) -> None:
    service = await make_service(shards=16, audit_max_entries=160_000)
    # Four times what is kept, because removals never wait for a seal.
    assert service.rules.audit.log.entry("export.made", ADMIN, "x").keep == 4 * 160_000 // 16


async def test_no_token_is_made_that_could_not_be_told(make_service: MakeService) -> None:
    """All or nothing: where the stream refuses the entry, there is no token either."""
    service = await make_service(background=False, wrap=Interrupted)
    # What reads by a script is answered on a full server, too.
    service.stores.shards[0].link.before["create_token"] = StoreFull("The token store is full.")
    with pytest.raises(StoreFull):
        await create(service)
    assert (await service.rules.managed.queries.statistics()).total == 0
