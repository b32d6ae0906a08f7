"""Lists of managed tokens: a page from each shard, merged. Never SCAN or KEYS, and no step of a millisecond."""

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

# How many records are read before others get a turn: half a millisecond; a page of 50 is one such portion.
_AT_ONCE = 64
# The same where all are read: each portion has tasks of its own, which take less with half as many.
_ALL_AT_ONCE = 125
# How many tokens are counted by the indexes alone in that time.
_COUNTED_AT_ONCE = 250
# A page that takes longer ends early, with a cursor; not before so many portions, however slow the machine. Behind each
# there is a pause of up to twenty milliseconds where others keep the loop busy.
_SECONDS = 1.0
_LEAST_PORTIONS = 50
# How many candidates are put in order at once; with more of them a walk in the order asked for soon fills a page.
_FEW = 20_000
# After this many rows in a row that were not admitted, a search goes on at the next name that has the text.
_MOST_MISSES = 4000

Place = tuple[str, str]
Found = list[tuple[Row, Record]]


class Portion(msgspec.Struct, frozen=True):
    """Some rows of a list with their records, and the place up to which it was read; None at the end."""

    found: Found
    reached: Place | None


@dataclass
class _Misses:
    """How many rows in turn were not admitted."""

    count: int = 0


class Listing:
    """Pages through managed tokens in the order asked for."""

    def __init__(self, shards: Shards, tokens: ManagedStore, retention: Retention) -> None:
        self._shards = shards
        self._tokens = tokens
        self._sources = Sources(shards, retention)
        self._names = NameSearch(shards)
        self._counts = TokenCounts(shards)

    async def page(self, query: Query, now: float) -> tuple[list[ManagedToken], Place | None]:
        """One page and the place to go on after, None at the end.

        A few round trips; where a filter admits few of many, the page ends after a second with what it has by then.
        """
        found: Found = []
        until, portions, after = time.monotonic() + _SECONDS, 0, None
        # Closed here and within: what is left to the garbage collector is closed by a task for each.
        async with aclosing(self.walk(query, now, again=True)) as walk:
            async for portion in walk:
                found += portion.found
                after, portions = portion.reached, portions + 1
                # One more than the page shows that something follows, so that a full last page leads to no empty one.
                if len(found) > query.limit:
                    after = place(found[query.limit - 1][0])
                    break
                if portions >= _LEAST_PORTIONS and time.monotonic() > until:
                    break
        return [record.token for _, record in found[: query.limit]], after

    async def walk(
        self, query: Query, now: float, *, expected: int = 0, again: bool = False
    ) -> AsyncGenerator[Portion]:
        """All that a query finds behind its cursor, in its order, in portions of which some may be empty.

        `expected`: about how many there are, 0 if nobody knows. `again`: what is read will be asked for again, as that
        of a page; any other walk outlasts a Redis that is busy for a moment.
        """
        seen: set[str] = set()
        # With more of them the search would only read so many and then give up; and where it finds most of what is
        # listed, the list itself is read.
        count = partial(self._counts.of, query.wanted, int(now))
        are_many = expected > _FEW or (expected and 2 * expected > await patiently(count))
        few = None if are_many else await self._few(query, now, patient=not again)
        # What the search of names found need not be evaluated by its name again before its record is read.
        asked = query if few is None else msgspec.structs.replace(query, text="")
        # Where all are admitted, no more than the page and one that tells whether another follows.
        at_once = _AT_ONCE if asked.conditions else min(_AT_ONCE, query.limit + 1)
        are_most_admitted, misses = False, _Misses()
        async with aclosing(self._rows(query, few, now, misses, patient=not again)) as slices:
            async for rows, edge in slices:
                # Once also where there are no rows: how far it was read is told all the same.
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
                    # To ask for less pays only where it spares reading most records whole.
                    are_most_admitted = 2 * len(found) > len(fresh)
                    misses.count = 0 if found else misses.count + len(fresh)
                    yield Portion(found, reached)
                    await give_way()

    def records(self, query: Query, now: float) -> AsyncIterator[list[Record]]:
        """All records of a query with the seals they were written with, some at a time, oldest first in each shard.

        Shard after shard, because merging all of them costs more than reading them; those of a search in no order.
        """
        return ahead(self._batches(query, now))

    async def _batches(self, query: Query, now: float) -> AsyncIterator[list[Record]]:
        asked = msgspec.structs.replace(query, text="")
        async for rows in ahead(self._everywhere(query, now)):
            left = rows
            while left:
                # Of long ones few: whoever takes an export slowly holds two such parts.
                at_once = min(_ALL_AT_ONCE, self._tokens.batch.count)
                part, left = left[:at_once], left[at_once:]
                admitted = partial(self._admitted, query, part, asked, now)
                # Held by nothing else here: whoever works on the list may take them out of it one by one.
                yield [record for _, record in await patiently(admitted)]

    async def count(self, query: Query, now: float) -> int:
        """How many tokens a query finds, in slices that let others through."""
        # What the rows were chosen by need not be evaluated again.
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
        """The rows that belong into the list. `asked`: what to ask of them first, so that few records are read whole
        where few are admitted; None to read them all. `again`: of a list that is asked for again and again.
        """
        if asked is not None and asked.conditions and rows:
            rows = list(compress(rows, await self._tokens.matching([row.token_id for row in rows], asked.conditions)))
        if asked is not None and asked.text:
            named = await self._tokens.excerpts([row.token_id for row in rows], ("name", "last_eight"))
            rows = [row for row, token in zip(rows, named, strict=True) if token and asked.is_said_of(token)]
        is_admitted = query.admitting(now)
        read = self._tokens.get_again if again else self._tokens.get_many
        records = await read([row.token_id for row in rows])
        # Once more, because a change may have come between the two reads.
        return [(row, one) for row, one in zip(rows, records, strict=True) if one and is_admitted(one.token)]

    async def _is_elsewhere(self, row: Row, record: Record) -> bool:
        """Does the token stand under its own name as well? A renaming that was cut off left this one reserved."""
        own = row_of(record.token, "name").position
        if own == row.position:
            return False
        shard = self._shards.of_name(record.token.name)
        return await shard.link.execute("ZSCORE", shard.keys.names, own, retry=True) is not None

    async def _rows(
        self, query: Query, few: list[Row] | None, now: float, misses: _Misses, *, patient: bool
    ) -> AsyncGenerator[tuple[list[Row], Row | None]]:
        """Candidates behind the cursor in order, and the place up to which there are no more, None at the end.

        All of the few ids there are, else what the order's own indexes hold.
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
            # What has the text may be refused for something else: then to search again and again takes longer.
            misses.count, most_misses = 0, 2 * most_misses

    async def _next_match(self, query: Query, edge: Row) -> Row | None:
        """The place to go on after, where the next name is that has the text; None where there is none."""
        place = int(edge.position)
        created = await self._names.nearest(query.text, place, descending=query.descending)
        if created is None:
            return None
        if created == place:
            return edge
        # Before all that were created then, whichever way: no id is empty, and none begins with g.
        return Row(created, "g" if query.descending else "", "")

    async def _few(self, query: Query, now: float, *, patient: bool) -> list[Row] | None:
        """The rows that may be meant, where they are few enough to be put in order at once; else None."""
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
            return found  # those of a search are placed by that already
        # Not as a list, of which to make one of twenty thousand takes a millisecond.
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
    """A row as a cursor has it."""
    return str(row.position), row.tie
