"""Seals the audit log: every second a checkpoint over what was written to a stream since the last one."""

import asyncio
import logging
from collections.abc import Callable

import msgspec

from service.keyring import Keyring
from service.store.audit import START, AuditStore, AuditStream, Checkpoint, Stored, audit_streams
from service.store.driver.shards import Shards
from service.tokens.audit import macs

log = logging.getLogger(__name__)


class _Counted(msgspec.Struct):
    """What is counted of an entry."""

    action: str


_decode = msgspec.json.Decoder(_Counted).decode


class Checkpoints:
    """Seals stream after stream. Of two processes that seal at once one is refused, which does no harm."""

    def __init__(
        self,
        store: AuditStore,
        shards: Shards,
        keyring: Keyring,
        *,
        keep: int,
        count: Callable[[str], None],
        head: Callable[[int], None],
    ) -> None:
        """`keep`: entries kept in a stream of a shard. `count` gets the action of each entry, once, in one process.

        `head` is told how many entries were ever sealed; a number that falls tells of a log that was set back.
        """
        self._store = store
        self._streams = audit_streams(shards)
        self._keyring = keyring
        self._keep = keep
        self._count = count
        self._head = head
        self._heads: dict[AuditStream, Checkpoint] = {}
        self.rolled_back: dict[AuditStream, str] = {}

    async def seal(self) -> int:
        """One pass over all streams; how many entries were sealed. Raises StoreUnavailable."""
        sealed = sum(await asyncio.gather(*[self._seal(stream) for stream in self._streams]))
        # Of all streams, those of other processes too, because `head` reads what Redis has.
        self._head(sum(macs.sealed_with(head) for head in self._heads.values()))
        return sealed

    async def _seal(self, stream: AuditStream) -> int:
        sealed = 0
        while True:
            last = await self.head(stream)
            known = last.entry_id if last else START
            entries = await self._store.oldest(stream, known, macs.LONGEST)
            if not entries:
                return sealed
            checkpoint = macs.make_checkpoint(self._keyring, stream.entries, entries, last, keep=self._keep)
            # Another process was faster, and its checkpoint covers the same entries.
            if not await self._store.seal(stream, known, checkpoint):
                return sealed
            self._heads[stream] = checkpoint
            sealed += len(entries)
            self._tell(entries)
            await self._store.forget(stream)
            if len(entries) < macs.LONGEST:
                return sealed

    async def head(self, stream: AuditStream) -> Checkpoint | None:
        """The newest checkpoint, kept in mind: if it goes, somebody put an older log in its place."""
        known = self._heads.get(stream)
        last = await self._store.last_checkpoint(stream)
        if known is not None and macs.sealed_with(last) < macs.sealed_with(known):
            self.rolled_back[stream] = known.entry_id
            log.error("the audit log was set back behind %s", stream.public_id(known.entry_id))
        if last is not None:
            self._heads[stream] = last
        return last

    def _tell(self, entries: list[Stored]) -> None:
        """Count what was written by this service: actions come from a closed set."""
        for entry in entries:
            # One that somebody else wrote may name any action, and each would become a time series.
            if macs.genuine(self._keyring, entry):
                self._count(_decode(entry.body).action)
