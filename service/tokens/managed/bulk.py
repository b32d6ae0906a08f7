"""Changes of many tokens, in bounded slices: by their ids, or all that a query matches (bulk revocation)."""

import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from service.errors import Conflict, NotFound, StoreUnavailable
from service.model import ManagedToken, Origin, Status
from service.store.managed.listing import Listing, Place, place
from service.store.managed.query import Query
from service.store.managed.records import Record
from service.store.managed.tokens import ManagedStore
from service.store.pacing import STEP, Overlapped, ahead, patiently
from service.tokens.managed.queries import ManagedQueries
from service.tokens.managed.records import ManagedRecords
from service.tokens.managed.tokens import ManagedTokens

# How many records are checked at once, if a check needs further reads. The changes then follow in steps: if each step
# waited for its own check, Redis would be idle meanwhile.
CHECKED = 64
SAMPLE = 10
# How much one request changes of what a filter matches: for how long, and at most how many.
_SECONDS = 1.0
MOST = 10_000


class Ending(StrEnum):
    """How tokens are ended in bulk: for good, or until somebody activates them again."""

    REVOKE = "revoke"
    DEACTIVATE = "deactivate"


_CAN_END = {
    Ending.REVOKE: frozenset({Status.ACTIVE, Status.INACTIVE, Status.EXPIRED}),
    Ending.DEACTIVATE: frozenset({Status.ACTIVE}),
}


class Change(msgspec.Struct, frozen=True):
    """A change of tokens whose records were just read, `at_once` of them at a time.

    `make` returns for each token the code of its refusal, empty if it was changed. A repeat does no harm.
    """

    make: Callable[[list[Record]], Coroutine[Any, Any, list[str]]]
    at_once: int


class Continuation(msgspec.Struct, frozen=True, array_like=True):
    """Where a bulk change continues: after this place by creation, with this many left of the agreed number.

    Tokens created after the first slice began (`created_until`, epoch microseconds) are not touched.
    """

    position: Annotated[str, Meta(pattern=r"^[0-9]{1,19}\Z")]
    tie: Annotated[str, Meta(pattern=r"^[0-9a-f]{0,16}\Z")]
    left: Annotated[int, Meta(ge=0)]
    created_until: Annotated[int, Meta(ge=0)]

    @property
    def place(self) -> Place:
        return self.position, self.tie


# Records to change, and where to continue after them; none left at the end.
Step = tuple[list[Record], Continuation]


class Part(msgspec.Struct, frozen=True):
    """Which slice of a bulk change: the first, of `expected` tokens, or one that continues `after` another.

    It changes at most `limit` of them; 0 means as many as it can in its time.
    """

    expected: int = 0
    limit: int = 0
    after: Continuation | None = None


class BulkResult(msgspec.Struct, frozen=True):
    """What a bulk change did: the changed ids, and the skipped ones with their reasons.

    `remaining`: how many are left, with where to continue.
    """

    updated: list[str]
    skipped: list[tuple[str, str]]
    remaining: int = 0
    next: Continuation | None = None

    def note(self, token_ids: Sequence[str], known: Sequence[Record], told: Sequence[str]) -> None:
        """Note the tokens whose change was tried; ids without a record are skipped as unknown."""
        codes = dict(zip([record.token.token_id for record in known], told, strict=True))
        for token_id in token_ids:
            if code := codes.get(token_id, NotFound.code):
                self.skipped.append((token_id, code))
            else:
                self.updated.append(token_id)


class Matched(msgspec.Struct, frozen=True):
    """How many tokens a query matches, and the first of them."""

    count: int
    sample: list[ManagedToken]


