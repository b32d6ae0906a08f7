"""The kill switch on the wire."""

from typing import Any

import pytest

from service.app import Service
from tests.api.world import TOKENS, World
from tests.asgi import Person, holder, sign_in

BOTH = pytest.mark.parametrize("end", ["revoke", "deactivate"])


async def status(service: Service, secret: str) -> int:
    return (await Person(service, secret).get("/validate")).status


@BOTH
async def test_a_dry_run_says_how_many_and_shows_them_and_changes_nothing(
    service: Service, admin: Person, end: str
) -> None:
    created = [await admin.create(f"n{number}", scopes=["x:y"]) for number in range(12)]
    answer = await admin.post(f"{TOKENS}/{end}", {"scope": "x:y", "dryRun": True})
    assert answer.status == 200
    body = answer.json()
    assert set(body) == {"matched", "sample"}
    assert (body["matched"], len(body["sample"])) == (12, 10)
    assert all(shown["token"].startswith("****-") for shown in body["sample"])
    assert await status(service, created[0]["token"]) == 200


@BOTH
@pytest.mark.parametrize(
    "which", [{"all": True}, {"createdBy": "admin"}, {"scope": "x:y"}, {"filter": {"q": "n", "status": "active"}}]
)
async def test_it_ends_what_was_asked_for(service: Service, admin: Person, end: str, which: dict[str, Any]) -> None:
    created = [await admin.create(f"n{number}", scopes=["x:y"]) for number in range(3)]
    answer = await admin.post(f"{TOKENS}/{end}", {**which, "expected": 3})
    assert answer.status == 200
    body = answer.json()
    assert body == {
        "message": f"3 tokens {end}d",
        "updated": body["updated"],
        "skipped": [],
        "remaining": 0,
        "nextCursor": None,
    }
    assert sorted(body["updated"]) == sorted(token["id"] for token in created)
    assert [await status(service, token["token"]) for token in created] == [401] * 3


@BOTH
async def test_a_limit_ends_a_slice_and_says_what_remains(admin: Person, end: str) -> None:
    for number in range(5):
        await admin.create(f"n{number}")
    left = []
    for expected in (5, 3, 1):
        body = (await admin.post(f"{TOKENS}/{end}", {"all": True, "expected": expected, "limit": 2})).json()
        left.append((len(body["updated"]), body["remaining"]))
    assert left == [(2, 3), (2, 1), (1, 0)]


@BOTH
async def test_the_cursor_of_a_slice_leads_to_the_next_one(admin: Person, end: str) -> None:
    for number in range(5):
        await admin.create(f"n{number}")
    wanted = {"all": True, "limit": 2}
    body = (await admin.post(f"{TOKENS}/{end}", {**wanted, "expected": 5})).json()
    assert body["message"] == f"2 tokens {end}d, 3 to go"
    left = [body["remaining"]]
    while body["nextCursor"]:
        body = (await admin.post(f"{TOKENS}/{end}", {**wanted, "cursor": body["nextCursor"]})).json()
        left.append(body["remaining"])
    assert left == [3, 1, 0]
    for cursor in ("x", "bnVsbA", "WzEsMiwzLDRd", "WyJhIiwiIiw1LDld", "WyIxIiwiIiwtNSw5XQ"):
        refused = await admin.post(f"{TOKENS}/{end}", {**wanted, "cursor": cursor})
        assert (refused.status, refused.json()["errors"][0]["field"]) == (400, "cursor")


async def test_a_change_by_filter_goes_slice_by_slice(admin: Person) -> None:
    for number in range(5):
        await admin.create(f"n{number}")
    wanted: dict[str, Any] = {"filter": {"q": "n"}, "isActive": False, "limit": 3}
    body = (await admin.ask("PATCH", TOKENS, json_body={**wanted, "expected": 5})).json()
    assert (len(body["updated"]), body["remaining"]) == (3, 2)
    body = (await admin.ask("PATCH", TOKENS, json_body={**wanted, "cursor": body["nextCursor"]})).json()
    assert (len(body["updated"]), body["remaining"], body["nextCursor"]) == (2, 0, None)


@BOTH
async def test_another_number_than_expected_is_a_conflict(service: Service, admin: Person, end: str) -> None:
    created = await admin.create("n")
    answer = await admin.post(f"{TOKENS}/{end}", {"all": True, "expected": 2})
    assert (answer.status, answer.json()["code"]) == (409, "count_changed")
    assert await status(service, created["token"]) == 200


