"""What a list is put together from: sorted sets of each shard, read slice by slice from where they were, and merged."""

from collections.abc import AsyncIterator, Iterable, Sequence
from math import inf
from typing import NamedTuple, Protocol

import msgspec

from service.store.driver.many_tokens import all_of
from service.store.driver.replies import Argument
from service.store.driver.scripts import Script
from service.store.driver.shards import Shard
from service.store.forms import Member, in_pairs, own_id, own_members
from service.store.pacing import patiently

# Rows of one slice: ids alone, so that Redis and we are done with them in a part of a millisecond.
_MOST = 250
_TURNED = str.maketrans("0123456789abcdef", "fedcba9876543210")
# What stands before every id, and what stands behind every one.
_ENDS = {"": "g", "g": ""}
_read_index = Script("read_index", retry=True)


# No named tuple: a search keeps 20,000 of these at once, and the garbage collector would visit each of them.
class Row(msgspec.Struct, frozen=True, order=True, gc=False):
    """A place in a list, by which rows compare, and the id found there.

    The position is what the list is sorted by, a name or a number. `tie` tells rows of one position apart: the id,
    or from a set that is read backwards the id with each digit turned over.
    """

    position: str | int
    tie: str
    token_id: str


class Slice(NamedTuple):
    """Rows in order, how far they reach (None if nothing was there to read), and whether that was the end."""

    rows: list[Row]
    reached: Row | None
    is_last: bool


class Source(Protocol):
    """A part of a list that is in order by itself."""

    async def read(self, after: Row | None, most: int, *, descending: bool) -> Slice: ...


class Index(NamedTuple):
    """A part of a sorted set with numbers for scores: what lies between two of them, of one sign.

    A row's position is the score without its sign, and `offset` more.
    """

    shard: Shard
    key: bytes
    negative: bool = False
    offset: int = 0
    least: int = 0
    greatest: float = inf

    async def read(self, after: Row | None, most: int, *, descending: bool) -> Slice:
        """The next rows, at most so many, in one round trip.

        More where only members follow that somebody else wrote: a place is always one of ours.
        """
        score, member, *how = self.asked(after, most, descending=descending)
        while True:
            (reply,) = await _read_index.run(self.shard.link, (self.key,), score, member, *how)
            found = self.found(reply, most, descending=descending)
            # An empty slice that is not the last would end the list for whoever reads it.
            if found.rows or found.is_last:
                return found
            member, score = reply[-2:] if descending == self.negative else reply[:2]

    def asked(self, after: Row | None, most: int, *, descending: bool) -> tuple[Argument, ...]:
        """What the script takes to read on."""
        # By score and member and not by an offset, which at half a million takes Redis 42 ms.
        mark = self._mark(after, descending=descending)
        way = "up" if descending == self.negative else "down"
        return (*mark, way, most, self._signed(self.least if descending else self.greatest))

    def found(self, reply: list[bytes], most: int, *, descending: bool) -> Slice:
        """What it answers to that."""
        pairs = in_pairs(reply)[:: 1 if descending == self.negative else -1]
        rows = self._rows(own_members(pairs))
        return Slice(rows, rows[-1] if rows else None, len(pairs) < most)

    def _mark(self, after: Row | None, *, descending: bool) -> tuple[Argument, Argument]:
        """Score and member to go on behind. No score is one of the bounds."""
        if after is None:
            return self._signed(self.greatest if descending else self.least), ""
        score = int(after.position) - self.offset
        if not self.least < score < self.greatest:
            return self._signed(min(self.greatest, max(self.least, score))), ""
        return self._signed(score), flipped(after.tie) if self.negative else after.tie

    def _signed(self, score: float) -> str:
        return f"{'-' if self.negative else ''}{score}"

    def _rows(self, members: Iterable[Member]) -> list[Row]:
        """Those of this part, without what stands before all that a cursor can name."""
        sign, offset, least, greatest = -1 if self.negative else 1, self.offset, self.least, self.greatest
        return [
            Row(position, flipped(one.token_id) if self.negative else one.token_id, one.token_id)
            for one in members
            if least < (score := one.score * sign) < greatest and (position := score + offset) > 0
        ]


