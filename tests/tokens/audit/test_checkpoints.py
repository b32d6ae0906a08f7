"""Checkpoints over the audit log: whatever is done to a covered entry shows, and trimming alone does not."""

import asyncio
import itertools
import re
from functools import partial
from math import inf
from typing import Any

import pytest

from service.app import Service
from service.errors import StoreUnavailable
from service.keyring import Keyring
from service.model import Outcome
from service.store import pacing
from service.store.audit import START, AuditStream, Stored
from service.store.driver.keys import Stream
from service.tokens.audit import checkpoints as checkpoints_module
from service.tokens.audit import macs
from service.tokens.audit.macs import make_checkpoint
from service.tokens.audit.verification import Report
from tests.builders import ADMIN, create, create_many, outcome
from tests.conftest import MakeService
from tests.links import Wrapped
from tests.tokens.audit.tampering import faults, keys_of, mutate, order_of, put, read, write


async def test_an_untouched_audit_log_is_intact_sealed_or_not(still: Service) -> None:
    assert await still.rules.audit.verification.verify() == Report()
    await write(still, 5)
    assert await still.rules.audit.verification.verify() == Report(entries=5, unsealed=5)
    assert await still.rules.audit.checkpoints.seal() == 5
    assert await still.rules.audit.checkpoints.seal() == 0
    await write(still, 3, start=5)
    assert await still.rules.audit.verification.verify() == Report(entries=8, unsealed=3)
    await still.rules.audit.checkpoints.seal()
    assert await still.rules.audit.verification.verify() == Report(entries=8)


async def test_written_entries_are_counted_once_whoever_seals(make_service: MakeService) -> None:
    one, other = [await make_service(shards=16, background=False) for _ in range(2)]
    await write(one, 40)
    for _ in range(3):
        await asyncio.gather(one.rules.audit.checkpoints.seal(), other.rules.audit.checkpoints.seal())
    scrapes = b"".join([(await service.metrics.render(""))[0] for service in (one, other)]).decode()
    counted = re.findall(r'^tokens_audit_events_total\{action="export.made"\} (\S+)$', scrapes, re.MULTILINE)
    assert sum(map(float, counted)) == 40
    assert await faults(one) == await faults(other) == []


