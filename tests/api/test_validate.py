"""The wire of /validate: which credential, which answer, and the same to a byte however it is asked."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest

from service.tokens.secret import with_checksum
from tests.api.wire import Answer, Raw
from tests.api.world import BY_ONE_PROCESS_AND_BY_FOUR, World, fresh

pytestmark = BY_ONE_PROCESS_AND_BY_FOUR

BARE = 'Bearer realm="tokens"'
INVALID = f'{BARE}, error="invalid_token"'
IDENTITY = ("x-token-id", "x-token-subject", "x-token-scopes", "x-token-kind", "remote-user", "x-auth-request-user")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
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


def test_a_managed_token_without_subject_speaks_for_its_creator(world: World) -> None:
    found = identity(world.validate(world.secret()))
    assert (found["subject"], found["scopes"]) == ("admin", "-")


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


def test_everything_that_is_wrong_with_a_token_looks_alike(world: World) -> None:
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


def test_a_network_is_judged_by_the_address_that_the_trusted_proxy_reports(world: World) -> None:
    secret = world.secret(allowedNetworks=["203.0.113.0/24", "2001:db8::/32"])
    for address in ("203.0.113.9", "2001:db8::7", "::ffff:203.0.113.9", "10.0.0.1, 203.0.113.9", "203.0.113.9:4711"):
        assert world.validate(secret, X_Forwarded_For=address).status == 200, address
    for address in ("198.51.100.1", "203.0.113.9, 198.51.100.1", "unknown", ""):
        answer = world.validate(secret, X_Forwarded_For=address)
        answer.problem(403, "network_denied")


def test_an_address_line_of_the_client_before_that_of_the_proxy_is_not_believed(world: World) -> None:
    secret = world.secret(allowedNetworks=["203.0.113.0/24"])
    lines = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 198.51.100.1\r\n"
    with Raw(world.running.port) as raw:
        raw.send(f"GET /validate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n{lines}\r\n".encode())
        raw.answer().problem(403, "network_denied")


def test_a_limited_token_is_told_how_much_is_left_and_refused_when_nothing_is(world: World) -> None:
    secret = world.secret(rateLimit={"limit": 3, "periodSeconds": 86400})
    for left in (2, 1, 0):
        answer = world.validate(secret)
        identity(answer)
        assert answer.header("ratelimit-policy") == '"default";q=3;w=86400'
        assert (answer.header("ratelimit") or "").startswith(f'"default";r={left};t=')
    refused = world.validate(secret)
    refused.problem(429, "rate_limited")
    assert refused.header("ratelimit-policy") == '"default";q=3;w=86400'
    assert (refused.header("ratelimit") or "").startswith('"default";r=0;t=')
    assert 28000 <= int(refused.header("retry-after") or 0) <= 28800


def test_a_burst_is_how_many_may_come_at_once(world: World) -> None:
    secret = world.secret(rateLimit={"limit": 10, "periodSeconds": 86400, "burst": 2})
    assert [world.validate(secret).status for _ in range(3)] == [200, 200, 429]


def test_the_uses_of_a_token_run_out(world: World) -> None:
    token = world.create(maxUses=2)
    assert [world.validate(token["token"]).status for _ in range(4)] == [200, 200, 401, 401]
    assert world.shown(token["id"])["usesLeft"] == 0
    world.validate(token["token"]).problem(401, "invalid_token")


def test_a_refusal_for_scope_or_network_spends_neither_use_nor_rate(world: World) -> None:
    limit = {"limit": 2, "periodSeconds": 86400}
    token = world.create(maxUses=2, rateLimit=limit, allowedNetworks=["127.0.0.0/8"], scopes=["a"])
    secret = token["token"]
    assert world.validate(secret).status == 200
    for _ in range(4):
        assert world.validate(secret, "/validate?required_scope=b").status == 403
        assert world.validate(secret, X_Forwarded_For="198.51.100.1").status == 403
    assert world.shown(token["id"])["usesLeft"] == 1
    assert [world.validate(secret).status for _ in range(2)] == [200, 401]


def send(world: World, request: bytes) -> tuple[Answer, bytes]:
    """The answer to these bytes, and what comes after it until the service closes."""
    with Raw(world.running.port) as raw:
        raw.send(request)
        return raw.answer(), raw.rest()


@pytest.mark.parametrize("declared", ["Content-Length: 5", "Content-Length: 99999999", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("good", [True, False])
def test_a_body_that_is_declared_and_never_sent_is_not_waited_for(world: World, declared: str, good: bool) -> None:
    secret = world.secret() if good else "x"
    head = f"POST /validate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n{declared}\r\n\r\n"
    answer, rest = send(world, head.encode())
    assert (answer.status, answer.header("connection"), rest) == (200 if good else 401, "close", b"")


def test_one_connection_carries_many_questions(world: World) -> None:
    secret = world.secret()
    good = f"GET /validate HTTP/1.1\r\nHost: x\r\nX-API-Key: {secret}\r\n\r\n".encode()
    bad = b"GET /validate HTTP/1.1\r\nHost: x\r\nX-API-Key: x\r\n\r\n"
    with Raw(world.running.port) as raw:
        for request, status in ((good, 200), (bad, 401), (good, 200)):
            raw.send(request)
            assert raw.answer().status == status


def test_what_was_cut_into_single_bytes_is_read_all_the_same(world: World) -> None:
    secret = world.secret()
    request = f"HEAD /validate?required_scope=a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n\r\n"
    with Raw(world.running.port) as raw:
        for byte in request.encode():
            raw.send(bytes([byte]))
        assert raw.answer("HEAD").status == 403


def test_an_old_client_is_answered_and_its_connection_closed(world: World) -> None:
    answer, rest = send(world, f"GET /validate HTTP/1.0\r\nX-Token: {world.secret()}\r\n\r\n".encode())
    assert (answer.status, rest) == (200, b"")


def both_ways(world: World, line: str, headers: dict[str, str]) -> list[Any]:
    """Status, headers and body of one question by the straight path, and by the ordinary one that `Expect` leads to."""
    found = []
    for more in ({}, {"Content-Length": "0"}):
        sent = {"Host": "x", "X-Request-Id": "same", **headers, **more}
        request = line + "".join(f"{name}: {value}\r\n" for name, value in sent.items()) + "\r\n"
        with Raw(world.running.port) as raw:
            raw.send(request.encode("latin-1"))
            answer = raw.answer(line.partition(" ")[0])
        found.append((answer.status, [pair for pair in answer.headers if pair[0] != "date"], answer.body))
    return found


def test_both_ways_to_the_answer_agree_to_the_byte(world: World) -> None:
    rated = world.secret(rateLimit={"limit": 1, "periodSeconds": 86400})
    world.validate(rated)
    secrets = [world.secret(scopes=["a"], name=fresh("Zoë")), world.user, rated, world.one_time(), "x", "", "A" * 64,
               world.secret(allowedNetworks=["192.0.2.0/24"])]  # fmt: skip
    for method in ("GET", "HEAD", "POST"):
        for path in ("/validate", "/validate?required_scope=a", "/validate?required_scope=b", *PATHS[1:]):
            for secret in secrets:
                for headers in ({"Authorization": f"Bearer {secret}"}, {"X-Token": secret, "X-Required-Scope": "a"}):
                    straight, ordinary = both_ways(world, f"{method} {path} HTTP/1.1\r\n", headers)
                    assert straight == ordinary, (method, path, headers)
