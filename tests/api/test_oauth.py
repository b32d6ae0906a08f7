"""The wire of OAuth: RFC 7662 introspection, RFC 7009 revocation, RFC 8414 metadata."""

import time
from typing import Any

import pytest

from tests.api.admin.test_tokens_create import epoch
from tests.api.world import World

INTROSPECT = "/oauth2/introspect"
REVOKE = "/oauth2/revoke"
CONSUME = "/api/one-time-tokens/consume"


def introspect(world: World, token: str, **credential: Any) -> dict[str, Any]:
    answer = world.post(INTROSPECT, form={"token": token}, **(credential or {"bearer": world.admin}))
    assert (answer.status, answer.media_type) == (200, "application/json"), answer
    assert answer.header("cache-control") == "no-store"
    claims: dict[str, Any] = answer.json()
    return claims


def test_a_managed_token_is_introspected_with_every_claim(world: World) -> None:
    token = world.create(subject="svc:a", scopes=["a", "b:*"])
    claims = introspect(world, token["token"])
    assert claims == {
        "active": True,
        "scope": "a b:*",
        "client_id": "admin",
        "username": "svc:a",
        "sub": "svc:a",
        "jti": token["id"],
        "token_type": "Bearer",
        "iat": epoch(token["createdAt"]),
        "exp": epoch(token["expiresAt"]),
    }
    assert all(isinstance(claims[name], int) for name in ("iat", "exp"))


def test_a_derived_token_is_introspected_with_the_one_it_comes_from(world: World) -> None:
    parent = world.create(scopes=["self:derive"])
    for _ in range(2):
        answer = world.post("/api/tokens/self/derive", json_body={}, bearer=parent["token"])
        derived = answer.json()["token"]
        assert introspect(world, derived["token"])["parent_jti"] == parent["id"]
        parent = derived


def test_a_token_without_subject_is_introspected_without_one(world: World) -> None:
    token = world.create(scopes=["a"])
    claims = introspect(world, token["token"])
    assert claims == {
        "active": True,
        "scope": "a",
        "client_id": "admin",
        "jti": token["id"],
        "token_type": "Bearer",
        "iat": epoch(token["createdAt"]),
        "exp": epoch(token["expiresAt"]),
    }


def test_a_session_and_a_one_time_token_are_introspected_and_stay_unspent(world: World) -> None:
    one_time = world.one_time(subject="order-7")
    for _ in range(2):
        claims = introspect(world, one_time)
        assert (claims["active"], claims["sub"]) == (True, "order-7")
    assert world.post(CONSUME, {"token": one_time}).json()["valid"] is True
    claims = introspect(world, world.user)
    assert (claims["sub"], claims["username"], claims["token_type"]) == ("uma", "uma", "Bearer")
    assert claims["exp"] > time.time()


def test_anything_unusable_is_inactive_and_nothing_more(world: World) -> None:
    revoked = world.create()
    world.ask("DELETE", f"/api/admin/tokens?id={revoked['id']}", bearer=world.admin)
    inactive = world.create()
    world.change(id=inactive["id"], isActive=False)
    spent = world.one_time()
    world.post(CONSUME, {"token": spent})
    for token in (revoked["token"], inactive["token"], spent, "", "x", "é", "A" * 64, "rtk_" + "0" * 64):
        assert introspect(world, token) == {"active": False}


def test_the_hint_is_ignored(world: World) -> None:
    secret = world.secret()
    for hint in ("refresh_token", "nonsense", ""):
        form = {"token": secret, "token_type_hint": hint}
        assert world.post(INTROSPECT, form=form, bearer=world.admin).json()["active"] is True


def test_the_caller_authenticates_in_any_of_the_ways_of_rfc_6749(world: World) -> None:
    client = world.create(scopes=["introspect"])
    for credential in (
        {"basic": ("admin", world.password)},
        {"basic": ("vera", world.password)},
        {"bearer": world.viewer},
        {"basic": (client["id"], client["token"])},
        {"bearer": client["token"]},
    ):
        assert introspect(world, "x", **credential) == {"active": False}
    for name, secret in (("admin", world.password), (client["id"], client["token"])):
        form = {"token": "x", "client_id": name, "client_secret": secret}
        assert world.post(INTROSPECT, form=form).json() == {"active": False}


def test_a_client_over_its_rate_limit_is_told_to_wait(world: World) -> None:
    limit = {"limit": 1, "periodSeconds": 86400}
    client = world.create(scopes=["introspect", "revoke"], limits=[limit])
    assert world.validate(client["token"]).status == 200
    for path in (INTROSPECT, REVOKE):
        for credential in ({"bearer": client["token"]}, {"basic": (client["id"], client["token"])}):
            answer = world.post(path, form={"token": "x"}, **credential)
            answer.problem(429, "rate_limited")
            assert int(answer.header("retry-after") or 0) > 0
    world.post("/validate/batch", {"tokens": ["x"]}, bearer=client["token"]).problem(429, "rate_limited")
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "x"}}
    world.post("/k8s/tokenreview", review, bearer=client["token"]).problem(429, "rate_limited")


