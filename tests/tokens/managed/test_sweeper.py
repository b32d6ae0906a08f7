"""The sweep: what time has ended is moved and told once, and removed without a trace after its retention."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from service.app import Service
from service.errors import Conflict, StoreUnavailable
from service.model import Outcome, RateLimit, Status
from service.store.driver.scripts import LETTERS
from service.store.managed.query import Query
from service.store.managed.records import REASON_AHEAD_SECONDS
from service.tokens.managed.import_admission import Exported, ImportedSecret
from service.tokens.managed.imports import DryRun
from service.tokens.managed.tokens import NewToken
from tests.builders import ADDRESS, ADMIN, DAY, actions, all_keys, audit, create, create_many, outcome, peeked, sign_in
from tests.conftest import SHARDS, Clock, MakeService, TurnTime
from tests.links import Wrapped
from tests.tokens.test_limits import full

# What has ended is decided by the clock of Redis.
pytestmark = pytest.mark.usefixtures("fake_clock")


async def listed(service: Service) -> list[tuple[str, Status]]:
    tokens, _, _ = await service.rules.managed.queries.page(Query(frozenset(Status), sort="name", descending=False))
    return [(token.name, token.status(service.clock())) for token in tokens]


@pytest.fixture(params=[1, pytest.param(16, marks=pytest.mark.slow)])
async def still(request: pytest.FixtureRequest, make_service: MakeService) -> Service:
    service: Service = await make_service(fake=True, shards=request.param)
    return service


class SwitchedOff(Wrapped):
    """A Redis where a token is switched off just before the sweep goes on behind it."""

    async def execute(self, *args: Any, **how: Any) -> Any:
        if args[0] == "ZRANK":
            for score, member in ((-2e10, args[2]), (-1e10, "0" * 16)):
                await super().execute("ZADD", args[1], score, member)
        return await super().execute(*args, **how)


async def test_a_token_that_is_switched_off_meanwhile_stops_no_sweep(make_service: MakeService) -> None:
    service: Service = await make_service(fake=True, wrap=SwitchedOff)
    for name in ("soon", "sooner"):
        await create(service, name, days=1)
    records = service.stores.shards[0].keys.metadata("0" * 16)
    await service.stores.shards[0].link.execute("HSET", records, b"d", bytes(32))
    await service.rules.managed.sweeper.sweep()


@pytest.mark.parametrize("list_", ["dead", "purge"])
async def test_a_sweep_that_cannot_move_a_token_tells_of_it_once_and_not_each_time(
    still: Service, turn_time: TurnTime, list_: str
) -> None:
    token_id = (await create(still, days=1)).token.token_id
    shard = still.stores.shards.of_id(token_id)
    assert shard is not None
    key = getattr(shard.keys, list_)
    await shard.link.execute("SET", key, "")
    turn_time(DAY + 1)
    for _ in range(3):
        with suppress(StoreUnavailable):
            await still.rules.managed.sweeper.sweep()
    assert await actions(still, token_id) == ["token.created"]
    await shard.link.execute("DEL", key)
    for _ in range(2):
        await still.rules.managed.sweeper.sweep()
    assert await actions(still, token_id) == ["token.created", "token.expired"]


async def test_a_token_without_an_end_is_never_due_whatever_is_known_of_its_creation(
    make_service: MakeService, clock: Clock
) -> None:
    """It stands among the dates by its creation, in microseconds."""
    service: Service = await make_service(fake=True, max_lifetime_days=0)
    now, clock.now = clock.now, 600.0
    await create(service, "before the clock was set", days=0)
    clock.now = now
    old = ImportedSecret(NewToken("of 1970", 0), bytes(32), created_at=600)
    assert await service.rules.managed.imports.take([old], ADMIN) == [None]
    token = (await create(service, "off", days=0)).token
    shard = service.stores.shards[0]
    await shard.link.execute("HDEL", shard.keys.metadata(token.token_id), LETTERS["created_micros"])
    await service.rules.managed.tokens.update(token.token_id, {"active": False}, ADMIN)
    await service.rules.managed.sweeper.sweep()
    statistics = await service.rules.managed.queries.statistics()
    assert (statistics.active, statistics.inactive) == (2, 1)
    assert await service.rules.hygiene.without_end() == 2


async def test_a_token_past_its_date_is_moved_and_told_once(still: Service, clock: Clock) -> None:
    token = (await create(still, days=1)).token
    await create(still, "long", days=2)
    assert await still.rules.managed.sweeper.sweep() == 0
    clock.forward(DAY + 1)
    assert [await still.rules.managed.sweeper.sweep() for _ in range(3)] == [1, 0, 0]
    assert await listed(still) == [("ci", Status.EXPIRED), ("long", Status.ACTIVE)]
    (entry,) = [entry for entry in await audit(still) if entry.action == "token.expired"]
    assert (entry.actor, entry.target, entry.channel) == ("clock", token.token_id, "sweep")


@pytest.mark.parametrize("broken", ["log", "dead"])
async def test_a_token_that_cannot_be_moved_or_told_is_swept_the_next_time(
    still: Service, clock: Clock, broken: str
) -> None:
    await create(still, "ended", days=1)
    clock.forward(DAY + 1)
    keys = [shard.keys.occurrences if broken == "log" else shard.keys.dead for shard in still.stores.shards]
    link = still.stores.shards[0].link
    for key in keys:
        await link.execute("SET", key, "")
    with suppress(StoreUnavailable):
        await still.rules.managed.sweeper.sweep()
    for key in keys:
        await link.execute("DEL", key)
    assert await listed(still) == [("ended", Status.EXPIRED)]
    await still.rules.managed.sweeper.sweep()
    assert (await still.rules.managed.queries.statistics()).expired == 1
    assert "token.expired" in await actions(still)


async def test_on_a_full_server_what_is_over_goes_and_who_revokes_what_nobody_knows_is_answered(
    make_service: MakeService, clock: Clock
) -> None:
    service, now = await make_service(background=False), clock.now
    clock.now = now - 60 * DAY
    over = await create(service, "over", days=1)
    clock.now = now - 10 * DAY
    # It ends within the day, and why is not written yet.
    await create(service, "soon", days=10.5)
    clock.now = now
    async with full(service):
        assert not await service.rules.managed.revocation.revoke(over.secret.encode(), ADMIN)
        await service.rules.managed.sweeper.sweep()
    assert await listed(service) == [("soon", Status.ACTIVE)]


async def test_why_a_token_is_gone_is_written_before_its_date_and_not_at_its_creation(
    still: Service, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as end in one second, too; what ends soon is told of from the start, and what ended meanwhile later."""
    monkeypatch.setattr("service.store.managed.expiry.BATCH", 3)
    many = await create_many(still, *[f"token {number}" for number in range(7)], days=10)
    unwatched, far = await create(still, "unwatched", days=20), await create(still, "far", days=100)
    assert [key for key in await all_keys(still) if b":x:" in key] == []
    clock.forward(10 * DAY - REASON_AHEAD_SECONDS)
    soon = await create(still, "soon", days=REASON_AHEAD_SECONDS / DAY)
    await still.rules.managed.sweeper.sweep()
    assert len([key for key in await all_keys(still) if b":x:" in key]) == 8
    clock.forward(REASON_AHEAD_SECONDS + 1)
    assert {await peeked(still, one.secret) for one in (*many, soon)} == {"expired"}
    clock.forward(11 * DAY)
    await still.rules.managed.sweeper.sweep()
    assert [await peeked(still, one.secret) for one in (unwatched, far)] == ["expired", "active"]


