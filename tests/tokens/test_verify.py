"""The report on the audit log: complete in its verdict, bounded in what it names."""

import asyncio

from service.app import Service
from tests.builders import ADMIN


async def write(service: Service, count: int) -> None:
    await asyncio.gather(
        *[service.rules.audit.log.write("export.made", ADMIN, f"user {number}") for number in range(count)]
    )


async def test_of_many_faults_a_hundred_are_named(still: Service) -> None:
    shard = still.stores.shards[0]
    await asyncio.gather(
        *[shard.link.execute("XADD", shard.keys.changes, "*", "e", b"{}", "s", "0" * 32) for _ in range(130)]
    )
    report = await still.rules.audit.verification.verify()
    assert (report.intact, report.entries, len(report.faults)) == (False, 130, 100)


async def test_an_audit_log_that_was_emptied_keeps_what_shows_it(still: Service) -> None:
    await write(still, 5)
    await still.rules.audit.checkpoints.seal()
    stream, *_ = [one for one in still.stores.audit.streams if await still.stores.audit.oldest(one, "0-0", 1)]
    await stream.link.execute("DEL", stream.entries)
    await still.stores.audit.trim(stream, 1000)
    assert await still.stores.audit.last_checkpoint(stream) is not None
    report = await still.rules.audit.verification.verify()
    assert [fault.fault for fault in report.faults] == ["missing"]
