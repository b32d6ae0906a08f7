"""Lists of managed tokens: slices from each shard, merged. Never SCAN or KEYS, and no step takes a millisecond."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from itertools import compress, islice
from math import inf

import msgspec

from service.model import ManagedToken
from service.store.driver.shards import Shards
from service.store.managed.listing_slices import in_order, merged
from service.store.managed.listing_sources import PLACED_BY, Row, Sources, by_creation, row_before, row_of
from service.store.managed.query import Query
from service.store.managed.records import Record, Retention
from service.store.managed.search import NameSearch, TooMany
from service.store.managed.statistics import TokenCounts
from service.store.managed.tokens import ManagedStore
from service.store.pacing import Overlapped, ahead, clear_in_steps, give_way, patiently

# Records that are read before giving way: half a millisecond. A page of 50 is one such portion.
_AT_ONCE = 64
# The same if all records are read: each portion costs tasks of its own, so larger portions take less.
_ALL_AT_ONCE = 125
# Tokens that are counted in that time by the indexes alone.
_COUNTED_AT_ONCE = 250
# A page that takes longer ends early, with a cursor, but not before so many portions, however slow the machine is.
# After each portion there is a pause of up to 20 ms if other tasks keep the event loop busy.
_SECONDS = 1.0
_LEAST_PORTIONS = 50
# Most candidates that are sorted at once. If there are more, a walk in the requested order soon fills a page.
_FEW = 20_000
# After so many consecutive rows that do not match, a search goes on at the next name that has the text.
_MOST_MISSES = 4000

Place = tuple[str, str]
Found = list[tuple[Row, Record]]


class Portion(msgspec.Struct, frozen=True):
    """Some rows of a list with their records, and the place up to which the list was read; None at the end."""

    found: Found
    reached: Place | None


@dataclass
class _Misses:
    """How many consecutive rows did not match."""

    count: int = 0


class Listing:
    """Pages through managed tokens in the requested order."""

    def __init__(self, shards: Shards, tokens: ManagedStore, retention: Retention) -> None:
        self._shards = shards
        self._tokens = tokens
        self._sources = Sources(shards, retention)
        self._names = NameSearch(shards)
        self._counts = TokenCounts(shards)

    async def page(self, query: Query, now: float) -> tuple[list[ManagedToken], Place | None]:
        """One page, and the place after which the next one begins, None at the end.

        A few round trips; if a filter matches few of many tokens, the page ends after a second with what it has.
        """
        found: Found = []
        until, portions, after = time.monotonic() + _SECONDS, 0, None
        # Closed explicitly, here and below: otherwise the event loop makes a task to close each abandoned generator.
        async with aclosing(self.walk(query, now, again=True)) as walk:
            async for portion in walk:
                found += portion.found
                after, portions = portion.reached, portions + 1
                # One more row shows that another page follows; otherwise an empty page could follow a full last one.
                if len(found) > query.limit:
                    after = place(found[query.limit - 1][0])
                    break
                if portions >= _LEAST_PORTIONS and time.monotonic() > until:
                    break
        return [record.token for _, record in found[: query.limit]], after

    async def walk(
        self, query: Query, now: float, *, expected: int = 0, again: bool = False
    ) -> AsyncGenerator[Portion]:
        """All that a query finds after its cursor, in its order, in portions of which some may be empty.

        `expected`: about how many there are, 0 if unknown. `again`: the records are cached, because a page is requested
        again and again; only other walks repeat a read if Redis is busy for a moment.
        """
        seen: set[str] = set()
        # If more are expected, the search would give up after reading so many; if it would find most tokens of the
        # list, reading the list itself is faster.
        count = partial(self._counts.of, query.wanted, int(now))
        are_many = expected > _FEW or (expected and 2 * expected > await patiently(count))
        few = None if are_many else await self._few(query, now, patient=not again)
        # Tokens found by the search of names need no further check of the name before their records are read.
        asked = query if few is None else msgspec.structs.replace(query, text="")
        # If all rows match, only the page is read, and one more row that tells whether another page follows.
        at_once = _AT_ONCE if asked.conditions else min(_AT_ONCE, query.limit + 1)
        are_most_admitted, misses = False, _Misses()
        async with aclosing(self._rows(query, few, now, misses, patient=not again)) as slices:
            async for rows, edge in slices:
                # Once even without rows, to report how far the list was read.
                for start in range(0, max(1, len(rows)), at_once):
                    part = rows[start : start + at_once]
                    fresh = [row for row in part if row.token_id not in seen]
                    is_whole = start + at_once >= len(rows)
                    last = edge if is_whole else part[-1]
                    reached = None if last is None else place(last)
                    ask = None if are_most_admitted else asked
                    read = partial(self._admitted, query, fresh, ask, now, again=again)
                    admitted = await patiently(read, patient=not again)
                    if query.sort == "name":
                        admitted = [one for one in admitted if not await self._is_elsewhere(*one)]
                    found = list({row.token_id: (row, record) for row, record in admitted}.values())
                    seen.update(row.token_id for row, _ in found)
                    # Reading a few fields first pays only if that saves reading most records whole.
                    are_most_admitted = 2 * len(found) > len(fresh)
                    misses.count = 0 if found else misses.count + len(fresh)
                    yield Portion(found, reached)
                    await give_way()

    def records(self, query: Query, now: float) -> AsyncIterator[list[Record]]:
        """All records of a query with their seals, some at a time, oldest first in each shard; a search has no order.

        Shard after shard, because merging all shards costs more than reading them.
        """
        return ahead(self._batches(query, now))

    async def _batches(self, query: Query, now: float) -> AsyncIterator[list[Record]]:
        asked = msgspec.structs.replace(query, text="")
        async for rows in ahead(self._everywhere(query, now)):
            left = rows
            while left:
                # Fewer if records are long, because an export with a slow client holds two such parts in memory.
                at_once = min(_ALL_AT_ONCE, self._tokens.batch.count)
                part, left = left[:at_once], left[at_once:]
                admitted = partial(self._admitted, query, part, asked, now)
                # Nothing else here refers to the list, so its reader may free its records one by one.
                yield [record for _, record in await patiently(admitted)]

    async def count(self, query: Query, now: float) -> int:
        """How many tokens a query finds. Works in slices and gives way between them."""
        # The rows were chosen by the text or the creator, which need not be checked again.
        evaluated = msgspec.structs.replace(query, **{"text" if query.text else "created_by": ""})
        by_index = evaluated.by_status_alone
        most = _COUNTED_AT_ONCE if by_index else _AT_ONCE
        counts: list[int] = []
        async with Overlapped() as steps:
            async for rows in ahead(self._everywhere(query, now)):
                for start in range(0, len(rows), most):
                    part = rows[start : start + most]
                    counting = (
                        partial(self._counts.among, [row.token_id for row in part], query.wanted, now)
                        if by_index
                        else partial(self._count_admitted, evaluated, part, now)
                    )
                    await steps.begin(patiently(counting), counts.append)
        return sum(counts)

    async def _count_admitted(self, query: Query, rows: list[Row], now: float) -> int:
        return len(await self._admitted(query, rows, query, now))

    async def _everywhere(
        self, query: Query, now: float, *, most: float = inf, patient: bool = True
    ) -> AsyncIterator[list[Row]]:
        if query.text:
            async for found in self._names.find(query.text, most=most, patient=patient):
                yield [Row(one.score, one.token_id, one.token_id) for one in found]
            return
        for shard in self._shards:
            sources = await patiently(partial(by_creation, shard, query, now), patient=patient)
            async for rows, _ in merged(sources, None, _AT_ONCE, descending=False, patient=patient):
                yield rows

    async def _admitted(
        self, query: Query, rows: list[Row], asked: Query | None, now: float, *, again: bool = False
    ) -> Found:
        """The rows that match. `asked`: what to check first by a few fields, so that few records are read whole if few
        match; None to read all records. `again`: for a list that is requested again and again.
        """
        if asked is not None and asked.conditions and rows:
            rows = list(compress(rows, await self._tokens.matching([row.token_id for row in rows], asked.conditions)))
        if asked is not None and asked.text:
            named = await self._tokens.excerpts([row.token_id for row in rows], ("name", "last_eight"))
            rows = [row for row, token in zip(rows, named, strict=True) if token and asked.is_said_of(token)]
        is_admitted = query.admitting(now)
        read = self._tokens.get_again if again else self._tokens.get_many
        records = await read([row.token_id for row in rows])
        # Checked again, because a token may have changed between the two reads.
        return [(row, one) for row, one in zip(rows, records, strict=True) if one and is_admitted(one.token)]

    async def _is_elsewhere(self, row: Row, record: Record) -> bool:
        """True if the token is listed under its own name, too: this name is left from a renaming that was cut off."""
        own = row_of(record.token, "name").position
        if own == row.position:
            return False
        shard = self._shards.of_name(record.token.name)
        return await shard.link.execute("ZSCORE", shard.keys.names, own, retry=True) is not None

    async def _rows(
        self, query: Query, few: list[Row] | None, now: float, misses: _Misses, *, patient: bool
    ) -> AsyncGenerator[tuple[list[Row], Row | None]]:
        """Candidates after the cursor in order, and the place up to which there are no more, None at the end.

        From `few` if there are few candidates, else from the indexes of the order.
        """
        if few is not None:
            async with aclosing(in_order(few, row_before(query), descending=query.descending)) as slices:
                async for part in slices:
                    yield part
            return
        after, most_misses = row_before(query), _MOST_MISSES
        may_skip = bool(query.text) and query.sort == "created_at"
        while True:
            sources = await patiently(partial(self._sources.of, query, now), patient=patient)
            behind = merged(sources, after, query.limit + 1, descending=query.descending, patient=patient)
            async with aclosing(behind) as slices:
                async for rows, edge in slices:
                    yield rows, edge
                    if edge is None:
                        return
                    if may_skip and misses.count >= most_misses:
                        break
            after = edge and await patiently(partial(self._next_match, query, edge), patient=patient)
            if after is None:
                yield [], None
                return
            # Tokens with the text may fail another condition; then searching again and again would take longer.
            misses.count, most_misses = 0, 2 * most_misses

    async def _next_match(self, query: Query, edge: Row) -> Row | None:
        """The place just before the next token whose name has the text; None if there is none."""
        place = int(edge.position)
        created = await self._names.nearest(query.text, place, descending=query.descending)
        if created is None:
            return None
        if created == place:
            return edge
        # Before all tokens of that instant in either direction, because no id is empty and none begins with g.
        return Row(created, "g" if query.descending else "", "")

    async def _few(self, query: Query, now: float, *, patient: bool) -> list[Row] | None:
        """All candidate rows, if they are few enough to be sorted at once; else None."""
        if query.ids:
            return await self._placed(query, query.ids, patient=patient)
        if query.text or (query.created_by and query.sort != "created_at"):
            candidates = self._everywhere(query, now, most=_FEW, patient=patient)
        elif query.expires_before and query.sort != "expires_at":
            candidates = self._by_date(query, now, patient=patient)
        else:
            return None
        found: list[Row] = []
        try:
            async for rows in candidates:
                found += rows
                if len(found) > _FEW:
                    raise TooMany
                await give_way()
        except TooMany:
            await clear_in_steps(found)
            return None
        if query.text and query.sort == "created_at":
            return found  # the rows of a search have this position already
        # A generator, because making a list of twenty thousand takes a millisecond.
        placed = await self._placed(query, (row.token_id for row in found), patient=patient)
        await clear_in_steps(found)
        return placed

    async def _by_date(self, query: Query, now: float, *, patient: bool) -> AsyncIterator[list[Row]]:
        ask = partial(self._sources.of, msgspec.structs.replace(query, sort="expires_at"), now)
        sources = await patiently(ask, patient=patient)
        async for rows, _ in merged(sources, None, _COUNTED_AT_ONCE, descending=False, patient=patient):
            yield rows

    async def _placed(self, query: Query, ids: Iterable[str], *, patient: bool) -> list[Row]:
        rows, left = list[Row](), iter(ids)
        while some := list(islice(left, _AT_ONCE)):
            ask = partial(self._tokens.excerpts, some, PLACED_BY[query.sort])
            tokens = await patiently(ask, patient=patient)
            rows += [row_of(token, query.sort) for token in tokens if token]
        return rows


def place(row: Row) -> Place:
    """The place of a row, for a cursor."""
    return str(row.position), row.tie
