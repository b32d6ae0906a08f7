"""The wire of /validate: which credential, which answer, and the same to a byte however it is asked."""

from urllib.parse import unquote

import pytest

from service.tokens.secret import with_checksum
from tests.api.wire import Answer, Raw
from tests.api.world import BY_ONE_PROCESS_AND_BY_FOUR, World, fresh

pytestmark = BY_ONE_PROCESS_AND_BY_FOUR

BARE = 'Bearer realm="tokens"'
INVALID = f'{BARE}, error="invalid_token"'
IDENTITY = ("x-token-id", "x-token-subject", "x-token-scopes", "x-token-kind", "remote-user", "x-auth-request-user")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW", "DESCRIBE")
PATHS = ("/validate", "/validate/envoy/", "/validate/envoy/any/thing?required_scope=unheld&x=%zz")


def identity(answer: Answer) -> dict[str, str | None]:
    """What an allowed request tells the gateway, after a look at what every allowed answer has."""
    assert (answer.status, answer.body) == (200, b""), answer
    assert answer.header("content-length") == "0"
    assert answer.header("cache-control") == "no-store"
    for name in IDENTITY:
        value = answer.header(name)
        assert value, f"{name} is {value!r}"
        assert value.isascii()
        assert value.isprintable()
    assert answer.header("remote-user") == answer.header("x-auth-request-user") == answer.header("x-token-subject")
    for name in ("set-cookie", "location", "www-authenticate", "content-type"):
        assert answer.header(name) is None
    return {name.removeprefix("x-token-"): answer.header(name) for name in (*IDENTITY, "x-token-name")}


def test_a_session_is_allowed_and_named_by_its_account(world: World) -> None:
    found = identity(world.validate(world.user))
    assert (found["subject"], found["scopes"], found["kind"], found["name"]) == ("uma", "-", "session", None)


def test_a_managed_token_is_allowed_with_what_it_says_of_itself(world: World) -> None:
    name = fresh("gâteway %")
    token = world.create(name=name, subject="svc:billing", scopes=["orders:read", "users:*"])
    found = identity(world.validate(token["token"]))
    assert (found["id"], found["subject"], found["kind"]) == (token["id"], "svc:billing", "managed")
    assert found["scopes"] == "orders:read users:*"
    assert unquote(found["name"] or "") == name


def test_a_managed_token_without_subject_speaks_for_nobody(world: World) -> None:
    for subject in ({}, {"subject": None}, {"subject": ""}):
        found = identity(world.validate(world.secret(**subject)))
        assert (found["subject"], found["scopes"]) == ("-", "-")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_and_every_form_of_the_path_get_one_answer(world: World, method: str, path: str) -> None:
    secret = world.secret()
    assert world.ask(method, path, bearer=secret).status == 200
    absent, bad = world.ask(method, path), world.ask(method, path, bearer="rtk_" + "0" * 64)
    assert (absent.status, absent.header("www-authenticate")) == (401, BARE)
    assert (bad.status, bad.header("www-authenticate")) == (401, INVALID)


def test_head_answers_the_headers_of_get(world: World) -> None:
    for secret in (world.secret(), "x", ""):
        asked = {"X-Request-Id": "same"}
        get = world.ask("GET", "/validate", bearer=secret, headers=asked)
        head = world.ask("HEAD", "/validate", bearer=secret, headers=asked)
        assert head.body == b""
        assert [pair for pair in head.headers if pair[0] != "date"] == [
            pair for pair in get.headers if pair[0] != "date"
        ]


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer {}"},
        {"Authorization": "bearer   {}  "},
        {"authorization": "BEARER {}"},
        {"X-API-Key": "{}"},
        {"X-Token": " {} "},
        {"Authorization": "Bearer {}", "X-API-Key": "{}", "X-Token": "{}"},
        {"Authorization": "Basic dXNlcjpwYXNz", "X-Token": "{}"},
    ],
)
def test_the_credential_may_come_by_any_of_three_headers(world: World, headers: dict[str, str]) -> None:
    secret = world.secret()
    sent = {name: value.format(secret) for name, value in headers.items()}
    assert world.get("/validate", headers=sent).status == 200


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/validate?token={}", {}),
        ("/validate?access_token={}", {}),
        ("/validate", {"Cookie": "tokens={}"}),
        ("/validate", {"Authorization": "Basic {}"}),
        ("/validate", {"Authorization": "{}"}),
        ("/validate", {"X-Original-URI": "/x?token={}"}),
        ("/validate/envoy/{}", {}),
    ],
)
def test_no_other_place_carries_a_credential(world: World, path: str, headers: dict[str, str]) -> None:
    secret = world.secret()
    answer = world.get(path.format(secret), headers={name: value.format(secret) for name, value in headers.items()})
    answer.problem(401, "unauthorized")
    assert answer.header("www-authenticate") == BARE


