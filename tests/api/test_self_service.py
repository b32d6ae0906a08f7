"""Self-service: the holder of a managed token, by the token itself."""

import asyncio
from typing import Any

import pytest

from service.app import Service
from tests.api.world import TOKENS, World
from tests.asgi import Answer, Person, sign_in
from tests.builders import ADMIN, all_keys, audit

SELF = "/api/tokens/self"


async def made(service: Service, **terms: Any) -> tuple[Person, dict[str, Any]]:
    """The holder of a new token, and the token."""
    created = await (await sign_in(service)).create("mine", **terms)
    return Person(service, created["token"]), created


async def rotate(person: Person, overlap: int = 0, key: str = "") -> Answer:
    headers = {"Idempotency-Key": key} if key else {}
    return await person.ask("POST", f"{SELF}/rotate", json_body={"overlapSeconds": overlap}, headers=headers)


async def test_the_holder_sees_its_own_record_masked(service: Service) -> None:
    person, created = await made(service, scopes=["a"])
    shown = await person.get(SELF)
    assert shown.status == 200
    assert shown.json() == {**created, "token": f"****-****-****-{created['token'][-8:]}"}


@pytest.mark.parametrize("header", ["X-API-Key", "X-Token", "Authorization"])
async def test_the_token_may_come_in_any_of_the_gateways_headers(service: Service, header: str) -> None:
    _, created = await made(service)
    value = f"bearer {created['token']}" if header == "Authorization" else created["token"]
    assert (await Person(service).ask("GET", SELF, headers={header: value})).status == 200


async def test_reading_itself_spends_nothing_and_works_at_the_end_of_a_limit(service: Service) -> None:
    person, _ = await made(service, maxUses=3, limits=[{"limit": 1, "periodSeconds": 3600}])
    for _ in range(3):
        assert (await person.get(SELF)).json()["usesLeft"] == 3
    assert [(await person.get("/validate")).status for _ in range(2)] == [200, 429]
    assert (await person.get(SELF)).json()["usesLeft"] == 2
    assert (await person.ask("DELETE", SELF)).status == 200


async def test_a_token_without_uses_sees_and_ends_itself_and_does_no_more(service: Service) -> None:
    scopes = ["self:rotate", "self:derive"]
    person, created = await made(service, maxUses=1, scopes=scopes)
    below = (await person.post(f"{SELF}/derive", {})).json()["token"]
    derived = Person(service, below["token"])
    assert [(await one.get("/validate")).status for one in (person, derived)] == [200, 401]
    for one in (person, derived):
        assert [(await one.post(f"{SELF}/{word}", {})).status for word in ("rotate", "derive")] == [401, 401]
        assert (await one.get(SELF)).json()["usesLeft"] == 0
    for one in (derived, person):
        assert (await one.ask("DELETE", SELF)).status == 200
        assert (await one.get(SELF)).status == 401
    shown = await (await sign_in(service)).get(f"{TOKENS}/{created['id']}")
    assert shown.json()["status"] == "revoked"


async def test_the_holder_revokes_its_token(service: Service) -> None:
    person, created = await made(service)
    answer = await person.ask("DELETE", SELF)
    assert (answer.status, answer.json()) == (200, {"message": "API token revoked successfully"})
    assert (await person.get("/validate")).status == 401
    assert (await person.ask("DELETE", SELF)).status == 401
    entry = next(entry for entry in await audit(service) if entry.action == "token.revoked")
    assert (entry.actor, entry.target, entry.channel) == (f"token:{created['id']}", created["id"], "self")


async def test_of_revocations_at_once_one_is_counted_and_told(service: Service) -> None:
    person, _ = await made(service)
    answers = await asyncio.gather(*[person.ask("DELETE", SELF) for _ in range(20)])
    assert {answer.status for answer in answers} <= {200, 401}
    assert [answer.status for answer in answers].count(200) > 1
    assert [entry.action for entry in await audit(service)].count("token.revoked") == 1
    assert 'tokens_revoked_total{kind="managed"} 1.0' in (await service.metrics.render(""))[0].decode()


@pytest.mark.parametrize("overlap", [0, 60])
async def test_a_holder_is_not_told_that_a_token_is_revoked_which_was_rotated_meanwhile(
    service: Service, monkeypatch: pytest.MonkeyPatch, overlap: int
) -> None:
    """An old secret in its overlap ends the token; one that ended at once does not, and its holder is told so."""
    person, created = await made(service)
    revocation, newest = service.rules.managed.revocation, ""
    revoke = revocation.revoke

    async def outrun(*given: Any) -> bool:
        nonlocal newest
        newest = (await service.rules.managed.rotation.rotate(created["id"], ADMIN, overlap_seconds=overlap)).secret
        return await revoke(*given)

    monkeypatch.setattr(revocation, "revoke", outrun)
    answer = await person.ask("DELETE", SELF)
    assert (answer.status, (await Person(service, newest).get("/validate")).status) == (
        (200, 401) if overlap else (401, 200)
    )


