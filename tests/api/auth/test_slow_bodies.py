"""A caller who was good when a request began, and is not before its last byte has come, or before that of the answer."""

from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest
from anyio import sleep_forever
from joserfc import jwt
from joserfc.jwk import OctKey
from msgspec.structs import replace

from service.api.auth.callers import Callers
from service.api.http.access import READ
from service.api.http.call import Call
from service.api.pages import files
from service.app import Service
from service.errors import Unauthorized
from service.model import Role
from service.tokens.accounts.jwt import LEEWAY_SECONDS
from tests.api.samples import SAMPLES, Sample
from tests.asgi import Person, holder, sign_in
from tests.builders import dump
from tests.conftest import PASSWORD, Clock, MakeService

TOKENS = "/api/admin/tokens"
NEW = {"name": "made meanwhile", "duration": "7days"}
# By the paths of what is asked before the body is read.
ASKED: dict[str, Any] = {
    "/validate/batch": {"tokens": ["0" * 32]},
    "/k8s/tokenreview": {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "x"}},
}
OF_TOKENS = [sample for sample in SAMPLES if sample.has_body and sample.scope]


@pytest.mark.parametrize("sample", OF_TOKENS, ids=str)
async def test_a_token_that_is_revoked_before_its_body_is_whole_does_nothing(still: Service, sample: Sample) -> None:
    admin, person = await sign_in(still), await holder(still, sample.scope, "self:rotate", "self:derive")
    before: dict[bytes, Any] = {}

    async def revoke() -> None:
        assert (await person.ask("DELETE", "/api/tokens/self")).status == 200
        before.update(await dump(still))

    path, _, query = sample.path.partition("?")
    answer = await person.ask(
        sample.method,
        path,
        query=dict(pair.split("=") for pair in query.split("&") if pair),
        json_body=sample.json_body,
        body=(urlencode(sample.form) if sample.form else sample.lines).encode(),
        headers={"content-type": sample.media_type},
        meanwhile=revoke,
    )
    assert answer.status == 401, answer
    assert await dump(still) == before
    assert (await admin.get(f"{TOKENS}/stats")).json()["revoked"] == 1


async def test_a_session_that_is_ended_before_its_body_is_whole_does_nothing(still: Service) -> None:
    admin, other = await sign_in(still), await sign_in(still)

    async def end() -> None:
        await other.ask("DELETE", "/api/token", json_body={"token": admin.secret})

    assert (await admin.ask("POST", TOKENS, json_body=NEW, meanwhile=end)).status == 401
    assert (await other.get(TOKENS)).json()["tokens"] == []


async def test_a_token_that_may_less_before_its_body_is_whole_gives_nothing_away(still: Service) -> None:
    admin = await sign_in(still)
    held = await admin.create("held", scopes=["tokens:write", "orders:*"])

    async def narrow() -> None:
        await admin.ask("PATCH", TOKENS, json_body={"id": held["id"], "scopes": ["tokens:write"]})

    wide = {**NEW, "scopes": ["orders:read"]}
    answer = await Person(still, held["token"]).ask("POST", TOKENS, json_body=wide, meanwhile=narrow)
    assert (answer.status, answer.json()["code"]) == (503, "store_unavailable")
    assert [token["name"] for token in (await admin.get(TOKENS)).json()["tokens"]] == ["held"]


@pytest.mark.parametrize("path", ["/validate/batch", "/k8s/tokenreview"])
@pytest.mark.parametrize("is_session", [True, False])
@pytest.mark.parametrize("kept", [None, Role.USER])
async def test_an_account_that_goes_or_loses_its_role_before_its_body_is_whole_is_told_nothing(
    still: Service, path: str, is_session: bool, kept: Role | None
) -> None:
    person = await sign_in(still, "vera") if is_session else Person(still)
    basic = b64encode(f"vera:{PASSWORD}".encode()).decode()
    known = still.rules.accounts.known
    vera = known.get("vera")
    assert vera is not None

    async def reload() -> None:
        known.replace({} if kept is None else {"vera": replace(vera, role=kept)})

    answer = await person.ask(
        "POST",
        path,
        json_body=ASKED[path],
        headers={} if is_session else {"authorization": f"Basic {basic}"},
        meanwhile=reload,
    )
    # A session goes on with another role, and is told so when it asks again.
    assert answer.status == (503 if is_session and kept else 401), answer


