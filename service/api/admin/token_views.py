"""What the operations on managed tokens share: records with their usage as clients see them, filters as queries."""

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
    """A token of a list, ready to be encoded; from the second request on, the encoded bytes."""

    __slots__ = ("_given", "_told", "_written")

    def __init__(self, _: str, given: tuple[Any, ...]) -> None:
        self._given = given
        self._told = False
        self._written: msgspec.Raw | None = None

    def tell(self) -> Any:
        """Encodes only from the second time on, because most rows of a paged list are shown once."""
        if self._written is None:
            told = shown(*self._given)
            if not self._told:
                self._told = True
                return told
            self._written = msgspec.Raw(_encode(told))
        return self._written


@dataclass(eq=False, repr=False)
class TokenViews:
    """Shows tokens and reads filters, both at the present time."""

    _usage: UsageStore
    _derivation: Derivation
    _standings: Standings
    _subject_limits: SubjectLimits
    _clock: Callable[[], float]

    def __post_init__(self) -> None:
        self._rows = Remembered[tuple[Any, ...], _Row](_Row)

    async def of(self, tokens: list[ManagedToken], *, parent_id: str = "") -> list[TokenShown]:
        """The tokens with the use of their last fourteen days and what remains of their limits.

        `parent_id`: their parent, if they are derived. A row may be a struct or encoded JSON: both encode to the same.
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
        """Everything `shown` needs, per token; `known` is the usage of a single token, if already read."""
        now = self._clock()
        # One after the other: concurrent reads take longer, because most tokens need only the first.
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
        """Send the read of the days that `of_one` shows, together with the read of the record that follows."""
        return self._usage.begin_days(token_id, int(self._clock()), _DAYS)

    async def of_one(self, token: ManagedToken, begun: Begun | None = None, *, parent_id: str = "") -> TokenShown:
        """One token as clients see it, as `of` shows many."""
        (given,) = await self._given([token], parent_id, begun.take(token) if begun else None)
        return shown(*given)

    async def derived(self, parent_id: str, limit: int, cursor: str | None) -> TokenList:
        """A page of the tokens derived directly from one, newest first. Raises InvalidRequest for a wrong cursor."""
        place = read_cursor(cursor, NEWEST)
        after = None if place is None else (int(place[0]), place[1])
        page, more_follow, total = await self._derivation.children(parent_id, limit, after)
        # A cursor only if more tokens follow, so that no empty page comes after a full last one.
        last = (str(page[-1].created_micros), page[-1].token_id) if more_follow else None
        return TokenList(await self.of(page, parent_id=parent_id), write_cursor(last, NEWEST), total)

    async def issued(self, created: Created, message: str, *, parent_id: str = "") -> TokenIssued:
        """A token with its secret in clear."""
        token = created.token
        if created.repeated or token.rotations:
            told = await self.of_one(token, parent_id=parent_id)
            return TokenIssued(message, msgspec.structs.replace(told, token=created.secret))
        # A new token has no use and no derived tokens, so neither is read.
        standings, shared = await self._standings.of([token]), await self._subject_limits.of([token.shares_as])
        quotas, of_all = standings.get(token.token_id, ()), shared.get(token.shares_as, ())
        told = shown(token, Status.ACTIVE, False, Series(DAY, 0, _DAYS), quotas, of_all, parent_id)
        told.token = created.secret
        return TokenIssued(message, told)

    def query_to_change(self, wanted: Filter) -> Query:
        """A filter as a query. Raises InvalidRequest also for one without conditions: it would change every token."""
        if (query := self.query(wanted)) == Query():
            raise wrong("filter", "give at least one member")
        return query

    def query(self, wanted: Filter) -> Query:
        """A filter as a query. Raises InvalidRequest for an unknown status or an invalid instant."""
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
