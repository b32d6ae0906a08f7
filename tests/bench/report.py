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
# Ends the name of a case of the revision that this one is measured against.
BEFORE = ", before"


@dataclass(frozen=True)
class Bar:
    """A ratio between two cases and what it must be. `cpu`: CPU per request, where less is better.

    Without a reference what a case does in a second, `each` of it with a request.
    """

    name: str
    case: Key
    reference: Key | None
    must: float
    aim: float
    cpu: bool = False
    each: int = 1

    def verdict(self, ratio: float) -> str:
        """`aim` where even that is reached, else `met` or `MISSED`."""
        sign = -1 if self.cpu else 1
        if sign * ratio >= sign * self.aim:
            return "aim"
        return "met" if sign * ratio >= sign * self.must else "MISSED"


def _to_raw(must: float, aim: float, *cases: str, connections: int = 64) -> list[Bar]:
    width = "" if connections == 64 else f", {connections} connections"
    return [
        Bar(f"{name} to raw ASGI{width}", (name, connections), (plan.RAW, connections), must, aim) for name in cases
    ]


BARS = (
    *_to_raw(1.35, 1.6, *plan.GATEWAYS),
    *_to_raw(1.55, 1.75, "scope in the query", "scope in a field"),
    *_to_raw(1.6, 1.75, "secret in X-API-Key"),
    *_to_raw(0.95, 1.1, "limited token"),
    Bar("two limits to one", ("token with two limits", 64), ("limited token", 64), 0.8, 0.9),
    *_to_raw(1.2, 1.5, "session, in the query", "session, in X-Token"),
    *_to_raw(0.6, 0.8, "issue, as the PHP generator", "spend, consume"),
    *_to_raw(0.9, 1.1, "spend, /validate/one-time"),
    *_to_raw(0.6, 0.9, "introspect"),
    Bar("batch of 100, tokens a second", ("batch of 100", 64), None, 300_000, 500_000, each=100),
    *_to_raw(0.2, 0.28, "create"),
    *_to_raw(0.2, 0.3, "deactivate", "revoke"),
    *_to_raw(0.04, 0.06, "list 50"),
    *_to_raw(1.3, 1.7, "unknown token"),
    *_to_raw(1.6, 1.8, plan.IN_TURN),
    *_to_raw(1.2, 1.4, plan.CROWD_IN_TURN),
    *_to_raw(1.75, 1.9, "validate"),
    *_to_raw(1.3, 1.4, "validate", connections=8),
    Bar("validate to Fastify", ("validate", 64), (plan.FASTIFY, 64), 2.3, 2.6),
    Bar("validate to FastAPI", ("validate", 64), (plan.FASTAPI, 64), 12, 17),
    Bar("consume to FastAPI's GET", ("spend, consume", 64), (plan.FASTAPI, 64), 3, 4),
    Bar("create to FastAPI's GET", ("create", 64), (plan.FASTAPI, 64), 3, 4),
    Bar("16 shards on a node to one", (plan.ONE_NODE, 64), (plan.IN_TURN, 64), 0.95, 1.0),
    Bar("cluster of three to one Redis", (plan.THREE_NODES, 64), (plan.IN_TURN, 64), 0.95, 1.0),
    Bar("CPU per validate to raw ASGI's", ("validate", 64), (plan.RAW, 64), 0.65, 0.5, cpu=True),
)
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
        near = connections if (plan.RAW, connections) in self.samples else 64
        medians["p99_to_p50"] = median(sample.p99_ms / sample.p50_ms for sample in self.samples[key])
        ratios = {"to_raw": self.ratio(key, (plan.RAW, near))}
        ratios["to_starlette_redis"] = self.ratio(key, (plan.STARLETTE_REDIS, 64))
        return {"case": name, "connections": connections} | medians | ratios

    def bars(self) -> list[dict[str, Any]]:
        """Each ratio of the bar that could be taken: aim, met or MISSED; void after a wrong answer.

        It is called rough where a server had much less than its core: then others decided the ratio too.
        """
        found = []
        for bar in BARS:
            value = self._value(bar)
            if value is None:
                continue
            busy = min(self.median(key, "busy") for key in (bar.case, bar.reference or bar.case))
            rough = ", rough" if busy < BUSY else ""
            verdict = "void" if self.wrong else bar.verdict(value) + rough
            row = {"ratio": bar.name, "value": value, "must": bar.must, "aim": bar.aim}
            found.append(row | {"verdict": verdict})
        return found


def print_facts(facts: dict[str, str]) -> None:
    for name, value in facts.items():
        print(f"{name:>14}  {value}")
    print()


def print_results(results: Results, skipped: list[str]) -> None:
    """The table, the bar, what was skipped and every wrong answer."""
    titles = ("req/s", "p50 ms", "p99 ms", "p99/p50", "CPU us", "busy", "to A", "to B")
    print(f"{'case':34} {'conns':>5} " + " ".join(f"{title:>8}" for title in titles))
    rows = results.rows()
    for row in rows:
        print(_line(row))
    print(f"A: {plan.RAW}, at as many connections where taken, else 64. B: {plan.STARLETTE_REDIS}, 64.")
    print("busy: share of one core used by the server; far below 1, it was not the limit or had to share.")
    uneven = [row["case"] for row in rows if row["connections"] == 64 and row["p99_to_p50"] > EVEN]
    print(f"p99 above {EVEN} times p50 at 64 connections: {', '.join(uneven) or 'none'}\n")
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


def _line(row: dict[str, Any]) -> str:
    speed = f"{row['rps']:8,.0f} {row['p50_ms']:8.2f} {row['p99_ms']:8.2f} {row['p99_to_p50']:8.1f}"
    numbers = f"{speed} {row['cpu_us']:8.1f} {row['busy']:8.2f}"
    ratios = (row["to_raw"], row["to_starlette_redis"])
    shown = " ".join(f"{'-':>8}" if ratio is None else f"{ratio:8.2f}" for ratio in ratios)
    return f"{row['case']:34} {row['connections']:5} {numbers} {shown}"


def _print_bars(bars: list[dict[str, Any]]) -> None:
    if bars:
        print(f"{'bar':38} {'ratio':>7} {'must':>7} {'aim':>7}")
    for bar in bars:
        value, must, aim = (
            f"{number:,.0f}" if bar["must"] >= 1000 else f"{number:.2f}"
            for number in (bar["value"], bar["must"], bar["aim"])
        )
        print(f"{bar['ratio']:38} {value:>7} {must:>7} {aim:>7}  {bar['verdict']}")


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
