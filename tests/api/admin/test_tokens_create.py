"""The wire of managed tokens: who may, what is created, and what is refused."""

import json
import re
import time
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import msgspec
import pytest

from service.api.admin.schemas.creation import Terms
from service.api.admin.schemas.tokens import ChangeToken, TokenShown
from tests.api.world import TOKENS, World, fresh
from tests.builders import month_day

SHOWN = {
    "id",
    "name",
    "token",
    "createdAt",
    "expiresAt",
    "isActive",
    "lastUsedAt",
    "createdBy",
    "description",
    "status",
    "scopes",
    "rateLimit",
    "quota",
    "limits",
    "subject",
    "metadata",
    "allowedNetworks",
    "maxUses",
    "usesLeft",
    "rotatedAt",
    "oldSecretValidUntil",
    "usage14d",
}
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def test_each_term_that_a_token_is_created_with_is_shown_and_may_be_changed() -> None:
    terms, shown, changes = (
        {field.encode_name for field in msgspec.structs.fields(kind)} for kind in (Terms, TokenShown, ChangeToken)
    )
    assert terms <= shown & changes


def days_ahead(days: float) -> str:
    return datetime.fromtimestamp(time.time() + days * 86400, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def epoch(instant: str) -> float:
    assert INSTANT.fullmatch(instant), instant
    return datetime.fromisoformat(instant).timestamp()


@pytest.mark.parametrize(("duration", "days"), [("7days", 7), ("1month", 30), ("6months", 180), ("1year", 365)])
def test_a_token_is_created_for_a_duration_and_its_secret_shown_once(world: World, duration: str, days: int) -> None:
    name, before = fresh("created"), int(time.time())
    body = {"name": name, "duration": duration, "description": "Zoë's"}
    answer = world.post(TOKENS, body, bearer=world.admin)
    assert answer.status == 201
    assert answer.header("cache-control") == "no-store"
    created = answer.json()
    assert set(created) == {"message", "token"}
    assert created["message"] == "API token created successfully"
    token = created["token"]
    assert set(token) >= SHOWN
    assert re.fullmatch(r"rtk_[0-9a-f]{64}", token["token"])
    assert int(token["token"][-8:], 16) == crc32(token["token"][:-8].encode())
    assert re.fullmatch(r"[0-9a-f]{16}", token["id"])
    assert (token["name"], token["description"]) == (name, "Zoë's")
    assert before <= epoch(token["createdAt"]) <= time.time()
    assert epoch(token["expiresAt"]) == epoch(token["createdAt"]) + days * 86400
    assert (token["createdBy"], token["subject"]) == ("admin", "")
    assert (token["isActive"], token["status"]) == (True, "active")
    assert [token[member] for member in ("scopes", "metadata", "allowedNetworks", "limits")] == [[], {}, [], []]
    assert [token[member] for member in ("maxUses", "usesLeft", "lastUsedAt", "rotatedAt", "oldSecretValidUntil")] == [
        None
    ] * 5
    assert token["usage14d"] == [0] * 14
    assert world.shown(token["id"]) == {**token, "token": f"****-****-****-{token['token'][-8:]}"}


def test_every_optional_term_is_kept_as_it_was_given(world: World) -> None:
    terms = {
        "expiresAt": days_ahead(3),
        "subject": "svc:billing",
        "scopes": ["orders:read", "orders:*"],
        "limits": [
            {"name": "burst", "limit": 100, "periodSeconds": 60, "burst": 20},
            {"name": "day", "limit": 10_000, "periodSeconds": 86400, "burst": 10_000},
        ],
        "metadata": {"team": "Zoë", "x": ""},
        "allowedNetworks": ["10.4.0.0/16", "2001:db8::/32", "192.0.2.7"],
        "maxUses": 5,
    }
    token = world.create(**terms)
    kept = {**terms, "allowedNetworks": ["10.4.0.0/16", "2001:db8::/32", "192.0.2.7/32"], "usesLeft": 5}
    for shown in (token, world.shown(token["id"])):
        shown["limits"] = [{member: one[member] for member in terms["limits"][0]} for one in shown["limits"]]
        assert {member: shown[member] for member in kept} == kept


def test_a_burst_that_is_not_given_is_the_limit(world: World) -> None:
    limit = {"limit": 7, "periodSeconds": 60}
    (shown,) = world.create(limits=[limit])["limits"]
    full = {"name": "default", "burst": 7, "used": 0, "remaining": 7, "resetSeconds": 0}
    assert shown == {**limit, **full}


def test_a_quota_is_kept_shown_exported_and_told_by_name_with_the_seconds_until_it_is_full(world: World) -> None:
    calendar = {"unit": "month", "day": month_day(), "timeZone": "Asia/Kolkata"}
    given = {"name": "month", "limit": 3, "calendar": calendar}
    token = world.create(limits=[given])
    (shown,) = world.shown(token["id"])["limits"]
    assert {**shown, "resetSeconds": 0} == {**given, "used": 0, "remaining": 3, "resetSeconds": 0}
    assert 0 < shown["resetSeconds"] <= 31 * 86400
    for left, status in ((2, 200), (1, 200), (0, 200), (0, 429)):
        answer = world.validate(token["token"])
        assert answer.status == status
        assert answer.header("ratelimit-policy") == '"month";q=3'
        assert (answer.header("ratelimit") or "").startswith(f'"month";r={left};t=')
    assert answer.header("retry-after") == (answer.header("ratelimit") or "").rpartition("=")[2]
    exported = world.get(f"{TOKENS}/export", bearer=world.admin).body.decode()
    (line,) = [one for one in map(json.loads, exported.splitlines()) if one.get("id") == token["id"]]
    assert line["limits"] == [given]


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "\u200b\u202e"}, "name"),
        ({"name": 7}, "name"),
        ({"duration": None}, "duration"),
        ({"duration": "never"}, "expiresAt"),
        ({"duration": "8days"}, "duration"),
        ({"expiresAt": "2030-01-01T00:00:00Z"}, "duration"),
        ({"duration": None, "expiresAt": "tomorrow"}, "expiresAt"),
        ({"duration": None, "expiresAt": "2027-01-01T00:00:00"}, "expiresAt"),
        ({"duration": None, "expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
        ({"duration": None, "expiresAt": "2099-01-01T00:00:00Z"}, "expiresAt"),
        ({"description": "x" * 501}, "description"),
        ({"subject": "two words"}, "subject"),
        ({"subject": "é"}, "subject"),
        ({"scopes": ["UPPER"]}, "scopes"),
        ({"scopes": [f"s{number}" for number in range(51)]}, "scopes"),
        ({"scopes": "orders"}, "scopes"),
        ({"limits": [{"limit": 1}]}, "limits"),
        ({"limits": [{"limit": 1, "periodSeconds": 0}]}, "limits"),
        ({"limits": [{"limit": 1, "periodSeconds": 60, "burst": 0}]}, "limits"),
        (
            {"limits": [{"limit": 1, "periodSeconds": 9, "calendar": {"unit": "day"}}]},
            "limits[0].periodSeconds",
        ),
        ({"limits": [{"limit": 10**6 + 1, "periodSeconds": 9}]}, "limits[0].limit"),
        ({"limits": [{"limit": 1, "burst": 1, "calendar": {"unit": "day"}}]}, "limits[0].burst"),
        ({"limits": [{"limit": 1, "calendar": {"unit": "year"}}]}, "limits[0].calendar.unit"),
        ({"limits": [{"limit": 1, "calendar": {"unit": "day", "day": 2}}]}, "limits[0].calendar.day"),
        ({"limits": [{"limit": 1, "calendar": {"unit": "month", "day": 32}}]}, "limits[0].calendar.day"),
        (
            {"limits": [{"limit": 1, "calendar": {"unit": "day", "timeZone": "Mars/Olympus"}}]},
            "limits[0].calendar.timeZone",
        ),
        ({"metadata": {"k": "x" * 257}}, "metadata"),
        ({"metadata": {str(number): "" for number in range(21)}}, "metadata"),
        ({"metadata": []}, "metadata"),
        ({"allowedNetworks": ["10.4.0.1/16"]}, "allowedNetworks"),
        ({"allowedNetworks": ["example.com"]}, "allowedNetworks"),
        ({"maxUses": 0}, "maxUses"),
        ({"maxUses": 1.5}, "maxUses"),
        ({"id": "0" * 16}, "id"),
        ({"isActive": False}, "isActive"),
        ({"createdBy": "someone"}, "createdBy"),
    ],
)
def test_a_wrong_term_creates_nothing_and_is_named(world: World, terms: dict[str, Any], field: str) -> None:
    wanted: dict[str, Any] = {"name": fresh("refused"), "duration": "1month", **terms}
    body = {member: value for member, value in wanted.items() if value is not None}
    before = world.get(f"{TOKENS}/stats", bearer=world.admin).json()["total"]
    problem = world.post(TOKENS, body, bearer=world.admin).problem(400, "invalid_request")
    assert problem["errors"][0]["field"].startswith(field)
    assert world.get(f"{TOKENS}/stats", bearer=world.admin).json()["total"] == before


