"""The comparison: starts every server, then runs all cases round by round: all share the machine's moods."""

import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import redis

from service.store.usage import DAYS_KEPT
from tests.bench import machine, peers, plan, report, revision, servers
from tests.bench.fill import fill_now, in_loop, use
from tests.bench.load import Case, measure

REDIS_URL = "TOKENS_REDIS_URL"


@dataclass(frozen=True)
class Options:
    """How much to measure. `widths`: also at 1, 8 and 256 connections and with two workers.

    `against`: a revision of this repository to measure in the same rounds, empty for none.
    """

    runs: int = 5
    seconds: float = 5
    warm_seconds: float = 2
    widths: bool = True
    service: bool = True
    only: tuple[str, ...] = ()
    against: str = ""


def names(*, service: bool, widths: bool) -> list[str]:
    """What `only` may be."""
    known = [*peers.NAMES, *([*plan.names(), plan.CROWD_IN_TURN] if service else [])]
    scopes = [name + plan.UNTRUSTED for name in known if name.startswith("scope ")]
    return known + ([*scopes, plan.TWO_WORKERS, plan.ONE_NODE, plan.THREE_NODES] if widths else [])


def compare(options: Options) -> tuple[report.Results, list[str]]:
    """Run it all. Returns the results, and why something was skipped."""
    skipped: list[str] = []
    results = report.Results()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tk")))
        # A file written anew at some moment of some rows would take the load generator's core from them alone.
        store = stack.enter_context(servers.redis(folder, "--auto-aof-rewrite-percentage", "0"))
        with redis.Redis(port=store.port) as client:
            client.set("ref:good", json.dumps(peers.RECORD))
        cases = peers.cases(stack, folder, store.port, skipped)
        if options.service:
            cases += _service(stack, folder, store.port, options)
        cases = _widened(cases, options)
        if missing := set(options.only) - {case.name for case in cases}:
            raise servers.BenchError("; ".join([f"cannot measure {', '.join(sorted(missing))}", *skipped]))
        cases = chosen(cases, options.only) if options.only else cases
        _rounds(cases, options, results)
    return results, skipped


def chosen(cases: Sequence[Case], only: Sequence[str]) -> list[Case]:
    """The cases of these names, before and now, and with each the one that makes the tokens which it spends."""
    wanted = {name + suffix for name in only for suffix in ("", report.BEFORE)}
    spent = {case.spec["tokens"] for case in cases if case.name in wanted and "tokens" in case.spec}
    return [case for case in cases if case.name in wanted or case.spec.get("save") in spent]


def _service(stack: ExitStack, folder: Path, store: int, options: Options) -> list[Case]:
    cases = _of_service(stack, folder, store, servers.ROOT)
    roots = [servers.ROOT]
    if options.against:
        roots.append(stack.enter_context(revision.checked_out(options.against)))
        pairs = zip(cases, _of_service(stack, folder, store, roots[1]), strict=True)
        cases = [each for new, old in pairs for each in (new, replace(old, name=old.name + report.BEFORE))]
    if not options.only or plan.CROWD_IN_TURN in options.only:
        cases += _of_a_crowd(stack, folder, store, roots)
    if options.widths:
        nobody = stack.enter_context(servers.service(folder, servers.settings(folder, store, trusted="")))
        cases += plan.scope_cases(nobody, plan.prepare(nobody, folder), plan.UNTRUSTED)
        two = stack.enter_context(servers.service(folder, servers.settings(folder, store, workers=2)))
        validate = plan.validate_cases(two, plan.prepare(two, folder))[-1]
        cases.append(replace(validate, name=plan.TWO_WORKERS))
        for name, nodes in ((plan.ONE_NODE, 1), (plan.THREE_NODES, 3)):
            url = stack.enter_context(servers.cluster(folder, nodes))
            sharded = stack.enter_context(servers.service(folder, servers.settings(folder, store) | {REDIS_URL: url}))
            in_turn = plan.validate_cases(sharded, plan.prepare(sharded, folder))[-2]
            cases.append(replace(in_turn, name=name))
    return cases


def _of_a_crowd(stack: ExitStack, folder: Path, store: int, roots: list[Path]) -> list[Case]:
    """In a namespace of its own, which both revisions share: filling it takes some twenty seconds."""
    filled, secrets, found = servers.settings(folder, store), folder / "crowd.txt", []
    sample = fill_now(filled, 0, plan.CROWD, 600, sampled=plan.CROWD).sample
    secrets.write_text("".join(f"{secret}\n" for secret, _ in sample))
    for root, ending in zip(roots, ("", report.BEFORE), strict=False):
        env = servers.settings(folder, store) | {
            name: filled[name] for name in ("TOKENS_NAMESPACE", "TOKENS_SECRET_KEY")
        }
        server = stack.enter_context(servers.service(folder, env, root))
        case = plan.crowd_case(server, secrets)
        found.append(replace(case, name=case.name + ending))
    return found


def _of_service(stack: ExitStack, folder: Path, store: int, root: Path) -> list[Case]:
    env = servers.settings(folder, store)
    server = stack.enter_context(servers.service(folder, env, root))
    made = plan.prepare(server, folder)
    in_loop(use(env, DAYS_KEPT))
    return plan.cases(server, made)


def _widened(cases: list[Case], options: Options) -> list[Case]:
    """Each case, followed by its narrower and wider runs where the comparison asks for them."""
    narrow = dict.fromkeys((peers.FASTIFY, peers.RATELIMIT, "limited token"), (8,))
    widths = dict.fromkeys((peers.RAW, "validate"), (1, 8, 256)) | narrow if options.widths else {}
    return cases + [replace(case, connections=width) for case in cases for width in widths.get(case.name, ())]


def _rounds(cases: list[Case], options: Options, results: report.Results) -> None:
    total = len(cases) * (options.runs * (options.seconds + machine.REST_SECONDS) + options.warm_seconds)
    each = f"{options.runs} runs of {options.seconds:g} s each"
    print(f"{len(cases)} cases, {each}: about {total / 60:.1f} minutes")
    for case in cases:
        results.evaluate(case, measure(case, options.warm_seconds))
    for turn in range(options.runs):
        for case in cases:
            sample = measure(case, options.seconds)
            results.add(case, sample)
            at = f"round {turn + 1}/{options.runs} {case.name}, {case.connections}"
            print(f"{at}: {sample.rps:,.0f} req/s", file=sys.stderr)


def run(options: Options, output: Path) -> report.Results:
    """Compare, print the report, and write the JSON file."""
    facts = machine.facts()
    report.print_facts(facts)
    results, skipped = compare(options)
    report.print_results(results, skipped)
    report.write_json(output, results, facts, skipped)
    return results
