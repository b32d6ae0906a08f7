"""What is counted of all tokens together, and whether the log is whole."""

import json

import pytest

from tests.cli.conftest import Run
from tests.cli.stub import COUNTS, Stub

STATS, HYGIENE = "/api/admin/tokens/stats", "/api/admin/tokens/hygiene"
VERIFICATION = "/api/admin/audit/verification"
SINCE = {"changes": None, "occurrences": "2026-11-20T00:00:00Z", "refusals": None}
INTACT = {"intact": True, "entries": 1200, "unsealed": 3, "faults": [], "completeSince": SINCE}
COUNTED = {
    "idle": {"30d": 3, "90d": 2},
    "neverUsed": 1,
    "countedAt": "2026-11-20T10:00:00Z",
    "expiring": {"1d": 0, "7d": 0, "14d": 1, "30d": 1},
    "neverExpire": 0,
    "expired": {"7d": 4},
}
BROKEN = {
    "intact": False,
    "entries": 9,
    "unsealed": 0,
    "faults": [{"id": "1-0.0", "fault": "changed"}],
    "completeSince": SINCE,
}


def test_hygiene_counts_what_nobody_used(stub: Stub, run: Run) -> None:
    stub.on("GET", STATS, COUNTS)
    stub.on("GET", HYGIENE, COUNTED)
    lines = run("stats", "--hygiene").stdout.splitlines()
    assert lines[0] == "total\t5"
    assert lines[-5:] == [
        "unused for 30 days\t3",
        "unused for 90 days\t2",
        "never used\t1",
        "never expire\t0",
        "expired in 7 days\t4",
    ]


def test_hygiene_as_json_stands_beside_the_counts(stub: Stub, run: Run) -> None:
    stub.on("GET", STATS, COUNTS)
    stub.on("GET", HYGIENE, COUNTED)
    counts = json.loads(run("stats", "--hygiene", "--json").stdout)
    assert counts == {**COUNTS, "hygiene": COUNTED}


def test_without_hygiene_it_is_not_asked_for(stub: Stub, run: Run) -> None:
    stub.on("GET", STATS, COUNTS)
    assert "unused" not in run("stats").stdout
    assert [asked.path for asked in stub.asked] == [STATS]


def test_usage_of_the_service_is_told_by_the_hour(stub: Stub, run: Run) -> None:
    totals = {
        "hours": [
            {"hour": "2026-11-20T10:00:00Z", "allowed": 7, "denied": 3, "reasons": {"expired": 2, "rate_limited": 1}}
        ]
    }
    stub.on("GET", "/api/admin/usage", totals)
    assert run("usage", "--service", "--hours", "3").stdout == "2026-11-20T10:00:00Z\t7\t3\texpired 2 rate_limited 1\n"
    assert json.loads(run("usage", "--service", "--json").stdout) == totals
    assert [asked.query for asked in stub.asked] == [{"hours": "3"}, {"hours": "48"}]


@pytest.mark.parametrize("arguments", [[], ["api", "--service"], [""]])
def test_usage_is_of_a_token_or_of_all(stub: Stub, run: Run, arguments: list[str]) -> None:
    assert (run("usage", *arguments).exit_code, stub.asked) == (2, [])


def test_a_whole_audit_log_is_a_success(stub: Stub, run: Run) -> None:
    stub.on("GET", VERIFICATION, INTACT)
    result = run("audit", "verify")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == (
        "1,200 entries, intact; 3 of them not sealed yet.\n"
        "changes: complete\noccurrences: complete since 2026-11-20T00:00:00Z\nrefusals: complete\n"
    )
    assert json.loads(run("audit", "verify", "--json").stdout) == INTACT


def test_faults_of_the_audit_log_are_listed_and_fail(stub: Stub, run: Run) -> None:
    stub.on("GET", VERIFICATION, BROKEN)
    result = run("audit", "verify")
    assert (result.exit_code, result.stdout) == (1, "1-0.0\tchanged\n")
    assert result.stderr == (
        "token-service: the log is not intact: 1 faults named, 9 entries "
        "(what a server key sealed that is no longer given counts as changed)\n"
    )
    as_json = run("audit", "verify", "--json")
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (1, BROKEN)


@pytest.mark.parametrize("options", [["--actor", "ada"], ["--json"], ["--limit", "50"]])
def test_a_filter_is_not_taken_for_a_part_of_the_verification(stub: Stub, run: Run, options: list[str]) -> None:
    result = run("audit", *options, "verify")
    assert (result.exit_code, "give no options before verify" in result.stderr, stub.asked) == (2, True, [])
