"""`verify` and `healthcheck`: answers that scripts decide by."""

import json

import pytest

from service.cli.commands import verify
from service.cli.terminal import prompts
from tests.cli.conftest import Run
from tests.cli.stub import Stub

SECRET = "rtk_" + "ab" * 32
ALLOWED = {
    "X-Token-Id": "00a1",
    "X-Token-Kind": "managed",
    "X-Token-Subject": "shop",
    "X-Token-Scopes": "a b",
    "X-Token-Name": "J%C3%BCrgen",
}


def test_an_accepted_token_is_described(stub: Stub, run: Run) -> None:
    stub.on("GET", "/validate", headers=ALLOWED)
    result = run("verify", "--scope", "a", "--scope", "b", stdin=f"{SECRET}\n")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "status\tactive",
        "id\t00a1",
        "kind\tmanaged",
        "subject\tshop",
        "scopes\ta b",
        "name\tJürgen",
    ]
    (asked,) = stub.asked
    assert asked.headers["Authorization"] == f"Bearer {SECRET}"
    assert asked.query == {"required_scope": "a b"}


def test_what_a_token_lacks_is_nothing_and_not_a_dash(stub: Stub, run: Run) -> None:
    stub.on("GET", "/validate", headers={**ALLOWED, "X-Token-Subject": "-", "X-Token-Scopes": "-"})
    found = json.loads(run("verify", "--json", stdin=SECRET).stdout)
    assert (found["active"], found["subject"], found["scopes"]) == (True, "", [])


@pytest.mark.parametrize("status", [401, 403, 429])
def test_a_refused_token_is_exit_3(stub: Stub, run: Run, status: int) -> None:
    stub.problem("GET", "/validate", status, "The token is not valid.", code="some_code")
    result = run("verify", stdin=SECRET)
    assert (result.exit_code, result.stderr) == (3, "token-service: refused: The token is not valid.\n")
    as_json = run("verify", "--json", stdin=SECRET)
    assert as_json.exit_code == 3
    assert json.loads(as_json.stdout) == {"active": False, "status": status, "code": "some_code"}


def test_no_answer_of_redis_is_neither_yes_nor_no(stub: Stub, run: Run) -> None:
    stub.problem("GET", "/validate", 503, "The token store is not answering.", headers={"Retry-After": "1"})
    assert run("verify", stdin=SECRET).exit_code == 1


def test_the_environment_is_asked_where_standard_input_is_empty(stub: Stub, run: Run) -> None:
    stub.on("GET", "/validate", headers=ALLOWED)
    run("verify", env={"TOKENS_TOKEN": "from-environment"})
    run("verify", stdin="from-input\n", env={"TOKENS_TOKEN": "from-environment"})
    assert [asked.headers["Authorization"] for asked in stub.asked] == [
        "Bearer from-environment",
        "Bearer from-input",
    ]


@pytest.mark.parametrize("secret", ["", " \n", "mit Ümlaut", "a\x07b"])
def test_what_cannot_be_a_token_is_a_usage_error(stub: Stub, run: Run, secret: str) -> None:
    assert run("verify", stdin=secret, env={"TOKENS_TOKEN": None}).exit_code == 2
    assert not stub.asked


def test_a_secret_is_never_an_argument(run: Run) -> None:
    assert run("verify", SECRET).exit_code == 2


def test_ready_is_exit_0(stub: Stub, run: Run) -> None:
    stub.on("GET", "/readyz", {"status": "ready", "checks": []})
    result = run("healthcheck", env={"TOKENS_TOKEN": None})
    assert (result.exit_code, result.stdout) == (0, "ready\n")


def test_not_ready_is_exit_1_with_what_failed(stub: Stub, run: Run) -> None:
    checks = [
        {"name": "role", "status": "failed", "detail": "a replica"},
        {"name": "scripts", "status": "ok"},
    ]
    stub.on("GET", "/readyz", {"status": "not_ready", "checks": checks}, status=503)
    result = run("healthcheck")
    assert (result.exit_code, result.stderr) == (1, "token-service: not ready (503): role: a replica\n")
    assert json.loads(run("healthcheck", "--json").stdout)["checks"] == checks


def test_nobody_there_is_exit_1(run: Run) -> None:
    assert run("healthcheck", env={"TOKENS_URL": "http://127.0.0.1:1"}).exit_code == 1


def test_a_secret_is_asked_for_without_echo(stub: Stub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for asking in (verify, prompts):
        monkeypatch.setattr(asking, "somebody_answers", lambda: True)
    stub.on("GET", "/validate", headers=ALLOWED)
    result = run("verify", stdin=f"{SECRET}\n", env={"TOKENS_TOKEN": None})
    assert result.exit_code == 0
    assert SECRET not in result.output
    assert stub.asked[0].headers["Authorization"] == f"Bearer {SECRET}"


def test_readiness_as_json_alone(stub: Stub, run: Run) -> None:
    stub.on("GET", "/readyz", {"status": "ready"})
    assert json.loads(run("healthcheck", "--json").stdout) == {"status": "ready"}


def test_something_else_that_is_not_ready_is_shown_as_it_is(stub: Stub, run: Run) -> None:
    stub.on("GET", "/readyz", b"no server is available", status=503)
    assert "not ready (503): no server is available" in run("healthcheck").stderr
