"""Medians, ratios to the references, and the bar; as a table for people and as JSON for programs."""

import json
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import peers
from tests.bench.bars import BARS, Bar, Key
from tests.bench.load import Case, Sample

BUSY = 0.9
# Ends the name of a case of the revision that this one is measured against.
BEFORE = ", before"
# Of an even row the slowest hundredth takes at most so many times the median.
EVEN = 3


class Results:
    """All samples of one run, by case and connections, in the order in which they were taken."""

    def __init__(self) -> None:
        self.samples: dict[Key, list[Sample]] = {}
        self.wrong: list[str] = []

    def add(self, case: Case, sample: Sample) -> None:
        self.samples.setdefault((case.name, case.connections), []).append(sample)
        self.evaluate(case, sample)

    def evaluate(self, case: Case, sample: Sample) -> None:
        """Note wrong answers, those of the warm-up too."""
        if sample.wrong:
            share = f"{sample.wrong} of {sample.requests} answers wrong or lost"
            self.wrong.append(f"{case.name}, {case.connections} connections: {share}, such as {sample.example}")

    def median(self, key: Key, field: str) -> float:
        return median(getattr(sample, field) for sample in self.samples[key])

    def ratio(self, key: Key, reference: Key, field: str = "rps") -> float | None:
        """Median of the ratios within each round: what slows the machine for a while slows both."""
        if key not in self.samples or reference not in self.samples:
            return None
        return median(self._ratios(key, reference, field))

    def _value(self, bar: Bar) -> float | None:
        if bar.reference is not None:
            return self.ratio(bar.case, bar.reference, "cpu_us" if bar.cpu else "rps")
        return bar.each * self.median(bar.case, "rps") if bar.case in self.samples else None

    def _value_by_cpu(self, bar: Bar) -> float:
        """What it would be had each server a core to itself and always something to do."""
        if bar.reference is None:
            return bar.each * 1e6 / self.median(bar.case, "cpu_us")
        more, less = (bar.case, bar.reference) if bar.cpu else (bar.reference, bar.case)
        return median(self._ratios(more, less, "cpu_us"))

    def _ratios(self, key: Key, reference: Key, field: str) -> list[float]:
        pairs = zip(self.samples[key], self.samples[reference], strict=True)
        return [getattr(one, field) / getattr(other, field) for one, other in pairs]

    def changes(self) -> list[dict[str, Any]]:
        """New to old of each case that was taken of both revisions: least, median and greatest ratio of a round."""
        found = []
        for name, connections in self.samples:
            old = (name + BEFORE, connections)
            if old in self.samples:
                spreads = {field: sorted(self._ratios((name, connections), old, field)) for field in ("rps", "cpu_us")}
                row = {field: (taken[0], median(taken), taken[-1]) for field, taken in spreads.items()}
                found.append({"case": name, "connections": connections} | row)
        return found

    def rows(self) -> list[dict[str, Any]]:
        """One row a case: medians and both ratios, to the same number of connections where that was taken."""
        return [self._row(key) for key in self.samples]

    def _row(self, key: Key) -> dict[str, Any]:
        name, connections = key
        medians = {name: self.median(key, name) for name in ("rps", "p50_ms", "p99_ms", "cpu_us", "busy")}
        near = connections if (peers.RAW, connections) in self.samples else 64
        medians["p99_to_p50"] = median(sample.p99_ms / sample.p50_ms for sample in self.samples[key])
        ratios = {"to_raw": self.ratio(key, (peers.RAW, near))}
        ratios["to_starlette_redis"] = self.ratio(key, (peers.STARLETTE_REDIS, 64))
        return {"case": name, "connections": connections} | medians | ratios

    def bars(self) -> list[dict[str, Any]]:
        """Each ratio of the bar that could be taken: aim, met or MISSED; void after a wrong answer.

        It is called rough where a server had much less than its core, and the CPU per request says another thing.
        """
        found = []
        for bar in BARS:
            value = self._value(bar)
            if value is None:
                continue
            by_cpu = self._value_by_cpu(bar)
            busy = min(self.median(key, "busy") for key in (bar.case, bar.reference or bar.case))
            rough = ", rough" if busy < BUSY and bar.verdict(value) != bar.verdict(by_cpu) else ""
            verdict = "void" if self.wrong else bar.verdict(value) + rough
            row = {"ratio": bar.name, "value": value, "by_cpu": by_cpu, "must": bar.must, "aim": bar.aim}
            found.append(row | {"verdict": verdict})
        return found


