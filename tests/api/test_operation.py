"""The wire of operation: health, readiness, metrics and the document of everything."""

import json
import time
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from service.app import openapi_document
from tests.api.running import wait_until
from tests.api.wire import Raw, settle
from tests.api.world import BY_ONE_PROCESS_AND_BY_FOUR, TOKENS, World

pytestmark = BY_ONE_PROCESS_AND_BY_FOUR


def test_the_process_says_that_it_lives(world: World) -> None:
    answer = world.get("/livez")
    assert answer.status == 200
    assert answer.json()["status"] == "alive"


@pytest.mark.parametrize("path", ["/readyz", "/healthz"])
def test_readiness_names_its_checks(world: World, path: str) -> None:
    answer = world.get(path)
    assert (answer.status, answer.media_type) == (200, "application/json")
    body = answer.json()
    assert body["status"] == "ready"
    checks = {check["name"]: check["status"] for check in body["checks"]}
    assert {"redis", "role", "version", "eviction", "scripts"} <= set(checks)
    assert set(checks.values()) == {"ok"}


def test_metrics_are_prometheus_text_unless_openmetrics_is_asked_for(world: World) -> None:
    text = world.get("/metrics")
    assert text.status == 200
    assert (text.header("content-type") or "").startswith("text/plain; version=")
    assert {family.name for family in read_text(text.body.decode())} >= {"tokens_redis_up", "tokens_build_info"}
    openmetrics = world.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert (openmetrics.header("content-type") or "").startswith("application/openmetrics-text")
    assert openmetrics.body.endswith(b"# EOF\n")
    assert {family.name for family in read_openmetrics(openmetrics.body.decode())} >= {"tokens_redis_up"}


def sample(world: World, name: str, **labels: str) -> float:
    """The value of one sample, 0 where there is none."""
    text = world.get("/metrics").body.decode()
    return sum(
        found.value
        for family in read_text(text)
        for found in family.samples
        if found.name == name and labels.items() <= found.labels.items()
    )


@pytest.mark.slow
def test_what_happens_is_counted_once_under_its_final_word(world: World) -> None:
    steps: list[tuple[str, dict[str, str], Any]] = [
        ("tokens_issued_total", {"kind": "one_time"}, world.one_time),
        ("tokens_issued_total", {"kind": "managed"}, world.create),
        ("tokens_issued_total", {"kind": "session"}, lambda: world.client.sign_in("uma", world.password)),
        ("tokens_login_total", {"outcome": "succeeded"}, lambda: world.client.sign_in("uma", world.password)),
        ("tokens_validations_total", {"kind": "session", "outcome": "active"}, lambda: world.validate(world.user)),
        ("tokens_validations_total", {"kind": "session", "outcome": "unknown"}, lambda: world.validate("A" * 64)),
        ("tokens_validations_total", {"kind": "none", "outcome": "absent"}, lambda: world.get("/validate")),
        ("tokens_validations_total", {"kind": "none", "outcome": "malformed"}, lambda: world.validate("x")),
        ("tokens_consumed_total", {"outcome": "unknown"}, lambda: world.get("/validate/one-time", bearer="0" * 32)),
        (
            "tokens_http_requests_total",
            {"route": "/livez", "method": "GET", "status": "200"},
            lambda: world.get("/livez"),
        ),
        # What it asks about is not counted as validated, so it would be seen nowhere.
        (
            "tokens_http_requests_total",
            {"route": "/validate/batch", "method": "POST", "status": "200"},
            lambda: world.post("/validate/batch", {"tokens": ["x"]}, bearer=world.admin),
        ),
    ]
    settle(world.client, len(world.running.worker_pids()))
    for name, labels, act in steps:
        before = sample(world, name, **labels)
        act()
        wait_until(lambda: sample(world, name, **labels) == before + 1, what=f"{name}{labels} to be counted")  # noqa: B023


def test_no_request_is_told_to_have_taken_longer_than_it_did(world: World) -> None:
    sums = ("tokens_validation_seconds_sum", "tokens_http_request_seconds_sum")
    counts = [("tokens_validation_seconds_count", path) for path in ("fast", "ordinary")]
    settle(world.client, len(world.running.worker_pids()))
    seen = [sample(world, name, path=path) for name, path in counts]
    before, began = [sample(world, name) for name in sums], time.perf_counter()
    world.validate(world.user)
    # With a body it goes the ordinary way.
    world.ask("POST", "/validate", json_body={}, bearer=world.user)
    for (name, path), count in zip(counts, seen, strict=True):
        wait_until(lambda: sample(world, name, path=path) == count + 1, what=path)  # noqa: B023
    told = [sample(world, name) - earlier for name, earlier in zip(sums, before, strict=True)]
    assert min(told) > 0 and max(told) < time.perf_counter() - began