async def test_a_role_that_is_lost_before_a_body_is_whole_changes_nothing(still: Service) -> None:
    admin, known = await sign_in(still), still.rules.accounts.known
    of_file = dict(known.items())

    async def reload() -> None:
        known.replace({**of_file, "admin": replace(of_file["admin"], role=Role.VIEWER)})

    assert (await admin.ask("POST", TOKENS, json_body=NEW, meanwhile=reload)).status == 503
    assert (await admin.ask("POST", TOKENS, json_body=NEW)).status == 403
    assert (await admin.get(TOKENS)).json()["tokens"] == []


async def test_a_jwt_that_ends_before_its_body_is_whole_does_nothing(make_service: MakeService, clock: Clock) -> None:
    secret, issuer = "a secret of the identity provider, long enough", "https://id.example"
    service = await make_service(
        background=False, admin_jwt_secret=secret, admin_jwt_issuer=issuer, admin_jwt_audience="tokens"
    )
    claims = {"iss": issuer, "aud": "tokens", "exp": int(clock()) + 60, "sub": "alice", "role": "admin"}
    alice = Person(service, jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(secret)))

    async def end() -> None:
        clock.forward(60 + LEEWAY_SECONDS + 1)

    assert (await alice.ask("POST", TOKENS, json_body=NEW, meanwhile=end)).status == 401
    assert (await (await sign_in(service)).get(TOKENS)).json()["tokens"] == []


@pytest.mark.parametrize("terms", [{"maxUses": 1}, {"rateLimit": {"limit": 1, "periodSeconds": 3600}}], ids=str)
async def test_the_last_use_of_a_token_may_have_a_slow_body_too(still: Service, terms: dict[str, Any]) -> None:
    held = await (await sign_in(still)).create("held", scopes=["introspect"], **terms)

    async def nothing() -> None:
        """It comes late, that is all."""

    asked = {"tokens": ["0" * 32]}
    answer = await Person(still, held["token"]).ask("POST", "/validate/batch", json_body=asked, meanwhile=nothing)
    assert answer.status == 200, answer


@pytest.mark.parametrize("seconds", [0.0, 3600.0])
async def test_a_download_is_cut_when_its_caller_s_token_ends(
    still: Service, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Asked about again each second: who reads slowly would learn for hours what is new."""
    monkeypatch.setattr(files, "_ASKED_EVERY_SECONDS", seconds)
    monkeypatch.setattr("service.api.http.bodies._PIECE_BYTES", 1)
    admin = await sign_in(still)
    sent: list[bytes] = []

    async def lines() -> AsyncIterator[list[bytes]]:
        yield [b"before"]
        await Person(still).ask("DELETE", "/api/token", json_body={"token": admin.secret})
        yield [b"after"]

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    async def receive() -> Any:
        await sleep_forever()

    scope = {"type": "http", "method": "GET", "headers": []}
    call = Call(scope, receive, {b"authorization": f"Bearer {admin.secret}".encode()}, "r1", "192.0.2.7")
    call.access = READ
    await Callers(still.rules.authority, jwt=None, cookie=lambda _: None).admit(call)
    download = files.Download(call, lines(), "text/csv", "x.csv")
    if seconds:
        await download(scope, receive, send)
    else:
        with pytest.raises(Unauthorized):
            await download(scope, receive, send)
    assert [one for one in sent if one] == [b"before", *([b"after"] if seconds else [])]
