"""Checkpoints over the audit log: whatever is done to a covered entry shows, and trimming alone does not."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest

from service.app import Service
from service.store.audit import START, AuditStream
from service.store.driver.keys import Stream
from service.tokens.audit.verification import Report
from tests.tokens.audit.tampering import faults, keys_of, mutate, order_of, put, read, write

pytestmark = pytest.mark.anyio


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


async def test_written_entries_are_counted_once_whoever_seals(make_service: Callable[..., Any]) -> None:
    one, other = [await make_service(shards=16, background=False) for _ in range(2)]
    await write(one, 40)
    for _ in range(3):
        await asyncio.gather(one.rules.audit.checkpoints.seal(), other.rules.audit.checkpoints.seal())
    scrapes = b"".join(service.metrics.render("")[0] for service in (one, other)).decode()
    counted = re.findall(r'^tokens_audit_events_total\{action="export.made"\} (\S+)$', scrapes, re.MULTILINE)
    assert sum(map(float, counted)) == 40
    assert await faults(one) == await faults(other) == []


async def test_two_processes_that_seal_at_once_leave_one_sequence(make_service: Callable[..., Any]) -> None:
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
    make_service: Callable[..., Any],
) -> None:
    service = await make_service(background=False, audit_max_entries=1000)
    shard = service.stores.shards[0]
    for turn in range(30):
        await write(service, 150, start=150 * turn)
        await service.rules.audit.checkpoints.seal()
        assert await faults(service) == []
    assert 1000 <= await shard.link.execute("XLEN", shard.keys.changes) < 1400
    assert await shard.link.execute("XLEN", shard.keys.checkpoints(Stream.CHANGES)) < 12
    # Between the seals too: part of a checkpoint's entries is gone.
    await write(service, 170, start=9000)
    assert await faults(service) == []


@pytest.mark.slow
async def test_trimming_while_the_audit_log_is_verified_raises_no_alarm(
    make_service: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
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
async def test_more_than_one_checkpoint_takes_is_sealed_in_several(make_service: Callable[..., Any]) -> None:
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
    await still.stores.audit.forget(AuditStream(shard, Stream.CHANGES))
    assert await faults(still) == ["missing"]


async def test_checkpoints_whose_entries_were_trimmed_go_however_many_slices_they_are(
    make_service: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.audit.SLICE", 2)
    service = await make_service(background=False)
    for number in range(6):
        await write(service, 1, start=number)
        await service.rules.audit.checkpoints.seal()
    (shard,) = service.stores.shards
    entries, checkpoints = shard.keys.changes, shard.keys.checkpoints(Stream.CHANGES)
    await put(shard, entries, (await read(shard, entries))[-1:])
    await service.stores.audit.forget(AuditStream(shard, Stream.CHANGES))
    assert [item[0] for item in await read(shard, checkpoints)] == [item[0] for item in await read(shard, entries)]


async def test_more_entries_than_are_kept_between_two_seals_raise_no_alarm(make_service: Callable[..., Any]) -> None:
    service = await make_service(background=False, audit_max_entries=1000)
    await write(service, 10)
    await service.rules.audit.checkpoints.seal()
    # As many as push out all that was sealed, and some that never were.
    await write(service, 1500, start=10)
    await service.stores.audit.forget(AuditStream(service.stores.shards[0], Stream.CHANGES))
    await service.rules.audit.checkpoints.seal()
    assert service.rules.audit.checkpoints.rolled_back == {}
    assert await faults(service) == []


async def test_a_audit_log_set_back_is_noticed_by_a_process_that_saw_the_later_one(still: Service) -> None:
    await write(still, 20)
    await still.rules.audit.checkpoints.seal()
    before = [(shard, key, await read(shard, key)) for shard in still.stores.shards for key in keys_of(shard)]
    await write(still, 20, start=20)
    await still.rules.audit.checkpoints.seal()
    for shard, key, items in before:
        await put(shard, key, items)
    assert set(await faults(still)) == {"rolled_back"}


async def test_a_audit_log_sealed_under_the_previous_server_key_stays_intact(
    make_service: Callable[..., Any],
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


async def test_entries_whose_checkpoint_is_gone_are_told_as_such(make_service: Callable[..., Any]) -> None:
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


async def test_a_beginning_that_another_end_was_written_behind_is_found(make_service: Callable[..., Any]) -> None:
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


async def test_sixty_mutations_are_found(make_service: Callable[..., Any], namespace: str) -> None:
    await mutate(make_service, namespace, 60, seed=1)


@pytest.mark.slow
async def test_five_hundred_mutations_are_found(make_service: Callable[..., Any], namespace: str) -> None:
    await mutate(make_service, namespace, 500, seed=10_000)  # `make chaos` has two thousand
