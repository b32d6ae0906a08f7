"""The audit streams. The scripts that make a change write its entry; `append` writes entries without a change.

Beside each is a stream of checkpoints, which seal what was written; see `tokens.audit.macs`.
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
# The fields of a checkpoint in the stream, in the order of `Checkpoint`'s members after the id.
_FIELDS = "fnkplm"


class Entry(NamedTuple):
    """One audit entry as a script takes it: how many entries the stream keeps at most, the JSON, its seal."""

    keep: int
    body: bytes
    seal: str


class Stored(msgspec.Struct, frozen=True):
    """One audit entry in the stream; `entry_id` is the one of Redis: milliseconds and a number."""

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
        """The public id of one of the stream's entries or checkpoints, for readers of the log."""
        return f"{entry_id}.{self.shard.index}{self.stream}"


class Checkpoint(NamedTuple):
    """A checkpoint over the entries after the id `after` up to its own id.

    `before` is how many entries were sealed before them, `keep` how many are kept, `previous` the MAC of the previous
    checkpoint, `marks` eight bytes for each entry, `mac` the MAC over all of this.
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
        """Entries in descending order from `before`: an id, `(` and an id to exclude it, or + for the newest."""
        reply = await stream.link.execute("XREVRANGE", stream.entries, before, "-", "COUNT", count, retry=True)
        return [stored(item) for item in reply]

    async def oldest(self, stream: AuditStream, after: str, count: int, *, last: str = "+") -> list[Stored]:
        """Entries in ascending order after the id `after`, up to `last`."""
        reply = await stream.link.execute("XRANGE", stream.entries, f"({after}", last, "COUNT", count, retry=True)
        return [stored(item) for item in reply]

    async def last_checkpoint(self, stream: AuditStream) -> Checkpoint | None:
        """The newest checkpoint, None if nothing has been sealed yet."""
        reply = await stream.link.execute("XREVRANGE", stream.checkpoints, "+", "-", "COUNT", 1, retry=True)
        return _checkpoint(reply[0]) if reply else None

    async def checkpoints(self, stream: AuditStream, after: str, count: int) -> list[Checkpoint]:
        """Checkpoints in ascending order after an id."""
        reply = await stream.link.execute("XRANGE", stream.checkpoints, f"({after}", "+", "COUNT", count, retry=True)
        return [_checkpoint(item) for item in reply]

    async def seal(self, stream: AuditStream, one: Checkpoint) -> bool:
        """Append a checkpoint; False if the checkpoint that it continues is no longer the last one."""
        # Exactly the bytes that were read: somebody may have replaced a MAC by any bytes.
        known = one.previous.encode("latin-1")
        members: tuple[Argument, ...] = one.after, one.before, one.keep, known, one.marks, one.mac
        words = [word for field in zip(_FIELDS, members, strict=True) for word in field]
        appended: int = await self._seal.run(stream.link, (stream.checkpoints,), known, one.entry_id, *words)
        return appended == 1

    async def trim(self, stream: AuditStream, keep: int) -> int:
        """Drop sealed entries beyond `keep`, in slices, and their checkpoints. Returns how many entries are left.

        Entries that no checkpoint covers stay, however many there are: their loss would leave no trace.
        """
        dropped = left = 1
        while dropped:
            dropped, left = await self._trim.run(stream.link, (stream.checkpoints, stream.entries), keep, SLICE)
        return left


async def append(stream: AuditStream, entry: Entry) -> None:
    """Write an entry that belongs to no other change: a refused sign-in, a reload."""
    # Without `retry`: if only the reply was lost, the entry would be there twice.
    await stream.link.execute("XADD", stream.entries, "MAXLEN", "~", entry.keep, "*", "e", entry.body, "s", entry.seal)


def stored(item: Reply) -> Stored:
    """An entry of a stream. If it lacks a field, or was trimmed meanwhile, its empty parts fit no seal."""
    entry_id, parts = item
    # By position first, which is faster than by name: every entry is read back once to be sealed.
    if not parts or tuple(parts[::2]) != (b"e", b"s"):
        fields = dict(in_pairs(parts or []))
        parts = [b"", fields.get(b"e", b""), b"", fields.get(b"s", b"")]
    # Latin-1 decodes any bytes: a MAC that somebody else wrote must be wrong, and not fail to be read.
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
