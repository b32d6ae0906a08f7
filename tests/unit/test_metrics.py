"""Metrics: what is counted as integers arrives whole, labels come from closed sets, several workers are one."""

import asyncio
import gc
import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service import counters
from service.counters import BUCKETS
from service.metrics import _BACKGROUND, EXPIRY_WINDOWS, NO_KIND, Metrics
from service.model import Kind, Outcome, Statistics


def exposed(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Every sample by name and label values, in the order of the label names."""
    body, content_type = asyncio.run(metrics.render(""))
    assert content_type.startswith("text/plain")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_validations_are_flushed_once() -> None:
    metrics = Metrics()
    for _ in range(3):
        metrics.validations.inc(Kind.MANAGED, Outcome.ACTIVE)
    metrics.validations.inc(NO_KIND, Outcome.ABSENT)
    for _ in range(2):
        samples = exposed(metrics)
        assert samples["tokens_validations_total", "managed", "active"] == 3
        assert samples["tokens_validations_total", "none", "absent"] == 1


def test_seconds_are_flushed_into_their_buckets_once() -> None:
    metrics = Metrics()
    observe = metrics.validation_timing("fast").observe
    for seconds in (0.0001, 0.0005, 0.003, 2.0):
        observe(seconds)
    for _ in range(2):
        samples = exposed(metrics)
        name = "tokens_validation_seconds"
        by_bucket = [samples[f"{name}_bucket", str(bound), "fast"] for bound in BUCKETS]
        assert by_bucket == [2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3]
        assert samples[f"{name}_bucket", "+Inf", "fast"] == samples[f"{name}_count", "fast"] == 4
        assert samples[f"{name}_sum", "fast"] == pytest.approx(2.0036)
        assert samples[f"{name}_count", "ordinary"] == 0


def test_a_path_that_is_not_timed_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Metrics().validation_timing("other")


def test_an_unknown_method_makes_no_series_of_its_own() -> None:
    metrics = Metrics()
    for method in ("GET", "BREW", "PROPFIND"):
        metrics.requested("/livez", method, 200, 0.01)
    metrics.requested("/livez", "GET", 200, 0.01)
    exposed(metrics)
    samples = exposed(metrics)
    assert samples["tokens_http_requests_total", "GET", "/livez", "200"] == 2
    assert samples["tokens_http_requests_total", "other", "/livez", "200"] == 2
    assert samples["tokens_http_request_seconds_count", "/livez"] == 4


def test_redis_time_is_told_by_operation() -> None:
    metrics = Metrics()
    metrics.redis_took("consume", 0.002)
    for nobody_waits_for in ("read_events", "record_usage", "put_hours_away"):
        metrics.redis_took(nobody_waits_for, 0.25)
    assert exposed(metrics)["tokens_redis_seconds_sum", "consume"] == 0.002
    assert exposed(metrics)["tokens_redis_seconds_sum", "background"] == 0.75


def test_the_scripts_that_nobody_waits_for_are_there() -> None:
    """What is called otherwise by now would be a series of its own."""
    named = {name for name in _BACKGROUND if name.islower()}
    assert named <= {path.stem for path in (Path(__file__).parents[2] / "service/store/lua").iterdir()}


def test_the_state_of_redis_is_shown_once_it_is_known() -> None:
    metrics = Metrics()
    assert exposed(metrics)["tokens_redis_up",] == 0
    assert ("tokens_sessions",) not in exposed(metrics)
    metrics.state.up = True
    metrics.state.statistics = Statistics(6, 3, 2, 1, 4, 1, 8, 9)
    metrics.state.expiring = dict.fromkeys(EXPIRY_WINDOWS, 5)
    samples = exposed(metrics)
    assert samples["tokens_redis_up",] == 1
    assert [samples["tokens_managed", s] for s in ("active", "inactive", "expired", "revoked")] == [
        3,
        1,
        2,
        4,
    ]
    assert (samples["tokens_one_time_outstanding",], samples["tokens_sessions",]) == (8, 9)
    assert {key[1] for key in samples if key[0] == "tokens_expiring"} == set(EXPIRY_WINDOWS)


def test_openmetrics_is_given_to_whoever_asks_for_it() -> None:
    body, content_type = asyncio.run(Metrics().render("application/openmetrics-text; version=1.0.0"))
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_the_exposition_is_written_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    def encode(_registry: object) -> bytes:
        threads.append(threading.current_thread())
        return b""

    monkeypatch.setattr("service.metrics.choose_encoder", lambda _accept: (encode, "text/plain"))
    asyncio.run(Metrics().render(""))
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


WORKER = """
import asyncio
from service.metrics import Metrics, NO_KIND
from service.model import Kind, Outcome
metrics = Metrics()
for _ in range({count}):
    metrics.validations.inc(Kind.SESSION, Outcome.ACTIVE)
    metrics.validation_timing("fast").observe(0.001)
body, _ = asyncio.run(metrics.render(""))
print(body.decode())
"""


def test_one_scrape_shows_all_workers(tmp_path: Path) -> None:
    for count in (3, 4):
        ran = subprocess.run(
            [sys.executable, "-c", WORKER.format(count=count)],
            env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
    lines = ran.stdout.splitlines()
    assert 'tokens_validations_total{kind="session",outcome="active"} 7.0' in lines
    assert 'tokens_validation_seconds_count{path="fast"} 7.0' in lines
    assert 'tokens_build_info{version="0.1.0"} 1.0' in lines
    assert lines.count("tokens_redis_up 0.0") == 1


def of_proc(folder: Path, pid: int, parent: int, ticks: int) -> None:
    """A process as /proc shows it: so many ticks of its own and ten times as many of ended children."""
    (folder / str(pid) / "fd").mkdir(parents=True)
    (folder / str(pid) / "fd" / "0").touch()
    fields = dict.fromkeys(range(4, 53), 0) | {4: parent, 14: ticks, 16: 10 * ticks, 22: 500, 24: 3}
    said = " ".join(str(value) for _, value in sorted(fields.items()))
    (folder / str(pid) / "stat").write_text(f"{pid} (a name) ) S {said}\n")


def test_the_processes_are_summed_and_keep_the_time_of_those_that_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "stat").write_text("cpu 1 2\nbtime 1000\n")
    of_proc(tmp_path, 7, 1, 100)
    of_proc(tmp_path, 8, 7, 100)
    of_proc(tmp_path, 9, 1, 100)  # an ended worker's number, given to another program
    monkeypatch.setattr(counters, "_PROC", tmp_path)
    monkeypatch.setattr(counters, "_TICKS", 100)
    monkeypatch.setattr(counters, "_PAGE", 4096)
    found = {family.name: family.samples[0].value for family in counters.processes([7, 8, 9, 10])}
    assert found == {
        "process_cpu_seconds": 1 + 10 + 1,
        "process_resident_memory_bytes": 2 * 3 * 4096,
        "process_open_fds": 2,
        "process_start_time_seconds": 1005,
    }
    assert list(counters.processes([11, 8])) == []


@pytest.fixture
def no_collections() -> Iterator[None]:
    """None but those that the test asks for."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collections")
