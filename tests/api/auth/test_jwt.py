"""Administrators' JWTs at the door."""

import json
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from service.app import Service
from tests.api.world import TOKENS
from tests.asgi import Person
from tests.builders import audit
from tests.conftest import MakeService

SECRET = "a secret of the identity provider, long enough"
KEY = OctKey.import_key(SECRET)


def token(service: Service, key: Any = KEY, algorithm: str = "HS256", **claims: Any) -> str:
    """A JWT of an administrator of five minutes."""
    exp = int(service.clock()) + 300
    body = {"iss": "https://id.example", "aud": "tokens", "exp": exp, "sub": "alice@example", "role": "admin"}
    return jwt.encode({"alg": algorithm}, {**body, **claims}, key, algorithms=[algorithm])


@pytest.fixture(params=[1, 16])
async def service(request: pytest.FixtureRequest, make_service: MakeService) -> Service:
    return await make_service(
        shards=request.param,
        admin_jwt_secret=SECRET,
        admin_jwt_issuer="https://id.example",
        admin_jwt_audience="tokens",
    )


async def test_an_administrators_jwt_opens_the_administration_and_its_subject_is_the_actor(service: Service) -> None:
    person = Person(service, token(service))
    created = await person.create("ci")
    assert (created["createdBy"], created["subject"]) == ("alice@example", "")
    assert (await person.get(TOKENS)).json()["total"] == 1
    assert (await person.ask("DELETE", TOKENS, query={"id": created["id"]})).status == 200
    entries = [entry for entry in await audit(service) if entry.target == created["id"]]
    assert {(entry.actor, entry.channel) for entry in entries} == {("alice@example", "jwt")}


async def test_an_administrators_jwt_opens_what_programs_ask(service: Service) -> None:
    person = Person(service, token(service))
    created = await person.create("ci")
    form = {"content-type": "application/x-www-form-urlencoded"}
    asked = {"body": f"token={created['token']}".encode(), "headers": form}
    assert (await person.ask("POST", "/oauth2/introspect", **asked)).json()["active"]
    assert (await person.post("/validate/batch", {"tokens": ["x"]})).status == 200
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "x"}}
    assert (await person.post("/k8s/tokenreview", review)).status == 200
    assert (await person.ask("POST", "/oauth2/revoke", **asked)).status == 200
    assert (await audit(service))[-1].actor == "alice@example"
    for claims in ({"role": "user"}, {"iss": "other"}):
        refused = await Person(service, token(service, **claims)).ask("POST", "/oauth2/introspect", **asked)
        assert (refused.status, refused.json()) == (401, {"error": "invalid_client"})


async def test_without_the_claim_it_is_known_but_not_allowed(service: Service) -> None:
    answer = await Person(service, token(service, role="user")).get(TOKENS)
    assert (answer.status, answer.json()["code"]) == (403, "forbidden")


class Asked:
    """A link that counts what it is asked."""

    def __init__(self, link: Any) -> None:
        self._link = link
        self.count = 0

    async def execute(self, *args: Any, **more: Any) -> Any:
        self.count += 1
        return await self._link.execute(*args, **more)

    def submit(self, *args: Any, **more: Any) -> None:
        self.count += 1
        self._link.submit(*args, **more)


async def test_a_bad_one_is_401_and_asks_redis_nothing(make_service: MakeService) -> None:
    service = await make_service(
        background=False,
        wrap=Asked,
        admin_jwt_secret=SECRET,
        admin_jwt_issuer="https://id.example",
        admin_jwt_audience="tokens",
    )
    link = service.stores.shards[0].link
    for bad in (token(service, exp=1), token(service, iss="other"), "a.b.c", "..", "ey.ey.", "\u00e9.\u00e9.\u00e9"):
        answer = await Person(service, bad).get(TOKENS)
        assert answer.status == 401
        assert answer.json()["code"] == "invalid_token"
        assert answer.headers["www-authenticate"] == 'Bearer realm="tokens", error="invalid_token"'
        assert bad not in answer.body.decode() or bad == ".."
    assert link.count == 0
    assert (await Person(service, token(service)).get(TOKENS)).status == 200
    assert link.count > 0


async def test_a_jwt_is_no_token_for_gateways_or_for_itself(service: Service) -> None:
    person = Person(service, token(service))
    assert (await person.get("/api/admin/tokens")).status == 200
    for method, path in (("GET", "/validate"), ("GET", "/api/tokens/self"), ("DELETE", "/api/tokens/self")):
        assert (await person.ask(method, path)).status == 401


async def test_without_a_setting_no_jwt_is_read(make_service: MakeService) -> None:
    service = await make_service()
    assert (await Person(service, token(service)).get(TOKENS)).status == 401


async def test_keys_may_come_from_a_jwks(make_service: MakeService, tmp_path: Path) -> None:
    key = RSAKey.generate_key(2048)
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    service = await make_service(
        admin_jwt_jwks=str(path),
        admin_jwt_issuer="https://id.example",
        admin_jwt_audience="tokens",
        admin_jwt_claim="groups=token-admins",
    )
    good = token(service, key, "RS256", groups=["staff", "token-admins"])
    assert (await Person(service, good).get(TOKENS)).status == 200
    assert (await Person(service, token(service, groups=["token-admins"])).get(TOKENS)).status == 401


async def test_keys_that_cannot_be_fetched_are_503(make_service: MakeService) -> None:
    service = await make_service(
        admin_jwt_jwks="https://127.0.0.1:1/jwks", admin_jwt_issuer="https://id.example", admin_jwt_audience="tokens"
    )
    good = token(service, RSAKey.generate_key(2048), "RS256")
    answer = await Person(service, good).get(TOKENS)
    assert (answer.status, answer.json()["code"]) == (503, "keys_unavailable")
    assert answer.headers["retry-after"] == "1"
