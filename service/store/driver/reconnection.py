"""Reconnecting: one attempt after another in the background, at first quickly, then every half second."""

import asyncio
from collections.abc import Awaitable, Callable

# A restart is over in moments, so the first tries follow each other quickly; a server that stays away must not be met
# by the tries of all processes at once when it returns.
_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.5


class Reconnection:
    """Makes attempts until one is the last: `attempt` returns whether there is nothing left to try."""

    def __init__(self, attempt: Callable[[], Awaitable[bool]]) -> None:
        self._attempt = attempt
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, unless attempts are being made already."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep_trying())

    def begin_anew(self) -> None:
        """Drop the attempt under way, if there is one, for a new one."""
        if self._task is not None:
            self.stop()
            self.start()

    def stop(self) -> None:
        """Drop the attempt under way."""
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
            # After `begin_anew` the task that ends here is no longer the one that tries.
            if self._task is asyncio.current_task():
                self._task = None
