"""Merging a list: sorted sets of each shard are read in slices, each from where the last one ended, and merged."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Sequence
from functools import partial
from heapq import merge
from itertools import chain, islice

from service.store.decoding import own_id
from service.store.driver.many_tokens import all_of
from service.store.driver.scripts import Script
from service.store.driver.shards import Shard
from service.store.managed.listing_sources import Index, Indexed, Place, Row, Slice, Source
from service.store.pacing import clear_in_steps, give_way, patiently

# Most rows of one slice: only ids, which take Redis and this process a fraction of a millisecond.
_MOST = 250
# Rows of a known list that are sorted, and yielded, before giving way.
_SORTED_AT_ONCE, _AT_ONCE = 1000, 64
_read_index = Script("read_index", retry=True)


def named(member: bytes) -> Row | None:
    """The row of a member of `names`, None for bytes that cannot be one."""
    _, nul, end = member.rpartition(b"\x00")
    token_id = own_id(end.removeprefix(b"~").partition(b"!")[0])
    try:
        return Row(member.decode(), token_id, token_id) if nul and token_id else None
    except UnicodeDecodeError:
        return None


class _Stream:
    """One source, the rows that were read and not yielded yet, and where to go on."""

    def __init__(self, source: Source, after: Row | None) -> None:
        self.source = source
        self.rows: list[Row] = []
        self.reached = after
        self.is_over = False

    def take(self, read: Slice) -> None:
        """Take a slice that was read. It may be empty although the source has more."""
        self.rows, self.is_over = read.rows, read.is_last
        self.reached = read.reached or self.reached

    def give(self, edge: Row | None, *, descending: bool) -> list[Row]:
        """Remove and return the rows up to an edge; all rows without an edge."""
        given = _up_to(edge, self.rows, descending=descending)
        self.rows = self.rows[len(given) :]
        return given


async def merged(
    sources: Iterable[Source], after: Row | None, need: int, *, descending: bool, patient: bool = False
) -> AsyncGenerator[tuple[list[Row], Row | None]]:
    """The rows of all sources in one order, in parts, each with the place up to which it is complete, None at the end.

    `need` is the number of rows of a page. A source is read on, from where it was, only when all its rows have been
    yielded. `patient`: for a walk through everything, which must not fail if Redis is busy for a moment.
    """
    streams = [_Stream(source, after) for source in sources]
    # Tokens are spread evenly: each of several sources is read for about three times its share.
    most = min(_MOST, need if len(streams) == 1 else 3 * need // max(1, len(streams)) + 4)
    while True:
        idle: defaultdict[Shard, list[_Stream]] = defaultdict(list)
        for stream in streams:
            if not stream.rows and not stream.is_over:
                idle[stream.source.shard].append(stream)
        asked = [partial(_read_on, shard, some, most, need, descending=descending) for shard, some in idle.items()]
        await all_of([patiently(ask, patient=patient) for ask in asked])
        edge = _edge([stream.reached for stream in streams if not stream.is_over], descending=descending)
        given = [rows for stream in streams if (rows := stream.give(edge, descending=descending))]
        yield _in_one_order(given, descending=descending), edge
        if edge is None:
            return
        streams = [stream for stream in streams if stream.rows or not stream.is_over]
        # A reader that goes on will need more: the first slices were sized for one page.
        most, need = min(2 * most, _MOST), _MOST + 1


async def _read_on(shard: Shard, streams: Sequence[_Stream], most: int, need: int, *, descending: bool) -> None:
    """Read on in sources of one shard, in one round trip; in more if only members that others wrote follow."""
    lists = [(stream, source.parts) for stream in streams if isinstance(source := stream.source, Indexed)]
    if not lists:
        # In the order of names a shard has only one source.
        streams[0].take(await _read_names(shard, streams[0].reached, most, descending=descending))
        return
    asked = [(part, part.place(stream.reached, descending=descending)) for stream, parts in lists for part in parts]
    found = iter(await _read_parts(shard, asked, most, need, descending=descending))
    for stream, parts in lists:
        stream.take(_of_both(list(islice(found, len(parts))), descending=descending))


async def _read_names(shard: Shard, after: Row | None, most: int, *, descending: bool) -> Slice:
    """The next rows, in one round trip; in more if only members that others wrote follow."""
    # The position is the member itself.
    place = str(after.position).encode() if after else None
    command, first, far = ("ZREVRANGEBYLEX", b"+", b"-") if descending else ("ZRANGEBYLEX", b"-", b"+")
    while True:
        near = first if place is None else b"(" + place
        members = await shard.link.execute(command, shard.keys.names, near, far, "LIMIT", 0, most, retry=True)
        rows = [row for member in members if (row := named(member)) is not None]
        if rows or len(members) < most:
            return Slice(rows, rows[-1] if rows else None, len(members) < most)
        place = members[-1]


async def _read_parts(
    shard: Shard, asked: Sequence[tuple[Index, Place]], most: int, need: int, *, descending: bool
) -> list[Slice]:
    """The next slice of each part after a place in it, all of the same instant; no further than one page needs."""
    parts, places = [part for part, _ in asked], [place for _, place in asked]
    keys, how = tuple([part.key for part in parts]), [part.how(most, descending=descending) for part in parts]
    while True:
        words = chain.from_iterable(map(chain, places, how))
        replies = await _read_index.run(shard.link, keys, *words)
        pairs = list(zip(parts, replies, strict=True))
        edge = _edge_of_page(pairs, need, descending=descending)
        found = [part.found(reply, most, descending=descending, edge=edge) for part, reply in pairs]
        # An empty slice that is not the last would end the list for its reader.
        if all(one.reached or one.is_last for one in found):
            return found
        places = [
            place if one.reached or one.is_last else part.end(reply, descending=descending)
            for part, place, one, reply in zip(parts, places, found, replies, strict=True)
        ]


def _edge_of_page(pairs: Sequence[tuple[Index, list[bytes]]], need: int, *, descending: bool) -> Row | None:
    """The place after which a page of `need` rows has no row, because one part has `need` rows before; else None.

    Reading the rows of the six parts that most lists have takes half of a page's time, and it needs few of them.
    """
    if sum(map(bool, (reply for _, reply in pairs))) < 2:
        return None
    full = [(part, reply) for part, reply in pairs if len(reply) >= 2 * need]
    ends = [part.position_in(reply, need - 1, descending=descending) for part, reply in full]
    # Members that others wrote may have any score.
    if not ends or min(ends) <= 0:
        return None
    # After all rows of this position in either direction, because no id is empty and none begins with g.
    return Row(max(ends), "", "") if descending else Row(min(ends), "g", "")


def _of_both(parts: list[Slice], *, descending: bool) -> Slice:
    """The rows of a list's parts as far as all parts were read, so that a member that moves between them is in one."""
    telling = [part for part in parts if part.rows or not part.is_last]
    if len(telling) < 2:
        return telling[0] if telling else Slice([], None, True)
    edge = _edge([part.reached for part in telling if not part.is_last], descending=descending)
    rows = _in_one_order([_up_to(edge, part.rows, descending=descending) for part in telling], descending=descending)
    return Slice(rows, edge or rows[-1], edge is None)


