"""An hour with a failover a minute, one right after another: none of them leaves a task, a descriptor or memory behind."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

from service.app import Service
from service.settings import Settings
from tests.api.running import wait_until
from tests.chaos.conftest import Row
from tests.chaos.tally import Used, footprint
from tests.fault.grouped import Site, stopped
from tests.server_groups import Six, Trio, role
from tests.threads import beside

FIRST, REST = 4, 56


def by_sentinels(trio: Trio, count: int) -> None:
    """Every fourth leaves the old primary standing still, the others are ordered."""
    for number in range(count):
        trio.settle()
        old = trio.primary
        heal = trio.fail_over() if number % 4 else stopped(old)
        wait_until(lambda before=old: trio.primary is not before, what="the sentinels to choose another")
        if heal:
            heal()
    trio.settle()


def in_a_cluster(six: Six, count: int) -> None:
    """The same of its primaries in turn."""
    for number in range(count):
        six.settle()
        old = six.primaries[number % 3]
        new = six.replica_of(old)
        heal = new.client.execute_command("CLUSTER", "FAILOVER") and None if number % 4 else stopped(old)
        wait_until(lambda heir=new: role(heir) == "master", what="a replica to take over")
        if heal:
            heal()
    six.settle()


async def fewest_tasks() -> int:
    """So many are always there; what is done every second takes more for a moment."""
    counted = []
    for _ in range(100):
        await asyncio.sleep(0.02)
        counted.append(len(asyncio.all_tasks()))
    return min(counted)


async def test_sixty_failovers_leave_nothing_behind(
    trio: Trio, six: Six, settings: dict[str, str], make_settings: Callable[..., Settings], row: Row
) -> None:
    groups = [(partial(by_sentinels, trio), trio), (partial(in_a_cluster, six), six)]
    async with AsyncExitStack() as stack:
        sites, said = list[Site](), set[int]()
        for _, group in groups:
            url = (await asyncio.to_thread(group.ready)).url
            sites.append(await asyncio.to_thread(Site, url, settings))
            stack.callback(sites[-1].close)
            # Its tasks can be counted here.
            await stack.enter_async_context(Service(make_settings(redis_url=url)).lifespan())

        async def fail_over(count: int) -> None:
            loads = [Used(site) for site in sites]
            with beside(*[load.until_over for load in loads]):
                try:
                    await asyncio.gather(*[asyncio.to_thread(one, count) for one, _ in groups])
                finally:
                    for load in loads:
                        load.stop()
            said.update(status for load in loads for status in load.said)

        await fail_over(FIRST)
        before, tasks = [footprint(site) for site in sites], await fewest_tasks()
        await fail_over(REST)
        after = [footprint(site) for site in sites]
        now = await fewest_tasks()
        for name, one, then in zip(("by sentinels", "in a cluster"), before, after, strict=True):
            found = f"{one[0]:.0f} MiB, {one[1]}; then {then[0]:.0f} MiB, {then[1]}"
            row(f"{REST} more failovers {name}: memory, descriptors", "base line", found)
        row("tasks of a process on each of the two", "base line", f"{tasks}; then {now}")
        assert said <= {200, 503}
        assert now <= tasks + 2
        for one, then in zip(before, after, strict=True):
            assert then[0] < one[0] * 1.15 + 10
            assert then[1] <= one[1] + 12
