"""Verification of the audit log: reads every stream from its old end and names what does not fit."""

from dataclasses import dataclass, field
from functools import partial

import msgspec

from service.keyring import DerivedKeys, Keyring
from service.store.audit import START, AuditStore, AuditStream, Checkpoint, Stored
from service.store.batch_size import BatchSize
from service.store.driver.keys import Stream
from service.store.pacing import paced, paced_list
from service.tokens.audit import macs
from service.tokens.audit.checkpoints import Checkpoints

# How many entries are read at once.
_MOST = 250
_CHECKPOINTS = 20
# At most so many faults are named: in a replaced log every entry is one.
_FAULTS = 100

CHANGED = "changed"
MISPLACED = "misplaced"
MISSING = "missing"
CHECKPOINT_CHANGED = "checkpoint_changed"
CHECKPOINT_MISSING = "checkpoint_missing"
ROLLED_BACK = "rolled_back"


class Fault(msgspec.Struct, frozen=True):
    """What is wrong at an entry, or just before it if one is missing."""

    id: str
    fault: str


class Report(msgspec.Struct):
    """What a verification found. `unsealed` entries, from the last second, are protected by their own MAC alone.

    `complete_since`: the instant from which on a stream holds everything ever written to it, in epoch seconds; None if
    trimming has not removed any entry yet.
    """

    intact: bool = True
    entries: int = 0
    unsealed: int = 0
    faults: list[Fault] = []
    complete_since: dict[Stream, int | None] = msgspec.field(default_factory=lambda: dict.fromkeys(Stream))

    def blame(self, stream: AuditStream, entry_id: str, fault: str) -> None:
        """Note a fault; only the first hundred are kept."""
        self.intact = False
        if len(self.faults) < _FAULTS:
            self.faults.append(Fault(stream.public_id(entry_id), fault))

    def begins(self, stream: Stream, entry_id: str) -> None:
        """Note the oldest entry that is left of a stream in one shard."""
        milliseconds = int(entry_id.partition("-")[0])
        # The latest instant of all shards, rounded up: before it an entry may be missing in one of them.
        self.complete_since[stream] = max(self.complete_since[stream] or 0, -(-milliseconds // 1000))


@dataclass(eq=False, repr=False)
class Verification:
    """Checks every entry's MAC and every checkpoint against the entries it covers."""

    _store: AuditStore
    _keyring: Keyring
    _checkpoints: Checkpoints
    _keep: int

    async def verify(self) -> Report:
        """Read the whole log, in pages between which other requests have a turn. Raises StoreUnavailable."""
        report = Report()
        for stream in self._store.streams:
            # Also here, so that a log which was just set back is reported at once.
            await self._checkpoints.head(stream)
            if stream in self._checkpoints.rolled_back:
                report.blame(stream, self._checkpoints.rolled_back[stream], ROLLED_BACK)
            await _Walk(self._store, stream, self._keyring, report, self._keep).walk()
        return report


@dataclass(eq=False, repr=False)
class _Walk:
    """The verification of one stream."""

    _store: AuditStore
    _stream: AuditStream
    _keyring: Keyring
    _report: Report
    _keep: int
    _batch: BatchSize = field(default_factory=partial(BatchSize, _MOST), init=False)
    # How many entries trimming may have removed, and the number of the oldest one that is left.
    _may_be_gone: int = field(default=0, init=False)
    _oldest: int = field(default=0, init=False)
    # How many entries are there, and the first one.
    _entries_left: int = field(default=0, init=False)
    _first: str = field(default="", init=False)

    async def walk(self) -> None:
        await self._walk()
        # A stream that is shorter than its bound, and still has its first checkpoint, has lost nothing.
        if self._first and (self._oldest or self._entries_left >= self._keep):
            self._report.begins(self._stream.stream, self._first)

    async def _walk(self) -> None:
        last: Checkpoint | None = None
        while page := await self._store.checkpoints(self._stream, last.entry_id if last else START, _CHECKPOINTS):
            for checkpoint in page:
                await self._check(checkpoint, last)
                last = checkpoint
        unsealed = await self._unsealed(last)
        await self._check_words(unsealed)
        self._report.unsealed += len(unsealed)
        if last is None or self._oldest <= max(0, self._may_be_gone):
            return
        # Read again, because writes during the walk may have trimmed older entries.
        written = macs.sealed_with(last) + len(await self._unsealed(last))
        if self._oldest > written - self._keep:
            # More entries are missing at the old end than trimming can have removed.
            self._report.blame(self._stream, last.entry_id, MISSING)

    async def _unsealed(self, last: Checkpoint | None) -> list[Stored]:
        """The entries without a checkpoint, up to the newest one now, because writing continues meanwhile."""
        newest = await self._store.newest(self._stream, "+", 1)
        return await self._entries(last.entry_id if last else START, newest[0].entry_id) if newest else []

    async def _entries(self, after: str, last: str) -> list[Stored]:
        found: list[Stored] = []
        while page := await self._store.oldest(self._stream, after, self._batch.count, last=last):
            found += page
            after = page[-1].entry_id
            self._batch.note([len(entry.body) for entry in page])
        return found

    async def _check(self, checkpoint: Checkpoint, last: Checkpoint | None) -> None:
        signer = macs.signer(self._keyring, self._stream.entries, checkpoint)
        after = last.entry_id if last else START
        if signer is None:
            self._report.blame(self._stream, checkpoint.entry_id, CHECKPOINT_CHANGED)
            await self._check_words(await self._entries(after, checkpoint.entry_id))
            return
        # Entries after a missing checkpoint are covered by none.
        stray = await self._entries(after, checkpoint.after)
        await self._check_words(stray)
        follows = last is None or (checkpoint.after, checkpoint.previous) == (last.entry_id, last.mac)
        if stray or not follows:
            self._report.blame(self._stream, checkpoint.entry_id, CHECKPOINT_MISSING)
        if last is None:
            self._oldest = checkpoint.before
        entries = await self._entries(checkpoint.after, checkpoint.entry_id)
        await self._check_words(entries)
        await self._check_places(signer, checkpoint, entries)
        self._may_be_gone = max(self._may_be_gone, macs.sealed_with(checkpoint) - checkpoint.keep)

    async def _check_words(self, entries: list[Stored]) -> None:
        self._report.entries += len(entries)
        self._entries_left += len(entries)
        self._first = self._first or (entries[0].entry_id if entries else "")
        async for entry in paced(entries):
            if not macs.genuine(self._keyring, entry):
                self._report.blame(self._stream, entry.entry_id, CHANGED)

    async def _check_places(self, signer: DerivedKeys, checkpoint: Checkpoint, entries: list[Stored]) -> None:
        wanted = macs.marks_of(checkpoint)
        found = await paced_list(macs.mark(signer, self._stream.entries, entry) for entry in entries)
        if found == wanted:
            return
        sealed, present = set(wanted), set(found)
        for entry, its_mark in zip(entries, found, strict=True):
            if its_mark not in sealed:
                self._report.blame(self._stream, entry.entry_id, MISPLACED)
        missing = [number for number, its_mark in enumerate(wanted) if its_mark not in present]
        if missing and await self._begins_behind(checkpoint.after):
            # The stream now begins here: the missing entries before the first one left were trimmed.
            trimmed = next((number for number, gone in enumerate(missing) if number != gone), len(missing))
            self._oldest = checkpoint.before + trimmed
            missing = missing[trimmed:]
        if missing:
            self._report.blame(self._stream, checkpoint.entry_id, MISSING)

    async def _begins_behind(self, entry_id: str) -> bool:
        """True if the oldest entry is newer than this id; read again, because trimming continues meanwhile."""
        oldest = await self._store.oldest(self._stream, START, 1)
        return not oldest or _order(oldest[0].entry_id) > _order(entry_id)


def _order(entry_id: str) -> tuple[int, ...]:
    return tuple(int(part) for part in entry_id.split("-"))
