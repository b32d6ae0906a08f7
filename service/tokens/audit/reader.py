"""Reading the audit log: all streams of all shards merged, newest first."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import msgspec

from service.store.audit import AuditStore, AuditStream, Stored
from service.store.batch_size import BatchSize
from service.store.driver.keys import Stream
from service.store.driver.replies import decoded
from service.store.pacing import paced
from service.tokens.audit.entries import AuditEntry

# Entries of all streams together; reading and writing so many takes the event loop half a millisecond.
_CHUNK = 256
POSITION = r"([0-9]{1,19})-([0-9]{1,19})\.([0-9]{1,2})([a-z]?)"
_decode = msgspec.json.Decoder(AuditEntry).decode
_encode = msgspec.json.Encoder().encode


class Position(msgspec.Struct, frozen=True, order=True):
    """The place of an entry: by time, then by its number in that millisecond, then by shard and stream."""

    milliseconds: int
    number: int
    shard: int
    stream: Stream

    def __str__(self) -> str:
        return f"{self.milliseconds}-{self.number}.{self.shard}{self.stream}"

    @classmethod
    def read(cls, text: str) -> Position:
        """The position of an entry's public id. Raises ValueError."""
        found = re.fullmatch(POSITION, text)
        # Redis has no entry 0-0, and refuses to read before it.
        if found is None or not (int(found[1]) or int(found[2])):
            raise ValueError(f"{text!r} is no entry's id")
        milliseconds, number, shard, stream = found.groups()
        return cls(int(milliseconds), int(number), int(shard), Stream(stream))


class Event(msgspec.Struct, frozen=True):
    """One entry of the log and its place."""

    position: Position
    entry: AuditEntry


class AuditFilter(msgspec.Struct, frozen=True):
    """Which entries; empty and 0 mean any. `since` and `until` are epoch seconds, `until` is not included."""

    actor: str = ""
    action: str = ""
    target: str = ""
    since: int = 0
    until: int = 0
    text: str = ""

    def admits(self, entry: AuditEntry) -> bool:
        """True if this entry belongs to the list."""
        return (
            (not self.actor or entry.actor == self.actor)
            and (not self.action or entry.action == self.action)
            and (not self.target or entry.target == self.target)
            and entry.at >= self.since
            and (not self.until or entry.at < self.until)
            and (not self.text or self.text.casefold() in _words(entry).casefold())
        )


class AuditReader:
    def __init__(self, store: AuditStore) -> None:
        self._store = store

    async def page(
        self, wanted: AuditFilter, limit: int, after: Position | None
    ) -> tuple[list[Event], Position | None]:
        """One page, newest first, and where to continue, None at the end.

        With a filter the log is read until the page is full, in slices between which other requests have a turn.
        """
        found: list[Event] = []
        async for event in self.every(wanted, after=after):
            if len(found) == limit:
                return found, found[-1].position
            found.append(event)
        return found, None

    async def every(self, wanted: AuditFilter, *, after: Position | None = None) -> AsyncIterator[Event]:
        """All entries of a filter after a position, newest first, in bounded memory."""
        # All streams together hold one chunk, however many shards there are.
        chunk = _CHUNK // len(self._store.streams)
        readers = [_Reader(self._store, stream, after, chunk) for stream in self._store.streams]
        while True:
            await asyncio.gather(*[reader.fill() for reader in readers if reader.needs_more])
            readers = [reader for reader in readers if reader.waiting]
            if not readers:
                return
            # Everything newer than the oldest entry of each reader's chunk has been read from all of them.
            edge = max(reader.waiting[-1][0] for reader in readers)
            ready = sorted((item for reader in readers for item in reader.take(edge)), reverse=True)
            async for position, body in paced(ready):
                # Entries that anyone else wrote are skipped here and reported by the verification.
                entry = decoded(_decode, body)
                if entry is not None and wanted.admits(entry):
                    yield Event(position, entry)


class _Reader:
    """One stream, read backwards chunk by chunk."""

    def __init__(self, store: AuditStore, stream: AuditStream, after: Position | None, chunk: int) -> None:
        self._store = store
        self._stream = stream
        self._batch = BatchSize(chunk)
        self._next = "+"
        self._ended = False
        self.waiting: list[tuple[Position, bytes]] = []
        if after is not None:
            # Among entries with the same id, those of lower shards and streams come after it.
            bracket = "" if (stream.shard.index, stream.stream) < (after.shard, after.stream) else "("
            self._next = f"{bracket}{after.milliseconds}-{after.number}"

    @property
    def needs_more(self) -> bool:
        return not self.waiting and not self._ended

    async def fill(self) -> None:
        asked = self._batch.count
        entries = await self._store.newest(self._stream, self._next, asked)
        self._batch.note([len(entry.body) for entry in entries])
        self._ended = len(entries) < asked
        self.waiting = [(self._position(entry), entry.body) for entry in entries]
        if entries:
            self._next = f"({entries[-1].entry_id}"

    def take(self, edge: Position) -> list[tuple[Position, bytes]]:
        """The waiting entries that are not older than `edge`."""
        count = sum(position >= edge for position, _ in self.waiting)
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        return taken

    def _position(self, entry: Stored) -> Position:
        milliseconds, _, number = entry.entry_id.partition("-")
        return Position(int(milliseconds), int(number), self._stream.shard.index, self._stream.stream)


def _words(entry: AuditEntry) -> str:
    """The text that a search considers."""
    parts = [entry.action, entry.actor, entry.target, entry.address, entry.channel, entry.request_id]
    return "\n".join([*parts, *(_encode(facts).decode() for facts in (entry.before, entry.after) if facts)])
