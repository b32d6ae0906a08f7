"""The clocks of all Redis nodes and of this machine beside each other."""

import asyncio
import logging
from functools import partial

from service.store.driver.server_clock import SECONDS_APART, SECONDS_TOO_FAR_APART, ServerClock, difference
from service.store.driver.shards import Shards

log = logging.getLogger(__name__)


class ClockWatch:
    """The clocks of all nodes. The service goes by that of the first, `clock`."""

    def __init__(self, shards: Shards, clock: ServerClock) -> None:
        first, *others = dict.fromkeys(shard.link for shard in shards)
        self._nodes = [(first, clock), *((link, ServerClock(clock.ours)) for link in others)]
        self._told = 0

    async def check(self) -> None:
        """Ask every node once, and warn when clocks came to differ. Raises StoreUnavailable when none answers."""
        asked = [clock.check(partial(link.execute, "TIME")) for link, clock in self._nodes]
        errors = [error for error in await asyncio.gather(*asked, return_exceptions=True) if error is not None]
        if len(errors) == len(self._nodes):
            raise errors[0]
        # Told once when it becomes worse, not four times a second.
        seriousness = sum(self.seconds_apart >= bound for bound in (SECONDS_APART, SECONDS_TOO_FAR_APART))
        if seriousness > self._told:
            log.warning(self._difference())
        self._told = seriousness

    @property
    def seconds_apart(self) -> float:
        """The greatest difference between any two of this machine and the nodes."""
        ahead = (0.0, *(clock.seconds_ahead for _, clock in self._nodes))
        return max(ahead) - min(ahead)

    @property
    def fault(self) -> str:
        """What to say of clocks that are too far apart for traffic, else empty."""
        return self._difference() if self.seconds_apart >= SECONDS_TOO_FAR_APART else ""

    def _difference(self) -> str:
        if len(self._nodes) > 1:
            return f"the clocks of Redis' nodes and of this machine are {self.seconds_apart:.1f} s apart: set them"
        return difference(self._nodes[0][1].seconds_ahead)
