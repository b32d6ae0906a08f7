"""What the holder of a token may do, sessions of others, and the end of an overlap."""

import json
import time

import pytest

from service.cli.client import session_state
from service.cli.terminal import prompts
from tests.cli.conftest import Run
from tests.cli.stub import Stub, token

SELF = "/api/tokens/self"
ID = "00a1b2c3d4e5f607"
SECRET = "rtk_" + "ab" * 32
OVERLAP = f"/api/admin/tokens/{ID}/rotate"


def test_a_token_sees_itself(stub: Stub, run: Run) -> None:
    stub.on("GET", SELF, token("api"))
    assert "name\tapi" in run("self", "show").stdout
    assert json.loads(run("self", "show", "--json").stdout) == token("api")
    assert stub.asked[0].headers["Authorization"] == "Bearer the-caller"


@pytest.mark.parametrize("command", ["show", "revoke", "rotate"])
def test_a_session_is_not_taken_for_the_token(stub: Stub, run: Run, command: str) -> None:
    session = session_state.Session(stub.url, "admin", "a-session", int(time.time()) + 3600)
    session_state.keep(session, session_state.place_to_keep(stub.url))
    result = run("self", command, env={"TOKENS_TOKEN": " "})
    assert (result.exit_code, result.stderr) == (4, "token-service: put the token into TOKENS_TOKEN\n")
    assert not stub.asked


