"""Many tokens ended at once, with the number that was agreed to."""

import json
from typing import Any

import pytest

from service.cli.client.http import Client
from service.cli.commands.tokens import states
from service.cli.terminal import output, prompts
from tests.cli.conftest import Run
from tests.cli.stub import Stub, token

REVOKE, DEACTIVATE = "/api/admin/tokens/revoke", "/api/admin/tokens/deactivate"
ID, OTHER = "00a1b2c3d4e5f607", "00ffb2c3d4e5f607"


def matched(count: int, *sample: dict[str, object]) -> dict[str, object]:
    return {"matched": count, "sample": list(sample) or [token()]}


def ended(*updated: str, remaining: int = 0, skipped: tuple[str, ...] = ()) -> dict[str, object]:
    left = [{"id": one, "code": "record_tampered"} for one in skipped]
    cursor = f"with {remaining} left" if remaining else None
    return {"message": "", "updated": list(updated), "skipped": left, "remaining": remaining, "nextCursor": cursor}


def count_changed(stub: Stub) -> None:
    stub.problem("POST", REVOKE, 409, "The filter matches 9 tokens now, not 2.", code="count_changed")


@pytest.mark.parametrize(
    ("options", "members"),
    [
        (["--created-by", "ada"], {"filter": {"createdBy": "ada"}}),
        (
            ["--subject", "svc:a", "--last-address", "10.4.8.21"],
            {"filter": {"subject": "svc:a", "lastAddress": "10.4.8.21"}},
        ),
        (
            ["--scope", "orders:*", "--status", "inactive,expired"],
            {"filter": {"scope": "orders:*", "status": "inactive,expired"}},
        ),
        (["--query", "ci"], {"filter": {"q": "ci"}}),
        (["--never-used", "--unused-for", "0"], {"filter": {"unusedForDays": 0, "neverUsed": True}}),
        (["--all"], {"all": True}),
    ],
)
def test_the_number_that_a_dry_run_found_is_sent(
    stub: Stub, run: Run, options: list[str], members: dict[str, object]
) -> None:
    stub.on("POST", REVOKE, matched(2))
    stub.on("POST", REVOKE, ended(ID, OTHER))
    result = run("revoke", *options, "--yes")
    assert (result.exit_code, result.stdout) == (0, f"{ID}\trevoked\n{OTHER}\trevoked\n")
    dry, wet = (asked.body for asked in stub.asked)
    assert dry == {**members, "dryRun": True}
    assert wet == {**members, "expected": 2}


@pytest.mark.parametrize("command", ["revoke", "deactivate"])
def test_a_service_that_says_when_to_ask_again_is_waited_for_amid_slices(
    stub: Stub, run: Run, pauses: list[float], command: str
) -> None:
    """Else a kill switch would stop with the first moment of a failover."""
    path = f"/api/admin/tokens/{command}"
    stub.on("POST", path, matched(2))
    for answer in (ended(ID, remaining=1), ended(OTHER)):
        stub.problem("POST", path, 503, "The token store is not answering.", headers={"Retry-After": "1"})
        stub.on("POST", path, answer)
    result = run(command, "--all", "--yes")
    assert (result.exit_code, result.stdout.count(command), pauses) == (0, 2, [1, 1])
    first, second = {"all": True, "expected": 2}, {"all": True, "cursor": "with 1 left"}
    assert [asked.body for asked in stub.asked[1:]] == [first, first, second, second]


def test_deactivate_has_a_door_of_its_own(stub: Stub, run: Run) -> None:
    stub.on("POST", DEACTIVATE, matched(1))
    stub.on("POST", DEACTIVATE, ended(ID))
    assert json.loads(run("deactivate", "--all", "--yes", "--json").stdout) == {"updated": [ID], "skipped": []}


