"""The clock of Redis, which all processes share: this machine's, corrected by what Redis said last."""

from collections.abc import Awaitable, Callable

from service.store.driver.replies import Reply

SECONDS_APART = 2.0
SECONDS_TOO_FAR_APART = 30.0


class ServerClock:
    """Epoch seconds by the clock of one Redis node; by this machine's until it was first asked.

    `seconds_ahead` is how far that node is ahead of this machine. It moves only as far as what was heard contradicts
    it: what an exchange took is no reason to, so a clock that is right stays as steady as this machine's.
    """

    def __init__(self, ours: Callable[[], float]) -> None:
        self.ours = ours
        self.seconds_ahead = 0.0

    def __call__(self) -> float:
        return self.ours() + self.seconds_ahead

    async def check(self, ask: Callable[[], Awaitable[Reply]]) -> None:
        """Ask TIME once and follow it. Raises what `ask` raises."""
        before = self.ours()
        seconds, micros = await ask()
        heard = int(seconds) + int(micros) / 1e6
        # TIME was read between the two readings of our clock: what lies within that is no contradiction.
        self.seconds_ahead = min(max(self.seconds_ahead, heard - self.ours()), heard - before)


def difference(ahead: float) -> str:
    """How far the clock of Redis is from this machine's, and what to do about it."""
    direction = "ahead of" if ahead > 0 else "behind"
    return f"Redis' clock is {abs(ahead):.1f} s {direction} this machine's: set both machines' clocks"
