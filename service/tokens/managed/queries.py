"""Finds and counts managed tokens; changes none."""

from collections.abc import AsyncIterator, Callable

from service.model import ManagedToken, Statistics
from service.store.managed.listing import Listing
from service.store.managed.query import Query
from service.store.managed.records import Record
from service.store.managed.statistics import TokenCounts


class ManagedQueries:
    """The lists of managed tokens, and how many there are."""

    def __init__(self, listing: Listing, token_counts: TokenCounts, clock: Callable[[], float]) -> None:
        self._listing = listing
        self._token_counts = token_counts
        self._clock = clock

    async def page(self, query: Query) -> tuple[list[ManagedToken], tuple[str, str] | None, int | None]:
        """One page of a list, where to continue, and how many there are (None if counting would read them all)."""
        # One after the other: two tasks would take longer than the wait that they save.
        tokens, after = await self._listing.page(query, self._clock())
        return tokens, after, await self.total(query)

    async def total(self, query: Query) -> int | None:
        """How many tokens a query matches; None if counting would read every record."""
        if not query.by_status_alone:
            return None
        return await self._token_counts.of(query.wanted, int(self._clock()))

    async def statistics(self) -> Statistics:
        """How many tokens there are now."""
        return await self._token_counts.take(int(self._clock()))

    def everything(self, query: Query) -> AsyncIterator[list[Record]]:
        """All records of a query, some at a time, in bounded memory."""
        return self._listing.records(query, self._clock())
