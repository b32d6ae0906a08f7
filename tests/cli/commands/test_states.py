"""Commands that decide whether tokens are accepted, and the question before what cannot be undone."""

import json

import pytest

from service.cli.terminal import prompts
from tests.cli.conftest import Run
from tests.cli.stub import Stub, token

LIST = "/api/admin/tokens"
ID, OTHER = "00a1b2c3d4e5f607", "00ffb2c3d4e5f607"


def several(*updated: str, skipped: tuple[tuple[str, str], ...] = ()) -> dict[str, object]:
    return {
        "message": "",
        "updated": list(updated),
        "skipped": [{"id": one, "code": code} for one, code in skipped],
    }


@pytest.mark.parametrize(("command", "active"), [("activate", True), ("deactivate", False)])
def test_several_tokens_are_changed_at_once(stub: Stub, run: Run, command: str, active: bool) -> None:
    stub.on("PATCH", LIST, several(ID, OTHER))
    result = run(command, ID, OTHER, ID)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [f"{ID}\t{command}d", f"{OTHER}\t{command}d"]
    assert [asked.body for asked in stub.asked] == [{"ids": [ID, OTHER], "isActive": active}]


def test_what_was_skipped_is_said_and_fails(stub: Stub, run: Run) -> None:
    stub.on("PATCH", LIST, several(ID, skipped=((OTHER, "token_revoked"),)))
    result = run("activate", ID, OTHER)
    assert result.exit_code == 1
    assert result.stdout == f"{ID}\tactivated\n"
    assert result.stderr == f"{OTHER} is revoked for good\ntoken-service: 1 not activated\n"


def test_names_are_resolved(stub: Stub, run: Run) -> None:
    stub.on("GET", LIST, {"tokens": [token("api")], "nextCursor": None, "total": None})
    stub.on("PATCH", LIST, several(ID))
    assert run("deactivate", "api").exit_code == 0
    assert stub.asked[-1].body == {"ids": [ID], "isActive": False}


def test_revoke_without_anybody_to_ask_changes_nothing(stub: Stub, run: Run) -> None:
    stub.on("GET", f"{LIST}/{ID}", token())
    result = run("revoke", ID)
    assert result.exit_code == 2
    assert result.stderr == (
        f"token-service: Revoke checkout-api ({ID}) for good? Nobody is there to answer: add --yes.\n"
    )
    assert [asked.method for asked in stub.asked] == ["GET"]


@pytest.mark.parametrize(("answer", "revoked"), [("y\n", True), ("n\n", False), ("", False)])
def test_revoke_does_what_is_answered(
    stub: Stub, run: Run, monkeypatch: pytest.MonkeyPatch, answer: str, revoked: bool
) -> None:
    monkeypatch.setattr(prompts, "somebody_answers", lambda: True)
    stub.on("GET", f"{LIST}/{ID}", token())
    stub.on("DELETE", LIST, several(ID))
    result = run("revoke", ID, stdin=answer)
    assert result.exit_code == (0 if revoked else 1)
    assert f"Revoke checkout-api ({ID}) for good?" in result.stderr
    assert ("DELETE" in [asked.method for asked in stub.asked]) is revoked


@pytest.mark.parametrize("command", ["revoke", "rotate --overlap 0", "rotate --end"])
def test_a_question_shows_what_a_terminal_would_obey(stub: Stub, run: Run, command: str) -> None:
    # Whoever may name tokens would write the question that an administrator says yes to.
    name = "old\u202eelbasopsid"
    stub.on("GET", LIST, {"tokens": [token(name)], "nextCursor": None, "total": 1})
    result = run(*command.split(), name)
    assert (result.exit_code, "\u202e" in result.output) == (2, False)
    assert r"old\u202eelbasopsid" in result.stderr


def test_yes_skips_the_question_and_the_dry_run(stub: Stub, run: Run) -> None:
    stub.on("DELETE", LIST, several(ID, OTHER))
    result = run("revoke", ID, OTHER, "--yes", "--json")
    assert json.loads(result.stdout) == {"updated": [ID, OTHER], "skipped": []}
    assert [(asked.method, asked.query) for asked in stub.asked] == [("DELETE", {"ids": f"{ID},{OTHER}"})]


def test_many_are_revoked_in_parts_that_fit_a_url(stub: Stub, run: Run) -> None:
    ids = [f"{number:016x}" for number in range(450)]
    stub.on("DELETE", LIST, several("a"))
    assert run("revoke", "--yes", *ids).exit_code == 0
    asked = [one.query["ids"].split(",") for one in stub.asked]
    assert [len(part) for part in asked] == [200, 200, 50]
    assert [one for part in asked for one in part] == ids


def test_of_many_it_is_said_how_many_were_done_before_a_failure(stub: Stub, run: Run) -> None:
    stub.on("DELETE", LIST, several(*"abc"))
    stub.problem("DELETE", LIST, 503, "The token store is not answering.")
    result = run("revoke", "--yes", *[f"{number:016x}" for number in range(450)])
    assert result.exit_code == 1
    assert result.stderr.startswith("At least 3 tokens revoked of 450; then:\ntoken-service: The token store")


def test_what_is_not_confirmed_is_in_force_and_not_said_to_be_sent_again(stub: Stub, run: Run) -> None:
    stub.on("POST", f"{LIST}/{ID}/rotate", {"token": token("api", ID), "pending": "no replica"}, status=202)
    # Another rotation would end the secret that this one shows.
    assert "in force, and not confirmed yet: no replica\n" in run("rotate", ID).stderr


def test_a_question_names_the_first_few(stub: Stub, run: Run) -> None:
    ids = [f"{number:016x}" for number in range(7)]
    for one in ids:
        stub.on("GET", f"{LIST}/{one}", token(f"name-{one[-1]}", one))
    assert "name-3 (0000000000000003), name-4 (0000000000000004) and 2 more for good?" in run("revoke", *ids).stderr
    assert "name-4 (0000000000000004) for good?" in run("revoke", *ids[:5]).stderr


def test_without_an_id_it_is_a_usage_error(run: Run) -> None:
    assert run("revoke", "--yes").exit_code == 2


def test_nothing_changed_prints_nothing(stub: Stub, run: Run) -> None:
    stub.on("PATCH", LIST, several(skipped=((ID, "not_found"), (OTHER, "other_code"))))
    result = run("activate", ID, OTHER)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{ID} does not exist\n{OTHER} other_code\n" in result.stderr
