"""What a list of managed tokens is asked for."""

from __future__ import annotations

import msgspec

from service.model import ManagedToken, Status

_ALL_BUT_REVOKED = frozenset({Status.ACTIVE, Status.INACTIVE, Status.EXPIRED})


class Query(msgspec.Struct, frozen=True):
    """What to list. `statuses` empty means all but the revoked; instants in epoch seconds, 0 for no bound.
    `ids`, if any, are the only ones looked at.

    `sort` is one of created_at, name, last_used_at, expires_at. `after` is the position of the last row seen.
    """

    statuses: frozenset[Status] = frozenset()
    text: str = ""
    created_by: str = ""
    scope: str = ""
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
        """Can the rows be counted without reading every record?"""
        return not any(
            (self.text, self.created_by, self.scope, self.expires_before, self.unused_since, self.never_used, self.ids)
        )

    @property
    def by_record(self) -> bool:
        """Does it take a look at the records to know which rows come first?"""
        is_ordered = not self.text and self.sort in ("created_at", "name")
        narrow = (self.scope, self.expires_before, self.unused_since, self.never_used, self.text and self.created_by)
        return not self.ids and not is_ordered and any(narrow)

    def admits(self, token: ManagedToken, now: float) -> bool:
        """Does this record belong into the list?"""
        return (
            token.status(now) in self.wanted
            and (not self.created_by or token.created_by == self.created_by)
            and (not self.scope or self.scope in token.scopes)
            and (not self.expires_before or 0 < token.expires_at < self.expires_before)
            and (not self.unused_since or max(token.last_used_at, token.created_at) < self.unused_since)
            and not (self.never_used and token.last_used_at)
            and (not self.text or self._is_said_of(token))
        )

    def _is_said_of(self, token: ManagedToken) -> bool:
        text = self.text.casefold()
        return text in token.name.casefold() or token.tail.casefold().endswith(text)
