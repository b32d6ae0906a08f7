"""Command line of the benchmark: `python -m tests.bench [full|quick|references|soak|scale|mass|footprint]`."""

import argparse
import signal
import sys
from pathlib import Path

from tests.bench import compare, footprint, installs, mass, scale, soak
from tests.bench.servers import BenchError


def main() -> int:
    """Exit status 1 for a wrong answer (with --strict also for a missed or rough ratio), 2 where it cannot run."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    modes = parser.add_subparsers(dest="mode")
    for mode, meaning in (
        ("full", "every case (the default)"),
        ("quick", "2 runs of 2 s at 64 connections"),
        ("references", "the references alone: what this machine can do"),
    ):
        _add_comparison(modes.add_parser(mode, help=meaning), mode)
    _add_comparison(parser, "full")
    soaking = modes.add_parser("soak", help="mixed load for minutes, every answer checked, memory watched")
    soaking.add_argument("--minutes", type=float, default=10)
    soaking.add_argument("--workers", type=int, default=1)
    scaling = modes.add_parser("scale", help="a million tokens beside a thousand")
    scaling.add_argument("--tokens", type=int, default=1_000_000)
    scaling.add_argument("--seconds", type=float, default=2, help="of each run of validations")
    scaling.add_argument("--fill-minutes", type=float, default=10, help="stop filling then and go on")
    massing = modes.add_parser("mass", help="a hundred thousand of something at once, beside an honest caller")
    massing.add_argument("--count", type=int, default=100_000)
    massing.add_argument(
        "--only", action="append", default=[], choices=list(mass.ROWS), help="only this row; may repeat"
    )
    weighing = modes.add_parser(
        "footprint", help="memory of a token in Redis and of the service, and its CPU at the start"
    )
    weighing.add_argument("--tokens", type=int, default=20_000)
    options = parser.parse_args()
    # So that a benchmark told to end takes its servers with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return {"soak": _soak, "scale": _scale, "mass": _mass, "footprint": _footprint}.get(options.mode, _compare)(
            options
        )
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2


def _add_comparison(parser: argparse.ArgumentParser, mode: str) -> None:
    quick = mode != "full"
    names = compare.names(service=mode != "references", widths=not quick)
    parser.add_argument("--runs", type=int, default=2 if quick else 5)
    parser.add_argument("--seconds", type=float, default=2 if quick else 5)
    parser.add_argument(
        "--only", action="append", default=[], choices=names, metavar="CASE", help="only this case; may repeat"
    )
    parser.add_argument("--against", default="", metavar="REV", help="measure this revision, too, and print new/old")
    parser.add_argument("--json", type=Path, metavar="FILE", help="default: .bench/result.json")
    parser.add_argument("--strict", action="store_true", help="exit with 1 for a ratio missed or rough")


def _compare(given: argparse.Namespace) -> int:
    options = compare.Options(
        runs=given.runs,
        seconds=given.seconds,
        warm_seconds=min(2, given.seconds),
        widths=given.mode in (None, "full"),
        service=given.mode != "references",
        only=tuple(given.only),
        against=given.against,
    )
    results = compare.run(options, given.json or installs.cache() / "result.json")
    missed = [bar for bar in results.bars() if bar["verdict"] not in ("aim", "met")]
    return 1 if results.wrong or (given.strict and missed) else 0


def _soak(given: argparse.Namespace) -> int:
    return 0 if soak.run(given.minutes, given.workers) else 1


def _scale(given: argparse.Namespace) -> int:
    output = installs.cache() / "scale.json"
    return 0 if scale.run(given.tokens, given.seconds, given.fill_minutes, output) else 1


def _mass(given: argparse.Namespace) -> int:
    return 0 if mass.run(given.count, given.only, installs.cache() / "mass.json") else 1


def _footprint(given: argparse.Namespace) -> int:
    footprint.run(given.tokens)
    return 0


if __name__ == "__main__":
    sys.exit(main())
