"""Rotation on the wire, and requests that may be repeated."""

import re

import pytest

from service.api.http.timestamps import rfc3339
from service.app import Service
from tests.api.world import TOKENS, World
from tests.asgi import Answer, Person, holder, sign_in
from tests.conftest import Clock

ROTATED = "API token rotated successfully"


async def rotate(admin: Person, token_id: str, body: object = None, *, key: str = "") -> Answer:
    headers = {"Idempotency-Key": key} if key else {}
    return await admin.ask("POST", f"{TOKENS}/{token_id}/rotate", json_body=body, headers=headers)


async def validate(service: Service, *secrets: str) -> list[int]:
    return [(await Person(service, secret).get("/validate")).status for secret in secrets]


async def test_rotating_answers_as_creating_does(service: Service, admin: Person) -> None:
    created = await admin.create("ci", description="d")
    answer = await rotate(admin, created["id"])
    assert answer.status == 201
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert set(body) == {"message", "token"}
    assert body["message"] == ROTATED
    rotated = body["token"]
    assert set(rotated) == set(created)
    assert re.fullmatch("rtk_[0-9a-f]{64}", rotated["token"])
    assert rotated["rotatedAt"] is not None
    assert rotated["rotations"] == 1
    same = ("id", "name", "expiresAt", "createdAt", "description", "scopes", "subject")
    assert [rotated[name] for name in same] == [created[name] for name in same]
    assert await validate(service, created["token"], rotated["token"]) == [401, 200]


async def test_the_detail_shows_the_overlap_and_the_last_use_of_the_old_secret(service: Service, admin: Person) -> None:
    created = await admin.create("ci")
    assert (created["rotations"], created["oldSecretValidUntil"], created["oldSecretLastUsedAt"]) == (0, None, None)
    await rotate(admin, created["id"], {"overlapSeconds": 600})
    assert await validate(service, created["token"]) == [200]
    await service.rules.usage.flush()
    shown = (await admin.get(f"{TOKENS}/{created['id']}")).json()
    assert shown["rotations"] == 1
    assert shown["rotatedAt"] < shown["oldSecretValidUntil"]
    assert shown["rotatedAt"] <= shown["oldSecretLastUsedAt"] < shown["oldSecretValidUntil"]
    assert list(shown)[-6:] == ["rotations", "oldSecretLastUsedAt", "parentId", "derived", "version", "imported"]


async def test_a_token_that_was_shown_before_is_shown_as_time_has_left_it(admin: Person, clock: Clock) -> None:
    end = rfc3339(int(clock()) + 1200)
    token_id = (await admin.create("ci", duration=None, expiresAt=end))["id"]
    await rotate(admin, token_id, {"overlapSeconds": 600})

    async def shown() -> list[object]:
        (token,) = (await admin.get(TOKENS)).json()["tokens"]
        return [token["status"], token["isActive"], token["oldSecretValidUntil"] is None]

    assert await shown() == await shown() == ["active", True, False]
    clock.forward(600)
    assert await shown() == ["active", True, True]
    clock.forward(600)
    assert await shown() == ["expired", False, True]


async def test_a_rotation_answers_with_the_usage_that_there_was(service: Service, admin: Person) -> None:
    created = await admin.create("used")
    assert await validate(service, created["token"]) == [200]
    await service.rules.usage.flush()
    for _ in range(2):  # the second time the answer is repeated
        rotated = (await rotate(admin, created["id"], key="once")).json()["token"]
        assert rotated["usage14d"] == [0] * 13 + [1]


async def test_the_overlap_can_be_ended(service: Service, admin: Person) -> None:
    created = await admin.create("ci")
    await rotate(admin, created["id"], {"overlapSeconds": 600})
    for _ in range(2):
        answer = await admin.ask("DELETE", f"{TOKENS}/{created['id']}/rotate")
        assert answer.status == 200
        assert set(answer.json()) == {"message"}
    assert await validate(service, created["token"]) == [401]
    shown = (await admin.get(f"{TOKENS}/{created['id']}")).json()
    assert shown["oldSecretValidUntil"] is None


