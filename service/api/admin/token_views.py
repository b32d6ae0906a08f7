"""What the operations on managed tokens share: records with their usage as readers see them, filters as queries."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from service.api.admin.schemas.cursors import read_cursor, write_cursor
from service.api.admin.schemas.tokens import Filter, TokenIssued, TokenList, TokenShown, shown
from service.api.http.call import PAGE
from service.api.http.timestamps import parse_rfc3339
from service.errors import wrong
from service.model import ManagedToken, Status
from service.store.managed.query import Query
from service.store.managed.records import Remembered
from service.store.pacing import paced_list
from service.store.usage import DAY, Begun, Series, UsageStore
from service.tokens.limits import Standings, SubjectLimits
from service.tokens.managed.derivation import Derivation
from service.tokens.managed.tokens import Created

NEWEST = "-createdAt"
_DAYS = 14
_encode = msgspec.json.Encoder().encode


class _Row:
    """A token of a list as it is shown; from the second time on that it is asked for, as the bytes of the answer."""

    __slots__ = ("_given", "_told", "_written")

    def __init__(self, _: str, given: tuple[Any, ...]) -> None:
        self._given = given
        self._told = False
        self._written: msgspec.Raw | None = None

    def tell(self) -> Any:
        """Encoded only from the second time on: most rows of a list that somebody pages through are shown once."""
        if self._written is None:
            told = shown(*self._given)
            if not self._told:
                self._told = True
                return told
            self._written = msgspec.Raw(_encode(told))
        return self._written


@dataclass(eq=False, repr=False)
class TokenViews:
    """Shows tokens and reads filters, at the present time."""

    _usage: UsageStore
    _derivation: Derivation
    _standings: Standings
    _subject_limits: SubjectLimits
    _clock: Callable[[], float]

    def __post_init__(self) -> None:
        self._rows = Remembered[tuple[Any, ...], _Row](_Row)

    async def of(self, tokens: list[ManagedToken], *, parent_id: str = "") -> list[TokenShown]:
        """The tokens with their last fourteen days and what limits leave them; `parent_id` where they are derived.

        As they are, or written already: to whoever writes the answer that is the same.
        """
        rows: list[TokenShown] = []
        for start in range(0, len(tokens), PAGE):
            given = await self._given(tokens[start : start + PAGE], parent_id)
            rows += await paced_list(map(self._row, given))
        return rows

    def _row(self, given: tuple[Any, ...]) -> Any:
        return self._rows.of(given[0].token_id, given).tell()

    async def _given(
        self, tokens: list[ManagedToken], parent_id: str, known: Series | None = None
    ) -> list[tuple[Any, ...]]:
        """All that tokens are shown by; `known` are the days of the only one."""
        now = self._clock()
        # One after the other: to ask together takes longer than that for most tokens, which have the first alone.
        series = [known] if known else await self._usage.days_of(tokens, int(now), _DAYS)
        counts, standings = await self._derivation.counts(tokens), await self._standings.of(tokens)
        subjects = [token.shares_as for token in tokens]
        shared = await self._subject_limits.of(subjects)
        return [
            (
                token,
                token.status(now),
                token.in_overlap(now),
                days,
                standings.get(token.token_id, ()),
                shared.get(subject, ()),
                parent_id,
                count,
            )
            for token, subject, days, count in zip(tokens, subjects, series, counts, strict=True)
        ]

    def begin(self, token_id: str) -> Begun:
        """Ask for the days that `of_one` shows, together with the record that is read next."""
        return self._usage.begin_days(token_id, int(self._clock()), _DAYS)

    async def of_one(self, token: ManagedToken, begun: Begun | None = None, *, parent_id: str = "") -> TokenShown:
        """The same for one token."""
        (given,) = await self._given([token], parent_id, begun.take(token) if begun else None)
        return shown(*given)

    async def derived(self, parent_id: str, limit: int, cursor: str | None) -> TokenList:
        """A page of what is derived from a token directly, newest first. Raises InvalidRequest for another cursor."""
        place = read_cursor(cursor, NEWEST)
        after = None if place is None else (int(place[0]), place[1])
        page, more_follow, total = await self._derivation.children(parent_id, limit, after)
        # A cursor only where something follows: a last page that is full needs no empty one after it.
        last = (str(page[-1].created_micros), page[-1].token_id) if more_follow else None
        return TokenList(await self.of(page, parent_id=parent_id), write_cursor(last, NEWEST), total)

    async def issued(self, created: Created, message: str, *, parent_id: str = "") -> TokenIssued:
        """A token with its secret in clear."""
        token = created.token
        if created.repeated or token.rotations:
            told = await self.of_one(token, parent_id=parent_id)
            return TokenIssued(message, msgspec.structs.replace(told, token=created.secret))
        # Made just now it was not used yet, nor anything derived from it: neither is asked for.
        standings, shared = await self._standings.of([token]), await self._subject_limits.of([token.shares_as])
        quotas, of_all = standings.get(token.token_id, ()), shared.get(token.shares_as, ())
        told = shown(token, Status.ACTIVE, False, Series(DAY, 0, _DAYS), quotas, of_all, parent_id)
        told.token = created.secret
        return TokenIssued(message, told)

    def query_to_change(self, wanted: Filter) -> Query:
        """As `query`. Raises InvalidRequest for a filter that asks for nothing, too: it would change every token."""
        if (query := self.query(wanted)) == Query():
            raise wrong("filter", "give at least one member")
        return query

    def query(self, wanted: Filter) -> Query:
        """A filter as a query. Raises InvalidRequest for an unknown status or an instant that is none."""
        unused_since = 0
        if isinstance(wanted.unused_for_days, int):
            unused_since = int(self._clock()) - wanted.unused_for_days * 86400
        return Query(
            statuses=_statuses(wanted.status),
            text=wanted.q or "",
            created_by=wanted.created_by or "",
            scope=wanted.scope or "",
            subject=wanted.subject or "",
            last_address=wanted.last_address or "",
            expires_before=0
            if wanted.expires_before is UNSET
            else parse_rfc3339(wanted.expires_before, "expiresBefore"),
            unused_since=unused_since,
            never_used=wanted.never_used,
        )


def _statuses(text: str | UnsetType) -> frozenset[Status]:
    if text is UNSET:
        return frozenset()
    if text == "all":
        return frozenset(Status)
    try:
        return frozenset(Status(part) for part in text.split(","))
    except ValueError:
        raise wrong("status", f"choose one of {', '.join(Status)}, all") from None
