"""Self-service by secrets of other systems, imported in clear or as their SHA-256: as good as one's own."""

import json
from hashlib import sha256
from typing import Any

import pytest

from service.app import Service
from tests.asgi import Person, sign_in
from tests.conftest import SERVER_KEY, MakeService

SELF = "/api/tokens/self"
# Some look like tokens of this service: a session, a one-time token, a managed one with a wrong checksum.
SECRETS = ["sk_live_51H8xyzABCdef", "a.jwt-like.secret-of-theirs", "z" * 64, "f" * 32, "rtk_" + "f" * 64]


async def holder_of(service: Service, secret: str, how: str, **terms: Any) -> Person:
    """Whoever holds a secret that another system made, after its import."""
    given = secret if how == "secret" else sha256(secret.encode()).hexdigest()
    line = json.dumps({"name": "theirs", how: given, "duration": "1month", **terms})
    answer = await (await sign_in(service)).ask(
        "POST", "/api/admin/tokens/import", body=line.encode(), headers={"content-type": "application/x-ndjson"}
    )
    assert answer.json()["imported"] == 1, answer
    return Person(service, secret)


@pytest.mark.parametrize("how", ["secret", "sha256"])
@pytest.mark.parametrize("secret", SECRETS)
async def test_it_sees_rotates_and_revokes_itself(service: Service, secret: str, how: str) -> None:
    person = await holder_of(service, secret, how, scopes=["self:rotate"])
    shown = await person.get(SELF)
    assert (shown.status, shown.json()["name"]) == (200, "theirs")
    rotated = await person.ask("POST", f"{SELF}/rotate", json_body={"overlapSeconds": 600})
    assert rotated.status == 201
    new = rotated.json()["token"]
    assert new["id"] == shown.json()["id"]
    assert new["token"].startswith("rtk_")
    assert [(await Person(service, each).get("/validate")).status for each in (secret, new["token"])] == [200, 200]
    again = await person.ask("POST", f"{SELF}/rotate", json_body={})
    assert (again.status, again.json()["code"]) == (409, "rotated_already")
    assert (await person.ask("DELETE", SELF)).status == 200
    assert [(await Person(service, each).get("/validate")).status for each in (secret, new["token"])] == [401, 401]
    assert (await person.get(SELF)).status == 401


async def test_a_lost_answer_to_its_rotation_is_asked_for_again(service: Service) -> None:
    person = await holder_of(service, SECRETS[0], "sha256", scopes=["self:rotate"])
    asked = {"json_body": {"overlapSeconds": 600}, "headers": {"Idempotency-Key": "k-1"}}
    answers = [await person.ask("POST", f"{SELF}/rotate", **asked) for _ in range(2)]
    assert {answer.status for answer in answers} == {201}
    assert len({answer.json()["token"]["token"] for answer in answers}) == 1


async def test_it_knows_itself_after_a_change_of_the_server_key(make_service: MakeService) -> None:
    before = await make_service()
    await holder_of(before, SECRETS[0], "secret", scopes=["self:rotate"])
    after = await make_service(secret_key="another server key, long enough to be one", secret_key_previous=SERVER_KEY)
    person = Person(after, SECRETS[0])
    assert (await person.get(SELF)).status == 200
    rotated = await person.ask("POST", f"{SELF}/rotate", json_body={})
    assert rotated.status == 201
    assert [
        (await Person(after, each).get(SELF)).status for each in (SECRETS[0], rotated.json()["token"]["token"])
    ] == [401, 200]


async def test_its_terms_bind_it_here_as_well(service: Service) -> None:
    person = await holder_of(service, SECRETS[0], "secret", allowedNetworks=["198.51.100.0/24"])
    assert [(await person.ask(method, SELF)).status for method in ("GET", "DELETE")] == [401, 401]
    inside = Person(service, SECRETS[0], address="198.51.100.1")
    refused = await inside.ask("POST", f"{SELF}/rotate", json_body={})
    assert (refused.status, refused.json()["code"]) == (403, "insufficient_scope")
    assert (await inside.ask("DELETE", SELF)).status == 200


async def test_its_holder_revokes_it_by_oauth(service: Service) -> None:
    person = await holder_of(service, SECRETS[0], "sha256")
    form = {"content-type": "application/x-www-form-urlencoded"}
    answer = await Person(service).ask("POST", "/oauth2/revoke", body=f"token={SECRETS[0]}".encode(), headers=form)
    assert answer.status == 200
    assert (await person.get("/validate")).status == 401