def test_a_token_revokes_itself_after_a_question(stub: Stub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.on("GET", SELF, token("api"))
    stub.on("DELETE", SELF, {"message": "revoked"})
    refused = run("self", "revoke")
    assert (refused.exit_code, f"Revoke api ({ID}) for good? " in refused.stderr) == (2, True)
    assert [asked.method for asked in stub.asked] == ["GET"]
    assert run("self", "revoke", "--yes").stdout == f"{ID}\trevoked\n"
    monkeypatch.setattr(prompts, "somebody_answers", lambda: True)
    printed = run("self", "revoke", "--json", stdin="y\n").stdout
    assert json.loads(printed) == {"updated": [ID], "skipped": []}
    assert [asked.method for asked in stub.asked] == ["GET", "GET", "DELETE", "GET", "DELETE"]


def test_a_token_rotates_itself_and_leaves_a_day(stub: Stub, run: Run) -> None:
    stub.on("POST", f"{SELF}/rotate", {"message": "rotated", "token": token(token=SECRET)}, status=201)
    assert run("self", "rotate", "-q").stdout == f"{SECRET}\n"
    assert stub.asked[0].body == {"overlapSeconds": 86400}
    assert len(stub.asked[0].headers["Idempotency-Key"]) == 32
    refused = run("self", "rotate", "--overlap", "0")
    assert (refused.exit_code, len(stub.asked)) == (2, 1)
    assert run("self", "rotate", "--overlap", "0", "--yes", "--json").exit_code == 0
    assert stub.asked[1].body == {"overlapSeconds": 0}


def test_a_lost_answer_is_asked_for_again_by_the_old_secret(stub: Stub, run: Run) -> None:
    stub.on("POST", f"{SELF}/rotate", status=0)
    stub.on("POST", f"{SELF}/rotate", {"message": "rotated", "token": token(token=SECRET)}, status=201)
    assert run("self", "rotate", "-q").stdout == f"{SECRET}\n"
    assert len({asked.headers["Idempotency-Key"] for asked in stub.asked}) == 1


@pytest.mark.parametrize("command", [["create", "api"], ["rotate", ID]])
def test_what_shows_a_secret_is_asked_twice_under_one_key(stub: Stub, run: Run, command: list[str]) -> None:
    path = "/api/admin/tokens" if command[0] == "create" else OVERLAP
    stub.on("POST", path, status=0)
    stub.on("POST", path, {"message": "", "token": token(token=SECRET)}, status=201)
    assert run(*command, "-q").stdout == f"{SECRET}\n"
    first, again = stub.asked
    assert first.body == again.body
    assert first.headers["Idempotency-Key"] == again.headers["Idempotency-Key"]
    run(*command, "-q")
    assert stub.asked[2].headers["Idempotency-Key"] != first.headers["Idempotency-Key"]


def test_two_lost_answers_are_one_line(stub: Stub, run: Run) -> None:
    stub.on("POST", "/api/admin/tokens", status=0)
    result = run("create", "api")
    assert (result.exit_code, result.stdout, len(stub.asked)) == (1, "", 2)
    assert result.stderr.startswith(f"token-service: {stub.url} closed the connection without an answer: ")


def test_a_refusal_is_not_asked_again(stub: Stub, run: Run) -> None:
    stub.problem("POST", "/api/admin/tokens", 409, "A token of this name exists.", code="name_taken")
    assert run("create", "api").exit_code == 1
    assert len(stub.asked) == 1


def test_what_only_reads_or_changes_is_asked_once(stub: Stub, run: Run) -> None:
    stub.on("GET", "/api/admin/tokens/stats", status=0)
    stub.on("PATCH", "/api/admin/tokens", status=0)
    assert (run("stats").exit_code, run("deactivate", ID).exit_code, len(stub.asked)) == (1, 1, 2)
    assert "Idempotency-Key" not in stub.asked[1].headers


def test_an_overlap_is_ended_after_a_question(stub: Stub, run: Run) -> None:
    stub.on("DELETE", OVERLAP, {"message": "ended"})
    refused = run("rotate", ID, "--end")
    assert (refused.exit_code, "The old secret of" in refused.stderr, stub.asked) == (2, True, [])
    assert run("rotate", ID, "--end", "--yes").stdout == f"{ID}\toverlap ended\n"
    printed = run("rotate", ID, "--end", "--yes", "--json").stdout
    assert json.loads(printed) == {"id": ID, "message": "ended"}
    assert [(asked.method, asked.body) for asked in stub.asked] == [("DELETE", None)] * 2


@pytest.mark.parametrize("option", [["--overlap", "24h"], ["--overlap", "0"], ["-q"]])
def test_an_end_gives_no_secret(stub: Stub, run: Run, option: list[str]) -> None:
    result = run("rotate", ID, "--end", "--yes", *option)
    assert (result.exit_code, "--end gives no new secret" in result.stderr, stub.asked) == (2, True, [])


def test_sessions_of_an_account_are_ended_after_a_question(stub: Stub, run: Run) -> None:
    stub.on("POST", "/api/admin/sessions/revoke", {"message": "3 sessions ended", "ended": 3})
    refused = run("sessions", "revoke", "ada")
    assert (refused.exit_code, "End all sessions of ada?" in refused.stderr, stub.asked) == (2, True, [])
    assert run("sessions", "revoke", "ada", "--yes").stdout == "ada\t3\n"
    assert json.loads(run("sessions", "revoke", "ada", "--yes", "--json").stdout) == {"username": "ada", "ended": 3}
    assert [asked.body for asked in stub.asked] == [{"username": "ada"}] * 2


def test_sessions_are_listed_and_one_is_ended(stub: Stub, run: Run) -> None:
    day = {"createdAt": "2026-11-20T10:00:00Z", "expiresAt": "2026-11-21T10:00:00Z"}
    one = {"id": "s1", "username": "ada", "lastSeenAt": "2026-11-20T17:00:00Z", **day}
    stub.on("GET", "/api/admin/sessions", {"sessions": [one, {**one, "lastSeenAt": None}]})
    stub.on("POST", "/api/admin/sessions/revoke", {"message": "1 session ended", "ended": 1})
    assert [line.split("\t") for line in run("sessions", "list", "ada").stdout.splitlines()] == [
        ["s1", "ada", day["createdAt"], seen, day["expiresAt"]] for seen in ("2026-11-20T17:00:00Z", "-")
    ]
    assert run("sessions", "revoke", "ada", "--id", "s1", "--yes").stdout == "ada\t1\n"
    assert (stub.asked[0].query, stub.asked[1].body) == (
        {"limit": "50", "username": "ada"},
        {"username": "ada", "id": "s1"},
    )


@pytest.mark.parametrize(
    "command",
    [
        ["end-derived", "--yes", ""],
        ["end-derived", "--yes", "--id", " "],
        ["sessions", "revoke", "ada", "--yes", "--id", ""],
        ["derive", "--scope", ""],
        ["create", "api", "--like", ""],
        ["verify", "--scope", ""],
        ["verify", "--scope", "orders:read", "--scope", ""],
        ["create", "api", "--scope", "orders:read", "--scope", " ,"],
        ["show", ""],
        ["revoke", "--yes", " "],
        ["rotate", ""],
        ["update", "", "--subject", "acme"],
        ["list", "--parent", ""],
        ["webhooks", "test", ""],
        ["webhooks", "rotate", " "],
        ["webhooks", "send", "w1", ""],
        ["subjects", "list", ""],
        ["sessions", "list", ""],
        ["explain", ""],
        ["explain", "api", "--address", ""],
        ["subjects", "limit", "", "--rate", "1/s"],
        ["subjects", "unlimit", "", "--yes"],
        ["login", ""],
        ["accounts", "passwd", ""],
        ["accounts", "disable", ""],
        ["accounts", "enable", " "],
        ["usage", "", "--service"],
    ],
)
def test_a_variable_that_is_not_set_does_no_more_than_one_that_is(stub: Stub, run: Run, command: list[str]) -> None:
    result = run(*command, stdin=SECRET)
    assert (result.exit_code, "it is empty" in result.stderr, stub.asked) == (2, True, [])


def test_sessions_of_nobody_are_a_usage_error(stub: Stub, run: Run) -> None:
    assert (run("sessions", "revoke", "", "--yes").exit_code, stub.asked) == (2, [])


def test_a_token_derives_another(stub: Stub, run: Run) -> None:
    stub.on("POST", f"{SELF}/derive", {"message": "derived", "token": token(token=SECRET)}, status=201)
    options = ("--ttl", "15m", "--scope", "a:b,c", "--network", "10.0.0.0/8", "--rate", "5/60s", "--max-uses", "3")
    assert run("derive", "-q", *options).stdout == f"{SECRET}\n"
    assert run("derive", "--subject", "").exit_code == 0
    assert [asked.body for asked in stub.asked] == [
        {
            "ttlSeconds": 900,
            "scopes": ["a:b", "c"],
            "allowedNetworks": ["10.0.0.0/8"],
            "limits": [{"limit": 5, "periodSeconds": 60}],
            "maxUses": 3,
        },
        {"subject": ""},
    ]


def test_derived_tokens_are_listed_and_ended_under_their_parent(stub: Stub, run: Run) -> None:
    stub.on("GET", "/api/admin/tokens", {"tokens": [token(parentId=ID)], "nextCursor": None, "total": 1})
    assert run("list", "--parent", ID).exit_code == 0
    assert stub.asked[0].query["parent"] == ID
    assert run("list", "--parent", "checkout-api").exit_code == 0
    assert [asked.query.get("parent") for asked in stub.asked] == [ID, None, ID]
    assert run("list", "--parent", "bylling").stderr == "token-service: no token has the id or name bylling\n"
    stub.asked.clear()
    for path in (f"{SELF}/derived", f"/api/admin/tokens/{ID}/derived"):
        stub.on("DELETE", path, {"message": "2 derived tokens ended"})
    assert run("end-derived", ID).exit_code == 2
    assert run("end-derived", ID, "--yes").stdout == "done\t2 derived tokens ended\n"
    assert json.loads(run("end-derived", "--id", ID, "--yes", "--json").stdout) == {"message": "2 derived tokens ended"}
    assert [(asked.path, asked.query) for asked in stub.asked] == [
        (f"/api/admin/tokens/{ID}/derived", {}),
        (f"{SELF}/derived", {"id": ID}),
    ]
