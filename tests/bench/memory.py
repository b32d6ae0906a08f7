"""Resident memory of running processes over time, and whether it grows."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import linear_regression

from tests.bench import machine

MIB = 1 << 20


class Watch:
    """Samples of resident memory: (seconds since the start, bytes) for each name."""

    def __init__(self, pids: dict[str, int]) -> None:
        self.pids = pids
        self.samples: dict[str, list[tuple[float, int]]] = {name: [] for name in pids}

    def sample(self, seconds: float) -> None:
        for name, pid in self.pids.items():
            self.samples[name].append((seconds, machine.resident_bytes(pid)))

    def settled(self, name: str) -> tuple[float, bool]:
        """Bytes a second of growth, and whether it stays flat: no more than 1 MiB and 2 % in all.

        The first half of the time is left out: caches of bounded size fill then, in some four minutes of a soak.
        """
        samples = self.samples[name][len(self.samples[name]) // 2 :]
        slope = linear_regression([at for at, _ in samples], [size for _, size in samples]).slope
        grown = slope * (samples[-1][0] - samples[0][0])
        return slope, grown <= MIB + 0.02 * samples[0][1]

    def course(self, name: str) -> str:
        """The size at the start, after each quarter and at the end, and the slope, for people."""
        taken = self.samples[name]
        quarters = [taken[round(part * (len(taken) - 1) / 4)][1] for part in range(5)]
        sizes = ", ".join(f"{size / MIB:.1f}" for size in quarters)
        return f"{name} resident MiB over time: {sizes}; slope {self.settled(name)[0] * 60 / 1024:+.1f} KiB/min"


@contextmanager
def watched(pids: dict[str, int]) -> Iterator[Watch]:
    """Sample the processes each second while the block runs."""
    watch, over, began = Watch(pids), threading.Event(), time.monotonic()

    def observe() -> None:
        while not over.wait(1):
            watch.sample(time.monotonic() - began)

    thread = threading.Thread(target=observe)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()
