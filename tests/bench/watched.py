"""The service as a user starts it, with a watch on its event loop: what held it longer than a millisecond, in a file.

Run as `python -m tests.bench.watched FILE serve`. A line is when a step had ended, by the system's monotonic clock,
and for how long it held the loop, both in seconds.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import TextIO

from uvicorn.server import Server

from service.cli import main

EVERY_SECONDS = 0.001


def longest(file: Path, since: float) -> float:
    """The longest step since then, in seconds; 0 where none held the loop longer than a millisecond."""
    steps = [line.split() for line in file.read_text().splitlines()]
    return max((float(held) for ended, held in steps if float(ended) >= since), default=0.0)


class Watch:
    """Asks to be called every millisecond; what it is late, and has computed meanwhile, others held the loop.

    Both, because a machine that is busy makes late without a step, and short steps compute without making late.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._due = self._computed = 0.0

    def ask(self) -> None:
        """Be called again in a millisecond."""
        self._due, self._computed = time.monotonic() + EVERY_SECONDS, time.thread_time()
        asyncio.get_running_loop().call_later(EVERY_SECONDS, self._sample)

    def _sample(self) -> None:
        now = time.monotonic()
        held = min(now - self._due, time.thread_time() - self._computed)
        if held > EVERY_SECONDS:
            self._file.write(f"{now} {held}\n")
        self.ask()


def watch(file: Path) -> None:
    """Let every server of this process have a watch once it has started."""
    start, opened = Server.startup, file.open("w", buffering=1)

    async def start_and_watch(server: Server, sockets: object = None) -> None:
        await start(server, sockets)  # type: ignore[arg-type]
        Watch(opened).ask()

    Server.startup = start_and_watch  # type: ignore[assignment, method-assign]


if __name__ == "__main__":
    watch(Path(sys.argv.pop(1)))
    main()
