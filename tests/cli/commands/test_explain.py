"""`explain`: what it asks, and what it shows."""

import json

import pytest

from service.cli.terminal import prompts
from tests.cli.conftest import Run
from tests.cli.stub import Stub

SECRET = "rtk_" + "ab" * 32
PATH = "/api/admin/tokens/explain"
FOUND = {
    "outcome": "revoked",
    "checks": [
        {"check": "form", "result": "pass", "detail": "Good."},
        {"check": "active", "result": "fail", "detail": "By ada."},
    ],
    "answer": {"status": 401, "headers": {}, "body": ""},
}


def test_the_secret_comes_from_standard_input_and_every_check_is_shown(stub: Stub, run: Run) -> None:
    stub.on("POST", PATH, FOUND)
    result = run("explain", "--scope", "a,b", "--address", "192.0.2.1", "--path", "/validate", stdin=f"{SECRET}\n")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "outcome\trevoked",
        "answer\t401",
        "form\tpass\tGood.",
        "active\tfail\tBy ada.",
    ]
    (asked,) = stub.asked
    assert asked.headers["Authorization"] == "Bearer the-caller"
    assert asked.body == {"token": SECRET, "scopes": ["a", "b"], "address": "192.0.2.1", "path": "/validate"}


def test_a_token_is_named_by_its_id(stub: Stub, run: Run) -> None:
    stub.on("POST", PATH, FOUND)
    result = run("explain", "0" * 16, "--at", "2027-01-31T12:00:00Z", "--json")
    assert json.loads(result.stdout) == FOUND
    assert stub.asked[0].body == {"id": "0" * 16, "at": "2027-01-31T12:00:00Z"}


def test_without_a_secret_it_is_a_usage_error_and_the_caller_s_own_is_not_taken(stub: Stub, run: Run) -> None:
    assert run("explain").exit_code == 2
    assert not stub.asked


def test_a_secret_is_asked_for_without_echo(stub: Stub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "somebody_answers", lambda: True)
    stub.on("POST", PATH, FOUND)
    result = run("explain", stdin=f"{SECRET}\n")
    assert result.exit_code == 0
    assert SECRET not in result.output