def test_two_different_credentials_are_none(world: World) -> None:
    one, other = world.secret(), world.secret()
    answer = world.get("/validate", bearer=one, headers={"X-API-Key": other})
    answer.problem(401, "invalid_token")
    with Raw(world.running.port) as raw:
        lines = "".join(f"X-Token: {secret}\r\n" for secret in (one, other))
        raw.send(f"GET /validate HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
        assert raw.answer().status == 401


def test_everything_that_is_wrong_with_a_token_is_answered_alike(world: World) -> None:
    inactive, revoked, one_time = world.create(), world.create(), world.one_time()
    world.change(id=inactive["id"], isActive=False)
    world.ask("DELETE", f"/api/admin/tokens?id={revoked['id']}", bearer=world.admin)
    ended = world.client.sign_in("uma", world.password)
    world.ask("DELETE", "/api/token", headers={"X-Token": ended})
    made_up = with_checksum("0" * 56)
    seen = set()
    for secret in (inactive["token"], revoked["token"], one_time, ended, made_up, "x", "é", "A" * 64, "0" * 32):
        answer = world.get("/validate", headers={"X-Token": secret, "X-Request-Id": "same"})
        answer.problem(401, "invalid_token")
        seen.add((tuple(pair for pair in answer.headers if pair[0] != "date"), answer.body))
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("granted", "query", "header", "missing"),
    [
        (["a", "b"], "required_scope=a&required_scope=b", None, None),
        (["a", "b"], "required_scope=a%20b", None, None),
        (["a"], "required_scope=a&required_scope=b", None, "b"),
        (["a"], "", "b", "b"),
        (["a"], "required_scope=a", "b,c", "b c"),
        (["a", "b"], "required_scope=a", "b", None),
        ([], "required_scope=a", None, "a"),
        (["orders:*"], "required_scope=orders:read", None, None),
        (["orders:*"], "required_scope=orders", None, "orders"),
        (["a"], "required_scope=A", None, "A"),
        (["a"], "required_scopes=b&scope=c", None, None),
    ],
)
def test_every_scope_asked_for_must_be_held(
    world: World, granted: list[str], query: str, header: str | None, missing: str | None
) -> None:
    headers = {"X-Required-Scope": header} if header else {}
    answer = world.get(f"/validate?{query}", bearer=world.secret(scopes=granted), headers=headers)
    if missing is None:
        assert answer.status == 200
    else:
        answer.problem(403, "insufficient_scope")
        assert answer.header("www-authenticate") == f'{BARE}, error="insufficient_scope", scope="{missing}"'


@pytest.mark.parametrize(
    "query", ["required_scope=", "required_scope=%ff", "required_scope=%22%5C", "required_scope=a%0d%0aX:y"]
)
def test_a_scope_that_nobody_can_hold_is_missing_and_never_reflected(world: World, query: str) -> None:
    answer = world.get(f"/validate?{query}", bearer=world.secret(scopes=["a", "b:*"]))
    answer.problem(403, "insufficient_scope")
    assert answer.header("x") is None


def test_the_envoy_path_reads_the_header_but_not_the_clients_query(world: World) -> None:
    secret = world.secret(scopes=["a"])
    path = "/validate/envoy/shop?required_scope=z"
    assert world.get(path, bearer=secret).status == 200
    assert world.get(path, bearer=secret, headers={"X-Required-Scope": "z"}).status == 403