def test_a_dry_run_changes_nothing_and_shows_number_and_sample(stub: Stub, run: Run) -> None:
    stub.on("POST", REVOKE, matched(1200, token(scopes=["a", "b"])))
    result = run("revoke", "--created-by", "ada", "--dry-run")
    assert result.stdout == f"{ID}\tcheckout-api\tactive\tadmin\ta b\n"
    assert result.stderr == "1,200 tokens would be revoked; 1,199 more than are shown.\n"
    assert [asked.body["dryRun"] for asked in stub.asked] == [True]
    found = json.loads(run("revoke", "--all", "--dry-run", "--yes", "--json").stdout)
    assert (found["matched"], found["sample"][0]["id"]) == (1200, ID)
    assert [asked.body["dryRun"] for asked in stub.asked] == [True, True]


def test_a_dry_run_that_finds_nothing_says_so(stub: Stub, run: Run) -> None:
    stub.on("POST", REVOKE, {"matched": 0, "sample": []})
    result = run("revoke", "--all", "--dry-run")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "0 tokens would be revoked.\n")
    stub.on("POST", DEACTIVATE, {"matched": 0, "sample": []})
    assert run("deactivate", "--all", "--dry-run").stderr == "0 tokens would be deactivated.\n"


@pytest.mark.parametrize(("command", "told"), [("deactivate", [ID]), ("revoke", [ID, OTHER])])
def test_a_dry_run_tells_what_would_be_done_to_named_ones(stub: Stub, run: Run, command: str, told: list[str]) -> None:
    gone = "00eeb2c3d4e5f607"
    for token_id, status in ((ID, "active"), (OTHER, "inactive"), (gone, "revoked")):
        stub.on("GET", f"/api/admin/tokens/{token_id}", token(token_id=token_id, status=status))
    result = run(command, ID, OTHER, gone, ID, "--dry-run", "--yes")
    assert result.exit_code == 0
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == told
    assert result.stderr == ("1 token" if len(told) == 1 else "2 tokens") + f" would be {command.rstrip('e')}ed.\n"
    assert {asked.method for asked in stub.asked} == {"GET"}


@pytest.mark.parametrize(("options", "printed"), [([], ""), (["--json"], '{\n  "updated": [],\n  "skipped": []\n}\n')])
def test_nothing_to_end_needs_no_question(stub: Stub, run: Run, options: list[str], printed: str) -> None:
    stub.on("POST", REVOKE, {"matched": 0, "sample": []})
    result = run("revoke", "--scope", "a", *options)
    assert (result.exit_code, result.stdout) == (0, printed)
    assert result.stderr == ("" if options else "No token matches.\n")
    assert len(stub.asked) == 1


@pytest.mark.parametrize("command", ["revoke", "deactivate"])
def test_without_anybody_to_ask_nothing_is_ended(stub: Stub, run: Run, command: str) -> None:
    stub.on("POST", f"/api/admin/tokens/{command}", matched(1200, *[token(f"name-{n}") for n in range(7)]))
    result = run(command, "--all")
    assert result.exit_code == 2
    assert f"{command.capitalize()} 1,200 tokens, among them name-0 ({ID}), " in result.stderr
    assert "name-5" not in result.stderr
    assert [asked.body for asked in stub.asked] == [{"all": True, "dryRun": True}]


@pytest.mark.parametrize(("answer", "done"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_what_is_answered_is_done(
    stub: Stub, run: Run, monkeypatch: pytest.MonkeyPatch, answer: str, done: bool
) -> None:
    monkeypatch.setattr(prompts, "somebody_answers", lambda: True)
    stub.on("POST", REVOKE, matched(1))
    stub.on("POST", REVOKE, ended(ID))
    result = run("revoke", "--all", stdin=answer)
    assert f"Revoke 1 token, checkout-api ({ID}) for good?" in result.stderr
    assert (result.exit_code, len(stub.asked)) == ((0, 2) if done else (1, 1))


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [ID, "--all"],
        [ID, "--created-by", "ada"],
        ["--all", "--scope", "a"],
        ["--all", "--never-used"],
        [ID, "--never-used"],
        [ID, "--unused-for", "0"],
        ["--created-by", ""],
        ["--query", "  "],
        ["--scope", "a", "--created-by", ""],
        ["--status", "all"],
        ["--status", "revoked"],
        ["--status", "active,"],
    ],
)
@pytest.mark.parametrize("command", ["revoke", "deactivate"])
def test_what_is_not_clearly_meant_asks_nothing(stub: Stub, run: Run, command: str, arguments: list[str]) -> None:
    result = run(command, *arguments, "--yes")
    assert (result.exit_code, result.stdout) == (2, "")
    assert not stub.asked