class Halves(NamedTuple):
    """Two parts that make one, in the same order, between which members move one way alone: from `left`."""

    left: Index
    entered: Index

    async def read(self, after: Row | None, most: int, *, descending: bool) -> Slice:
        """The next rows, in one round trip: as far as both were read, so that one of them has what moves meanwhile."""
        link, key = self.left.shard.link, self.left.key
        asked = [part.asked(after, most, descending=descending) for part in self]
        replies = await _read_index.run(link, (key,), *asked[0], *asked[1])
        parts = [part.found(reply, most, descending=descending) for part, reply in zip(self, replies, strict=True)]
        if not all(part.rows or part.is_last for part in parts):
            # In this order: what moves between the two reads is in both.
            parts = [await part.read(after, most, descending=descending) for part in self]
        edge = _edge([part.reached for part in parts if not part.is_last], descending=descending)
        rows = {row for part in parts for row in _up_to(edge, part.rows, descending=descending)}
        in_order = sorted(rows, reverse=descending)
        return Slice(in_order, edge or (in_order[-1] if in_order else None), edge is None)


class Names(NamedTuple):
    """All names of a shard, those of revoked tokens too, of which several may have had the same."""

    shard: Shard

    async def read(self, after: Row | None, most: int, *, descending: bool) -> Slice:
        """The next rows, in one round trip; more where only members follow that somebody else wrote."""
        # The position is the member itself.
        place = str(after.position).encode() if after else None
        command, first, far = ("ZREVRANGEBYLEX", b"+", b"-") if descending else ("ZRANGEBYLEX", b"-", b"+")
        while True:
            near = first if place is None else b"(" + place
            members = await self.shard.link.execute(
                command, self.shard.keys.names, near, far, "LIMIT", 0, most, retry=True
            )
            rows = [row for member in members if (row := named(member)) is not None]
            if rows or len(members) < most:
                return Slice(rows, rows[-1] if rows else None, len(members) < most)
            place = members[-1]


class Patient(NamedTuple):
    """A source for a walk through everything, which a Redis that is busy for a moment must not break off."""

    source: Source

    async def read(self, after: Row | None, most: int, *, descending: bool) -> Slice:
        """As the source itself, tried again."""
        return await patiently(lambda: self.source.read(after, most, descending=descending))


def flipped(token_id: str) -> str:
    """The id with each digit turned over: the order of these is that of the ids backwards."""
    return _ENDS.get(token_id, token_id.translate(_TURNED))


def named(member: bytes) -> Row | None:
    """The row of a member of `names`, None for what cannot be one."""
    _, nul, end = member.rpartition(b"\x00")
    token_id = own_id(end.removeprefix(b"~").partition(b"!")[0])
    try:
        return Row(member.decode(), token_id, token_id) if nul and token_id else None
    except UnicodeDecodeError:
        return None


class _Stream:
    """One source, what was read of it and not given yet, and where to go on."""

    def __init__(self, source: Source, after: Row | None) -> None:
        self._source = source
        self.rows: list[Row] = []
        self.reached = after
        self.is_over = False

    async def read(self, most: int, *, descending: bool) -> None:
        """Read on; what comes next may be nothing though it is not over."""
        part = await self._source.read(self.reached, most, descending=descending)
        self.rows, self.is_over = part.rows, part.is_last
        self.reached = part.reached or self.reached

    def give(self, edge: Row | None, *, descending: bool) -> list[Row]:
        """The rows up to an edge, all without one."""
        given = _up_to(edge, self.rows, descending=descending)
        self.rows = self.rows[len(given) :]
        return given


async def merged(
    sources: Iterable[Source], after: Row | None, need: int, *, descending: bool
) -> AsyncIterator[tuple[list[Row], Row | None]]:
    """The rows of all sources in one order, part by part, and the place up to which there are no more, None at the end.

    Each source is read on from where it was, and only when all that was read of it has been given.
    """
    streams = [_Stream(source, after) for source in sources]
    # Tokens spread evenly: each of several sources is asked for about three times its share.
    most = min(_MOST, need if len(streams) == 1 else 3 * need // max(1, len(streams)) + 4)
    while True:
        idle = [stream for stream in streams if not stream.rows and not stream.is_over]
        await all_of([stream.read(most, descending=descending) for stream in idle])
        edge = _edge([stream.reached for stream in streams if not stream.is_over], descending=descending)
        given = [row for stream in streams for row in stream.give(edge, descending=descending)]
        yield sorted(given, reverse=descending), edge
        if edge is None:
            return
        streams = [stream for stream in streams if stream.rows or not stream.is_over]
        # Whoever reads on will read more: the first slices were made for one page.
        most = min(2 * most, _MOST)


def _up_to(edge: Row | None, rows: list[Row], *, descending: bool) -> list[Row]:
    """The rows up to an edge, all without one."""
    if edge is None:
        return rows
    return rows[: sum(row >= edge if descending else row <= edge for row in rows)]


def _edge(reached: Sequence[Row | None], *, descending: bool) -> Row | None:
    """How far all have come that go on."""
    places = [row for row in reached if row is not None]
    if not places:
        return None
    return max(places) if descending else min(places)