def _in_one_order(parts: list[list[Row]], *, descending: bool) -> list[Row]:
    return parts[0] if len(parts) == 1 else sorted(chain.from_iterable(parts), reverse=descending)


async def in_order(
    rows: list[Row], after: Row | None, *, descending: bool
) -> AsyncGenerator[tuple[list[Row], Row | None]]:
    """The rows after the cursor, in parts like those of `merged`: sorted in slices, and merged while they are read.

    Empties the list of rows.
    """
    # After the row of the cursor itself in either direction, because no id is empty and none begins with g.
    mark = None if after is None else Row(after.position, after.tie, "" if descending else "g")
    slices: list[list[Row]] = []
    while rows:
        part = rows[-_SORTED_AT_ONCE:]
        del rows[-_SORTED_AT_ONCE:]
        if mark is not None:
            part = [row for row in part if (row < mark if descending else row > mark)]
        slices.append(sorted(part, reverse=descending))
        await give_way()
    in_turn = merge(*slices, reverse=descending)
    part = list(islice(in_turn, _AT_ONCE))
    try:
        while following := list(islice(in_turn, _AT_ONCE)):
            yield part, part[-1]
            part = following
        yield part, None
    finally:
        del in_turn
        for left in slices:
            await clear_in_steps(left)


def _up_to(edge: Row | None, rows: list[Row], *, descending: bool) -> list[Row]:
    """The rows up to an edge; all rows without an edge."""
    # Mostly the rows end before the edge.
    if edge is None or not rows or (rows[-1] >= edge if descending else rows[-1] <= edge):
        return rows
    return rows[: sum(row >= edge if descending else row <= edge for row in rows)]


def _edge(reached: Sequence[Row | None], *, descending: bool) -> Row | None:
    """The place up to which all unfinished sources were read; None if all are finished."""
    places = [row for row in reached if row is not None]
    if not places:
        return None
    return max(places) if descending else min(places)
