"""Counts and times buffered as plain integers until they are flushed into prometheus-client's metrics.

Its own counters, found by their labels and guarded by a lock, would cost more than the rest of a request's bookkeeping.
"""

from bisect import bisect_left
from collections import defaultdict
from typing import NamedTuple

from prometheus_client import Counter, Histogram

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class BufferedCounter:
    """A counter's increments. `counts` holds them by the values of its labels, so that hot code adds without a call."""

    __slots__ = ("_counter", "counts")

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self.counts: defaultdict[tuple[str | int, ...], int] = defaultdict(int)

    def inc(self, *labels: str | int, by: int = 1) -> None:
        """Count so many more under these labels."""
        self.counts[labels] += by

    def flush(self) -> None:
        """Bring what was counted into the counter."""
        for labels, count in self.counts.items():
            self._counter.labels(*labels).inc(count)
        self.counts.clear()


class Decisions(NamedTuple):
    """What the rules count, each where it decides: tokens issued and revoked by kind, tries to consume a one-time
    token and to sign in by outcome.
    """

    issued: BufferedCounter
    revoked: BufferedCounter
    consumed: BufferedCounter
    logins: BufferedCounter


class BufferedHistogram:
    """A histogram's observations under one set of labels."""

    __slots__ = ("_child", "_counts", "_sum")

    def __init__(self, child: Histogram) -> None:
        self._child = child
        self._counts = [0] * (len(BUCKETS) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one more that took so long."""
        self._counts[bisect_left(BUCKETS, seconds)] += 1
        self._sum += seconds

    def flush(self) -> None:
        """Bring what was counted into the histogram."""
        if not self._sum:
            return
        # prometheus-client has no public way to add many observations at once; a contract test names these two.
        for bucket, count in zip(self._child._buckets, self._counts, strict=True):
            if count:
                bucket.inc(count)
        self._child._sum.inc(self._sum)
        self._counts = [0] * len(self._counts)
        self._sum = 0.0