@pytest.mark.parametrize("change", ["deactivate", "revoke"])
async def test_an_overlap_is_not_shown_for_a_token_that_is_off(service: Service, admin: Person, change: str) -> None:
    created = await admin.create("ci")
    await rotate(admin, created["id"], {"overlapSeconds": 600})
    assert (await admin.post(f"{TOKENS}/{change}", {"all": True, "expected": 1})).status == 200
    shown = (await admin.get(f"{TOKENS}/{created['id']}")).json()
    assert shown["oldSecretValidUntil"] is None
    assert await validate(service, created["token"]) == [401]


@pytest.mark.parametrize("path", [f"{TOKENS}/ID/rotate", TOKENS])
async def test_a_repeated_request_gets_the_same_secret_and_another_body_a_conflict(
    service: Service, admin: Person, path: str
) -> None:
    created = await admin.create("ci")
    path = path.replace("ID", created["id"])
    body = {"overlapSeconds": 60} if "rotate" in path else {"name": "new", "duration": "7days"}
    key = {"Idempotency-Key": "k-1"}
    first = await admin.ask("POST", path, json_body=body, headers=key)
    again = await admin.ask("POST", path, json_body=dict(reversed(body.items())), headers=key)
    assert first.status == again.status == 201
    assert again.json()["token"]["token"] == first.json()["token"]["token"]
    assert again.json() == first.json()
    other = await admin.ask("POST", path, json_body={**body, **_another(path)}, headers=key)
    assert (other.status, other.json()["code"]) == (409, "idempotency_mismatch")
    assert (await admin.get(TOKENS)).json()["total"] == (1 if "rotate" in path else 2)
    issued = (await service.metrics.render(""))[0].decode()
    assert f'tokens_issued_total{{kind="managed"}} {1 if "rotate" in path else 2}.0' in issued


def _another(path: str) -> dict[str, object]:
    return {"overlapSeconds": 61} if "rotate" in path else {"description": "other"}


@pytest.mark.parametrize("key", ["x" * 65, "two\twords", "\u00e9"])
async def test_an_odd_idempotency_key_is_refused_and_nothing_made(admin: Person, key: str) -> None:
    answer = await admin.ask(
        "POST", TOKENS, json_body={"name": "n", "duration": "7days"}, headers={"Idempotency-Key": key}
    )
    assert (answer.status, answer.json()["code"]) == (400, "invalid_request")
    assert (await admin.get(TOKENS)).json()["total"] == 0


async def test_who_may_rotate(service: Service, admin: Person) -> None:
    created = await admin.create("ci")
    for person, status in (
        (Person(service), 401),
        (Person(service, created["token"]), 403),
        (await sign_in(service, "vera"), 403),
        (await sign_in(service, "uma"), 403),
        (await holder(service, "tokens:read"), 403),
    ):
        assert (await rotate(person, created["id"])).status == status
        assert (await person.ask("DELETE", f"{TOKENS}/{created['id']}/rotate")).status == status
    assert (await rotate(await holder(service, "tokens:write"), created["id"])).status == 201


def test_what_a_rotation_refuses(world: World) -> None:
    token = world.create()
    path = f"{TOKENS}/{token['id']}/rotate"
    for body in ({"overlapSeconds": -1}, {"overlapSeconds": 604801}, {"overlapSeconds": "60"}, {"overlap": 1}):
        world.post(path, body, bearer=world.admin).problem(400, "invalid_request")
    world.post(f"{TOKENS}/00ffffffffffffff/rotate", {}, bearer=world.admin).problem(404, "not_found")
    world.ask("DELETE", f"{TOKENS}/nonsense/rotate", bearer=world.admin).problem(404, "not_found")
    assert world.validate(token["token"]).status == 200
    world.ask("DELETE", f"{TOKENS}?id={token['id']}", bearer=world.admin)
    world.post(path, {}, bearer=world.admin).problem(409, "token_revoked")


def test_a_rotation_holds_in_every_process_when_it_is_answered(world: World) -> None:
    token = world.create()
    secret = token["token"]
    for overlap in (0, 60, 0):
        answer = world.post(f"{TOKENS}/{token['id']}/rotate", {"overlapSeconds": overlap}, bearer=world.admin)
        assert answer.status == 201
        assert {world.validate(secret).status for _ in range(8)} == ({200} if overlap else {401})
        secret = answer.json()["token"]["token"]
        assert {world.validate(secret).status for _ in range(8)} == {200}
