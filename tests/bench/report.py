"""Medians, ratios to the references, and the bar; as a table for people and as JSON for programs."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import plan
from tests.bench.load import Case, Sample

Key = tuple[str, int]
BUSY = 0.85


@dataclass(frozen=True)
class Bar:
    """A ratio between two cases and what it must be. `cpu`: CPU per request, where less is better."""

    name: str
    case: Key
    reference: Key
    must: float
    aim: float
    cpu: bool = False

    def verdict(self, ratio: float) -> str:
        """`aim` where even that is reached, else `met` or `MISSED`."""
        sign = -1 if self.cpu else 1
        if sign * ratio >= sign * self.aim:
            return "aim"
        return "met" if sign * ratio >= sign * self.must else "MISSED"


BARS = (
    Bar("validate to raw ASGI", ("validate", 64), (plan.RAW, 64), 1.5, 1.9),
    Bar("validate to raw ASGI, 8 connections", ("validate", 8), (plan.RAW, 8), 1.1, 1.4),
    Bar("unknown token to raw ASGI", ("validate, unknown token", 64), (plan.RAW, 64), 1.3, 1.7),
    Bar("validate to Fastify", ("validate", 64), (plan.FASTIFY, 64), 1.5, 2.2),
    Bar("validate to FastAPI", ("validate", 64), (plan.FASTAPI, 64), 12, 17),
    Bar("consume to FastAPI's GET", ("consume", 64), (plan.FASTAPI, 64), 3, 4),
    Bar("create to FastAPI's GET", ("create", 64), (plan.FASTAPI, 64), 3, 4),
    Bar("CPU per validate to raw ASGI's", ("validate", 64), (plan.RAW, 64), 0.65, 0.5, cpu=True),
)


class Results:
    """All samples of one run, by case and connections, in the order in which they were taken."""

    def __init__(self) -> None:
        self.samples: dict[Key, list[Sample]] = {}
        self.wrong: list[str] = []

    def add(self, case: Case, sample: Sample) -> None:
        self.samples.setdefault((case.name, case.connections), []).append(sample)
        self.judge(case, sample)

    def judge(self, case: Case, sample: Sample) -> None:
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
        pairs = zip(self.samples[key], self.samples[reference], strict=True)
        return median(getattr(one, field) / getattr(other, field) for one, other in pairs)

    def rows(self) -> list[dict[str, Any]]:
        """One row a case: medians and both ratios, to the same number of connections where that was taken."""
        return [self._row(key) for key in self.samples]

    def _row(self, key: Key) -> dict[str, Any]:
        name, connections = key
        medians = {name: self.median(key, name) for name in ("rps", "p50_ms", "p99_ms", "cpu_us", "busy")}
        near = connections if (plan.RAW, connections) in self.samples else 64
        ratios = {"to_raw": self.ratio(key, (plan.RAW, near))}
        ratios["to_starlette_redis"] = self.ratio(key, (plan.STARLETTE_REDIS, 64))
        return {"case": name, "connections": connections} | medians | ratios

    def bars(self) -> list[dict[str, Any]]:
        """Each ratio of the bar that could be taken: aim, met or MISSED; void after a wrong answer.

        It is called rough where a server had much less than its core: then others decided the ratio too.
        """
        found = []
        for bar in BARS:
            ratio = self.ratio(bar.case, bar.reference, "cpu_us" if bar.cpu else "rps")
            if ratio is None:
                continue
            busy = min(self.median(key, "busy") for key in (bar.case, bar.reference))
            rough = ", rough" if busy < BUSY else ""
            verdict = "void" if self.wrong else bar.verdict(ratio) + rough
            row = {"ratio": bar.name, "value": ratio, "must": bar.must, "aim": bar.aim}
            found.append(row | {"verdict": verdict})
        return found


def print_facts(facts: dict[str, str]) -> None:
    for name, value in facts.items():
        print(f"{name:>14}  {value}")
    print()


def print_results(results: Results, skipped: list[str]) -> None:
    """The table, the bar, what was skipped and every wrong answer."""
    titles = ("req/s", "p50 ms", "p99 ms", "CPU us", "busy", "to A", "to B")
    print(f"{'case':34} {'conns':>5} " + " ".join(f"{title:>8}" for title in titles))
    for row in results.rows():
        print(_line(row))
    print(f"A: {plan.RAW}, at as many connections where taken, else 64. B: {plan.STARLETTE_REDIS}, 64.")
    print("busy: share of one core used by the server; far below 1, it was not the limit or had to share.\n")
    _print_bars(results.bars())
    for reason in skipped:
        print(f"skipped: {reason}")
    checked = sum(sample.requests for samples in results.samples.values() for sample in samples)
    verdict = "all right" if not results.wrong else "WRONG ANSWERS, no ratio counts:"
    print(f"\n{checked:,} answers checked, {verdict}")
    for line in results.wrong:
        print(f"  {line}")


def _line(row: dict[str, Any]) -> str:
    speed = f"{row['rps']:8,.0f} {row['p50_ms']:8.2f} {row['p99_ms']:8.2f}"
    numbers = f"{speed} {row['cpu_us']:8.1f} {row['busy']:8.2f}"
    ratios = (row["to_raw"], row["to_starlette_redis"])
    shown = " ".join(f"{'-':>8}" if ratio is None else f"{ratio:8.2f}" for ratio in ratios)
    return f"{row['case']:34} {row['connections']:5} {numbers} {shown}"


def _print_bars(bars: list[dict[str, Any]]) -> None:
    if bars:
        print(f"{'bar':38} {'ratio':>7} {'must':>6} {'aim':>6}")
    for bar in bars:
        print(f"{bar['ratio']:38} {bar['value']:7.2f} {bar['must']:6.2f} {bar['aim']:6.2f}  {bar['verdict']}")


def write_json(path: Path, results: Results, facts: dict[str, str], skipped: list[str]) -> None:
    samples = [
        {"case": name, "connections": connections, "samples": [asdict(sample) for sample in taken]}
        for (name, connections), taken in results.samples.items()
    ]
    whole = {"machine": facts, "cases": results.rows(), "bar": results.bars(), "skipped": skipped}
    path.write_text(json.dumps(whole | {"wrong": results.wrong, "runs": samples}, indent=1) + "\n")
    print(f"written to {path}")