@pytest.mark.slow
def test_garbage_collections_are_counted_once() -> None:
    metrics = Metrics()
    before = exposed(metrics)["python_gc_collections_total", "2"]
    gc.collect()
    assert [exposed(metrics)["python_gc_collections_total", "2"] for _ in range(2)] == [before + 1] * 2


@pytest.mark.parametrize(
    ("name", "parent", "kept"),
    [
        ("token-service-metrics-x", SimpleNamespace(is_alive=lambda: False), False),
        ("token-service-metrics-x", SimpleNamespace(is_alive=lambda: True), True),
        ("token-service-metrics-x", None, True),
        ("a-folder-of-somebody", SimpleNamespace(is_alive=lambda: False), True),
    ],
)
def test_the_folder_of_the_workers_goes_with_an_orphan_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, parent: Any, *, kept: bool
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "counter_1.db").touch()
    metrics = Metrics()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / name))
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: parent)
    metrics.close()
    assert (tmp_path / name).exists() is kept


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ('application/openmetrics-text; version="1.0.0"', True),
        ("text/plain;q=0.5, Application/OpenMetrics-Text;version=0.0.1;q=0.7", True),
        ("application/openmetrics-text;version=1.0.0;q=0,text/plain", False),
        ("application/openmetrics-text;q=0.000", False),
        ('application/openmetrics-text;version="9"', False),
        ("application/openmetrics-text;version", False),
        ("*/*", False),
    ],
)
def test_what_a_scraper_accepts_is_read_as_http_means_it(accept: str, *, openmetrics: bool) -> None:
    _, content_type = asyncio.run(Metrics().render(accept))
    assert content_type.startswith("application/openmetrics-text") is openmetrics
