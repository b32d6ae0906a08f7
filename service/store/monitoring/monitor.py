"""Monitors Redis: at start, every minute and on each readiness probe; its clocks four times a second."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from service.errors import ServiceError, StoreUnavailable
from service.store.driver.connection import Link
from service.store.driver.replies import NotPrimary
from service.store.driver.server_clock import SECONDS_APART, SECONDS_TOO_FAR_APART, ServerClock, difference
from service.store.driver.shards import Shard, Shards
from service.store.monitoring.inspection import Inspection, inspect, told_away
from service.store.monitoring.namespace import Namespace

log = logging.getLogger(__name__)
_CHECKS = (
    "redis",
    "role",
    "version",
    "eviction",
    "writes",
    "scripts",
    "namespace",
    "server_key",
    "store_reset",
    "clock",
)
_WATCH_SECONDS = 0.25


class Monitor:
    """Knows whether this Redis may be used: a primary, new enough, not evicting, with our number of shards and key."""

    def __init__(
        self, shards: Shards, clock: ServerClock, key_marks: tuple[bytes, ...], durability: str = "memory"
    ) -> None:
        """`clock` follows the clock of the first shard's node; `key_marks` are those of `Namespace`.

        `durability`: the value of `TOKENS_DURABILITY`.
        """
        self._durability = durability
        # One line for each node about its settings and what they promise; empty if the nodes do not tell them.
        self.promises: tuple[str, ...] = ()
        # Checks that could not be made, because INFO is forbidden.
        self.unknown: tuple[str, ...] = ()
        # False once CONFIG GET was refused.
        self._by_configuration = True
        self.namespace = Namespace(shards, key_marks)
        # The first shard of each link.
        by_link: dict[Link, Shard] = {}
        for shard in shards:
            by_link.setdefault(shard.link, shard)
        self._nodes = tuple(by_link.values())
        self.clocks = ClockWatch(self._nodes, clock)
        self._shards = shards
        self._inspection: Inspection | None = None
        self._away = ""
        self._said: dict[str, None] = {}
        self.usable = False
        self._checking, self._begun = asyncio.Lock(), 0
        # What the last check for `checks` found, and its number.
        self._checked: tuple[int, dict[str, str]] = (0, {})

    @property
    def faults(self) -> str:
        """Why this Redis must not be used, in one line. One that takes no writes for a while may still be read."""
        inspected = self._inspection.faults if self._inspection else {}
        found = [text for name, text in inspected.items() if name != "writes"]
        return "; ".join(text for text in (*found, self.namespace.shard_fault, self.namespace.key_fault) if text)

    async def check(self) -> Inspection:
        """Inspect the servers and the namespace; log when a fault or warning comes and goes.

        Raises StoreUnavailable if no server answers.
        """
        await self.clocks.check()
        inspection = self._inspection = await self._inspect()
        if "role" not in inspection.faults:  # a node of a cluster may not hold these keys
            await self._check_namespace()
        faults = (*inspection.faults.values(), self.namespace.shard_fault, self.namespace.key_fault)
        self.usable = not (self._away or any(faults))
        self._say(dict.fromkeys(filter(None, (*faults, *inspection.warnings, self.namespace.reset_fault))))
        return inspection

    async def _check_namespace(self) -> None:
        """What this compares is in the first shard. While its node is away and others answer, the last result stands.

        Raises StoreUnavailable.
        """
        try:
            await self.namespace.check()
        except StoreUnavailable:
            if not self._away:
                raise

    @property
    def partial(self) -> set[str]:
        """Checks whose faults prevent only a part of the answers: turning traffic away would prevent the rest, too."""
        return {"writes", "redis"} if self._away else {"writes"}

    def _say(self, texts: dict[str, None]) -> None:
        for text in texts:
            if text not in self._said:
                log.warning(text)
        # Forgotten, so that it is logged again when it comes back.
        for text in self._said:
            if text not in texts:
                log.info("no longer so: %s", text)
        self._said = texts

    async def _inspect(self) -> Inspection:
        """A fault or warning of any node counts for all; nodes that do not answer are reported by their shards."""
        one_node = partial(
            inspect,
            in_cluster=len(self._shards) > 1,
            durability=self._durability,
            by_configuration=self._by_configuration,
        )
        asked = [one_node(shard.link, shard.keys.probe) for shard in self._nodes]
        found: list[Any] = await asyncio.gather(*asked, return_exceptions=True)
        inspections = [one for one in found if isinstance(one, Inspection)]
        if not inspections:
            # Taken out of the list, as in `ClockWatch.check`.
            raise found.pop(0)
        away = {
            shard.index: one for shard, one in zip(self._nodes, found, strict=True) if isinstance(one, BaseException)
        }
        self._away = told_away(away)
        self._by_configuration = all(one.by_configuration for one in inspections)
        self.promises = tuple(dict.fromkeys(one.promise for one in inspections if one.promise))
        faults = {name: text for one in inspections for name, text in one.faults.items()}
        warnings = tuple(dict.fromkeys(text for one in inspections for text in one.warnings))
        self.unknown = tuple(dict.fromkeys(name for one in inspections for name in one.unknown))
        return msgspec.structs.replace(inspections[0], faults=faults, warnings=warnings)

    async def checks(self) -> dict[str, str]:
        """The fault of each check by its name, empty if all is well.

        Different clocks and lost data make the service unready, but it goes on using this Redis. One check answers all
        who asked before it began, because anybody may ask, and it takes Redis as long as fifty validations.
        """
        asked = self._begun
        async with self._checking:
            # Otherwise another check began after this call and has found what this one would find.
            if self._checked[0] <= asked:
                self._begun += 1
                self._checked = (self._begun, await self._check_each())
            return self._checked[1]

    async def _check_each(self) -> dict[str, str]:
        found = dict.fromkeys(_CHECKS, "")
        try:
            inspection = await self.check()
        except StoreUnavailable as error:
            self.usable, self._away = False, ""
            return {"role" if isinstance(error, NotPrimary) else "redis": error.cause}
        found["redis"] = self._away
        found.update(inspection.faults)
        found["namespace"] = self.namespace.shard_fault
        found["server_key"] = self.namespace.key_fault
        found["store_reset"] = self.namespace.reset_fault
        found["clock"] = self.clocks.fault
        return found

    async def watch(self) -> None:
        """Until cancelled, check the clock, and with it the role, four times a second; everything else every minute,
        or every second while Redis may not be used.
        """
        due, loop = 0.0, asyncio.get_running_loop()
        while True:
            try:
                # Set before the check, too, so that a failed check is repeated after a second.
                if loop.time() >= due:
                    due = loop.time() + 1
                    await self.check()
                    due = loop.time() + (60 if self.usable else 1)
                else:
                    await self.clocks.check()
            except ServiceError:
                self.usable = False
                due = min(due, loop.time() + 1)
            await asyncio.sleep(_WATCH_SECONDS)


class ClockWatch:
    """The clocks of all nodes, each read by one of its shards. The service uses `clock`, that of the first node."""

    def __init__(self, nodes: Sequence[Shard], clock: ServerClock) -> None:
        first, *others = nodes
        self._nodes = [(first, clock), *((shard, ServerClock(clock.ours)) for shard in others)]
        self._told = 0

    async def check(self) -> None:
        """Ask every node once; log if the clocks differ more than before. Raises StoreUnavailable if none answers."""
        asked = [clock.check(partial(shard.link.execute, "TIME")) for shard, clock in self._nodes]
        errors = [error for error in await asyncio.gather(*asked, return_exceptions=True) if error is not None]
        if len(errors) == len(self._nodes):
            # Taken out of the list: its traceback refers to this frame, which would make a reference cycle each time.
            raise errors.pop(0)
        # Logged once when it becomes worse, not four times a second.
        seriousness = sum(self.seconds_apart >= bound for bound in (SECONDS_APART, SECONDS_TOO_FAR_APART))
        if seriousness > self._told:
            log.warning(self._difference())
        self._told = seriousness

    @property
    def seconds_apart(self) -> float:
        """The greatest difference between any two clocks of this machine and the nodes."""
        ahead = (0.0, *(clock.seconds_ahead for _, clock in self._nodes))
        return max(ahead) - min(ahead)

    @property
    def fault(self) -> str:
        """The fault if the clocks are too far apart for traffic, else empty."""
        return self._difference() if self.seconds_apart >= SECONDS_TOO_FAR_APART else ""

    def _difference(self) -> str:
        if len(self._nodes) == 1:
            return difference(self._nodes[0][1].seconds_ahead)
        ahead = {shard.index: clock.seconds_ahead for shard, clock in self._nodes}
        ends = min(ahead, key=ahead.__getitem__), max(ahead, key=ahead.__getitem__)
        told = ", ".join(f"that of shard {index} {ahead[index]:+.1f} s" for index in dict.fromkeys(ends))
        apart = f"the clocks of Redis' nodes and of this machine are {self.seconds_apart:.1f} s apart"
        return f"{apart} (to this one {told}): set them"