def test_a_name_of_80_characters_in_any_script_is_taken(world: World) -> None:
    stem = fresh("名")
    name = stem + "é" * (80 - len(stem))
    assert world.create(name=name)["name"] == name


def test_a_name_is_unique_in_its_normal_form_until_its_token_is_revoked(world: World) -> None:
    name = fresh("café")
    token = world.create(name=name)
    body = {"name": f"  {name.replace('é', 'e' + chr(0x301))} ", "duration": "7days"}
    world.post(TOKENS, body, bearer=world.admin).problem(409, "name_taken")
    world.ask("DELETE", f"{TOKENS}?id={token['id']}", bearer=world.admin)
    assert world.post(TOKENS, body, bearer=world.admin).status == 201


def test_a_name_that_is_used_is_told_with_its_holder_to_whoever_may_read_tokens(world: World) -> None:
    name = fresh("used")
    token = world.create(name=name)
    world.change(id=token["id"], isActive=False)

    def told(bearer: str) -> str:
        refusal = world.post(TOKENS, {"name": name, "duration": "7days"}, bearer=bearer).problem(409, "name_taken")
        return str(refusal["detail"])

    holder = (
        f"Token {token['id']} (inactive, made by admin) is called {name}: rename or revoke it to free the name, "
        "or choose another."
    )
    assert told(world.admin) == holder
    assert told(world.secret(scopes=["tokens:write", "tokens:read"])) == holder
    assert told(world.secret(scopes=["tokens:write"])) == f"A token called {name} already exists. Choose another name."


