"""What a crowd, the calendar or strangers do pushes no change by a person out of the audit log."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from service.app import Service
from service.store.audit import AuditStream
from service.store.driver.keys import Stream
from service.tokens.audit.reader import AuditFilter
from tests.builders import ADMIN, DAY, create, sign_in
from tests.conftest import Clock, MakeService

FEWEST = 1000  # entries that the setting can ask for


async def many(count: int, act: Callable[[int], Coroutine[Any, Any, object]]) -> None:
    for first in range(0, count, 200):
        await asyncio.gather(*[act(number) for number in range(first, min(first + 200, count))])


async def listed(service: Service, **wanted: Any) -> list[str]:
    return [event.entry.target async for event in service.rules.audit.reader.every(AuditFilter(**wanted))]


@pytest.fixture
async def small(make_service: MakeService) -> Service:
    """A service with the shortest audit log there is, in which an administrator made one token."""
    made: Service = await make_service(background=False, audit_max_entries=FEWEST)
    await create(made, "ci")
    return made


async def test_refused_sign_ins_push_nothing_out_but_their_own_like(small: Service) -> None:
    session = await sign_in(small)
    await small.rules.sessions.end(session, ADMIN)
    await many(1500, lambda number: small.rules.audit.log.write("login.failed", ADMIN, f"user {number}"))
    await small.rules.audit.checkpoints.seal()
    for action in ("token.created", "session.created", "session.revoked"):
        assert len(await listed(small, action=action)) == 1
    assert FEWEST <= len(await listed(small, action="login.failed")) < 1500
    report = await small.rules.audit.verification.verify()
    assert report.intact
    assert report.complete_since[Stream.CHANGES] is None
    assert report.complete_since[Stream.OCCURRENCES] is None
    oldest, *_ = await small.stores.audit.oldest(AuditStream(small.stores.shards[0], Stream.REFUSALS), "0-0", 1)
    since = report.complete_since[Stream.REFUSALS]
    assert since is not None
    assert 0 <= since * 1000 - int(oldest.entry_id.partition("-")[0]) < 1000


async def test_a_crowd_that_signs_in_pushes_no_change_out(small: Service) -> None:
    secret = (await sign_in(small)).decode()
    await many(1500, lambda _: _sign_in_without_a_password(small))
    await small.rules.audit.checkpoints.seal()
    assert len(await listed(small, action="token.created")) == 1
    assert FEWEST <= len(await listed(small, action="session.created")) < 1501
    # To be logged out everywhere is a person's doing.
    await small.rules.sessions.end_all("admin", ADMIN)
    ended = await small.stores.audit.oldest(AuditStream(small.stores.shards[0], Stream.CHANGES), "0-0", 10)
    assert b"session.revoked" in ended[-1].body
    assert secret not in str(ended)


async def test_a_reader_who_takes_the_audit_log_out_again_and_again_pushes_no_change_out(small: Service) -> None:
    await many(1500, lambda _: small.rules.audit.log.write("export.made", ADMIN, "audit"))
    await small.rules.audit.checkpoints.seal()
    assert len(await listed(small, action="token.created")) == 1
    assert FEWEST <= len(await listed(small, action="export.made")) < 1500
    # To take the tokens out is for administrators alone, and stays among what they did.
    await small.rules.audit.log.write("export.made", ADMIN, "tokens")
    last = await small.stores.audit.oldest(AuditStream(small.stores.shards[0], Stream.CHANGES), "0-0", 10)
    assert b"export.made" in last[-1].body


async def _sign_in_without_a_password(service: Service) -> None:
    account = service.rules.accounts.known.get("admin")
    assert account is not None
    await service.rules.sessions._create("admin", account, b"0", ADMIN)


async def test_a_sweep_of_many_pushes_no_change_out_and_leaves_a_line_among_them(
    small: Service, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.tokens.managed.sweeper.MASS", 300)
    # What has expired is decided by the clock of Redis, which no test turns.
    clock.forward(-4 * DAY)
    await many(299, lambda number: create(small, f"few {number}", days=1))
    clock.forward(4 * DAY)
    assert await small.rules.managed.sweeper.sweep() == 299
    assert await listed(small, action="sweep.made") == []
    clock.forward(-4 * DAY)
    await many(300, lambda number: create(small, f"many {number}", days=1))
    clock.forward(4 * DAY)
    assert await small.rules.managed.sweeper.sweep() == 300
    assert len(await listed(small, action="token.expired")) == 599
    (summary,) = [event.entry async for event in small.rules.audit.reader.every(AuditFilter(action="sweep.made"))]
    assert (summary.actor, summary.target, summary.after) == ("clock", "tokens", {"expired": 300})
    changes = await small.stores.audit.oldest(AuditStream(small.stores.shards[0], Stream.CHANGES), "0-0", 1000)
    assert len(changes) == 1 + 599 + 1


async def test_the_streams_are_one_list_with_one_cursor(still: Service) -> None:
    await create(still, "ci")
    await sign_in(still)
    for number in range(3):
        await still.rules.audit.log.write("login.failed", ADMIN, f"user {number}")
    everything = [event.position async for event in still.rules.audit.reader.every(AuditFilter())]
    assert everything == sorted(everything, reverse=True)
    assert {position.stream for position in everything} == set(Stream)
    walked, after = [], None
    while True:
        events, after = await still.rules.audit.reader.page(AuditFilter(), 1, after)
        walked += [event.position for event in events]
        if after is None:
            break
    assert walked == everything


async def test_an_entry_that_was_moved_to_another_stream_is_found(still: Service) -> None:
    await still.rules.audit.log.write("export.made", ADMIN, "tokens")
    await still.rules.audit.checkpoints.seal()
    shard = still.stores.shards.of_name("tokens")
    (entry,) = await still.stores.audit.oldest(AuditStream(shard, Stream.CHANGES), "0-0", 1)
    other = AuditStream(shard, Stream.REFUSALS)
    await shard.link.execute("XADD", other.entries, entry.entry_id, "e", entry.body, "s", entry.seal)
    checkpoint = await still.stores.audit.last_checkpoint(AuditStream(shard, Stream.CHANGES))
    assert checkpoint is not None
    assert await still.stores.audit.seal(other, checkpoint)
    report = await still.rules.audit.verification.verify()
    assert [fault.id for fault in report.faults] == [other.public_id(entry.entry_id)]
