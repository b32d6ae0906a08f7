"""Lists of managed tokens: a page from each shard, merged. Never SCAN or KEYS; ZSCAN only to search names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec

from service.model import ManagedToken
from service.store import name_search
from service.store.listing_slices import creation_slice, name_slice, slices, sources
from service.store.managed_store import ManagedStore, Record
from service.store.name_search import Row
from service.store.query import Query
from service.store.scripts import Script
from service.store.shards import Shard, Shards

_CHUNK = 1000
_MOST_KEPT = 10_000
# Small enough that a validation asked behind such a slice does not feel it.
_FIELDS_AT_ONCE = 500
# What a record does not hold: never used comes before every use, never expiring after every date.
_NEVER = {"last_used_at": "0", "expires_at": f"{2**62}"}


class Listing:
    """Pages through managed tokens in the order asked for."""

    def __init__(self, shards: Shards, tokens: ManagedStore) -> None:
        self._shards = shards
        self._tokens = tokens
        self._fields = Script("read_field", retry=True)

    async def page(self, query: Query, now: float) -> tuple[list[ManagedToken], tuple[str, str] | None]:
        """One page and the position to go on after, None at the end.

        By creation or name a few round trips; by last use or expiry, or with a search, every candidate is looked
        at, in slices that let other requests through.
        """
        records, after = await self._page(query, now)
        return [record.token for record in records], after

    async def every(self, query: Query, now: float) -> AsyncIterator[ManagedToken]:
        """All tokens of a query: page by page, of a search in no order."""
        if query.text:
            async for record in self._found(query, now):
                yield record.token
            return
        while True:
            tokens, after = await self.page(query, now)
            for token in tokens:
                yield token
            if after is None:
                return
            query = msgspec.structs.replace(query, after=after)

    async def records(self, query: Query, now: float) -> AsyncIterator[Record]:
        """All records of a query with the seals they were written with, oldest first in each shard.

        Shard after shard, for merging all of them costs more than reading them; those of a search in no order.
        """
        if query.text:
            async for record in self._found(query, now):
                yield record
            return
        query = msgspec.structs.replace(query, sort="created_at", descending=False)
        for shard in self._shards:
            after: tuple[str, str] | None = ("0", "")
            while after is not None:
                records, after = await self._page(msgspec.structs.replace(query, after=after), now, (shard,))
                for record in records:
                    yield record

    async def _found(self, query: Query, now: float) -> AsyncIterator[Record]:
        """What a search finds, each once: one look at all names, where each page of a list would take one."""
        seen: set[str] = set()
        async for ids in self._ids(query):
            fresh = list(dict.fromkeys(token_id for token_id in ids if token_id not in seen))
            seen.update(fresh)
            for record in await self._tokens.get_many(fresh):
                if record and query.admits(record.token, now):
                    yield record

    async def _page(self, query: Query, now: float, shards: tuple[Shard, ...] = ()) -> tuple[list[Record], Row | None]:
        if query.by_record:
            return await self._page_by_record(query, now)
        found: list[tuple[Row, Record]] = []
        async for rows in self._candidates(query, shards or tuple(self._shards)):
            records = await self._tokens.get_many([row.token_id for row in rows])
            pairs = zip(rows, records, strict=True)
            found += [(row, record) for row, record in pairs if record and query.admits(record.token, now)]
            if len(found) > query.limit:
                break
        shown = [record for _, record in found[: query.limit]]
        return shown, found[query.limit - 1][0] if len(found) > query.limit else None

    async def _page_by_record(self, query: Query, now: float) -> tuple[list[Record], Row | None]:
        """One look at every record that may match; no more than the page of them is kept."""
        best: dict[Row, Record] = {}
        async for ids in self._ids(query):
            records = await self._tokens.get_many(ids)
            best |= {
                _row(record.token, query.sort): record
                for record in records
                if record and query.admits(record.token, now)
            }
            best = {row: best[row] for row in _in_order(list(best), query, query.after)[: query.limit + 1]}
        rows = list(best)
        return list(best.values())[: query.limit], rows[query.limit - 1] if len(rows) > query.limit else None

    def _candidates(self, query: Query, shards: tuple[Shard, ...]) -> AsyncIterator[list[Row]]:
        if query.ids:
            return self._by_id(query)
        if query.text:
            return self._best_first(query, self._named)
        if query.sort == "name":
            return self._by_name(query)
        if query.sort == "created_at":
            return self._by_creation(query, shards)
        return self._best_first(query, self._by_field)

    async def _by_creation(self, query: Query, shards: tuple[Shard, ...]) -> AsyncIterator[list[Row]]:
        after, need = query.after, query.limit + 1
        # Tokens spread evenly: of several shards each is asked for about three times its share; one shard for one
        # more than needed, for the last row of a slice that goes on is not shown.
        share = need + 1 if len(shards) == 1 else 3 * need // len(shards) + 4
        while True:
            asked = [
                creation_slice(shard, key, revoked=revoked, after=after, need=share, descending=query.descending)
                for shard in shards
                for key, revoked in sources(shard, query)
            ]
            slices = await asyncio.gather(*asked)
            rows = _in_order([row for part in slices for row in part.rows], query, after)
            edges = [int(part.rows[-1].position) for part in slices if part.goes_on]
            if edges:
                # Behind the end of a slice that goes on lie rows of it that are not here.
                sign = 1 if query.descending else -1
                edge = max(sign * position for position in edges)
                rows = [row for row in rows if sign * int(row.position) > edge]
            elif not rows:
                return
            if rows:
                yield rows[:need]
                after = rows[:need][-1]
                need = min(max(need * 2, 200), _CHUNK)
            share = min(2 * share, _CHUNK) + 1 if rows else 2 * share

    async def _by_name(self, query: Query) -> AsyncIterator[list[Row]]:
        after, need = query.after, query.limit + 1
        while True:
            parts = await asyncio.gather(*[name_slice(shard, after, need, query.descending) for shard in self._shards])
            rows = _in_order([row for part in parts for row in part], query, after)[:need]
            if not rows:
                return
            yield rows
            after = rows[-1]
            need = min(max(need * 2, 200), _CHUNK)

    async def _by_id(self, query: Query) -> AsyncIterator[list[Row]]:
        records = await self._tokens.get_many(list(query.ids))
        yield _in_order([_row(record.token, query.sort) for record in records if record], query, query.after)

    async def _best_first(
        self, query: Query, parts: Callable[[Query], AsyncIterator[list[Row]]]
    ) -> AsyncIterator[list[Row]]:
        """What comes in no order, put into it: all parts are looked at, and no more than the best of them kept.

        Looked at again for more, which is seldom needed, for few of the best are not shown.
        """
        after, need = query.after, query.limit + 1
        while True:
            best: list[Row] = []
            async for rows in parts(query):
                best = _in_order(best + rows, query, after)[:need]
            if best:
                yield best
            if len(best) < need:
                return
            after, need = best[-1], min(4 * need, _MOST_KEPT)

    async def _named(self, query: Query) -> AsyncIterator[list[Row]]:
        """The rows of all whose name has the text in it."""
        row_of = name_search.by_place if query.sort == "name" else name_search.by_creation
        async for members in name_search.find(self._shards, query.text):
            rows = [row_of(member) for member in members]
            if rows and query.sort in _NEVER:
                rows = await self._field_rows(query, [row.token_id for row in rows])
            if rows:
                yield rows

    async def _by_field(self, query: Query) -> AsyncIterator[list[Row]]:
        """The rows of all tokens of some statuses, by a field of their records."""
        async for ids in self._ids(query):
            yield await self._field_rows(query, ids)

    async def _ids(self, query: Query) -> AsyncIterator[list[str]]:
        """The ids of all that may match, part by part, in no order."""
        if query.text:
            async for members in name_search.find(self._shards, query.text):
                yield [name_search.by_creation(member).token_id for member in members]
            return
        for shard in self._shards:
            for key, revoked in sources(shard, query):
                async for ids in slices(shard, key, revoked=revoked, size=_CHUNK):
                    yield ids

    async def _field_rows(self, query: Query, ids: list[str]) -> list[Row]:
        rows = []
        for shard in self._shards:
            own = [token_id for token_id in ids if self._shards.of_id(token_id) is shard]
            for start in range(0, len(own), _FIELDS_AT_ONCE):
                part = own[start : start + _FIELDS_AT_ONCE]
                values = await self._fields.run(shard.link, tuple(map(shard.keys.metadata, part)), query.sort)
                rows += [
                    Row(value.decode() if value and value != b"0" else _NEVER[query.sort], token_id)
                    for token_id, value in zip(part, values, strict=True)
                ]
        return rows


def _row(token: ManagedToken, sort: str) -> Row:
    if sort == "name":
        return Row(f"{token.name}\x00{token.token_id}", token.token_id)
    field = "created_micros" if sort == "created_at" else sort
    return Row(str(getattr(token, field) or _NEVER[sort]), token.token_id)


def _in_order(rows: list[Row], query: Query, after: tuple[str, str] | None) -> list[Row]:
    """Sorted, and only what lies behind the cursor; a row found in two places while it moves counts once."""

    def key(row: tuple[str, str]) -> tuple[int | str, str]:
        return (row[0] if query.sort == "name" else int(row[0])), row[1]

    ordered = sorted(set(rows), key=key, reverse=query.descending)
    if after is None:
        return ordered
    mark = key(after)
    return [row for row in ordered if (key(row) < mark if query.descending else key(row) > mark)]