def test_any_other_caller_is_an_invalid_client(world: World) -> None:
    client, other = world.create(scopes=["introspect"]), world.create(scopes=["tokens:*"])
    for credential in (
        {},
        {"bearer": world.user},
        {"bearer": other["token"]},
        {"bearer": world.one_time()},
        {"bearer": "x"},
        {"basic": ("uma", world.password)},
        {"basic": ("nobody", "x")},
        {"basic": (other["id"], client["token"])},
        {"basic": ("admin", client["token"])},
        {"headers": {"Authorization": "Basic !!!"}},
        {"headers": {"Authorization": "Basic YWRtaW4="}},
        {"headers": {"X-Token": world.admin}},
    ):
        for path in (INTROSPECT, REVOKE):
            if path == REVOKE and credential in ({}, {"headers": {"X-Token": world.admin}}):
                continue
            answer = world.post(path, form={"token": "x"}, **credential)  # type: ignore[arg-type]
            assert (answer.status, answer.json()) == (401, {"error": "invalid_client"}), (path, credential)
            presents_none = credential in ({}, {"headers": {"X-Token": world.admin}})
            refused = "" if presents_none else ', error="invalid_token"'
            assert answer.header("www-authenticate") == f'Basic realm="tokens", Bearer realm="tokens"{refused}'


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
@pytest.mark.parametrize(
    ("body", "description"),
    [
        (b"other=x", "token is missing"),
        (b"", "token is missing"),
        (b"token=a&token=b", "A field is given twice."),
        (b"token=a&client_id=b&client_id=b", "A field is given twice."),
        (b"token=%ff", "The query or form is not valid UTF-8 percent-encoding."),
        (b"token=\xff", "The query or form is not valid UTF-8 percent-encoding."),
        (b"token=a" + b"&" * 200, "The query or form has more than 200 fields."),
    ],
)
def test_a_wrong_form_is_an_invalid_request_as_rfc_6749_has_it(
    world: World, path: str, body: bytes, description: str
) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = world.post(path, body=body, headers=form, bearer=world.admin)
    assert (answer.status, answer.media_type, answer.header("cache-control")) == (400, "application/json", "no-store")
    assert answer.json() == {"error": "invalid_request", "error_description": description}


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
def test_what_rfc_6749_has_no_word_for_is_a_problem(world: World, path: str) -> None:
    world.post(path, {"token": "x"}, bearer=world.admin).problem(415, "unsupported_media_type")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    world.post(path, body=b"token=" + b"x" * 16384, headers=form).problem(413, "payload_too_large")
    world.get(path).problem(405, "method_not_allowed")


def test_the_holder_of_a_token_may_revoke_it_by_the_token_alone(world: World) -> None:
    for token in (world.secret(), world.client.sign_in("uma", world.password)):
        assert world.validate(token).status == 200
        for _ in range(2):
            answer = world.post(REVOKE, form={"token": token, "token_type_hint": "access_token"})
            assert (answer.status, answer.body) == (200, b"")
            assert world.validate(token).status == 401


def test_white_space_around_a_token_leaves_nothing_alive_behind_a_200(world: World) -> None:
    """As of a file with a line's end: `curl --data-urlencode token@file`."""
    for padding in ("{}\n", "\t{}\r\n", " {} "):
        for token in (world.secret(), world.client.sign_in("uma", world.password)):
            assert world.post(REVOKE, form={"token": padding.format(token)}).status == 200
            assert world.validate(token).status == 401
        session = world.client.sign_in("uma", world.password)
        assert world.ask("DELETE", "/api/token", json_body={"token": padding.format(session)}).status == 200
        assert world.validate(session).status == 401


def test_revoking_what_never_was_is_200_as_well(world: World) -> None:
    for token in ("x", "", "A" * 64, "rtk_" + "0" * 64):
        answer = world.post(REVOKE, form={"token": token})
        assert (answer.status, answer.body) == (200, b"")


def test_a_client_with_the_scope_may_revoke_and_one_without_may_not(world: World) -> None:
    token, revoker, looker = world.secret(), world.secret(scopes=["revoke"]), world.secret(scopes=["introspect"])
    for refused in (looker, world.viewer):
        answer = world.post(REVOKE, form={"token": token}, bearer=refused)
        assert (answer.status, answer.json()) == (401, {"error": "invalid_client"})
        assert world.validate(token).status == 200
    assert world.post(REVOKE, form={"token": token}, bearer=revoker).status == 200
    assert world.validate(token).status == 401


def test_who_revoked_as_a_client_is_told_as_everywhere(world: World) -> None:
    client = world.create(scopes=["revoke"])
    pair = {"basic": (client["id"], client["token"])}
    actors = {}
    for actor, credential in (("admin", {"bearer": world.admin}), (f"token:{client['id']}", pair)):
        ended = world.create()
        assert world.post(REVOKE, form={"token": ended["token"]}, **credential).status == 200
        path = f"/api/admin/audit?target={ended['id']}&action=token.revoked"
        (entry,) = world.get(path, bearer=world.admin).json()["entries"]
        actors[actor] = (entry["actor"], entry["channel"])
    assert actors == {actor: (actor, "oauth") for actor in actors}


def test_the_metadata_names_both_endpoints(world: World) -> None:
    answer = world.get("/.well-known/oauth-authorization-server", headers={"Host": "localhost"})
    assert (answer.status, answer.media_type) == (200, "application/json")
    body = answer.json()
    assert body["issuer"] == "http://localhost"
    for name, path in (("introspection", INTROSPECT), ("revocation", REVOKE)):
        assert body[f"{name}_endpoint"] == body["issuer"] + path
        methods = body[f"{name}_endpoint_auth_methods_supported"]
        assert {"client_secret_basic", "client_secret_post"} <= set(methods)


def test_a_client_id_without_a_secret_is_a_public_client(world: World) -> None:
    secret = world.secret()
    answer = world.ask("POST", "/oauth2/revoke", form={"token": secret, "client_id": "any"})
    assert (answer.status, world.validate(secret).status) == (200, 401)


def test_the_metadata_claims_no_grants_and_no_response_types(world: World) -> None:
    metadata = world.get("/.well-known/oauth-authorization-server").json()
    assert (metadata["grant_types_supported"], metadata["response_types_supported"]) == ([], [])
