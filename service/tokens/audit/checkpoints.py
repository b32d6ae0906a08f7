"""Seals the audit log: every second a checkpoint over what was written to a stream since the last one.

Whoever seals also trims, so that an entry which no checkpoint covers is pushed out only where the log's room is full:
by removals alone, several times what is kept, while no process seals.
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
# How many entries are read at once, enough for a few checkpoints: where thousands wait, one checkpoint for each turn of
# a busy loop is too slow.
_MANY = 4 * macs.LONGEST


class _Counted(msgspec.Struct):
    action: str


_decode = msgspec.json.Decoder(_Counted).decode


@dataclass(eq=False, repr=False)
class Checkpoints:
    """Seals stream after stream. Of two processes that seal at once one is refused, which does no harm."""

    _store: AuditStore
    _keyring: Keyring
    # Entries kept in a stream of a shard, and with how many the log is behind: it takes nothing new then that can wait.
    _keep: int
    _most: int
    # Gets the action of each entry, once, in one process.
    _count: Callable[[str], None]
    # Told how many entries were ever sealed; a number that falls tells of a log that was set back.
    _head: Callable[[int], None]
    _heads: dict[AuditStream, Checkpoint] = field(default_factory=dict, init=False)
    _behind: set[AuditStream] = field(default_factory=set, init=False)
    rolled_back: dict[AuditStream, str] = field(default_factory=dict, init=False)

    async def seal(self) -> int:
        """One pass over all streams; how many entries were sealed. Raises StoreUnavailable."""
        sealed = sum(await asyncio.gather(*[Part(self._seal(stream)) for stream in self._store.streams]))
        # Of all streams, those of other processes too, because `head` reads what Redis has.
        self._head(sum(macs.sealed_with(head) for head in self._heads.values()))
        return sealed

    def is_behind(self) -> bool:
        """Was more written than this process, and all others, could seal?"""
        return bool(self._behind)

    async def _seal(self, stream: AuditStream) -> int:
        read, sealed, last = 0, 0, await self.head(stream)
        # Anew each time: behind thousands of short entries the first of the longest would come four hundred at once.
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
                # Another process was faster, and goes on from there.
                return sealed
            last = self._heads.get(stream) if taken == len(entries) else await self.head(stream)

    async def _append(
        self, stream: AuditStream, entries: list[Stored], last: Checkpoint | None, *, are_many: bool
    ) -> int:
        """Seal the entries behind a checkpoint; of how many it was done here, because others do the same."""
        parts = [entries[start : start + macs.LONGEST] for start in range(0, len(entries), macs.LONGEST)]
        made: list[Checkpoint] = []
        for part in parts:
            await give_way()
            last = macs.make_checkpoint(self._keyring, stream.entries, part, last, keep=self._keep)
            made.append(last)
        appended = await asyncio.gather(*[self._store.seal(stream, checkpoint) for checkpoint in made])
        left = await self._store.trim(stream, self._keep)
        # Where few entries were read the rest was written since. Only this stream takes changes, which have to wait.
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
        """The newest checkpoint, kept in mind: if it goes, somebody put an older log in its place."""
        known = self._heads.get(stream)
        last = await self._store.last_checkpoint(stream)
        if known is not None and macs.sealed_with(last) < macs.sealed_with(known):
            self.rolled_back[stream] = known.entry_id
            text = "the audit log was set back behind %s: what was ended since may work again, so end it anew"
            log.error(text, stream.public_id(known.entry_id))
        if last is None:
            # Told of above, if there was one: kept in mind it would be told of, and counted, each second again.
            self._heads.pop(stream, None)
        else:
            self._heads[stream] = last
        return last

    async def _tell(self, entries: list[Stored]) -> None:
        """Count what was written by this service: somebody else may name any action, and each is a time series."""
        async for entry in paced(entries):
            if macs.genuine(self._keyring, entry):
                self._count(_decode(entry.body).action)
