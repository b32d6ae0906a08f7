"""Counts and times, buffered as plain integers until they are flushed into prometheus-client's metrics; and the
numbers that the system and Python keep about the processes.

prometheus-client's own counters, found by label under a lock, cost more than all other bookkeeping of a request.
"""

import gc
import os
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from math import inf
from pathlib import Path
from time import time

import msgspec
from prometheus_client import Counter, Histogram
from prometheus_client.core import CounterMetricFamily, Exemplar, GaugeMetricFamily, Metric

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
# A value beside the kinds: a managed token derived from another one.
DERIVED = "derived"
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PROC = Path("/proc")


class BufferedCounter:
    """A counter's increments. `counts` maps label values to them, so that hot code adds without a call."""

    __slots__ = ("_counter", "_parts", "counts")

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self.counts: defaultdict[tuple[str | int, ...], int] = defaultdict(int)
        self._parts: list[tuple[dict[str, int], tuple[str, ...]]] = []

    def inc(self, *labels: str | int, by: int = 1) -> None:
        self.counts[labels] += by

    def part(self, firsts: Iterable[str], *others: str) -> dict[str, int]:
        """Further counts, by the first label, with fixed values of the others: an increment then makes no key."""
        part = dict.fromkeys(firsts, 0)
        self._parts.append((part, others))
        return part

    def flush(self) -> None:
        for part, others in self._parts:
            for first, count in part.items():
                self.inc(first, *others, by=count)
                part[first] = 0
        for labels, count in self.counts.items():
            self._counter.labels(*labels).inc(count)
        self.counts.clear()


class Decisions(msgspec.Struct, frozen=True):
    """The counters of the rules, each counted where the rule decides: tokens issued and revoked by kind or `DERIVED`;
    attempts to consume a one-time token and to sign in, by outcome.
    """

    issued: BufferedCounter
    revoked: BufferedCounter
    consumed: BufferedCounter
    logins: BufferedCounter


class BufferedHistogram:
    """A histogram's observations under one set of labels."""

    __slots__ = ("_child", "_exemplar", "_times", "observe")

    def __init__(self, child: Histogram) -> None:
        self._child = child
        self._times: list[float] = []
        # Unsorted: sorting a tenth of a second's values at once takes a third of finding the bucket of each.
        self.observe = self._times.append
        self._exemplar: Exemplar | None = None

    def show(self, trace_id: str, seconds: float) -> None:
        """Make one counted observation the exemplar, which links to its trace; the last one before a flush is kept."""
        self._exemplar = Exemplar({"trace_id": trace_id}, seconds, time())

    def flush(self) -> None:
        times, counted = self._times, 0
        if not times:
            return
        times.sort()
        # prometheus-client has no public way to add many observations at once; a contract test checks these two fields.
        for bucket, bound in zip(self._child._buckets, (*BUCKETS, inf), strict=True):
            within = bisect_right(times, bound)
            if within > counted:
                bucket.inc(within - counted)
            counted = within
        self._child._sum.inc(sum(times))
        times.clear()
        if self._exemplar is not None:
            self._child._buckets[bisect_left(BUCKETS, self._exemplar.value)].set_exemplar(self._exemplar)
            self._exemplar = None


def processes(pids: Sequence[int]) -> Iterator[Metric]:
    """CPU time, memory and open files of a process and its children together, under the metric names that all
    Prometheus clients use; nothing without /proc.

    The time of ended children stays in the time of their parent, so the seconds never fall when a worker is replaced.
    Memory that workers share is counted for each of them.
    """
    read = [facts for facts in map(_Facts.read, pids) if facts is not None]
    if not read or read[0].pid != pids[0]:
        return
    first, *others = read
    every = [first, *(one for one in others if one.parent == first.pid)]
    seconds = (first.ticks_of_ended + sum(one.ticks for one in every)) / _TICKS
    yield CounterMetricFamily("process_cpu_seconds", "processor time of all workers", value=seconds)
    memory = _PAGE * sum(one.pages for one in every)
    yield GaugeMetricFamily("process_resident_memory_bytes", "memory of all workers", value=memory)
    files = sum(one.files for one in every)
    yield GaugeMetricFamily("process_open_fds", "open files of all workers", value=files)
    started = _booted() + first.started / _TICKS
    yield GaugeMetricFamily("process_start_time_seconds", "when the service was started", value=started)


class _Facts(msgspec.Struct, frozen=True):
    pid: int
    parent: int
    ticks: int
    ticks_of_ended: int
    started: int
    pages: int
    files: int

    @classmethod
    def read(cls, pid: int) -> "_Facts | None":
        """The facts of /proc about a process, by the field numbers of proc(5); None if it has ended."""
        folder = _PROC / str(pid)
        try:
            # proc(5) numbers fields from 1. The name in parentheses may itself contain blanks and parentheses, so
            # fields are counted from 3 after the last parenthesis.
            fields = ["", "", "", *(folder / "stat").read_text().rpartition(") ")[2].split()]
            files = len(list((folder / "fd").iterdir()))
        except OSError:
            return None
        field = {place: int(fields[place]) for place in (4, 14, 15, 16, 17, 22, 24)}
        return cls(pid, field[4], field[14] + field[15], field[16] + field[17], field[22], field[24], files)


def _booted() -> float:
    facts = (_PROC / "stat").read_text().splitlines()
    return float(next(line for line in facts if line.startswith("btime ")).split()[1])


class Collections:
    """Counts Python's own garbage collections in a counter."""

    def __init__(self, counter: Counter) -> None:
        self._counters = [counter.labels(str(generation)) for generation in range(3)]
        self._seen = [0, 0, 0]

    def flush(self) -> None:
        for generation, facts in enumerate(gc.get_stats()):
            found = facts["collections"]
            self._counters[generation].inc(found - self._seen[generation])
            self._seen[generation] = found