async def test_what_sealing_computes_counts_as_long_work_of_its_turn(
    still: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a turn of the loop would take as long as that and a step of a revocation of thousands."""
    begun = set[bool]()

    def told(keyring: Keyring, entry: Stored) -> bool:
        begun.add(pacing._Turn.began > -inf)
        return genuine(keyring, entry)

    genuine = macs.genuine
    monkeypatch.setattr(macs, "genuine", told)
    await write(still, 5)
    pacing._Turn.end()
    await still.rules.audit.checkpoints.seal()
    assert begun == {True}


async def test_few_entries_are_read_at_first_however_short_those_before_were(make_service: MakeService) -> None:
    """Of the longest, four hundred would hold Redis for seven milliseconds."""
    counts: list[int] = []

    class Counting(Wrapped):
        async def execute(self, *args: Any, **how: Any) -> Any:
            counts.extend([args[5]] if args[0] == "XRANGE" and args[1].endswith(b":ev") else [])
            return await super().execute(*args, **how)

    service = await make_service(background=False, wrap=Counting)
    await write(service, 150)
    for _ in range(2):
        counts.clear()
        await service.rules.audit.checkpoints.seal()
        assert counts[0] == 32
        await write(service, 1, start=150)


async def test_two_processes_that_seal_at_once_leave_one_sequence(make_service: MakeService) -> None:
    services = [await make_service(background=False) for _ in range(4)]
    for turn in range(20):
        await write(services[turn % 4], 3, start=3 * turn)
        await asyncio.gather(*[service.rules.audit.checkpoints.seal() for service in services])
    report = await services[0].rules.audit.verification.verify()
    assert report == Report(entries=60)
    shard = services[0].stores.shards[0]
    assert await shard.link.execute("XLEN", shard.keys.checkpoints(Stream.CHANGES)) == 20


@pytest.mark.slow
async def test_trimming_raises_no_alarm_and_takes_the_checkpoints_with_it(
    make_service: MakeService,
) -> None:
    service = await make_service(background=False, audit_max_entries=1000)
    shard = service.stores.shards[0]
    for turn in range(30):
        await write(service, 150, start=150 * turn)
        await service.rules.audit.checkpoints.seal()
        assert await faults(service) == []
    assert 1000 <= await shard.link.execute("XLEN", shard.keys.changes) < 1400
    assert await shard.link.execute("XLEN", shard.keys.checkpoints(Stream.CHANGES)) < 24
    # Between the seals too: part of a checkpoint's entries is gone.
    await write(service, 170, start=9000)
    assert await faults(service) == []
    # By what was kept when it was sealed, not by what is kept now.
    assert await faults(await make_service(background=False, audit_max_entries=4000)) == []


@pytest.mark.slow
async def test_trimming_while_the_audit_log_is_verified_raises_no_alarm(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await make_service(background=False, audit_max_entries=1000)
    await write(service, 1500)
    await service.rules.audit.checkpoints.seal()
    read, starts = service.stores.audit.oldest, itertools.count(1500, 20)

    async def read_after_others_wrote(*arguments: Any, **more: Any) -> Any:
        await write(service, 20, start=next(starts))
        return await read(*arguments, **more)

    # Fewer in one verification than are kept: of those that go before they are sealed nothing can be known.
    monkeypatch.setattr(service.stores.audit, "oldest", read_after_others_wrote)
    oldest = []
    for _ in range(5):
        (first,) = await read(AuditStream(service.stores.shards[0], Stream.CHANGES), START, 1)
        oldest.append(first.entry_id)
        assert await faults(service) == []
        await service.rules.audit.checkpoints.seal()
    assert len(set(oldest)) == 5, "nothing was trimmed meanwhile"


@pytest.mark.slow
async def test_more_than_one_checkpoint_takes_is_sealed_in_several(make_service: MakeService) -> None:
    service = await make_service(background=False)
    await write(service, 2300)
    assert await service.rules.audit.checkpoints.seal() == 2300
    assert await service.rules.audit.verification.verify() == Report(entries=2300)


async def test_what_is_deleted_at_the_old_end_of_an_audit_log_that_is_not_full_is_missed(still: Service) -> None:
    await write(still, 30)
    await still.rules.audit.checkpoints.seal()
    await write(still, 10, start=30)
    await still.rules.audit.checkpoints.seal()
    twice = [
        shard for shard in still.stores.shards if len(await read(shard, shard.keys.checkpoints(Stream.CHANGES))) > 1
    ]
    shard = twice[0]
    first, *_ = await read(shard, shard.keys.checkpoints(Stream.CHANGES))
    entries = await read(shard, shard.keys.changes)
    await put(shard, shard.keys.changes, [item for item in entries if order_of(item[0]) > order_of(first[0])])
    assert await faults(still) == ["missing"]
    # With its checkpoint gone as well, as if it had been trimmed.
    await still.stores.audit.trim(AuditStream(shard, Stream.CHANGES), 1000)
    assert await faults(still) == ["missing"]


async def test_entries_too_many_go_slice_by_slice(make_service: MakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    # Redis trims nodes of a hundred entries or less.
    monkeypatch.setattr("service.store.audit.SLICE", 100)
    service = await make_service(background=False, audit_max_entries=10)
    stream = AuditStream(service.stores.shards[0], Stream.CHANGES)
    for number in range(3):
        await write(service, 13, start=13 * number)
        await service.rules.audit.checkpoints.seal()
    await write(service, 250, start=100)
    await service.rules.audit.checkpoints.seal()
    assert 10 <= await stream.link.execute("XLEN", stream.entries) <= 110
    assert await faults(service) == []


async def test_entries_that_are_not_sealed_are_never_trimmed(make_service: MakeService) -> None:
    service = await make_service(background=False, audit_max_entries=100)
    stream = AuditStream(service.stores.shards[0], Stream.CHANGES)
    await write(service, 10)
    await service.rules.audit.checkpoints.seal()
    await write(service, 290, start=10)
    # Another process, which has sealed nothing of that, trims.
    assert await service.stores.audit.trim(stream, 100) == 300
    assert await service.rules.audit.checkpoints.seal() == 290
    assert service.rules.audit.checkpoints.rolled_back == {}
    assert await faults(service) == []


async def test_while_too_many_are_not_sealed_nothing_is_made_and_all_can_be_ended(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.tokens.audit.checkpoints._MANY", 30)
    monkeypatch.setattr("service.composition.rules._LEAST_ROOM", 0)
    service = await make_service(background=False, audit_max_entries=100)
    managed, (ended, kept) = service.rules.managed, await create_many(service, "one", "two")
    await write(service, 258)
    refused, numbers = [], itertools.count()

    async def ask_after_a_step(*arguments: Any) -> Any:
        entries = await oldest(*arguments)
        try:
            await create(service, f"meanwhile {next(numbers)}")
        except StoreUnavailable as error:
            refused.append(error.detail)
            if len(refused) == 1:
                await managed.tokens.revoke(ended.token.token_id, ADMIN)
        return entries

    oldest = service.stores.audit.oldest
    monkeypatch.setattr(service.stores.audit, "oldest", ask_after_a_step)
    await service.rules.audit.checkpoints.seal()
    assert refused
    assert "sealed" in refused[0]
    assert await outcome(service, ended.secret) == Outcome.UNKNOWN
    monkeypatch.setattr(service.stores.audit, "oldest", oldest)
    # All is sealed.
    await create(service, "three")
    await service.rules.audit.checkpoints.seal()
    assert await outcome(service, kept.secret) == Outcome.ACTIVE
    assert await faults(service) == []


async def test_what_comes_within_a_second_is_taken_and_sealed_however_few_are_kept(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.tokens.audit.checkpoints._MANY", 30)
    service = await make_service(background=False, audit_max_entries=16)
    await write(service, 700)
    left: list[int] = []

    async def create_after_a_step(*arguments: Any) -> int:
        left.append(await trim(*arguments))
        await create(service, f"meanwhile {len(left)}")
        return left[-1]

    trim = service.stores.audit.trim
    monkeypatch.setattr(service.stores.audit, "trim", create_after_a_step)
    assert await service.rules.audit.checkpoints.seal() >= 700
    assert max(left) > 600
    assert await faults(service) == []


@pytest.mark.parametrize(("at_once", "target"), [(400, "tokens"), (30, "audit")])
async def test_nothing_waits_for_what_is_sealed_in_one_step_or_where_only_others_write(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch, at_once: int, target: str
) -> None:
    monkeypatch.setattr("service.tokens.audit.checkpoints._MANY", at_once)
    monkeypatch.setattr("service.composition.rules._LEAST_ROOM", 0)
    service = await make_service(background=False, audit_max_entries=100)
    log, checkpoints, trims = service.rules.audit.log, service.rules.audit.checkpoints, itertools.count()

    async def crowd(count: int) -> None:
        await asyncio.gather(*[log.write("export.made", ADMIN, target) for _ in range(count)])

    async def trim_as_others_write(*arguments: Any) -> Any:
        if not next(trims):
            await crowd(250)
        left = await trim(*arguments)
        waits.append((left, checkpoints.is_behind()))
        return left

    async def tell_and_give_way() -> None:
        waits.append((0, checkpoints.is_behind()))
        await asyncio.sleep(0)

    waits: list[tuple[int, bool]] = []
    trim = service.stores.audit.trim
    monkeypatch.setattr(service.stores.audit, "trim", trim_as_others_write)
    monkeypatch.setattr("service.tokens.audit.checkpoints.give_way", tell_and_give_way)
    await crowd(120)
    await checkpoints.seal()
    assert max(left for left, _ in waits) > 200
    assert not any(behind for _, behind in waits)


async def test_a_checkpoint_continues_the_very_one_that_it_was_made_after(make_service: MakeService) -> None:
    """Two processes that keep different numbers seal the same entries, each with a few checkpoints at once."""
    service = await make_service(background=False)
    stream, store = AuditStream(service.stores.shards[0], Stream.CHANGES), service.stores.audit
    await write(service, 2)
    first, second = await store.oldest(stream, START, 2)
    make = partial(make_checkpoint, Keyring(service.settings.secret_key), stream.entries)
    one, other = make([first], None, keep=10), make([first], None, keep=20)
    assert await store.seal(stream, one)
    # Of the same entry, and by its id the one before.
    assert not await store.seal(stream, make([second], other, keep=20))
    assert await store.seal(stream, make([second], one, keep=10))
    assert await faults(service) == []


async def test_behind_a_checkpoint_that_somebody_changed_sealing_goes_on(make_service: MakeService) -> None:
    service = await make_service(background=False)
    stream = AuditStream(service.stores.shards[0], Stream.CHANGES)
    await write(service, 3)
    await service.rules.audit.checkpoints.seal()
    ((entry_id, fields),) = await read(stream.shard, stream.checkpoints)
    await put(stream.shard, stream.checkpoints, [(entry_id, [*fields[:-1], b"\xff" * 64])])
    await write(service, 3, start=3)
    assert await service.rules.audit.checkpoints.seal() == 3
    assert await faults(service) == ["checkpoint_changed"]


async def test_whoever_lost_the_race_to_seal_much_leaves_it_to_the_other(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.tokens.audit.checkpoints._MANY", 2)
    services = [await make_service(background=False) for _ in range(2)]
    await write(services[0], 9)
    reads, (one, other) = [], services
    read_from = other.stores.audit.oldest

    async def read_late(*arguments: Any) -> Any:
        reads.append(arguments)
        entries = await read_from(*arguments)
        await one.rules.audit.checkpoints.seal()
        return entries

    monkeypatch.setattr(other.stores.audit, "oldest", read_late)
    assert await other.rules.audit.checkpoints.seal() == 0
    # Once in each of the three streams.
    assert len(reads) == 3
    assert await faults(one) == []


async def test_an_audit_log_set_back_is_noticed_by_a_process_that_saw_the_later_one(
    still: Service, caplog: pytest.LogCaptureFixture
) -> None:
    await write(still, 20)
    await still.rules.audit.checkpoints.seal()
    before = [(shard, key, await read(shard, key)) for shard in still.stores.shards for key in keys_of(shard)]
    await write(still, 20, start=20)
    await still.rules.audit.checkpoints.seal()
    for shard, key, items in before:
        await put(shard, key, items)
    assert set(await faults(still)) == {"rolled_back"}
    assert re.search("set back behind [^ ]+: what was ended since may work again, so end it anew", caplog.text)


async def test_an_audit_log_that_is_gone_is_told_of_once_and_counted_on_from_nothing(
    still: Service, caplog: pytest.LogCaptureFixture
) -> None:
    await write(still, 20)
    await still.rules.audit.checkpoints.seal()
    for shard in still.stores.shards:
        await shard.link.execute("DEL", *keys_of(shard))
    # Nothing is written afterwards, so no new checkpoint comes in place of the one that is gone.
    for _ in range(3):
        await still.rules.audit.checkpoints.seal()
    told = re.findall("set back behind [^ ]+:", caplog.text)
    assert told
    assert len(told) == len(set(told))
    assert still.metrics.state.sealed == 0
    assert set(await faults(still)) == {"rolled_back"}


async def test_an_audit_log_that_goes_amid_its_sealing_stops_nothing(
    still: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = still.rules.audit.checkpoints
    append = checkpoints._append

    async def gone_behind(stream: Any, *asked: Any, **how: Any) -> int:
        taken = await append(stream, *asked, **how)
        for shard in still.stores.shards:
            await shard.link.execute("DEL", *keys_of(shard))
        # As a verification that somebody asks for in this moment.
        await checkpoints.head(stream)
        return taken

    monkeypatch.setattr(checkpoints_module, "_MANY", 4)
    monkeypatch.setattr(checkpoints, "_append", gone_behind)
    await write(still, 20)
    assert await checkpoints.seal()


async def test_an_audit_log_sealed_under_the_previous_server_key_stays_intact(
    make_service: MakeService,
) -> None:
    key = "another server key of the tests, long enough"
    old = await make_service(background=False, secret_key=key)
    await write(old, 20)
    await old.rules.audit.checkpoints.seal()
    new = await make_service(background=False, secret_key_previous=key)
    await write(new, 20, start=20)
    await new.rules.audit.checkpoints.seal()
    assert await new.rules.audit.verification.verify() == Report(entries=40)
    stranger = await make_service(background=False)
    assert len(await faults(stranger)) > 20


async def test_entries_whose_checkpoint_is_gone_are_told_as_such(make_service: MakeService) -> None:
    service = await make_service(background=False)
    for turn in range(3):
        await write(service, 4, start=10 * turn)
        await service.rules.audit.checkpoints.seal()
    (shard,) = service.stores.shards
    key = shard.keys.checkpoints(Stream.CHANGES)
    kept = await read(shard, key)
    for gone in (0, 1):
        await put(shard, key, kept[:gone] + kept[gone + 1 :])
        assert "checkpoint_missing" in await faults(service)
    # What it spoke for is read all the same.
    entries = await read(shard, shard.keys.changes)
    entries[5][1][1] = entries[5][1][1].replace(b"user", b"User")
    await put(shard, shard.keys.changes, entries)
    report = await service.rules.audit.verification.verify()
    assert (report.entries, [fault.fault for fault in report.faults]) == (12, ["changed", "checkpoint_missing"])


async def test_a_beginning_that_another_end_was_written_behind_is_found(make_service: MakeService) -> None:
    """Both are genuine and meet at the same entry id; only the end knows which beginning it had."""
    # Each is a process that has seen nothing of the others.
    one, other, verifying = [await make_service(background=False) for _ in range(3)]
    (shard,) = one.stores.shards
    entries, checkpoints = keys_of(shard)
    await write(one, 4)
    await one.rules.audit.checkpoints.seal()
    beginning, (sealed,) = await read(shard, entries), await read(shard, checkpoints)
    await put(shard, entries, [*beginning[:-1], (beginning[-1][0], beginning[0][1])])
    await shard.link.execute("DEL", checkpoints)
    await other.rules.audit.checkpoints.seal()
    await write(other, 4, start=10)
    await other.rules.audit.checkpoints.seal()
    end, (_, its_seal) = (await read(shard, entries))[len(beginning) :], await read(shard, checkpoints)
    await put(shard, entries, beginning + end)
    await put(shard, checkpoints, [sealed, its_seal])
    assert await faults(verifying) == ["checkpoint_missing"]


async def test_sixty_mutations_are_found(make_service: MakeService, namespace: str) -> None:
    await mutate(make_service, namespace, 60, seed=1)


@pytest.mark.slow
async def test_five_hundred_mutations_are_found(make_service: MakeService, namespace: str) -> None:
    await mutate(make_service, namespace, 500, seed=10_000)  # `make chaos` has two thousand