@dataclass(eq=False, repr=False)
class Bulk:
    """Activates, deactivates and revokes many tokens, each change as atomic and as audited as a single one."""

    _store: ManagedStore
    _tokens: ManagedTokens
    _records: ManagedRecords
    _queries: ManagedQueries
    _listing: Listing
    _clock: Callable[[], float]

    async def set_active(self, token_ids: Sequence[str], active: bool, origin: Origin) -> BulkResult:
        """Activate or deactivate several tokens; a token that cannot be changed is skipped with a code."""
        return await self._each(token_ids, self._activate(origin) if active else self._end(Ending.DEACTIVATE, origin))

    async def revoke(self, token_ids: Sequence[str], origin: Origin) -> BulkResult:
        """Revoke several tokens; ids that never existed are skipped."""
        return await self._each(token_ids, self._end(Ending.REVOKE, origin))

    async def preview(self, query: Query, ending: Ending) -> Matched:
        """How many tokens `end` would end, and the first of them."""
        narrowed = _narrowed(query, ending)
        if narrowed is None:
            return Matched(0, [])
        tokens, _, _ = await self._queries.page(msgspec.structs.replace(narrowed, limit=SAMPLE, after=None))
        return Matched(await self._count(narrowed), tokens)

    async def end(self, query: Query, ending: Ending, origin: Origin, part: Part) -> BulkResult:
        """Revoke or deactivate a slice of the tokens that a query matches and that can still be ended.

        Raises Conflict `count_changed`, before any change, if the number is not the expected one; a later slice is not
        compared. To ask for the same slice again is harmless. Raises StoreUnavailable if nothing was changed; if Redis
        fails later, the result says where to continue.
        """
        return await self._slice(_narrowed(query, ending), self._end(ending, origin), part)

    async def set_active_matching(self, query: Query, active: bool, origin: Origin, part: Part) -> BulkResult:
        """Activate or deactivate a slice of the tokens that a query matches, as `end` does."""
        change = self._activate(origin) if active else self._end(Ending.DEACTIVATE, origin)
        return await self._slice(query, change, part)

    def _end(self, ending: Ending, origin: Origin) -> Change:
        state = "revoked" if ending is Ending.REVOKE else "inactive"
        return Change(lambda known: self._records.end_all(known, state, origin), STEP)

    def _activate(self, origin: Origin) -> Change:
        return Change(lambda known: self._tokens.activate(known, origin), CHECKED)

    async def _each(self, token_ids: Sequence[str], change: Change) -> BulkResult:
        """Make a change to each token, step by step; a refused token is skipped with its code."""
        result = BulkResult([], [])
        async with Overlapped() as steps:
            for start in range(0, len(token_ids), change.at_once):
                step = token_ids[start : start + change.at_once]
                read = await patiently(partial(self._store.get_many, step))
                known = [record for record in read if record]
                await steps.begin(patiently(partial(change.make, known)), partial(result.note, step, known))
        return result

    async def _slice(self, query: Query | None, change: Change, part: Part) -> BulkResult:
        after = part.after
        if after is None:
            count = await self._count(query) if query else 0
            if count != part.expected:
                raise Conflict(f"The filter matches {count} tokens now, not {part.expected}.", code="count_changed")
            after = Continuation("0", "", count, await self._newest())
        if query is None or not after.left:
            return BulkResult([], [])
        # Oldest first, so that tokens created meanwhile come after all that are meant.
        walk = msgspec.structs.replace(query, sort="created_at", descending=False, limit=MOST, after=after.place)
        most = min(part.limit or MOST, MOST, after.left)
        return await self._change(self._steps(walk, after, most, change.at_once), change, after, part)

    async def _change(self, steps: AsyncGenerator[Step], change: Change, begun: Continuation, part: Part) -> BulkResult:
        result, made, reached, until = BulkResult([], []), begun, begun, 0.0

        def note(known: list[Record], behind: Continuation, told: list[str]) -> None:
            nonlocal made
            result.note([record.token.token_id for record in known], known, told)
            made = behind

        try:
            async with aclosing(steps), Overlapped() as under_way:
                async for known, reached in steps:
                    # From the first record on: however long the search for it took, each request changes something.
                    until = until or time.monotonic() + _SECONDS
                    if known:
                        await under_way.begin(patiently(partial(change.make, known)), partial(note, known, reached))
                    if time.monotonic() > until:
                        break
        except StoreUnavailable:
            # A failed step may have been made in part. A repeated first slice would then be refused, because the filter
            # matches another number; a continued one would not.
            if reached is begun or (made is begun and part.after is not None):
                raise
            reached = made
        if not reached.left:
            return result
        return msgspec.structs.replace(result, remaining=reached.left, next=reached)

    async def _steps(self, query: Query, begun: Continuation, most: int, at_once: int) -> AsyncGenerator[Step]:
        """At most `most` records of a query, some at a time, each with where to continue after them."""
        left, until = begun.left, begun.created_until
        async for portion in ahead(self._listing.walk(query, self._clock(), expected=left)):
            rows = [pair for pair in portion.found if int(pair[0].position) <= until]
            for start in range(0, len(rows), at_once):
                step = rows[start : start + min(at_once, most)]
                left, most = left - len(step), most - len(step)
                yield [record for _, record in step], Continuation(*place(step[-1][0]), left, until)
                if not most:
                    return
            # After the first token that is too new, all are too new.
            is_last = portion.reached is None or len(rows) < len(portion.found)
            yield [], Continuation(*(portion.reached or begun.place), 0 if is_last else left, until)
            if is_last:
                return

    async def _newest(self) -> int:
        """The instant of the newest token, in epoch microseconds, because the clock may have been set back since."""
        async for portion in self._listing.walk(Query(statuses=frozenset(Status), limit=1), self._clock()):
            for row, _ in portion.found:
                return int(row.position)
        return 0

    async def _count(self, query: Query) -> int:
        total = await self._queries.total(query)
        return await self._listing.count(query, self._clock()) if total is None else total


def _narrowed(query: Query, ending: Ending) -> Query | None:
    """The query without the tokens that would not change; None if none are left.

    Never a query without statuses, which would mean all of them.
    """
    statuses = query.wanted & _CAN_END[ending]
    return msgspec.structs.replace(query, statuses=statuses) if statuses else None
