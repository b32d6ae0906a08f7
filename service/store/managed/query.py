"""A query for a list of managed tokens."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import msgspec

from service.model import ManagedToken, Status
from service.store.decoding import whole
from service.store.managed.records import PIECE
from service.store.managed.search import fold

_ALL_BUT_REVOKED = frozenset({Status.ACTIVE, Status.INACTIVE, Status.EXPIRED})


class Condition(msgspec.Struct, frozen=True):
    """A field of a record, and the test for it: exact for the record's value, approximate for the stored one.

    The stored value may pass although the record does not, because it is only the first piece of a long text.
    """

    field: str
    is_met: Callable[[Any], bool]
    may_be_met: Callable[[bytes | None], bool]


def _of_text(field: str, is_met: Callable[[Any], bool], as_stored: Callable[[bytes], bool]) -> Condition:
    # If a stored value has the full length of a piece, the rest is in further fields.
    return Condition(field, is_met, lambda stored: stored is not None and (len(stored) == PIECE or as_stored(stored)))


def _is(field: str, wanted: str) -> Condition:
    return _of_text(field, wanted.__eq__, wanted.encode().__eq__)


def _has(field: str, word: str) -> Condition:
    wanted = f" {word} ".encode()
    return _of_text(field, lambda words: word in words, lambda stored: wanted in b" %b " % stored)


def _below(field: str, bound: int) -> Condition:
    return Condition(field, bound.__gt__, lambda stored: whole(stored) < bound)


def _dated_below(field: str, bound: int) -> Condition:
    # 0 means never, which is not before any date.
    return Condition(field, lambda instant: 0 < instant < bound, lambda stored: 0 < whole(stored) < bound)


class Query(msgspec.Struct, frozen=True):
    """What to list. Empty `statuses` mean all except revoked; instants in epoch seconds, 0 for no bound.
    If there are `ids`, only these are considered.

    `sort` is one of created_at, name, last_used_at, expires_at. `after` is the place of the last row read.
    """

    statuses: frozenset[Status] = frozenset()
    text: str = ""
    created_by: str = ""
    scope: str = ""
    subject: str = ""
    last_address: str = ""
    expires_before: int = 0
    unused_since: int = 0
    never_used: bool = False
    ids: tuple[str, ...] = ()
    sort: str = "created_at"
    descending: bool = True
    limit: int = 50
    after: tuple[str, str] | None = None

    @property
    def wanted(self) -> frozenset[Status]:
        return self.statuses or _ALL_BUT_REVOKED

    @property
    def by_status_alone(self) -> bool:
        """True if the rows can be counted by their status, without reading records."""
        return not (self.text or self.ids or self.conditions)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions on records, except status and text."""
        # A condition that is not set is empty or 0. This is quick, because a page needs it several times, mostly empty.
        asked: tuple[tuple[Any, str, Callable[[str, Any], Condition]], ...] = (
            (self.scope, "scopes", _has),
            (self.created_by, "created_by", _is),
            (self.subject, "subject", _is),
            (self.last_address, "last_address", _is),
            (self.never_used and 1, "last_used_at", _below),
            (self.unused_since, "last_used_at", _below),
            # A token that was created since then has not been unused for so long.
            (self.unused_since * 1_000_000, "created_micros", _below),
            (self.expires_before, "expires_at", _dated_below),
        )
        return tuple([how(field, value) for value, field, how in asked if value])

    def admitting(self, now: float) -> Callable[[ManagedToken], bool]:
        """A function that tells whether a record belongs to the list."""
        wanted = self.wanted
        # Most queries end here, and the function is called for thousands of records.
        if self.by_status_alone and len(wanted) == len(Status):
            return lambda _: True
        if self.by_status_alone:
            return lambda token: token.status(now) in wanted
        asked = [(attrgetter(one.field), one.is_met) for one in self.conditions]
        return lambda token: (
            token.status(now) in wanted
            and all([is_met(value_of(token)) for value_of, is_met in asked])  # noqa: C419 - few, and so it is quicker
            and (not self.text or self.is_said_of(token))
        )

    def is_said_of(self, token: ManagedToken) -> bool:
        """True if the name contains the text, or the last characters end with it."""
        text = fold(self.text)
        return text in fold(token.name) or fold(token.last_eight).endswith(text)