@pytest.mark.parametrize(
    ("room", "verb", "method", "path", "status"),
    [
        ("tokens", "get", "GET", SELF, 401),
        ("rotation", "rotate", "POST", f"{SELF}/rotate", 401),
        ("revocation", "revoke", "DELETE", SELF, 200),
    ],
)
async def test_a_token_that_is_lost_while_its_holder_asks_is_no_404(
    service: Service, monkeypatch: pytest.MonkeyPatch, room: str, verb: str, method: str, path: str, status: int
) -> None:
    """As by a failover to a server that had not heard of it: what was to end has ended."""
    person, _ = await made(service, scopes=["self:rotate"])
    rules = getattr(service.rules.managed, room)
    ask = getattr(rules, verb)

    async def outrun(*given: Any, **terms: Any) -> Any:
        await service.stores.shards[0].link.execute("DEL", *await all_keys(service))
        return await ask(*given, **terms)

    monkeypatch.setattr(rules, verb, outrun)
    assert (await person.ask(method, path)).status == status


async def test_rotating_needs_its_scope(service: Service) -> None:
    person, _ = await made(service, scopes=["self:read"])
    answer = await rotate(person)
    assert (answer.status, answer.json()["code"]) == (403, "insufficient_scope")
    assert answer.headers["www-authenticate"].endswith('error="insufficient_scope", scope="self:rotate"')
    assert (await person.get("/validate")).status == 200


@pytest.mark.parametrize("scope", ["self:rotate", "self:*"])
async def test_the_holder_rotates_its_token(service: Service, scope: str) -> None:
    person, created = await made(service, scopes=[scope])
    answer = await rotate(person)
    assert answer.status == 201
    assert answer.json()["message"] == "API token rotated successfully"
    assert answer.json()["token"]["id"] == created["id"]
    assert (await person.get(SELF)).status == 401
    assert (await Person(service, answer.json()["token"]["token"]).get(SELF)).status == 200


async def test_of_rotations_at_once_one_holder_gets_the_secret(service: Service) -> None:
    person, _ = await made(service, scopes=["self:rotate"])
    answers = await asyncio.gather(*[rotate(person, 600) for _ in range(20)])
    statuses = [answer.status for answer in answers]
    assert statuses.count(201) == 1
    assert set(statuses) <= {201, 409}
    assert {answer.json()["code"] for answer in answers if answer.status == 409} == {"rotated_already"}
    assert (await person.get(SELF)).json()["rotations"] == 1


async def test_an_old_secret_may_read_repeat_its_request_and_revoke_but_not_rotate(service: Service) -> None:
    person, _ = await made(service, scopes=["self:rotate"])
    first = await rotate(person, 600, key="k-1")
    assert (await rotate(person, 600, key="k-1")).json()["token"]["token"] == first.json()["token"]["token"]
    assert (await rotate(person, 600, key="k-2")).status == 409
    assert (await rotate(person, 600)).status == 409
    assert (await person.get(SELF)).status == 200
    assert (await person.ask("DELETE", SELF)).status == 200
    assert (await Person(service, first.json()["token"]["token"]).get("/validate")).status == 401


async def test_who_is_no_holder(service: Service, admin: Person) -> None:
    one_time = (await admin.post("/api/one-time-tokens", {})).json()["token"]
    _, created = await made(service, scopes=["self:rotate"])
    await admin.ask("PATCH", TOKENS, json_body={"id": created["id"], "isActive": False})
    for method, path in (("GET", SELF), ("DELETE", SELF), ("POST", f"{SELF}/rotate")):
        absent = await Person(service).ask(method, path)
        assert (absent.status, absent.headers["www-authenticate"]) == (401, 'Bearer realm="tokens"')
        for secret in (admin.secret, one_time, created["token"], "rtk_" + "0" * 64, "nonsense"):
            refused = await Person(service, secret).ask(method, path)
            assert (refused.status, refused.json()["code"]) == (401, "invalid_token")


async def test_two_different_credentials_are_none(service: Service) -> None:
    person, _ = await made(service, scopes=["self:rotate"])
    for method, path in (("DELETE", SELF), ("POST", f"{SELF}/rotate"), ("GET", SELF)):
        for headers in ({"X-API-Key": "another"}, {"X-Token": person.secret, "X-API-Key": "another"}):
            assert (await person.ask(method, path, headers=headers)).status == 401
    assert (await person.ask("GET", SELF, headers={"X-API-Key": person.secret})).status == 200


async def test_a_token_bound_to_networks_manages_itself_from_there_alone(service: Service) -> None:
    _, created = await made(service, scopes=["self:rotate"], allowedNetworks=["192.0.2.0/24", "2001:db8::/32"])
    for address, status in (("192.0.2.9", 200), ("2001:db8::1", 200), ("198.51.100.1", 401), ("", 401)):
        person = Person(service, created["token"], address=address)
        assert (await person.get(SELF)).status == status
    assert (await rotate(Person(service, created["token"], address="198.51.100.1"))).status == 401


async def test_a_revocation_by_the_holder_holds_in_every_process(world: World) -> None:
    for _ in range(5):
        secret = world.secret()
        assert world.ask("DELETE", SELF, bearer=secret).status == 200
        assert {world.validate(secret).status for _ in range(8)} == {401}
