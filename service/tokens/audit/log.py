"""The audit log: what an entry says, and the MAC that shows if it was changed afterwards."""

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
# Actions that anybody can cause without a credential.
_REFUSALS = ("login.failed", "login.throttled")
# Actions that may be refused while the log is behind with its seals; never one that takes a right away.
_CAN_WAIT = frozenset(f"token.{verb}" for verb in ("created", "imported", "derived", "updated", "activated"))
# What an entry says of a token.
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
# One call in C for all of them, because bulk changes compare thousands of records.
_shown_values = attrgetter(*_SHOWN)


@dataclass(eq=False, repr=False)
class AuditLog:
    """Makes audit entries. Never give it a secret: what goes in is shown to whoever may read the log.

    What was written is counted where it is sealed: a script may find that there is nothing to change.
    """

    _keyring: Keyring
    _shards: Shards
    _clock: Callable[[], float]
    # Entries in a stream of a shard at most, sealed or not.
    _keep: int
    # Are too many not sealed?
    _is_behind: Callable[[], bool]

    def entry(
        self, action: Action | StrEnum, origin: Origin, target: str, *, before: Facts = None, after: Facts = None
    ) -> Entry:
        """An entry for the script that makes the change; `before` and `after` hold what changed, and maybe a name.

        A notice to webhooks, which the log does not hold, is one of their own words.
        Raises StoreUnavailable for what can wait while the log is behind with its seals.
        """
        if action in _CAN_WAIT and self._is_behind():
            raise StoreUnavailable("The audit log is being sealed: try again in a moment.")
        body = _encode(
            # By place: by name it takes four times as long, and every change makes one.
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
        """An entry that goes with no other change, in the shard of its target's name."""
        stream = AuditStream(self._shards.of_name(target), _stream(action, target))
        await append(stream, self.entry(action, origin, target, **more))


def _stream(action: str, target: str) -> Stream:
    # A stream of their own, so that a flood of them pushes no change out of the log.
    if action in _REFUSALS:
        return Stream.REFUSALS
    # Whoever may read the log may take it out as often as it likes.
    return Stream.OCCURRENCES if (action, target) == ("export.made", "audit") else Stream.CHANGES


def facts(token: ManagedToken) -> dict[str, Any]:
    """What an audit entry says of a token: all that is not empty."""
    values = _shown_values(token)
    return dict(compress(zip(_SHOWN, values, strict=True), values))


def changed_facts(old: ManagedToken, new: ManagedToken) -> tuple[dict[str, Any], dict[str, Any]]:
    """What an entry says of a token before a change, and after it: only what differs."""
    before, after = _shown_values(old), _shown_values(new)
    differing = [*compress(zip(_SHOWN, before, after, strict=True), map(ne, before, after))]
    return {name: value for name, value, _ in differing}, {name: value for name, _, value in differing}
