"""The audit log: every change and sign-in, listed in one order whatever the shards, and sealed."""

import asyncio
import re
from typing import Any

import pytest

from service.app import Service
from service.errors import Conflict
from service.model import Origin
from service.tokens.accounts.login import InvalidCredentials
from service.tokens.audit.reader import AuditFilter, Event, Position
from tests.builders import ADMIN, create
from tests.conftest import PASSWORD, Clock, MakeService


async def make(service: Service, name: str, origin: Origin = ADMIN, **terms: Any) -> str:
    return (await create(service, name, origin=origin, **terms)).token.token_id


async def listed(service: Service, **wanted: Any) -> list[Event]:
    return [event async for event in service.rules.audit.reader.every(AuditFilter(**wanted))]


async def test_each_change_is_told_with_who_made_it_and_what_it_was_before(service: Service) -> None:
    token_id = await make(service, "gate", description="old")
    await service.rules.managed.tokens.update(token_id, {"description": "new"}, ADMIN)
    await service.rules.managed.tokens.revoke(token_id, ADMIN)
    revoked, updated, created = [event.entry for event in await listed(service, target=token_id)]
    assert [entry.action for entry in (created, updated, revoked)] == [
        "token.created",
        "token.updated",
        "token.revoked",
    ]
    assert (updated.before, updated.after) == ({"description": "old"}, {"description": "new"})
    assert (revoked.before, revoked.after) == (
        {"name": "gate", "status": "active"},
        {"name": "gate", "status": "revoked"},
    )
    assert revoked in [event.entry for event in await listed(service, text="gate")]
    assert (created.actor, created.address, created.channel, created.request_id) == (
        "admin",
        "192.0.2.1",
        "api",
        "r1",
    )
    assert abs(created.at - service.clock()) < 5


async def test_no_entry_is_written_for_what_did_not_happen(service: Service) -> None:
    token_id = await make(service, "gate")
    with pytest.raises(Conflict):
        await make(service, "gate")
    await service.rules.managed.tokens.revoke(token_id, ADMIN)
    await service.rules.managed.tokens.revoke(token_id, ADMIN)
    actions = [event.entry.action for event in await listed(service)]
    assert actions == ["token.revoked", "token.created"]


async def test_sign_ins_are_told_the_refused_ones_too(service: Service) -> None:
    await service.rules.sessions.sign_in("admin", PASSWORD, ADMIN)
    with pytest.raises(InvalidCredentials):
        await service.rules.sessions.sign_in("mallory", "guess", ADMIN)
    entries = [event.entry for event in await listed(service)]
    succeeded, failed = sorted(entries, key=lambda entry: entry.action, reverse=True)
    assert (succeeded.action, succeeded.actor) == ("session.created", "admin")
    assert failed.action == "login.failed"
    assert re.fullmatch("unknown:[0-9a-f]{12}", failed.target)
    assert PASSWORD not in str(succeeded)
    assert "guess" not in str(failed)


async def test_pages_visit_every_entry_once_in_one_order(service: Service) -> None:
    for start in range(0, 120, 40):
        await asyncio.gather(*[make(service, f"gate {number}") for number in range(start, start + 40)])
    everything = [event.position for event in await listed(service)]
    assert len(everything) == 120
    assert everything == sorted(everything, reverse=True)
    walked: list[Position] = []
    after: Position | None = None
    while True:
        events, after = await service.rules.audit.reader.page(AuditFilter(), 7, after)
        walked += [event.position for event in events]
        if after is None:
            break
        await make(service, f"meanwhile {len(walked)}")
    assert walked == everything


async def test_a_chunk_boundary_loses_nothing(make_service: MakeService) -> None:
    service = await make_service(shards=16)
    for start in range(0, 1200, 100):
        await asyncio.gather(
            *[
                service.rules.audit.log.write("login.failed", ADMIN, f"user {number}")
                for number in range(start, start + 100)
            ]
        )
    targets = [event.entry.target for event in await listed(service)]
    assert sorted(targets) == sorted(f"user {number}" for number in range(1200))


async def test_filters_find_exactly_what_they_name(service: Service, clock: Clock) -> None:
    other = Origin(actor="vera", address="198.51.100.4", channel="dashboard", request_id="r-77")
    first = await make(service, "gate", metadata={"team": "Zürich"})
    clock.forward(3600)
    second = await make(service, "door", other)
    hour_ago = int(clock()) - 1800

    async def targets(**wanted: Any) -> list[str]:
        return [event.entry.target for event in await listed(service, **wanted)]

    assert await targets(actor="vera") == [second]
    assert sorted(await targets(action="token.created")) == sorted([first, second])
    assert await targets(action="token") == []
    assert await targets(target=first) == [first]
    assert await targets(since=hour_ago) == [second]
    assert await targets(until=hour_ago) == [first]
    # Of the second that `since` names, not of the one that `until` does: so periods meet.
    (event,) = await listed(service, target=second)
    assert await targets(since=event.entry.at) == [second]
    assert await targets(until=event.entry.at) == [first]
    assert await targets(text="zÜRICH") == [first]
    assert await targets(text="r-77") == [second]
    assert await targets(text="198.51") == [second]
    assert await targets(text="request_id") == []
    assert await targets(actor="admin", target=second) == []


async def test_what_is_no_entry_of_ours_stops_nobody(service: Service) -> None:
    token_id = await make(service, "gate")
    shard = service.stores.shards[0]
    await shard.link.execute("XADD", shard.keys.changes, "*", "e", b"\xff{", "s", "x")
    await shard.link.execute("XADD", shard.keys.changes, "*", "other", "field")
    assert [event.entry.target for event in await listed(service)] == [token_id]
    await service.rules.audit.checkpoints.seal()
    report = await service.rules.audit.verification.verify()
    assert [fault.fault for fault in report.faults] == ["changed", "changed"]