def test_many_are_ended_in_slices_each_behind_the_one_before(stub: Stub, run: Run) -> None:
    stub.on("POST", REVOKE, matched(3))
    stub.on("POST", REVOKE, ended("a", remaining=2))
    stub.on("POST", REVOKE, ended("b", remaining=1, skipped=("x",)))
    stub.on("POST", REVOKE, ended("c"))
    result = run("revoke", "--all", "--yes")
    assert result.stdout.split() == ["a", "revoked", "b", "revoked", "c", "revoked"]
    assert (result.exit_code, result.stderr) == (1, "x record_tampered\ntoken-service: 1 not revoked\n")
    assert [asked.body for asked in stub.asked[1:]] == [
        {"all": True, "expected": 3},
        {"all": True, "cursor": "with 2 left"},
        {"all": True, "cursor": "with 1 left"},
    ]


def test_a_number_that_changed_before_the_first_slice_ends_nothing(stub: Stub, run: Run) -> None:
    stub.on("POST", REVOKE, matched(2))
    count_changed(stub)
    result = run("revoke", "--all", "--yes")
    assert (result.exit_code, result.stderr) == (1, "token-service: The filter matches 9 tokens now, not 2.\n")
    assert len(stub.asked) == 2


def test_a_slice_that_fails_is_the_last_and_what_was_done_is_said(stub: Stub, run: Run) -> None:
    stub.on("POST", REVOKE, matched(3))
    stub.on("POST", REVOKE, ended("a", remaining=2))
    stub.problem("POST", REVOKE, 503, "Redis is away.", code="store_unavailable")
    result = run("revoke", "--all", "--yes")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("At least 1 token revoked of 3; then:\ntoken-service: Redis is away.")


def test_whoever_stops_it_is_told_what_was_done(stub: Stub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.on("POST", REVOKE, matched(3))
    stub.on("POST", REVOKE, ended("a", remaining=2))
    ask = Client.ask

    def interrupted(self: Client, method: str, path: str, *, body: Any, **how: Any) -> object:
        if "cursor" in body:
            raise KeyboardInterrupt
        return ask(self, method, path, body=body, **how)

    monkeypatch.setattr(Client, "ask", interrupted)
    result = run("revoke", "--all", "--yes")
    assert result.exit_code != 0
    # Behind the end of the line in which a terminal shows ^C.
    assert result.stderr == "\nAt least 1 token revoked of 3; then:\nAborted!\n"


def test_a_lost_answer_leaves_open_how_many(stub: Stub, run: Run) -> None:
    stub.on("POST", REVOKE, matched(3))
    stub.on("POST", REVOKE, status=0)
    result = run("revoke", "--all", "--yes")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"At least 0 tokens revoked of 3; then:\ntoken-service: {stub.url} closed ")


def test_progress_is_shown_where_somebody_watches(stub: Stub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.on("POST", REVOKE, matched(2))
    stub.on("POST", REVOKE, ended("a", remaining=1))
    stub.on("POST", REVOKE, ended("b"))
    monkeypatch.setattr(output, "watched", lambda: True)
    # What erases a line is left out where there is no terminal after all.
    assert run("revoke", "--all", "--yes").stderr == "\r0 of 2 revoked\r1 of 2 revoked\r"


@pytest.mark.usefixtures("terminal")
def test_a_person_reads_the_number_of_many_and_the_ids_of_few(
    stub: Stub, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "_MOST_ROWS", 1)
    stub.on("POST", REVOKE, matched(2))
    stub.on("POST", REVOKE, ended("a", "b"))
    result = run("revoke", "--all", "--yes")
    assert (result.stdout, result.stderr) == ("", "2 tokens revoked.\n")
