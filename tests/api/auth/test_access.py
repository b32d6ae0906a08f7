"""Who may call what: every operation with every kind of caller, and what the document says of it."""

import re
from itertools import count
from urllib.parse import parse_qsl, urlencode

import pytest

from service.api.http.access import ANYONE
from service.app import Service
from tests.api.auth.test_jwt import SECRET, token
from tests.api.samples import SAMPLES, Sample
from tests.asgi import Person, holder, sign_in
from tests.conftest import PASSWORD, MakeService

SCOPES = (
    "tokens:read",
    "tokens:write",
    "tokens:admin",
    "introspect",
    "revoke",
    "self:rotate",
    "self:derive",
    "one-time:issue",
)
ACCOUNTS = {"admin": "admin", "viewer": "vera", "user": "uma"}
_numbers = count(1)
HOLDERS = frozenset({"no scope", *SCOPES})
EVERYONE = frozenset({"nobody", "jwt", *ACCOUNTS}) | HOLDERS
# The whole table. What is not named here is refused: 401 for callers who are not known, 403 for the others.
MAY = {
    "": EVERYONE,
    "read": {"admin", "jwt", "viewer", "tokens:read"},
    "write": {"admin", "jwt", "tokens:write"},
    "admin": {"admin", "jwt", "tokens:admin"},
    "webhooks": {"admin", "jwt", "viewer", "tokens:admin"},
    "person": {"admin", "jwt"},
    "issue": {"admin", "jwt", "nobody", "one-time:issue"},
    "client": {"admin", "jwt", "viewer", "introspect"},
    # Without a credential the token in the form is proof enough.
    "revoking client": {"admin", "jwt", "nobody", "revoke"},
    "holder": HOLDERS,
    "rotating holder": {"self:rotate"},
    "deriving holder": {"self:derive"},
    "gateway": HOLDERS | {"admin", "viewer", "user"},
    "one-time gateway": set[str](),
}


@pytest.fixture
async def service(make_service: MakeService) -> Service:
    return await make_service(
        admin_jwt_secret=SECRET, admin_jwt_issuer="https://id.example", admin_jwt_audience="tokens"
    )


async def caller(service: Service, kind: str) -> Person:
    """Somebody of this kind; the holder of a token that nobody used before."""
    if kind == "nobody":
        return Person(service)
    if kind == "jwt":
        return Person(service, token(service))
    if kind in ACCOUNTS:
        return await sign_in(service, ACCOUNTS[kind])
    number = next(_numbers)
    return await holder(service, f"number:{number}", *([] if kind == "no scope" else [kind]))


async def ask(person: Person, sample: Sample) -> int:
    path, _, query = sample.path.partition("?")
    json_body = sample.json_body
    if path == "/api/token" and sample.method == "POST":
        json_body = {"username": "admin", "password": PASSWORD}
    text = urlencode(sample.form) if sample.form else sample.lines
    answer = await person.ask(
        sample.method,
        path,
        query=dict(parse_qsl(query)),
        json_body=json_body,
        body=text.encode(),
        headers={"content-type": sample.media_type} if text else {},
    )
    return answer.status


@pytest.mark.parametrize("kind", sorted(EVERYONE))
async def test_every_operation_is_open_to_those_it_is_for_and_to_nobody_else(service: Service, kind: str) -> None:
    wrong = {}
    person = await caller(service, kind)
    for sample in SAMPLES:
        if kind in HOLDERS:
            person = await caller(service, kind)
        status = await ask(person, sample)
        if (status not in (401, 403)) != (kind in MAY[sample.needs]):
            wrong[str(sample)] = status
    assert wrong == {}


async def test_the_table_has_every_operation_and_what_is_not_described_is_open_to_all(service: Service) -> None:
    described = [operation for operation in service.application.operations if not operation.hidden]
    templates = {(operation.method, re.sub(r":\w+}", "}", operation.path)) for operation in described}
    sampled = {(sample.method, sample.template) for sample in SAMPLES}
    assert {(method, path) for method, path in templates if method != "*"} | {
        (method, path) for _, path in {one for one in templates if one[0] == "*"} for method in ("GET", "POST")
    } == sampled
    assert {operation.access for operation in service.application.operations if operation.hidden} == {ANYONE}


async def test_the_document_says_who_may(service: Service) -> None:
    paths = (await Person(service).get("/openapi.json")).json()["paths"]
    for sample in SAMPLES:
        operation = paths[sample.template][sample.method.lower()]
        ways = operation.get("security", [{}])
        scopes = [sample.scope] if sample.scope else []
        assert [found for way in ways for found in way.values()] == [scopes] * sum(map(bool, ways)), sample
        assert ({} in ways) == ("nobody" in MAY[sample.needs]), sample
        assert (f"`{sample.scope}`" if sample.scope else "For ") in operation["description"], sample