def print_facts(facts: dict[str, str]) -> None:
    for name, value in facts.items():
        print(f"{name:>14}  {value}")
    print()


def print_results(results: Results, skipped: list[str]) -> None:
    """The table, the bar, what was skipped and every wrong answer."""
    titles = ("req/s", "p50 ms", "p99 ms", "p99/p50", "CPU us", "busy", "to A", "to B")
    rows = results.rows()
    widest = max((len(row["case"]) for row in rows), default=4)
    print(f"{'case':{widest}} {'conns':>5} " + " ".join(f"{title:>8}" for title in titles))
    for row in rows:
        print(_line(row, widest))
    print(f"A: {peers.RAW}, at as many connections where taken, else 64. B: {peers.STARLETTE_REDIS}, 64.")
    print("busy: share of one core used by the server; far below 1, it was not the limit or had to share.")
    uneven = [row["case"] for row in rows if row["connections"] == 64 and row["p99_to_p50"] > EVEN]
    print(f"p99 above {EVEN} times p50 at 64 connections: {'; '.join(uneven) or 'none'}\n")
    _print_changes(results.changes())
    _print_bars(results.bars())
    for reason in skipped:
        print(f"skipped: {reason}")
    checked = sum(sample.requests for samples in results.samples.values() for sample in samples)
    verdict = "all right" if not results.wrong else "WRONG ANSWERS, no ratio counts:"
    print(f"\n{checked:,} answers checked, {verdict}")
    for line in results.wrong:
        print(f"  {line}")


def _print_changes(changes: list[dict[str, Any]]) -> None:
    if changes:
        print(f"{'new to old: median (least to greatest)':40} {'requests':>22} {'CPU each':>22}")
    for row in changes:
        shown = [f"{middle:.2f} ({least:.2f} to {most:.2f})" for least, middle, most in (row["rps"], row["cpu_us"])]
        print(f"{row['case'] + ', ' + str(row['connections']):40} {shown[0]:>22} {shown[1]:>22}")
    print()


def _line(row: dict[str, Any], widest: int) -> str:
    speed = f"{row['rps']:8,.0f} {row['p50_ms']:8.2f} {row['p99_ms']:8.2f} {row['p99_to_p50']:8.1f}"
    numbers = f"{speed} {row['cpu_us']:8.1f} {row['busy']:8.2f}"
    ratios = (row["to_raw"], row["to_starlette_redis"])
    shown = " ".join(f"{'-':>8}" if ratio is None else f"{ratio:8.2f}" for ratio in ratios)
    return f"{row['case']:{widest}} {row['connections']:5} {numbers} {shown}"


def _print_bars(bars: list[dict[str, Any]]) -> None:
    if not bars:
        return
    print(f"{'bar':42} {'ratio':>7} {'by CPU':>7} {'must':>7} {'aim':>7}")
    for bar in bars:
        shown = " ".join(
            f"{bar[column]:7,.0f}" if bar["must"] >= 1000 else f"{bar[column]:7.2f}"
            for column in ("value", "by_cpu", "must", "aim")
        )
        print(f"{bar['ratio']:42} {shown}  {bar['verdict']}")
    print(
        f"by CPU: the same by CPU per request, as if each server had a core to itself. rough: one had less than {BUSY}"
    )
    print("of a core in the middle of its runs, and by CPU the verdict is another.")


def write_json(path: Path, results: Results, facts: dict[str, str], skipped: list[str]) -> None:
    samples = [
        {"case": name, "connections": connections, "samples": [asdict(sample) for sample in taken]}
        for (name, connections), taken in results.samples.items()
    ]
    whole = {
        "machine": facts,
        "cases": results.rows(),
        "bar": results.bars(),
        "changes": results.changes(),
        "skipped": skipped,
    }
    path.write_text(json.dumps(whole | {"wrong": results.wrong, "runs": samples}, indent=1) + "\n")
    print(f"written to {path}")
