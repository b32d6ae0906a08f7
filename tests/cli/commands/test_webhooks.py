"""Other services that are told of changes."""

import json

import pytest

from service.tokens.webhooks.events import EventType
from tests.cli.conftest import Run
from tests.cli.stub import Stub

HOOKS = "/api/admin/webhooks"
HOOK = {
    "id": "wh1",
    "url": "https://hooks.example.com/tokens",
    "events": ["token.created", "token.revoked"],
    "createdAt": "2026-11-20T10:00:00Z",
    "createdBy": "ada",
}
STANDING = {**HOOK, "isActive": True, "tampered": False, "waiting": 3, "unread": 40, "dropped": 0}
DELIVERY = {
    "id": "ev1",
    "event": "token.revoked",
    "status": "pending",
    "attempts": 2,
    "createdAt": "2026-11-20T10:00:00Z",
    "lastAttemptAt": "2026-11-20T10:01:00Z",
    "nextAttemptAt": "2026-11-20T10:05:00Z",
    "lastStatus": 500,
    "lastError": None,
}


def test_webhooks_are_listed_one_a_line(stub: Stub, run: Run) -> None:
    hooks = [
        STANDING,
        {**STANDING, "isActive": False},
        {**STANDING, "id": "wh2", "url": "", "events": [], "createdAt": None, "createdBy": "", "tampered": True},
    ]
    stub.on("GET", HOOKS, {"webhooks": hooks})
    row = (
        "wh1\thttps://hooks.example.com/tokens\ttoken.created token.revoked\t{}\t3\t40\t0\tada\t2026-11-20T10:00:00Z\n"
    )
    lines = (row.format("active"), row.format("inactive"), "wh2\t-\t-\ttampered\t3\t40\t0\t-\t-\n")
    assert run("webhooks", "list").stdout == "".join(lines)
    assert json.loads(run("webhooks", "list", "--json").stdout) == {"webhooks": hooks}


def test_a_new_webhook_shows_its_secret_once(stub: Stub, run: Run) -> None:
    stub.on("POST", HOOKS, {**HOOK, "secret": "whsec_abc"}, status=201)
    result = run("webhooks", "add", HOOK["url"], "--event", "token.created,token.revoked", "--event", "token.expired")
    assert "secret\twhsec_abc\n" in result.stdout
    assert "this once" in result.stderr
    events = ["token.created", "token.revoked", "token.expired"]
    assert stub.asked[0].body == {"url": HOOK["url"], "events": events}
    printed = run("webhooks", "add", HOOK["url"], "--event", "token.created", "--json").stdout
    assert json.loads(printed)["secret"] == "whsec_abc"


@pytest.mark.parametrize(
    ("arguments", "path"),
    [(["add", HOOK["url"], "--event", "token.created"], HOOKS), (["rotate", "wh1"], f"{HOOKS}/wh1/rotate")],
)
def test_a_lost_answer_that_showed_a_secret_is_asked_for_again_under_its_key(
    stub: Stub, run: Run, arguments: list[str], path: str
) -> None:
    stub.on("POST", path, status=0)
    stub.on("POST", path, {**HOOK, "secret": "whsec_abc"}, status=201)
    assert "whsec_abc" in run("webhooks", *arguments).stdout
    first, again = [asked.headers.get("Idempotency-Key") for asked in stub.asked]
    assert first == again is not None


@pytest.mark.parametrize(
    "arguments", [["add", "https://a.example"], ["add", "--event", "a"], ["remove"], ["deliveries"]]
)
def test_what_is_missing_is_a_usage_error(stub: Stub, run: Run, arguments: list[str]) -> None:
    assert (run("webhooks", *arguments).exit_code, stub.asked) == (2, [])


def test_an_unknown_event_is_told_what_there_is(stub: Stub, run: Run) -> None:
    result = run("webhooks", "add", "https://a.example", "--event", "token.revoked,foo")
    assert (result.exit_code, stub.asked) == (2, [])
    assert "'foo' is none of" in result.stderr
    assert all(event in result.stderr for event in EventType)


def test_a_refused_address_is_one_line(stub: Stub, run: Run) -> None:
    stub.problem("POST", HOOKS, 400, "url: the address is private.")
    result = run("webhooks", "add", "https://10.0.0.1/", "--event", "token.created")
    assert (result.exit_code, result.stderr) == (1, "token-service: url: the address is private.\n")


