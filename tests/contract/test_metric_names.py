"""The metrics by name, type and labels: those of the contract, and ours beside them."""

import ast
import asyncio
import json
import re
from pathlib import Path

import prometheus_client
import pytest
import yaml
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio.connection import Connection, UnixDomainSocketConnection
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

import service
from service.counters import BUCKETS
from service.metrics import EXPIRY_WINDOWS, Metrics
from service.model import Statistics
from tests.contract.sources import modules, nodes, texts

DEPLOY = Path(service.__file__).parents[1] / "deploy"
CONTRACT = {
    "tokens_validations": ("counter", {"kind", "outcome"}),
    "tokens_validation_seconds": ("histogram", {"path"}),
    "tokens_issued": ("counter", {"kind"}),
    "tokens_consumed": ("counter", {"outcome"}),
    "tokens_revoked": ("counter", {"kind"}),
    "tokens_managed": ("gauge", {"status"}),
    "tokens_one_time_outstanding": ("gauge", set()),
    "tokens_sessions": ("gauge", set()),
    "tokens_expiring": ("gauge", {"window"}),
    "tokens_login": ("counter", {"outcome"}),
    "tokens_http_requests": ("counter", {"route", "method", "status"}),
    "tokens_http_request_seconds": ("histogram", {"route"}),
    "tokens_redis_seconds": ("histogram", {"operation"}),
    "tokens_redis_errors": ("counter", {"error"}),
    "tokens_redis_up": ("gauge", set()),
    "tokens_audit_events": ("counter", {"action"}),
    "tokens_build_info": ("gauge", {"version"}),
}
OURS = {
    "tokens_integrity_failures": ("counter", set()),
    "tokens_limits_paused": ("counter", set()),
    "tokens_usage_dropped": ("counter", set()),
    "tokens_audit_sealed": ("gauge", set()),
    "tokens_clock_seconds_apart": ("gauge", set()),
    "tokens_checks_unknown": ("gauge", set()),
    "tokens_idle": ("gauge", {"window"}),
    "tokens_never_used": ("gauge", set()),
    "tokens_webhook_deliveries": ("counter", {"outcome"}),
}
# Under the names that every Prometheus client gives them.
OF_PROCESSES = {
    "process_cpu_seconds": ("counter", set()),
    "process_resident_memory_bytes": ("gauge", set()),
    "process_open_fds": ("gauge", set()),
    "process_start_time_seconds": ("gauge", set()),
    "python_gc_collections": ("counter", {"generation"}),
}


def collected() -> dict[str, tuple[str, set[str]]]:
    """Name, type and labels of everything a process can export."""
    metrics = Metrics()
    metrics.state.statistics = Statistics(0, 0, 0, 0, 0, 0, 0, 0)
    metrics.state.expiring = dict.fromkeys(EXPIRY_WINDOWS, 0)
    metrics.sealed(1)
    metrics.state.idle = {"90d": 0}
    for value in metrics._registry._collector_to_names:
        if isinstance(value, Counter | Histogram) and value._labelnames:
            value.labels(*value._labelnames)
    exposition, _ = asyncio.run(metrics.render(""))
    found = {}
    for family in text_string_to_metric_families(exposition.decode()):
        labels = {name for sample in family.samples for name in sample.labels} - {"le"}
        found[family.name] = (family.type, labels)
    return found


def test_the_metrics_are_those_of_the_contract_and_ours() -> None:
    assert collected() == CONTRACT | OURS | OF_PROCESSES