@BOTH
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"all": True},
        {"all": False, "expected": 1},
        {"expected": 1},
        {"all": True, "scope": "a", "expected": 1},
        {"createdBy": "", "expected": 1},
        {"scope": "", "expected": 1},
        {"filter": {}, "expected": 1},
        {"filter": {}, "dryRun": True},
        {"filter": {"neverUsed": False}, "expected": 1},
        {"filter": {"status": "odd"}, "expected": 1},
        {"filter": {"expiresBefore": ""}, "expected": 1},
        {"filter": {"all": True}, "expected": 1},
        {"all": True, "expected": -1},
        {"all": True, "expected": "1"},
        {"all": True, "expected": 1, "limit": 0},
        {"all": True, "expected": 1, "force": True},
        {"all": None},
    ],
)
async def test_what_is_not_said_clearly_ends_nothing(
    service: Service, admin: Person, end: str, body: dict[str, Any]
) -> None:
    created = await admin.create("n")
    answer = await admin.post(f"{TOKENS}/{end}", body)
    assert (answer.status, answer.json()["code"]) == (400, "invalid_request")
    assert await status(service, created["token"]) == 200


async def test_an_empty_filter_is_refused_with_its_name(service: Service, admin: Person) -> None:
    created = await admin.create("n")
    for name in ("q", "createdBy", "scope", "subject", "lastAddress"):
        for path in (f"{TOKENS}/revoke", f"{TOKENS}/deactivate"):
            answer = await admin.post(path, {"filter": {name: ""}, "expected": 1})
            assert (answer.status, answer.json()["detail"]) == (400, f"filter.{name}: write text that is not empty.")
        changed = await admin.ask("PATCH", TOKENS, json_body={"filter": {name: ""}, "isActive": False, "expected": 1})
        listed = await admin.get(TOKENS, **{name: ""})
        assert [changed.status, listed.status] == [400, 400]
    for name in ("status", "expiresBefore", "unusedForDays", "createdBy"):
        assert (await admin.post(f"{TOKENS}/revoke", {"filter": {name: None}, "expected": 1})).status == 400
    for page, name in (("audit", "actor"), ("audit", "q"), ("sessions", "username"), ("tokens", "ids")):
        assert (await admin.get(f"/api/admin/{page}", **{name: ""})).status == 400, (page, name)
    assert await status(service, created["token"]) == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{TOKENS}/revoke", {"all": True, "expected": 0}),
        (f"{TOKENS}/deactivate", {"all": True, "dryRun": True}),
        ("/api/admin/sessions/revoke", {"username": "uma"}),
    ],
)
async def test_who_may_use_it(service: Service, path: str, body: dict[str, Any]) -> None:
    for person, refusal in (
        (Person(service), 401),
        (await sign_in(service, "vera"), 403),
        (await sign_in(service, "uma"), 403),
        (await holder(service, "tokens:read", "tokens:write"), 403),
    ):
        assert (await person.post(path, body)).status == refusal
    assert (await (await holder(service, "tokens:admin")).post(path, body)).status in (200, 409)


async def test_all_sessions_of_a_user_end(service: Service) -> None:
    admin, vera = await sign_in(service), await sign_in(service, "vera")
    uma = [await sign_in(service, "uma") for _ in range(2)]
    answer = await admin.post("/api/admin/sessions/revoke", {"username": "uma"})
    assert (answer.status, answer.json()) == (200, {"message": "2 sessions ended", "ended": 2})
    assert [await status(service, person.secret) for person in uma] == [401, 401]
    assert await status(service, vera.secret) == 200
    assert (await admin.post("/api/admin/sessions/revoke", {"username": "nobody"})).json()["ended"] == 0
    assert 'tokens_revoked_total{kind="session"} 2.0' in (await service.metrics.render(""))[0].decode()


async def test_a_token_is_counted_once_however_often_it_is_revoked(service: Service, admin: Person) -> None:
    token_id = (await admin.create("n"))["id"]
    # That it was switched off before is no revocation.
    assert (await admin.ask("PATCH", TOKENS, json_body={"id": token_id, "isActive": False})).status == 200
    for _ in range(2):
        answer = await admin.ask("DELETE", TOKENS, query={"ids": token_id})
        assert answer.json()["updated"] == [token_id]
    assert 'tokens_revoked_total{kind="managed"} 1.0' in (await service.metrics.render(""))[0].decode()


def test_it_holds_in_every_process_when_it_is_answered(world: World) -> None:
    tokens = [world.create(scopes=["kill:this"]) for _ in range(10)]
    matched = world.post(f"{TOKENS}/revoke", {"scope": "kill:this", "dryRun": True}, bearer=world.admin).json()
    answer = world.post(f"{TOKENS}/revoke", {"scope": "kill:this", "expected": matched["matched"]}, bearer=world.admin)
    assert answer.status == 200
    assert {token["id"] for token in tokens} == set(answer.json()["updated"])
    assert {world.validate(token["token"]).status for token in tokens} == {401}
