"""The audit log: what an entry says, and the MAC that shows a later change to it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from itertools import compress
from operator import attrgetter, ne
from typing import Any

import msgspec

from service.errors import StoreUnavailable
from service.keyring import Keyring
from service.model import ManagedToken, Origin
from service.store.audit import AuditStream, Entry, append
from service.store.driver.keys import Stream
from service.store.driver.shards import Shards
from service.tokens.audit.entries import Action, AuditEntry

_encode = msgspec.json.Encoder().encode
Facts = dict[str, Any] | None
# Actions that anyone can cause without a credential.
_REFUSALS = ("login.failed", "login.throttled")
# Actions that may be refused while sealing is behind; never one that takes a right away.
_CAN_WAIT = frozenset(f"token.{verb}" for verb in ("created", "imported", "derived", "updated", "activated"))
# The fields of a token in an entry.
_SHOWN = (
    "name",
    "description",
    "subject",
    "scopes",
    "rate_limits",
    "networks",
    "max_uses",
    "metadata",
    "expires_at",
    "active",
    "rotations",
    "predecessor_until",
)
# One C call for all fields, because bulk changes compare thousands of records.
_shown_values = attrgetter(*_SHOWN)


@dataclass(eq=False, repr=False)
class AuditLog:
    """Makes audit entries. Never give it a secret: everybody who may read the log sees what goes in.

    An entry is counted when it is sealed, because a script may find that there is nothing to change.
    """

    _keyring: Keyring
    _shards: Shards
    _clock: Callable[[], float]
    # At most so many entries in a stream of a shard, sealed or not.
    _keep: int
    # True while too many entries are not sealed.
    _is_behind: Callable[[], bool]

    def entry(
        self, action: Action | StrEnum, origin: Origin, target: str, *, before: Facts = None, after: Facts = None
    ) -> Entry:
        """An entry for the script that makes the change. `before` and `after` hold what changed, and perhaps a name.

        A notice for webhooks is not kept in the log; its action is an `EventType`.
        Raises StoreUnavailable for an action that can wait, while sealing is behind.
        """
        if action in _CAN_WAIT and self._is_behind():
            raise StoreUnavailable("The audit log is being sealed: try again in a moment.")
        body = _encode(
            # Positional: keyword arguments take four times as long, and every change makes an entry.
            AuditEntry(
                int(self._clock()),
                action,
                origin.actor,
                target,
                origin.address,
                origin.channel,
                origin.request_id,
                before or None,
                after or None,
            )
        )
        return Entry(self._keep, body, self._keyring.mac("audit", body))

    async def write(self, action: Action, origin: Origin, target: str, **more: dict[str, Any]) -> None:
        """Write an entry without any other change, in the shard of its target's name."""
        stream = AuditStream(self._shards.of_name(target), _stream(action, target))
        await append(stream, self.entry(action, origin, target, **more))


def _stream(action: str, target: str) -> Stream:
    # A stream of their own, so that a flood of refusals pushes no change out of the log.
    if action in _REFUSALS:
        return Stream.REFUSALS
    # Anyone who may read the log may export it as often as they like.
    return Stream.OCCURRENCES if (action, target) == ("export.made", "audit") else Stream.CHANGES


def facts(token: ManagedToken) -> dict[str, Any]:
    """The fields of a token in an audit entry, without the empty ones."""
    values = _shown_values(token)
    return dict(compress(zip(_SHOWN, values, strict=True), values))


def changed_facts(old: ManagedToken, new: ManagedToken) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of a token before and after a change: only those that differ."""
    before, after = _shown_values(old), _shown_values(new)
    differing = [*compress(zip(_SHOWN, before, after, strict=True), map(ne, before, after))]
    return {name: value for name, value, _ in differing}, {name: value for name, _, value in differing}