async def test_why_a_token_is_gone_is_written_again_where_a_failover_lost_it(still: Service, clock: Clock) -> None:
    created, link = await create(still, days=10), still.stores.shards[0].link
    assert isinstance(link, Wrapped)
    clock.forward(10 * DAY - REASON_AHEAD_SECONDS + 60)
    await still.rules.managed.sweeper.sweep()
    await link.execute("DEL", *[key for key in await all_keys(still) if b":x:" in key])
    link.link.replication_id = b"b" * 20
    await still.rules.managed.sweeper.sweep()
    clock.forward(REASON_AHEAD_SECONDS)
    assert await peeked(still, created.secret) == "expired"


@pytest.mark.slow
async def test_sweepers_of_four_processes_tell_each_expiry_once(make_service: MakeService, clock: Clock) -> None:
    processes = [await make_service(shards=16, fake=True) for _ in range(4)]
    await create_many(processes[0], *[f"token {number}" for number in range(40)], days=1)
    clock.forward(2 * DAY)
    moved = await asyncio.gather(*[process.rules.managed.sweeper.sweep() for process in processes])
    assert sum(moved) == 40
    assert (await actions(processes[0])).count("token.expired") == 40
    assert (await processes[0].rules.managed.queries.statistics()).expired == 40


async def test_one_sweep_takes_as_many_steps_as_it_needs_to_expire_and_to_purge(
    make_service: MakeService, turn_time: TurnTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.managed.expiry.BATCH", 3)
    service = await make_service(fake=True)
    ids = [
        one.token.token_id for one in await create_many(service, *[f"token {number}" for number in range(8)], days=1)
    ]
    await service.rules.managed.bulk.set_active(ids[:4], False, ADMIN)
    turn_time(2 * DAY)
    assert await service.rules.managed.sweeper.sweep() == 8
    turn_time(31 * DAY)
    await service.rules.managed.sweeper.sweep()
    assert await service.stores.managed.get_many(ids) == [None] * 8


async def test_nothing_tells_of_a_token_that_was_purged(make_service: MakeService, turn_time: TurnTime) -> None:
    """Not its hours either, which end two days after its last use: an export may bring its id back sooner."""
    service = await make_service(fake=True, retention_days=1)
    created = await create(service, days=10)
    assert await outcome(service, created.secret) == "active"
    await service.rules.usage.flush()
    await service.rules.managed.tokens.revoke(created.token.token_id, ADMIN)
    turn_time(DAY + 2)
    await service.rules.managed.sweeper.sweep()
    assert await service.stores.managed.get_many([created.token.token_id]) == [None]
    assert [key for key in await all_keys(service) if created.token.token_id.encode() in key] == []


@pytest.mark.parametrize("shards", SHARDS)
@pytest.mark.parametrize("days", [0, 100])
async def test_an_export_from_before_brings_no_secret_of_a_revoked_token_back(
    make_service: MakeService, turn_time: TurnTime, shards: int, days: int
) -> None:
    """Neither its last one nor one that was rotated away before, though its record is gone."""
    service = await make_service(shards=shards, fake=True, retention_days=1, max_lifetime_days=0)
    created = await create(service, days=days)
    token_id, exports, secrets = created.token.token_id, [], [created.secret]
    for is_last in (False, False, True):
        record = await service.stores.managed.get(token_id)
        assert record is not None
        exports.append(Exported(record.token, record.seal))
        if not is_last:
            secrets.append((await service.rules.managed.rotation.rotate(token_id, ADMIN)).secret)
    await service.rules.managed.tokens.revoke(token_id, ADMIN)
    turn_time(DAY + 2)
    await service.rules.managed.sweeper.sweep()
    assert await service.stores.managed.get_many([token_id]) == [None]
    take = service.rules.managed.imports.take
    for dry_run in (DryRun(), None):
        refused = [await take([export], ADMIN, dry_run) for export in exports]
        assert [skipped.code for (skipped,) in refused if skipped] == ["secret_taken"] * 3
    assert {await outcome(service, secret) for secret in secrets} == {"unknown"}


async def test_a_token_given_another_date_while_the_sweep_was_on_its_way_lives_on(still: Service, clock: Clock) -> None:
    created = await create(still, days=1)
    clock.forward(2 * DAY)
    shard = still.stores.shards.of_id(created.token.token_id)
    assert shard is not None
    expiry = still.rules.managed.sweeper._expiry
    due = await expiry.due(shard, int(still.clock()))
    await still.rules.managed.tokens.update(created.token.token_id, {"expires_at": int(still.clock()) + DAY}, ADMIN)
    entry = still.rules.audit.log.entry("token.expired", ADMIN, due[0])
    assert await expiry.expire(shard, dict.fromkeys(due, entry)) == 0
    assert await outcome(still, created.secret) == "active"


async def test_no_old_date_is_written_for_a_token_given_another_one_meanwhile(still: Service, clock: Clock) -> None:
    created = await create(still, days=10)
    clock.forward(10 * DAY - 60)
    shard, now = still.stores.shards.of_id(created.token.token_id), int(still.clock())
    assert shard is not None
    expiry = still.rules.managed.sweeper._expiry
    ending = await expiry.ending(shard, 0, now + DAY)
    await still.rules.managed.tokens.update(created.token.token_id, {"expires_at": now + 9 * DAY}, ADMIN)
    await expiry.write_reasons(shard, ending)
    # By the old date it would go before the retention of the new one is over.
    clock.forward(9 * DAY - 60)
    await still.rules.managed.sweeper.sweep()
    clock.forward(25 * DAY)
    assert await peeked(still, created.secret) == "expired"


async def test_a_token_revoked_while_the_sweep_was_on_its_way_is_not_told_as_expired(
    still: Service, clock: Clock
) -> None:
    token = (await create(still, days=1)).token
    clock.forward(2 * DAY)
    shard = still.stores.shards.of_id(token.token_id)
    assert shard is not None
    due = await still.rules.managed.sweeper._expiry.due(shard, int(still.clock()))
    await still.rules.managed.tokens.revoke(token.token_id, ADMIN)
    entry = still.rules.audit.log.entry("token.expired", ADMIN, due[0])
    assert await still.rules.managed.sweeper._expiry.expire(shard, dict.fromkeys(due, entry)) == 0
    assert await listed(still) == [("ci", Status.REVOKED)]


async def test_an_inactive_token_expires_too_and_is_told(still: Service, clock: Clock) -> None:
    token = (await create(still, days=1)).token
    await still.rules.managed.tokens.update(token.token_id, {"active": False}, ADMIN)
    clock.forward(2 * DAY)
    assert await still.rules.managed.sweeper.sweep() == 1
    assert await listed(still) == [("ci", Status.EXPIRED)]


async def test_a_secret_is_revoked_though_its_date_came_while_nobody_swept(faked: Service, turn_time: TurnTime) -> None:
    created = await create(faked, days=3)
    turn_time(5 * DAY)
    assert await faked.rules.managed.revocation.revoke(created.secret.encode(), ADMIN)
    with pytest.raises(Conflict, match="revoked"):
        await faked.rules.managed.tokens.update(created.token.token_id, {"expires_at": int(faked.clock()) + DAY}, ADMIN)
    assert await listed(faked) == [("ci", Status.REVOKED)]
    assert await outcome(faked, created.secret) is Outcome.UNKNOWN


async def test_ended_tokens_stay_for_their_retention_and_leave_no_trace_after_it(
    faked: Service, turn_time: TurnTime
) -> None:
    late, gone, off, both = [
        (await create(faked, name, days=1, rate_limits=(RateLimit(5, 60),), max_uses=9))
        for name in ("late", "gone", "off", "both")
    ]
    for created in (late, gone, off, both):
        await outcome(faked, created.secret)
    await faked.rules.usage.flush()
    await faked.rules.managed.tokens.update(gone.token.token_id, {"name": "gone elsewhere"}, ADMIN)
    await faked.rules.managed.tokens.revoke(gone.token.token_id, ADMIN)
    await faked.rules.managed.tokens.update(off.token.token_id, {"active": False}, ADMIN)
    await faked.rules.managed.tokens.update(both.token.token_id, {"active": False}, ADMIN)
    turn_time(2 * DAY)
    await faked.rules.managed.tokens.revoke(both.token.token_id, ADMIN)
    await faked.rules.managed.sweeper.sweep()
    turn_time(27 * DAY)
    await faked.rules.managed.sweeper.sweep()
    assert len(await listed(faked)) == 4
    turn_time(2 * DAY)
    await faked.rules.managed.sweeper.sweep()
    assert await listed(faked) == [("both", Status.REVOKED)]
    turn_time(2 * DAY)
    await faked.rules.managed.sweeper.sweep()
    assert await listed(faked) == []
    turn_time(100 * DAY)
    shard = faked.stores.shards[0]
    left = await all_keys(faked) - {
        shard.keys.changes,
        shard.keys.occurrences,
        *[key for key in await all_keys(faked) if b":uh:" in key],
    }
    assert left == set()


@pytest.mark.parametrize("shards", [1, 16])
async def test_a_purged_name_is_free_also_where_it_lives_in_another_shard(
    make_service: MakeService, clock: Clock, shards: int
) -> None:
    service = await make_service(shards=shards, fake=True)
    for number in range(8):
        token = (await create(service, f"token {number}", days=1)).token
        await service.rules.managed.tokens.update(token.token_id, {"name": f"renamed {number}"}, ADMIN)
    clock.forward(2 * DAY)
    await service.rules.managed.sweeper.sweep()
    clock.forward(31 * DAY)
    await service.rules.managed.sweeper.sweep()
    assert await listed(service) == []
    for shard in service.stores.shards:
        assert await shard.link.execute("ZCARD", shard.keys.names) == 0
    assert (await service.rules.managed.queries.statistics()).total == 0


async def test_purging_at_once_in_two_processes_does_no_harm(make_service: MakeService, clock: Clock) -> None:
    processes = [await make_service(fake=True) for _ in range(2)]
    await create_many(processes[0], *[f"token {number}" for number in range(20)], days=1)
    clock.forward(2 * DAY)
    await processes[0].rules.managed.sweeper.sweep()
    clock.forward(31 * DAY)
    again = await create(processes[0], "token 5 again")
    await asyncio.gather(*[process.rules.managed.sweeper.sweep() for process in processes])
    assert [name for name, _ in await listed(processes[0])] == ["token 5 again"]
    assert await outcome(processes[0], again.secret) == "active"


async def test_a_record_that_is_gone_does_not_hold_up_the_purge(
    still: Service, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.managed.expiry.BATCH", 2)
    created = await create_many(still, *[f"token {number}" for number in range(6)], days=1)
    clock.forward(2 * DAY)
    await still.rules.managed.sweeper.sweep()
    for one in created[:3]:
        shard = still.stores.shards.of_id(one.token.token_id)
        assert shard is not None
        await shard.link.execute("DEL", shard.keys.metadata(one.token.token_id))
    clock.forward(31 * DAY)
    await still.rules.managed.sweeper.sweep()
    assert await listed(still) == []
    for shard in still.stores.shards:
        assert await shard.link.execute("ZCARD", shard.keys.purge) == 0


async def test_indexes_of_one_time_and_session_tokens_are_trimmed(
    still: Service, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's list of sessions among them, however long it is: it never goes whole by an expiry of its own."""
    monkeypatch.setattr("service.store.managed.expiry.SLICE", 2)
    for _ in range(5):
        await still.rules.one_time.issue(address=ADDRESS, anonymous=True)
        await sign_in(still)
    lists = [key for key in await all_keys(still) if b":su:" in key]
    assert len(lists) == 1
    assert await next(iter(still.stores.shards)).link.execute("PTTL", lists[0]) == -1
    clock.forward(DAY + 1)
    await still.rules.managed.sweeper.sweep()
    left = await all_keys(still)
    assert [key for key in left if key.rpartition(b":")[2] in (b"oix", b"six", b"sus") or b":su:" in key] == []
