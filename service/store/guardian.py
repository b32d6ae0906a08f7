"""Watches over Redis: looked at when the service starts and every minute, and asked before readiness is said."""

from __future__ import annotations

import asyncio
import logging

from service.errors import ServiceError, StoreUnavailable
from service.store.clock_watch import ClockWatch
from service.store.connection import Inspection, inspect
from service.store.keys import meta_key, probe_key
from service.store.replies import NotPrimary
from service.store.scripts import Script
from service.store.server_clock import ServerClock
from service.store.shards import Shards

log = logging.getLogger(__name__)
_CHECKS = ("redis", "role", "version", "eviction", "scripts", "namespace", "clock")
_LOOK_SECONDS = 0.25


class Guardian:
    """Knows whether this Redis may be used: reached, a master, new enough, not evicting, with our shard count."""

    def __init__(self, shards: Shards, clock: ServerClock) -> None:
        """`clock` is kept at that of the first shard's node."""
        self._shards = shards
        self._clocks = ClockWatch(shards, clock)
        self._link = shards[0].link
        self._probe = Script("read_field", retry=True)
        self._scratch = probe_key(shards.namespace)
        self._inspection: Inspection | None = None
        self._said: set[str] = set()
        self._shard_fault = ""
        self.usable = False

    @property
    def faults(self) -> str:
        """What forbids this Redis, in one line."""
        found = self._inspection.faults.values() if self._inspection else ()
        return "; ".join(text for text in (*found, self._shard_fault) if text)

    @property
    def clock_seconds_apart(self) -> float:
        """How much the clocks of Redis and of this machine differ."""
        return self._clocks.seconds_apart

    async def look(self) -> Inspection:
        """Inspect the server and settle the number of shards; says each fault and warning once.

        Raises StoreUnavailable when it does not answer.
        """
        await self._clocks.look()
        inspection = await inspect(self._link, self._scratch)
        self._inspection = inspection
        await self._settle_shards()
        self.usable = not inspection.faults and not self._shard_fault
        for text in (*inspection.faults.values(), *inspection.warnings, self._shard_fault):
            if text and text not in self._said:
                self._said.add(text)
                log.warning(text)
        return inspection

    async def _settle_shards(self) -> None:
        """The first process to start fixes how many shards a namespace has; another number is refused for good."""
        key, ours = meta_key(self._shards.namespace), str(len(self._shards)).encode()
        try:
            await self._link.execute("SET", key, ours, "NX", retry=True)
        except StoreUnavailable:
            # A full server refuses the write; whoever started first has settled it.
            log.debug("the shard count could not be written")
        stored = await self._link.execute("GET", key, retry=True)
        self._shard_fault = ""
        if stored is not None and stored != ours:
            self._shard_fault = (
                f"namespace {self._shards.namespace} was first started with {stored.decode()} shards, "
                f"this configuration has {ours.decode()}: set another TOKENS_NAMESPACE"
            )

    async def checks(self) -> dict[str, str]:
        """Each check's name and its fault, empty where all is well. One look and one script.

        Clocks that differ forbid traffic, but not this Redis: the service goes by the clock of Redis all the same.
        """
        found = dict.fromkeys(_CHECKS, "")
        try:
            inspection = await self.look()
            await self._probe.run(self._link, (self._scratch,), "")
        except StoreUnavailable as error:
            self.usable = False
            return {"role" if isinstance(error, NotPrimary) else "redis": error.detail}
        found.update(inspection.faults)
        found["namespace"] = self._shard_fault
        found["clock"] = self._clocks.fault
        return found

    async def watch(self) -> None:
        """Look at the clock, and with it at the role, four times a second; at all else every minute.

        Every second while Redis may not be used. Until cancelled.
        """
        due, loop = 0.0, asyncio.get_running_loop()
        while True:
            try:
                if loop.time() >= due:
                    due = loop.time() + 1
                    await self.look()
                    due = loop.time() + (60 if self.usable else 1)
                else:
                    await self._clocks.look()
            except ServiceError:
                self.usable = False
                due = min(due, loop.time() + 1)
            await asyncio.sleep(_LOOK_SECONDS)