DASHBOARD = json.loads((DEPLOY / "monitoring" / "grafana" / "dashboard.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
OF_PROMETHEUS = {"job", "instance", "le"}


@pytest.mark.parametrize("query", QUERIES)
def test_the_dashboard_asks_for_metrics_and_labels_that_there_are(query: str) -> None:
    known = {}
    for name, (kind, labels) in (CONTRACT | OURS | OF_PROCESSES).items():
        known[f"{name}_total" if kind == "counter" else f"{name}_bucket" if kind == "histogram" else name] = labels
    (asked,) = re.findall(r"\b(?:tokens|process|python)_\w+", query)
    grouped = [label for names in re.findall(r"\bby \(([^)]*)\)", query) for label in names.split(", ")]
    matched = re.findall(r"(\w+)=~?\"", query)
    assert set(grouped) | set(matched) <= known[asked] | OF_PROMETHEUS


def test_the_dashboard_shows_every_metric_of_the_contract_that_changes() -> None:
    shown = " ".join(QUERIES)
    left_out = {"tokens_audit_events", "tokens_build_info"}
    assert {name for name in CONTRACT if name not in shown} == left_out


def test_every_alert_has_a_line_in_the_operators_guide() -> None:
    rules = yaml.safe_load((DEPLOY / "monitoring" / "alerts.yml").read_text())["groups"][0]["rules"]
    guide = re.findall(r"^\| `(Token\w+)` \| \S", (DEPLOY / "OPERATING.md").read_text(), re.MULTILINE)
    assert guide == [rule["alert"] for rule in rules]


def test_names_say_unit_and_kind() -> None:
    for name, (kind, _) in (CONTRACT | OURS).items():
        assert name.startswith("tokens_")
        assert (kind == "histogram") is name.endswith("_seconds")


def test_buckets_fit_the_promise() -> None:
    assert (BUCKETS[0], BUCKETS[-1]) == (0.0005, 1.0)
    assert list(BUCKETS) == sorted(set(BUCKETS))


def test_metrics_are_made_in_one_place() -> None:
    making = {
        name
        for name, tree in modules().items()
        if any(text.startswith("tokens_") and name != "service.metrics" for _, text in texts(tree))
        or any(
            isinstance(node, ast.Call) and ast.unparse(node.func) in ("Counter", "Histogram", "Gauge")
            for node in nodes(tree)
        )
    }
    assert making - {"service.metrics", "service.cli.doctor.command"} == set()


def test_the_internals_of_prometheus_client_that_we_flush_into_are_there() -> None:
    child = Histogram("t", "t", ["a"], buckets=BUCKETS, registry=CollectorRegistry()).labels("x")
    assert len(child._buckets) == len(BUCKETS) + 1
    child._buckets[0].inc(3)
    child._sum.inc(0.5)
    assert prometheus_client.generate_latest


@pytest.mark.parametrize("kind", [Connection, UnixDomainSocketConnection])
def test_the_internals_of_redis_py_whose_connection_we_take_over_are_there(kind: type[Connection]) -> None:
    connection = kind()
    assert connection._writer is None
    assert connection._reader is None


def test_the_internals_of_uvicorn_that_the_protocol_leans_on_are_there() -> None:
    for method in (
        "connection_made",
        "data_received",
        "on_message_begin",
        "on_url",
        "on_header",
        "on_headers_complete",
        "on_message_complete",
        "on_response_complete",
        "_start_asgi_task",
        "shutdown",
    ):
        assert callable(getattr(HttpToolsProtocol, method)), method
    source = ast.parse(_source(HttpToolsProtocol))
    set_by_uvicorn = {
        node.attr
        for node in ast.walk(source)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self"
    }
    assert set_by_uvicorn >= {
        "parser",
        "url",
        "headers",
        "cycle",
        "pipeline",
        "flow",
        "transport",
        "server_state",
        "loop",
        "tasks",
        "app",
        "timeout_keep_alive",
        "scheme",
        "client",
        "server",
        "logger",
        "access_logger",
    }
    cycle = ast.parse(_source(RequestResponseCycle))
    leaned_on = {"response_started", "response_complete", "keep_alive", "transport", "flow", "disconnected", "scope"}
    assert leaned_on | {"message_event", "default_headers", "on_response"} <= {
        node.attr for node in ast.walk(cycle) if isinstance(node, ast.Attribute)
    }
    assert STATUS_LINE[431].startswith(b"HTTP/1.1 431 ")


def _source(of: type) -> str:
    import inspect
    import textwrap

    return textwrap.dedent(inspect.getsource(of))
