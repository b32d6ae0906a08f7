"""The service as a user starts it, with a watch on its event loop: what held it longer than a millisecond, in a file.

Run as `python -m tests.bench.watched FILE serve`. A line is when a step had ended, by the system's monotonic clock, for
how long it held the loop, and how much of that was the garbage collector's, all in seconds.

The time in which the loop was ready and others had the core is not counted. What the host of a virtual machine takes
nobody can tell from work: see `machine.longest_gap`; nor what the kernel does for others in our name, which is
milliseconds now and then where many processes want the core.
"""

import asyncio
import gc
import os
import sys
import time
from pathlib import Path
from typing import TextIO

from uvicorn.server import Server

from service.cli import main

EVERY_SECONDS = 0.001
# None where the kernel does not tell.
_SCHEDSTAT = os.open("/proc/self/schedstat", os.O_RDONLY) if Path("/proc/self/schedstat").exists() else None


def longest(file: Path, since: float) -> tuple[float, float]:
    """The longest step since then and what of it the garbage collector took, in seconds; 0 where none was over 1 ms."""
    steps = [tuple(map(float, line.split())) for line in file.read_text().splitlines()]
    return max(((held, collected) for ended, held, collected in steps if ended >= since), default=(0.0, 0.0))


class Watch:
    """Asks to be called every millisecond; what it is late, and has computed meanwhile, others held the loop.

    Both, because a machine that is busy makes late without a step, and short steps compute without making late.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._due = self._computed = self._without_core = self._collecting_since = self._collected = 0.0
        gc.callbacks.append(self._note_collection)

    def ask(self) -> None:
        """Be called again in a millisecond."""
        self._due, self._computed, self._collected = time.monotonic() + EVERY_SECONDS, time.thread_time(), 0.0
        self._without_core = _without_core()
        asyncio.get_running_loop().call_later(EVERY_SECONDS, self._sample)

    def _sample(self) -> None:
        now, computed = time.monotonic(), time.thread_time() - self._computed
        held = min(now - self._due - (_without_core() - self._without_core), computed)
        if held > EVERY_SECONDS:
            self._file.write(f"{now} {held} {self._collected}\n")
        self.ask()

    def _note_collection(self, phase: str, _info: object) -> None:
        if phase == "start":
            self._collecting_since = time.monotonic()
        else:
            self._collected += time.monotonic() - self._collecting_since


def _without_core() -> float:
    """For how long this process' first thread, which has the loop, was ready so far and had no core."""
    # By a descriptor that stays open: to open the file takes as long as a request.
    return int(os.pread(_SCHEDSTAT, 64, 0).split()[1]) / 1e9 if _SCHEDSTAT is not None else 0.0


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