READS = (("GET", TOKENS), ("GET", f"{TOKENS}/stats"), ("GET", f"{TOKENS}/" + "0" * 16))
WRITES = (
    ("POST", TOKENS, {"name": "x", "duration": "7days"}),
    ("PATCH", TOKENS, {"id": "0" * 16, "isActive": True}),
    ("DELETE", f"{TOKENS}?id=" + "0" * 16, None),
)


def test_reading_is_for_administrators_viewers_and_the_scope(world: World) -> None:
    readers = [
        world.admin,
        world.viewer,
        world.secret(scopes=["tokens:read"]),
        world.secret(scopes=["tokens:*"]),
    ]
    for method, path in READS:
        for reader in readers:
            assert world.ask(method, path, bearer=reader).status in (200, 404)
        world.ask(method, path, bearer=world.user).problem(403, "forbidden")
        for scopes in ([], ["tokens:write"], ["tokens:rea"], ["orders:*"]):
            refused = world.ask(method, path, bearer=world.secret(scopes=scopes))
            refused.problem(403, "insufficient_scope")
            assert 'error="insufficient_scope", scope="tokens:read"' in (refused.header("www-authenticate") or "")


def test_changing_is_for_administrators_and_the_scope(world: World) -> None:
    for method, path, body in WRITES:
        for writer in (world.admin, world.secret(scopes=["tokens:write"])):
            assert world.ask(method, path, json_body=body, bearer=writer).status in (201, 404, 409)
        for bystander in (world.viewer, world.user):
            world.ask(method, path, json_body=body, bearer=bystander).problem(403, "forbidden")
        refused = world.ask(method, path, json_body=body, bearer=world.secret(scopes=["tokens:read"]))
        refused.problem(403, "insufficient_scope")


def test_no_other_credential_opens_the_administration(world: World) -> None:
    secret = world.secret(scopes=["tokens:*"])
    for method, path in READS:
        world.ask(method, path, headers={"X-Token": world.admin}).problem(401, "unauthorized")
        world.ask(method, f"{path}?token={world.admin}").problem(401, "unauthorized")
        world.ask(method, path, basic=("admin", world.password)).problem(401, "unauthorized")
        world.ask(method, path, bearer=world.one_time()).problem(401, "invalid_token")
        world.ask(method, path, bearer=secret[:-1]).problem(401, "invalid_token")


def test_what_a_token_creates_says_which_token_did(world: World) -> None:
    maker = world.create(scopes=["tokens:write"])
    body = {"name": fresh("made by a token"), "duration": "7days"}
    made = world.post(TOKENS, body, bearer=maker["token"]).json()["token"]
    assert made["createdBy"] == f"token:{maker['id']}"
