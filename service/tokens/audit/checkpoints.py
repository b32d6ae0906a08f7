"""Seals the audit log: every second a checkpoint over the entries of a stream since the last checkpoint.

The process that seals also trims. An entry without a checkpoint is trimmed only if the log's room is full: by removals
alone, several times the kept number, while no process seals.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from service.keyring import Keyring
from service.store.audit import START, AuditStore, AuditStream, Checkpoint, Stored
from service.store.batch_size import BatchSize
from service.store.driver.keys import Stream
from service.store.pacing import Part, give_way, paced
from service.tokens.audit import macs

log = logging.getLogger(__name__)
# How many entries are read at once, enough for a few checkpoints: when thousands wait, one checkpoint per turn of a
# busy event loop is too slow.
_MANY = 4 * macs.LONGEST


class _Counted(msgspec.Struct):
    action: str


_decode = msgspec.json.Decoder(_Counted).decode


@dataclass(eq=False, repr=False)
class Checkpoints:
    """Seals one stream after the other. If two processes seal at once, one of them is refused, which does no harm."""

    _store: AuditStore
    _keyring: Keyring
    # Entries kept in a stream of a shard, and the backlog from which on changes that can wait are refused.
    _keep: int
    _most: int
    # Called with the action of each entry, once, in one process.
    _count: Callable[[str], None]
    # Called with the number of entries ever sealed; if it falls, the log was set back.
    _head: Callable[[int], None]
    _heads: dict[AuditStream, Checkpoint] = field(default_factory=dict, init=False)
    _behind: set[AuditStream] = field(default_factory=set, init=False)
    rolled_back: dict[AuditStream, str] = field(default_factory=dict, init=False)

    async def seal(self) -> int:
        """Seal all streams once. Returns how many entries were sealed. Raises StoreUnavailable."""
        sealed = sum(await asyncio.gather(*[Part(self._seal(stream)) for stream in self._store.streams]))
        # Of all streams, including those that other processes sealed, because `head` reads what Redis has.
        self._head(sum(macs.sealed_with(head) for head in self._heads.values()))
        return sealed

    def is_behind(self) -> bool:
        """True if more was written than all processes together could seal."""
        return bool(self._behind)

    async def _seal(self, stream: AuditStream) -> int:
        read, sealed, last = 0, 0, await self.head(stream)
        # A new one each time: after thousands of short entries, 400 of the longest would be read at once.
        batch = BatchSize(_MANY)
        while True:
            asked = batch.count
            entries = await self._store.oldest(stream, last.entry_id if last else START, asked)
            batch.note([len(entry.body) for entry in entries])
            read += len(entries)
            is_last = len(entries) < asked
            are_many = read >= _MANY and not is_last
            taken = await self._append(stream, entries, last, are_many=are_many) if entries else 0
            sealed += taken
            if is_last:
                self._behind.discard(stream)
                return sealed
            if not taken and stream not in self._behind:
                # Another process was faster, and continues from there.
                return sealed
            last = self._heads.get(stream) if taken == len(entries) else await self.head(stream)

    async def _append(
        self, stream: AuditStream, entries: list[Stored], last: Checkpoint | None, *, are_many: bool
    ) -> int:
        """Seal the entries after a checkpoint. Returns how many this process sealed, because others do the same."""
        parts = [entries[start : start + macs.LONGEST] for start in range(0, len(entries), macs.LONGEST)]
        made: list[Checkpoint] = []
        for part in parts:
            await give_way()
            last = macs.make_checkpoint(self._keyring, stream.entries, part, last, keep=self._keep)
            made.append(last)
        appended = await asyncio.gather(*[self._store.seal(stream, checkpoint) for checkpoint in made])
        left = await self._store.trim(stream, self._keep)
        # If few entries were read, the rest is newer. Only this stream has changes that can wait.
        if are_many and left > self._most and stream.stream is Stream.CHANGES:
            self._behind.add(stream)
        taken = 0
        for part, checkpoint, is_ours in zip(parts, made, appended, strict=True):
            if is_ours:
                self._heads[stream] = checkpoint
                taken += len(part)
                await self._tell(part)
        return taken

    async def head(self, stream: AuditStream) -> Checkpoint | None:
        """The newest checkpoint. It is remembered: if it disappears, somebody put back an older log."""
        known = self._heads.get(stream)
        last = await self._store.last_checkpoint(stream)
        if known is not None and macs.sealed_with(last) < macs.sealed_with(known):
            self.rolled_back[stream] = known.entry_id
            text = "the audit log was set back behind %s: what was ended since may work again, so end it anew"
            log.error(text, stream.public_id(known.entry_id))
        if last is None:
            # Forgotten now, because otherwise it would be reported, and counted, again every second.
            self._heads.pop(stream, None)
        else:
            self._heads[stream] = last
        return last

    async def _tell(self, entries: list[Stored]) -> None:
        """Count entries that this service wrote. Others may name any action, and each would become a time series."""
        async for entry in paced(entries):
            if macs.genuine(self._keyring, entry):
                self._count(_decode(entry.body).action)
