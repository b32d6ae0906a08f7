"""What the benchmark and the soak conclude from numbers and answers; no server is started."""

import asyncio
from dataclasses import replace
from functools import partial
from io import StringIO
from itertools import chain, repeat
from types import SimpleNamespace

import pytest

from tests.bench import compare, many, peers, scale, watched
from tests.bench.__main__ import main
from tests.bench.bars import BARS
from tests.bench.client import Answer
from tests.bench.load import Case, Sample
from tests.bench.memory import MIB, Watch
from tests.bench.report import BEFORE, Results, print_results
from tests.bench.servers import Server
from tests.bench.visitor import Book, Token, Visitor

SAMPLE = Sample(rps=100, p50_ms=1, p99_ms=2, cpu_us=10, busy=1, requests=500, wrong=0, example="")


def case(name: str) -> Case:
    return Case(name, Server("any", 1, 1), "/validate", {})


class OneAnswer:
    """A connection that always answers the same."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    async def ask(self, *_: object, **__: object) -> Answer:
        return self.answer


def test_a_ratio_is_the_median_of_the_ratios_within_each_round() -> None:
    results = Results()
    for raw, ours in ((100, 200), (50, 150), (10, 100)):
        results.add(case(peers.RAW), replace(SAMPLE, rps=raw))
        results.add(case("validate"), replace(SAMPLE, rps=ours))
    assert results.ratio(("validate", 64), (peers.RAW, 64)) == 3
    assert results.ratio(("validate", 8), (peers.RAW, 8)) is None


@pytest.mark.parametrize(("rps", "cpu_us", "verdict"), [(190, 5, "aim"), (180, 6, "met"), (140, 7, "MISSED")])
def test_the_bar_wants_more_requests_and_less_cpu(rps: float, cpu_us: float, verdict: str) -> None:
    results = Results()
    results.add(case(peers.RAW), SAMPLE)
    results.add(case("validate"), replace(SAMPLE, rps=rps, cpu_us=cpu_us))
    assert [bar["verdict"] for bar in results.bars()] == [verdict, verdict]
    assert all((bar.aim < bar.must) is bar.cpu for bar in BARS)


@pytest.mark.parametrize(("rps", "verdict"), [(5000, "aim"), (3918, "met"), (2999, "MISSED")])
def test_a_batch_is_measured_in_tokens_a_second(rps: float, verdict: str, capsys: pytest.CaptureFixture[str]) -> None:
    results = Results()
    results.add(case(peers.RAW), replace(SAMPLE, rps=50_000))
    results.add(case("batch of 100"), replace(SAMPLE, rps=rps, cpu_us=200))
    (bar,) = results.bars()
    assert (bar["value"], bar["verdict"]) == (100 * rps, verdict)
    print_results(results, [])
    assert f" {100 * rps:,} 500,000 300,000 500,000  {verdict}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("busy", "cpu_us", "verdicts"),
    [(0.5, 5, ["aim", "aim"]), (0.5, 8, ["aim, rough", "MISSED"]), (0.9, 8, ["aim", "MISSED"])],
)
def test_a_ratio_is_called_rough_where_a_core_was_shared_and_the_cpu_says_another_thing(
    busy: float, cpu_us: float, verdicts: list[str]
) -> None:
    results = Results()
    results.add(case(peers.RAW), replace(SAMPLE, busy=busy))
    results.add(case("validate"), replace(SAMPLE, rps=190, cpu_us=cpu_us))
    assert [bar["verdict"] for bar in results.bars()] == verdicts
    results.evaluate(case("create"), replace(SAMPLE, wrong=1))
    assert {bar["verdict"] for bar in results.bars()} == {"void"}


def test_a_row_tells_how_much_slower_its_slowest_hundredth_is(capsys: pytest.CaptureFixture[str]) -> None:
    results = Results()
    for name, slowest in (("create", 3), ("validate", 3.1)):
        for p99_ms in (1, slowest, 100):
            results.add(case(name), replace(SAMPLE, p99_ms=p99_ms))
    assert [row["p99_to_p50"] for row in results.rows()] == [3, 3.1]
    print_results(results, [])
    assert "p99 above 3 times p50 at 64 connections: validate\n" in capsys.readouterr().out


def test_a_revision_is_compared_round_by_round_with_its_spread() -> None:
    results = Results()
    for old, new in ((100, 150), (50, 100), (10, 40)):
        results.add(case("validate"), replace(SAMPLE, rps=new))
        results.add(case("validate" + BEFORE), replace(SAMPLE, rps=old))
    (change,) = results.changes()
    assert (change["rps"], change["cpu_us"]) == ((1.5, 2, 4), (1, 1, 1))


@pytest.mark.parametrize("mode", [[], ["quick"], ["references"]])
def test_a_case_that_there_is_not_is_told_before_anything_is_started(
    mode: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compare, "run", None)
    monkeypatch.setattr("sys.argv", ["tests.bench", *mode, "--only", "nosuch"])
    with pytest.raises(SystemExit):
        main()
    assert f"choose from '{peers.RAW}', " in (said := capsys.readouterr().err)
    assert ("'list 50'" in said) == (mode != ["references"])


def test_a_case_that_spends_tokens_is_measured_with_the_one_that_makes_them() -> None:
    made = [replace(case("issue"), spec={"save": "file"}), replace(case("issue" + BEFORE), spec={"save": "old file"})]
    spent = [
        replace(case("spend"), spec={"tokens": "file"}),
        replace(case("spend" + BEFORE), spec={"tokens": "old file"}),
    ]
    cases = [case("validate"), *made, replace(case("create"), spec={"save": "another"}), *spent]
    assert compare.chosen(cases, ["spend"]) == [*made, *spent]
    assert compare.chosen(cases, ["validate"]) == cases[:1]


def test_one_wrong_answer_of_a_warm_up_is_named() -> None:
    results = Results()
    results.evaluate(case("validate"), replace(SAMPLE, wrong=1, example="503"))
    assert results.wrong == ["validate, 64 connections: 1 of 500 answers wrong or lost, such as 503"]


@pytest.mark.parametrize(
    ("ending", "ended", "status", "token_id", "wrong"),
    [
        (False, False, 200, "mine", 0),
        (False, False, 200, "another", 1),
        (False, False, 401, "", 1),
        (True, False, 200, "mine", 0),
        (True, False, 401, "", 0),
        (True, False, 503, "", 1),
        (True, True, 401, "", 0),
        (True, True, 200, "mine", 1),
    ],
)
def test_the_soak_knows_a_wrong_validation(ending: bool, ended: bool, status: int, token_id: str, wrong: int) -> None:
    book, wire = Book(), OneAnswer(Answer(status, {"x-token-id": token_id}, None))
    visitor = Visitor(wire, wire, book, "session", "issuer")  # type: ignore[arg-type]
    asyncio.run(visitor.validate_token(wire, Token("secret", "mine", ending, ended)))  # type: ignore[arg-type]
    assert len(book.wrong) == wrong


@pytest.mark.parametrize(("per_second", "flat"), [(0, True), (1000, True), (20_000, False)])
def test_memory_that_grows_is_named(per_second: int, flat: bool) -> None:
    watch = Watch({"service": 1})
    watch.samples["service"] = [(second, 40 * MIB + second * per_second) for second in range(600)]
    assert watch.settled("service")[1] is flat


@pytest.mark.parametrize("failed", [0, 1])
def test_no_bar_of_the_scale_is_met_by_a_question_that_was_not_answered(failed: int) -> None:
    asked = {name: scale.Asked(1.0, 1.0, 1.0) for name in (*scale.REDIS_BARS, *scale.WHOLE_BARS, scale.STATISTICS)}
    done = {name: many.Done(1, 0.1, 0.1, 1) for name in scale.MANY_BARS}
    stages = [{"active": size, "rows": asked | done, "rates": {scale.VALIDATE: 1.0}} for size in (scale.FEW, 2000)]
    assert not [bar for bar in scale._bars(stages) if bar.endswith("MISSED")]
    wrong = dict.fromkeys(asked, scale._failed("answered 503"))
    stages[failed] |= {"rows": asked | wrong | done}
    missed = [bar for bar in scale._bars(stages) if bar.endswith("MISSED")]
    told = len(scale.MIDDLE_BARS) + len(scale.REDIS_BARS) + len(scale.WHOLE_BARS)
    # Of the few it is only asked how much slower the statistics are.
    assert len(missed) == 1 + (told if failed else 0)


# Milliseconds from when the loop was asked to when it came, and of these computed and without a core.
@pytest.mark.parametrize(
    ("taken", "computed", "without", "told"),
    [(1.5, 1.5, 0.0, []), (4.0, 4.0, 0.0, [3.0]), (31.0, 2.0, 29.0, []), (31.0, 3.0, 28.5, [1.5]), (9.0, 0.1, 0.0, [])],
)
async def test_a_step_is_as_long_as_the_loop_was_held_and_had_a_core(
    monkeypatch: pytest.MonkeyPatch, taken: float, computed: float, without: float, told: list[float]
) -> None:
    file, now = StringIO(), dict.fromkeys(("monotonic", "thread_time"), 0.0)
    # The loop may ask again before it ends.
    waited = chain([0.0], repeat(without / 1000))
    monkeypatch.setattr("tests.bench.watched.gc", SimpleNamespace(callbacks=[]))
    monkeypatch.setattr("tests.bench.watched.time", SimpleNamespace(**{name: partial(now.get, name) for name in now}))
    monkeypatch.setattr("tests.bench.watched._without_core", lambda: next(waited))
    watch = watched.Watch(file)
    watch.ask()
    now |= {"monotonic": taken / 1000, "thread_time": computed / 1000}
    watch._sample()
    held = [float(line.split()[1]) for line in file.getvalue().splitlines()]
    assert held == [pytest.approx(one / 1000) for one in told]
