"""With --json what went wrong is one JSON object on standard error, with the same exit code as in words."""

import json
from typing import Any

import pytest
from click.testing import Result

from tests.cli.conftest import Run
from tests.cli.stub import Stub, token

STATS = "/api/admin/tokens/stats"
END = "/api/admin/tokens/revoke"


def told(result: Result) -> dict[str, Any]:
    """The object that is all of standard error."""
    problem: dict[str, Any] = json.loads(result.stderr)
    return problem


def test_a_refusal_of_the_service_keeps_its_members(stub: Stub, run: Run) -> None:
    stub.problem("GET", STATS, 503, "Redis is slow.", code="store_unavailable", title="Service Unavailable")
    result = run("stats", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert told(result) == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "code": "store_unavailable",
        "detail": "Redis is slow. (again in 1 s)",
        "request_id": "r-1",
    }


def test_a_caller_that_is_refused_is_told_what_to_do(stub: Stub, run: Run) -> None:
    stub.problem("GET", STATS, 401, "The token is not valid.", code="invalid_token")
    problem = told(result := run("stats", "--json"))
    assert (result.exit_code, problem["status"], problem["code"]) == (4, 401, "invalid_token")
    assert "does not accept TOKENS_TOKEN" in problem["detail"]


def test_a_name_that_no_token_has_is_told_as_an_id_is(stub: Stub, run: Run) -> None:
    stub.on("GET", "/api/admin/tokens", {"tokens": [], "nextCursor": None, "total": 0})
    result = run("show", "api", "--json")
    assert (result.exit_code, told(result)["code"]) == (1, "not_found")


def test_a_refused_token_has_its_answer_and_its_reason(stub: Stub, run: Run) -> None:
    stub.problem("GET", "/validate", 403, "The scope is missing.", code="insufficient_scope")
    problem = told(result := run("verify", "--json", stdin="secret"))
    assert (result.exit_code, problem["code"]) == (3, "insufficient_scope")
    assert json.loads(result.stdout)["code"] == "insufficient_scope"


@pytest.mark.parametrize(
    ("command", "env", "code", "status", "words"),
    [
        ("stats", {"TOKENS_URL": "http://127.0.0.1:1", "TOKENS_TOKEN": "t"}, "no_answer", 1, "Is it running?"),
        ("stats", {"TOKENS_TOKEN": ""}, "sign_in_needed", 4, "token-service login"),
        ("stats --wrong", {}, "wrong_usage", 2, "No such option"),
        ("show", {}, "wrong_usage", 2, "Missing argument"),
        ("creat", {}, "wrong_usage", 2, "Did you mean 'create'?"),
        ("import /not/there", {}, "wrong_usage", 2, "/not/there"),
        ("config", {"TOKENS_PORTT": "1"}, "failed", 1, "did you mean TOKENS_PORT?"),
        ("show \udcff", {"TOKENS_TOKEN": "t"}, "wrong_usage", 2, "not UTF-8"),
    ],
)
def test_what_no_service_answered_has_no_status(
    run: Run, command: str, env: dict[str, str | None], code: str, status: int, words: str
) -> None:
    result = run(*command.split(), "--json", env=env)
    problem = told(result)
    assert (result.exit_code, problem["code"], "status" in problem) == (status, code, False)
    assert words in problem["detail"]
    assert result.stderr.count("\n") == 1


def test_what_was_done_before_is_noted_in_the_same_object(stub: Stub, run: Run) -> None:
    stub.on("POST", END, {"matched": 2, "sample": [token()]})
    stub.on("POST", END, {"updated": ["00a1b2c3d4e5f607"], "skipped": [], "nextCursor": "c"})
    stub.problem("POST", END, 503, "Redis is slow.")
    problem = told(result := run("revoke", "--all", "--yes", "--json"))
    assert (result.exit_code, problem["notes"]) == (1, ["At least 1 token revoked of 2; then:"])
    in_words = run("revoke", "--all", "--yes")
    assert in_words.stderr.startswith("token-service: "), "the first request fails now, and nothing was done before it"


def test_a_change_that_is_not_confirmed_says_so_in_what_is_printed(stub: Stub, run: Run) -> None:
    slices = [(["00a1b2c3d4e5f607"], "c"), (["00a1b2c3d4e5f608"], None)]
    stub.on("POST", END, {"matched": 2, "sample": [token()]})
    for updated, cursor in slices:
        stub.on("POST", END, {"updated": updated, "skipped": [], "nextCursor": cursor, "pending": "no"}, status=202)
    result = run("revoke", "--all", "--yes", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout)["pending"] == "no"


def test_what_was_not_confirmed_before_a_failure_is_noted_with_it(stub: Stub, run: Run) -> None:
    stub.on("POST", END, {"matched": 2, "sample": [token()]})
    stub.on("POST", END, {"updated": ["a"], "skipped": [], "nextCursor": "c", "pending": "no"}, status=202)
    stub.problem("POST", END, 503, "Redis is slow.")
    notes = told(run("revoke", "--all", "--yes", "--json"))["notes"]
    assert notes == ["in force, and not confirmed yet: no", "At least 1 token revoked of 2; then:"]


def test_no_as_an_answer_is_told_as_such(stub: Stub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.on("GET", "/api/admin/tokens/00a1b2c3d4e5f607", token())
    monkeypatch.setattr("service.cli.terminal.prompts.somebody_answers", lambda: True)
    arguments = ("revoke", "00a1b2c3d4e5f607")
    result = run(*arguments, "--json", stdin="n\n")
    question, _, problem = result.stderr.partition("\n")
    assert "for good? [y/N]:" in question
    assert (result.exit_code, json.loads(problem)["code"]) == (1, "aborted")
    assert run(*arguments, stdin="n\n").stderr.endswith("\nAborted!\n")