def test_revoking_is_counted_by_kind(world: World) -> None:
    managed, session = world.create(), world.client.sign_in("uma", world.password)
    settle(world.client, len(world.running.worker_pids()))
    before = {kind: sample(world, "tokens_revoked_total", kind=kind) for kind in ("managed", "session")}
    world.ask("DELETE", f"/api/admin/tokens?id={managed['id']}", bearer=world.admin)
    world.ask("DELETE", "/api/token", headers={"X-Token": session})
    for kind, count in before.items():
        wait_until(lambda: sample(world, "tokens_revoked_total", kind=kind) == count + 1, what=kind)  # noqa: B023


@pytest.mark.slow
def test_the_gauges_agree_with_the_counts_of_the_administration(world: World) -> None:
    def disagreeing() -> dict[str, tuple[float, int]]:
        stats = world.get("/api/admin/tokens/stats", bearer=world.admin).json()
        pairs = {
            status: (sample(world, "tokens_managed", status=status), stats[status])
            for status in ("active", "inactive", "expired", "revoked")
        }
        pairs["one-time"] = (sample(world, "tokens_one_time_outstanding"), stats["oneTimeOutstanding"])
        pairs["sessions"] = (sample(world, "tokens_sessions"), stats["sessions"])
        pairs["expiring"] = (sample(world, "tokens_expiring", window="14d"), stats["expiring14d"])
        return {name: (gauge, count) for name, (gauge, count) in pairs.items() if gauge != count}

    # A token of another test may expire between the two questions.
    wait_until(lambda: not disagreeing(), what=f"the gauges to agree, {disagreeing()}")
    assert sample(world, "tokens_redis_up") == 1


# Methods of others that the parser knows; they are all one to us.
ODD_METHODS = ("PURGE", "MKCOL", "COPY", "LOCK", "REPORT", "MERGE", "SUBSCRIBE", "LINK")


def series(world: World) -> set[str]:
    text = world.get("/metrics").body.decode()
    counted = ("tokens_http", "tokens_validation", "tokens_consumed", "tokens_issued")
    return {line.rpartition(" ")[0] for line in text.splitlines() if line.startswith(counted)}


def strange_requests(world: World, first: int, count: int) -> None:
    """Requests of which each differs from all others in every word, of 16 sorts; then wait until all are counted."""
    with Raw(world.running.port) as raw:
        for number in range(first, first + count):
            method = ("GET", "POST", "PUT", ODD_METHODS[number // 16 % len(ODD_METHODS)])[number % 4]
            paths = (f"/{number}/x", f"/nothing{number}", f"{TOKENS}/{number:016x}", f"/validate?x={number}")
            head = f"{method} {paths[number // 4 % 4]} HTTP/1.1\r\nHost: h{number}\r\n"
            raw.send(f"{head}X-Token: t{number}\r\nUser-Agent: a{number}\r\n\r\n".encode())
            raw.answer(method)
    # Not for a count of one sort: those of the others may come a tenth of a second later.
    settle(world.client, len(world.running.worker_pids()))


@pytest.mark.slow
def test_what_strangers_send_makes_no_new_series(world: World) -> None:
    strange_requests(world, 0, 16)
    before = series(world)
    strange_requests(world, 1600, 1008)
    assert series(world) == before
    assert len(world.get("/metrics").body) <= 131072


@pytest.mark.slow
def test_the_document_is_the_one_that_the_code_makes(world: World) -> None:
    answer = world.get("/openapi.json")
    assert (answer.status, answer.media_type) == (200, "application/json")
    served = answer.json()
    assert served["openapi"].startswith("3.1")
    assert served == json.loads(json.dumps(openapi_document()))


def test_the_document_covers_every_route_of_the_contract(world: World) -> None:
    paths = world.get("/openapi.json").json()["paths"]
    found = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    tokens = "/api/admin/tokens"
    promised = {
        "GET /api-v{version}/fastertokengenerator.php",
        "POST /api/one-time-tokens",
        "POST /api/one-time-tokens/consume",
        "POST /api/token",
        "GET /api/token",
        "DELETE /api/token",
        f"GET {tokens}",
        f"POST {tokens}",
        f"PATCH {tokens}",
        f"DELETE {tokens}",
        f"GET {tokens}/{{id}}",
        f"GET {tokens}/stats",
        f"GET {tokens}/{{id}}/usage",
        f"POST {tokens}/{{id}}/rotate",
        f"POST {tokens}/revoke",
        f"POST {tokens}/deactivate",
        "GET /api/tokens/self",
        "DELETE /api/tokens/self",
        "POST /api/tokens/self/rotate",
        "GET /api/admin/audit",
        "GET /api/admin/webhooks",
        "POST /api/admin/webhooks",
        "DELETE /api/admin/webhooks",
        "GET /api/admin/webhooks/{id}/deliveries",
        "GET /validate",
        "GET /validate/envoy/{anything}",
        "GET /validate/one-time",
        "GET /validate/one-time/envoy/{anything}",
        "POST /validate/batch",
        "POST /oauth2/introspect",
        "POST /oauth2/revoke",
        "GET /.well-known/oauth-authorization-server",
        "POST /k8s/tokenreview",
        "GET /livez",
        "GET /readyz",
        "GET /healthz",
        "GET /metrics",
        "GET /openapi.json",
    }
    assert promised <= found, promised - found
