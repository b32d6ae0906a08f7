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

    def report(self, name: str) -> bool:
        """Print the course. True where it grew by no more than 1 MiB and 2 %.

        The first third is left out: caches of bounded size fill then.
        """
        taken = self.samples[name]
        settled = taken[len(taken) // 3 :]
        slope = linear_regression([at for at, _ in settled], [size for _, size in settled]).slope
        grown = slope * (settled[-1][0] - settled[0][0])
        flat = grown <= MIB + 0.02 * settled[0][1]
        quarters = [taken[round(part * (len(taken) - 1) / 4)][1] for part in range(5)]
        sizes = ", ".join(f"{size / MIB:.1f}" for size in quarters)
        verdict = "flat" if flat else "GROWS"
        print(f"{name} resident MiB over time: {sizes}; slope {slope * 60 / 1024:+.1f} KiB/min: {verdict}")
        return flat


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
