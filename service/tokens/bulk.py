"""Changes of many tokens at once, in bounded slices: by their ids, or all that a query finds (the kill switch)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from service.errors import Conflict, Forbidden, NotFound
from service.model import ManagedToken, Origin, Status
from service.store.listing import Listing
from service.store.query import Query
from service.tokens.managed import ManagedTokens

SLICE = 100
SAMPLE = 10
# Records are decoded page by page, and other requests wait meanwhile.
_PAGE = 200


class Ending(StrEnum):
    """How many tokens are ended at once: for good, or until somebody activates them again."""

    REVOKE = "revoke"
    DEACTIVATE = "deactivate"


_CAN_END = {
    Ending.REVOKE: frozenset({Status.ACTIVE, Status.INACTIVE, Status.EXPIRED}),
    Ending.DEACTIVATE: frozenset({Status.ACTIVE}),
}


class BulkResult(msgspec.Struct, frozen=True):
    """What a change of several tokens did: the ids changed, and those left with why; how many it did not come to."""

    updated: list[str]
    skipped: list[tuple[str, str]]
    remaining: int = 0


class Matched(msgspec.Struct, frozen=True):
    """How many tokens a query finds, and the first of them."""

    count: int
    sample: list[ManagedToken]


class Bulk:
    """Activates, deactivates and revokes many tokens, each change as atomic and as audited as a single one."""

    def __init__(self, tokens: ManagedTokens, listing: Listing, clock: Callable[[], float]) -> None:
        self._tokens = tokens
        self._listing = listing
        self._clock = clock

    async def set_active(self, token_ids: Sequence[str], active: bool, origin: Origin) -> BulkResult:
        """Activate or deactivate several tokens; what cannot be changed is skipped with its code."""
        return await _each(token_ids, lambda token_id: self._tokens.update(token_id, {"active": active}, origin))

    async def revoke(self, token_ids: Sequence[str], origin: Origin) -> BulkResult:
        """Revoke several tokens; ids that never were are skipped."""
        return await _each(token_ids, lambda token_id: self._tokens.revoke(token_id, origin))

    async def matching(self, query: Query | None, expected: int) -> list[str]:
        """The ids that a query finds. Raises Conflict `count_changed` if they are not as many as expected."""
        ids = [token.token_id async for token in self._every(query)] if query else []
        if len(ids) != expected:
            raise Conflict(f"The filter matches {len(ids)} tokens now, not {expected}.", code="count_changed")
        return ids

    async def preview(self, query: Query, ending: Ending) -> Matched:
        """How many tokens `withdraw` would end; reads every record unless only their status is asked for."""
        narrowed = _narrowed(query, ending)
        if narrowed is None:
            return Matched(0, [])
        tokens, _, total = await self._tokens.page(msgspec.structs.replace(narrowed, limit=SAMPLE, after=None))
        if total is None:
            total = sum([1 async for _ in self._every(narrowed)])
        return Matched(total, tokens)

    async def withdraw(
        self, query: Query, ending: Ending, origin: Origin, *, expected: int, limit: int = 0
    ) -> BulkResult:
        """Revoke or deactivate what a query finds, as far as it can still be; `limit` of them, 0 for all.

        Raises Conflict `count_changed` before anything is changed if they are not as many as expected.
        """
        ids = await self.matching(_narrowed(query, ending), expected)
        part = ids[: limit or None]
        if ending is Ending.REVOKE:
            result = await self.revoke(part, origin)
        else:
            result = await self.set_active(part, False, origin)
        return msgspec.structs.replace(result, remaining=len(ids) - len(part))

    def _every(self, query: Query) -> AsyncIterator[ManagedToken]:
        query = msgspec.structs.replace(query, limit=_PAGE, after=None)
        return self._listing.every(query, self._clock())


def _narrowed(query: Query, ending: Ending) -> Query | None:
    """The query without the tokens for which nothing would change; None if that leaves none.

    Never a query without statuses: that would mean all of them.
    """
    statuses = query.wanted & _CAN_END[ending]
    return msgspec.structs.replace(query, statuses=statuses) if statuses else None


async def _each(token_ids: Sequence[str], change: Callable[[str], Coroutine[Any, Any, object]]) -> BulkResult:
    """Make a change to each token, slice by slice; what it is refused for is skipped with its code."""
    result = BulkResult([], [])
    for start in range(0, len(token_ids), SLICE):
        part = token_ids[start : start + SLICE]
        codes = await asyncio.gather(*[_code(change(token_id)) for token_id in part])
        result.updated.extend(token_id for token_id, code in zip(part, codes, strict=True) if not code)
        result.skipped.extend((token_id, code) for token_id, code in zip(part, codes, strict=True) if code)
    return result


async def _code(change: Coroutine[Any, Any, object]) -> str:
    try:
        await change
    except (Conflict, Forbidden, NotFound) as refused:
        return refused.code
    return ""
