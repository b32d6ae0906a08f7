"""Attempts refused for a pause, logged in few entries, so that a flood of them hides nothing else in the log."""

from collections.abc import Callable

import msgspec

from service.addresses import address_groups
from service.model import Origin
from service.tokens.audit.log import AuditLog

TELL_SECONDS = 60.0
# Addresses per minute with entries of their own: two each, so that a full log holds many hours of a flood.
MOST_ADDRESSES = 32
_OTHERS = "others"


class _Repeats(msgspec.Struct):
    """The refusals of one address after its first; `first` and `last` in epoch seconds."""

    origin: Origin
    target: str
    count: int = 0
    first: int = 0
    last: int = 0


class Refusals:
    """The refused sign-ins of this process: an address's first is logged at once, the others as one entry a minute.

    An entry never changes. Refusals that are not yet logged are lost if the process is killed.
    """

    def __init__(self, audit_log: AuditLog, clock: Callable[[], float]) -> None:
        self._audit_log = audit_log
        self._clock = clock
        self._present: dict[str, _Repeats] = {}
        self._ended: list[_Repeats] = []

    async def add(self, origin: Origin, target: str) -> None:
        """Note an attempt that was refused without a check. Addresses are grouped as attempts are: IPv6 by /64."""
        # Grouped, so that one IPv6 host cannot fill the minute with its addresses.
        near, _ = address_groups(origin.address)
        # The first of an address at once, so that nobody waits for a single refusal.
        if near not in self._present and len(self._present) < MOST_ADDRESSES:
            self._present[near] = _Repeats(origin, target)
            await self._audit_log.write("login.throttled", origin, target)
            return
        repeats = self._present.get(near) or self._present.setdefault(
            _OTHERS, _Repeats(Origin(origin.actor, "", origin.channel, ""), _OTHERS)
        )
        repeats.last = int(self._clock())
        repeats.first = repeats.first or repeats.last
        repeats.count += 1

    async def tell(self) -> None:
        """End the minute: write how many there were, the first and the last. What Redis refuses is kept."""
        self._ended += [repeats for repeats in self._present.values() if repeats.count]
        self._present = {}
        while self._ended:
            told = self._ended[0]
            after = {"count": told.count, "first": told.first, "last": told.last}
            await self._audit_log.write("login.throttled", told.origin, told.target, after=after)
            # Removed only after it is written, so that a failure is repeated with the next minute.
            del self._ended[0]