def test_a_webhook_is_removed_after_a_question(stub: Stub, run: Run) -> None:
    stub.on("DELETE", HOOKS, {"message": "Webhook deleted successfully"})
    refused = run("webhooks", "remove", "wh1")
    assert (refused.exit_code, "Remove webhook wh1?" in refused.stderr, stub.asked) == (2, True, [])
    assert run("webhooks", "remove", "wh1", "--yes").stdout == "wh1\tremoved\n"
    assert json.loads(run("webhooks", "remove", "wh1", "--yes", "--json").stdout)["id"] == "wh1"
    assert [asked.query for asked in stub.asked] == [{"id": "wh1"}] * 2


def test_deliveries_are_told_with_what_came_of_them(stub: Stub, run: Run) -> None:
    stub.on("GET", f"{HOOKS}/wh1/deliveries", {"deliveries": [DELIVERY]})
    assert run("webhooks", "deliveries", "wh1").stdout.split("\t")[:7] == [
        "ev1",
        "token.revoked",
        "pending",
        "2026-11-20T10:00:00Z",
        "2",
        "500",
        "-",
    ]
    printed = run("webhooks", "deliveries", "wh1", "--status", "dead", "--limit", "7", "--json").stdout
    assert json.loads(printed) == {"deliveries": [DELIVERY]}
    assert [asked.query for asked in stub.asked] == [{"limit": "50"}, {"status": "dead", "limit": "7"}]


def test_no_webhooks_and_no_deliveries_print_nothing(stub: Stub, run: Run) -> None:
    stub.on("GET", HOOKS, {"webhooks": []})
    stub.on("GET", f"{HOOKS}/a%2Fb/deliveries", {"deliveries": []})
    assert (run("webhooks", "list").output, run("webhooks", "deliveries", "a/b").output) == ("", "")
    assert stub.asked[1].path == f"{HOOKS}/a%2Fb/deliveries"


def test_a_webhook_is_switched_off_and_on(stub: Stub, run: Run) -> None:
    for word, webhook_id, active in (("deactivate", "wh1", False), ("activate", "wh2", True)):
        stub.on("PATCH", f"{HOOKS}/{webhook_id}", {**STANDING, "id": webhook_id, "isActive": active})
        printed = f"{webhook_id}\t{'active' if active else 'inactive'}\n"
        assert run("webhooks", word, webhook_id).stdout == printed
        assert json.loads(run("webhooks", word, webhook_id, "--json").stdout)["isActive"] is active
    assert [asked.body for asked in stub.asked] == [{"isActive": False}] * 2 + [{"isActive": True}] * 2


def test_a_rotated_secret_is_shown_once_and_the_old_one_signs_for_a_day(stub: Stub, run: Run) -> None:
    stub.on("POST", f"{HOOKS}/wh1/rotate", {**HOOK, "secret": "whsec_new"}, status=201)
    result = run("webhooks", "rotate", "wh1")
    assert "secret\twhsec_new\n" in result.stdout
    assert "this once" in result.stderr
    assert json.loads(run("webhooks", "rotate", "wh1", "--overlap", "0", "--json").stdout)["secret"] == "whsec_new"
    assert [asked.body for asked in stub.asked] == [{"overlapSeconds": 86400}, {"overlapSeconds": 0}]


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ({"taken": True, "status": 204, "error": None}, 0, ""),
        ({"taken": False, "status": 500, "error": "answered 500"}, 1, "did not take it: answered 500"),
    ],
)
def test_a_message_that_is_sent_now_fails_where_the_receiver_does_not_take_it(
    stub: Stub, run: Run, answer: dict[str, object], code: int, said: str
) -> None:
    stub.on("POST", f"{HOOKS}/wh1/test", answer)
    stub.on("POST", f"{HOOKS}/wh1/deliveries/1-0.0/send", answer)
    for words in (["test", "wh1"], ["send", "wh1", "1-0.0"]):
        result = run("webhooks", *words)
        assert (result.exit_code, str(answer["status"]) in result.stdout) == (code, True)
        assert said in result.stderr
        assert json.loads(run("webhooks", *words, "--json").stdout) == answer
