"""The clock of Redis, which all processes share: this machine's clock, corrected by the last reply to TIME."""

from collections.abc import Awaitable, Callable

from service.store.driver.replies import Reply

SECONDS_APART = 2.0
SECONDS_TOO_FAR_APART = 30.0


class ServerClock:
    """Epoch seconds by the clock of one Redis node; by this machine's clock until the first `check`.

    `seconds_ahead` is how far that node is ahead of this machine. It changes only as far as a reply contradicts it,
    allowing for the time of the round trip; so a correct clock stays as steady as this machine's.
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
        # Redis read its clock between our two readings, so any value in that range is no contradiction.
        self.seconds_ahead = min(max(self.seconds_ahead, heard - self.ours()), heard - before)


def difference(ahead: float) -> str:
    """The text for operators: how far the clock of Redis is from this machine's, and what to do."""
    direction = "ahead of" if ahead > 0 else "behind"
    return f"Redis' clock is {abs(ahead):.1f} s {direction} this machine's: set both machines' clocks"
