"""The audit streams: entries come in by the scripts that make a change, or alone where nothing else is.

Beside each stands a stream of checkpoints, which seal what was written; see `tokens.audit.macs`.
"""

from typing import NamedTuple

import msgspec

from service.store.decoding import in_pairs, whole
from service.store.driver.connection import Link
from service.store.driver.keys import Stream
from service.store.driver.replies import Argument, Reply
from service.store.driver.scripts import Script
from service.store.driver.shards import Shard, Shards

START = "0-0"
# How many entries one step drops: a quarter of a millisecond of Redis' time.
SLICE = 1000
# Of a checkpoint in the stream, in the order of its members behind the id.
_FIELDS = "fnkplm"


class Entry(NamedTuple):
    """One audit entry as a script takes it: how many to keep at most, the JSON, its seal."""

    keep: int
    body: bytes
    seal: str


class Stored(msgspec.Struct, frozen=True):
    """One audit entry as it stands in the stream; `entry_id` is Redis's, milliseconds and a number."""

    entry_id: str
    body: bytes
    seal: str


class AuditStream(msgspec.Struct, frozen=True):
    shard: Shard
    stream: Stream

    @property
    def link(self) -> Link:
        return self.shard.link

    @property
    def entries(self) -> bytes:
        return self.shard.keys.entries(self.stream)

    @property
    def checkpoints(self) -> bytes:
        return self.shard.keys.checkpoints(self.stream)

    def public_id(self, entry_id: str) -> str:
        """The id of one of its entries or checkpoints for those who read the log."""
        return f"{entry_id}.{self.shard.index}{self.stream}"


class Checkpoint(NamedTuple):
    """What a checkpoint says of the entries behind `after` up to its own id.

    `before` is how many entries were sealed before them, `keep` how many are kept, `previous` the MAC of the
    checkpoint before, `marks` eight bytes for each entry, `mac` the MAC over all of it.
    """

    entry_id: str
    after: str
    before: int
    keep: int
    previous: str
    marks: bytes
    mac: str


class AuditStore:
    """Reads the entries of all streams of all shards, and keeps their checkpoints."""

    def __init__(self, shards: Shards) -> None:
        self.streams = [AuditStream(shard, stream) for shard in shards for stream in Stream]
        self._seal = Script("seal_events", retry=True)
        self._trim = Script("trim_events", retry=True)

    async def newest(self, stream: AuditStream, before: str, count: int) -> list[Stored]:
        """Entries in falling order from `before`: an id, `(` and an id to leave it out, or +."""
        reply = await stream.link.execute("XREVRANGE", stream.entries, before, "-", "COUNT", count, retry=True)
        return [stored(item) for item in reply]

    async def oldest(self, stream: AuditStream, after: str, count: int, *, last: str = "+") -> list[Stored]:
        """Entries in rising order behind the id `after`, up to `last`."""
        reply = await stream.link.execute("XRANGE", stream.entries, f"({after}", last, "COUNT", count, retry=True)
        return [stored(item) for item in reply]

    async def last_checkpoint(self, stream: AuditStream) -> Checkpoint | None:
        """The newest checkpoint, None if nothing was sealed yet."""
        reply = await stream.link.execute("XREVRANGE", stream.checkpoints, "+", "-", "COUNT", 1, retry=True)
        return _checkpoint(reply[0]) if reply else None

    async def checkpoints(self, stream: AuditStream, after: str, count: int) -> list[Checkpoint]:
        """Checkpoints in rising order behind an id."""
        reply = await stream.link.execute("XRANGE", stream.checkpoints, f"({after}", "+", "COUNT", count, retry=True)
        return [_checkpoint(item) for item in reply]

    async def seal(self, stream: AuditStream, one: Checkpoint) -> bool:
        """Append a checkpoint; False if the one that it continues is no longer the last."""
        # The very bytes that were read: somebody may have put any in the place of a MAC.
        known = one.previous.encode("latin-1")
        members: tuple[Argument, ...] = one.after, one.before, one.keep, known, one.marks, one.mac
        words = [word for field in zip(_FIELDS, members, strict=True) for word in field]
        appended: int = await self._seal.run(stream.link, (stream.checkpoints,), known, one.entry_id, *words)
        return appended == 1

    async def trim(self, stream: AuditStream, keep: int) -> int:
        """Drop sealed entries beyond so many, slice by slice, and the checkpoints of what is gone; how many are left.

        What no checkpoint covers stays, however many there are: to lose it would leave no trace.
        """
        dropped = left = 1
        while dropped:
            dropped, left = await self._trim.run(stream.link, (stream.checkpoints, stream.entries), keep, SLICE)
        return left


async def append(stream: AuditStream, entry: Entry) -> None:
    """Write an entry that goes with no other change: a refused sign-in, a reload."""
    # Not marked for a retry: where the reply alone was lost the entry would stand there twice.
    await stream.link.execute("XADD", stream.entries, "MAXLEN", "~", entry.keep, "*", "e", entry.body, "s", entry.seal)


def stored(item: Reply) -> Stored:
    """An entry as a stream has it. One that lacks a field, or was trimmed meanwhile, is one that no seal fits."""
    entry_id, parts = item
    # By their places first: every entry is read back once to be sealed, and by name that takes longer.
    if not parts or tuple(parts[::2]) != (b"e", b"s"):
        fields = dict(in_pairs(parts or []))
        parts = [b"", fields.get(b"e", b""), b"", fields.get(b"s", b"")]
    # Latin-1 reads any bytes: a MAC of somebody else's must be wrong, not a failure to read it.
    return Stored(entry_id.decode(), parts[1], parts[3].decode("latin-1"))


def _checkpoint(item: Reply) -> Checkpoint:
    fields = dict(in_pairs(item[1]))
    after, before, keep, previous, marks, mac = (fields.get(name.encode(), b"") for name in _FIELDS)
    return Checkpoint(
        entry_id=item[0].decode(),
        after=after.decode("latin-1"),
        before=whole(before, -1),
        keep=whole(keep, -1),
        previous=previous.decode("latin-1"),
        marks=marks,
        mac=mac.decode("latin-1"),
    )
