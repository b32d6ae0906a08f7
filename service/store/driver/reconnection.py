"""Reconnecting: one attempt after another in the background, at first quickly, then every half second."""

import asyncio
from collections.abc import Awaitable, Callable

# A restart takes moments, so the first attempts follow each other quickly. A server that was away for long must not
# meet the attempts of all processes at once when it returns.
_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.5


class Reconnection:
    """Makes one attempt after another until `attempt` returns True."""

    def __init__(self, attempt: Callable[[], Awaitable[bool]]) -> None:
        self._attempt = attempt
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start, unless attempts are being made already."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep_trying())

    def begin_anew(self) -> None:
        """Replace the attempt under way, if there is one, by a new one."""
        if self._task is not None:
            self.stop()
            self.start()

    def stop(self) -> None:
        """Cancel the attempt under way."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _keep_trying(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        try:
            while not await self._attempt():
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        finally:
            # After `begin_anew` the task that ends here is not the current one any more.
            if self._task is asyncio.current_task():
                self._task = None
