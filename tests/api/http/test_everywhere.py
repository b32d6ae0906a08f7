"""What holds on every path: media types, sizes, ids, problems, methods, challenges."""

import json
import re

import pytest

from tests.api.wire import Raw
from tests.api.world import TOKENS, World, fresh

CONSUME = "/api/one-time-tokens/consume"
BARE = 'Bearer realm="tokens"'
INVALID = 'Bearer realm="tokens", error="invalid_token"'


def padded(size: int) -> bytes:
    """A consumption of exactly this size in bytes."""
    body = b'{"token":"x"}'
    return body + b" " * (size - len(body))


def test_a_body_of_16_kib_is_read_and_one_byte_more_is_413(world: World) -> None:
    kind = {"Content-Type": "application/json"}
    assert world.post(CONSUME, body=padded(16384), headers=kind).status == 200
    world.post(CONSUME, body=padded(16385), headers=kind).problem(413, "payload_too_large")


def test_a_change_of_many_tokens_may_take_1_mib(world: World) -> None:
    def change(size: int) -> bytes:
        body = json.dumps({"ids": ["00" * 8], "isActive": True}).encode()
        return body + b" " * (size - len(body))

    kind = {"Content-Type": "application/json"}
    answer = world.ask("PATCH", TOKENS, body=change(1 << 20), bearer=world.admin, headers=kind)
    assert answer.json()["skipped"] == [{"id": "00" * 8, "code": "not_found"}]
    answer = world.ask("PATCH", TOKENS, body=change((1 << 20) + 1), bearer=world.admin, headers=kind)
    answer.problem(413, "payload_too_large")


def test_a_chunked_body_that_grows_too_large_is_413_before_it_ends(world: World) -> None:
    head = f"POST {CONSUME} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Raw(world.running.port) as raw:
        raw.send(head.encode() + b"4000\r\n" + b" " * 0x4000 + b"\r\n" + b"10\r\n" + b" " * 0x10 + b"\r\n")
        raw.answer("POST").problem(413, "payload_too_large")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""])
def test_another_media_type_than_json_is_415(world: World, media_type: str) -> None:
    answer = world.post(CONSUME, body=b'{"token":"x"}', headers={"Content-Type": media_type})
    answer.problem(415, "unsupported_media_type")


@pytest.mark.parametrize("media_type", ["application/json", "APPLICATION/JSON; charset=utf-8", "application/json;x=1"])
def test_json_by_any_spelling_is_read(world: World, media_type: str) -> None:
    assert world.post(CONSUME, body=b'{"token":"x"}', headers={"Content-Type": media_type}).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"token":}',
        b"\xff",
        b'{"token":"\xed\xa0\x80"}',
        b"[" * 10000,
        b'{"token":"x"}x',
        b"NaN",
        b'{"token":NaN}',
    ],
)
def test_what_is_not_json_is_400(world: World, body: bytes) -> None:
    answer = world.post(CONSUME, body=body, headers={"Content-Type": "application/json"})
    answer.problem(400, "invalid_request")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "detail"),
    [
        ("POST", CONSUME, "", 400, "The body is empty: write JSON."),
        ("POST", CONSUME, "{", 400, "The body is not valid JSON."),
        ("POST", CONSUME, "[]", 400, "body: write an object."),
        (
            "POST",
            "/validate/batch",
            "",
            401,
            "Send a token as Authorization: Bearer, or HTTP Basic with a name and a password.",
        ),
        ("GET", "/nowhere", "", 404, "There is nothing at this path. /openapi.json has all that there are."),
    ],
)
def test_what_is_to_be_done_is_said(world: World, method: str, path: str, body: str, status: int, detail: str) -> None:
    answer = world.ask(method, path, body=body.encode(), headers={"Content-Type": "application/json"})
    assert (answer.status, answer.json()["detail"]) == (status, detail)


def test_a_member_given_twice_is_400(world: World) -> None:
    body = b'{"token":"a","token":"b"}'
    problem = world.post(CONSUME, body=body, headers={"Content-Type": "application/json"})
    assert problem.problem(400, "invalid_request")["errors"] == [{"field": "token", "message": "given twice"}]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"limits": [{"limit": 0, "periodSeconds": 60}]}, "limits[0].limit"),
        ({"limits": [{"limit": 1, "periodSeconds": 60, "x": 1}]}, "limits[0].x"),
        ({"limits": [{"limit": 1}]}, "limits[0].periodSeconds"),
        ({"limits": [{"limit": 1, "periodSeconds": 60}] * 2}, "limits[1].name"),
        ({"limits": [{"limit": 1, "periodSeconds": 60}] * 5}, "limits"),
        ({"scopes": ["ok", "not ok"]}, "scopes[1]"),
        ({"surprise": 1}, "surprise"),
        ({"duration": "2weeks"}, "duration"),
        ({"metadata": {"k": 1}}, "metadata[...]"),
    ],
)
def test_a_wrong_field_is_named_by_its_path(world: World, body: dict[str, object], path: str) -> None:
    wanted = {"name": fresh("wrong"), "duration": "1month", **body}
    problem = world.post(TOKENS, wanted, bearer=world.admin).problem(400, "invalid_request")
    (error,) = problem["errors"]
    assert set(error) == {"field", "message"}
    assert error["field"].startswith(path)
    assert error["message"]


def test_a_query_parameter_that_is_not_known_is_400(world: World) -> None:
    problem = world.get(f"{TOKENS}?surprise=1", bearer=world.admin).problem(400, "invalid_request")
    assert problem["errors"][0]["field"] == "surprise"


@pytest.mark.parametrize("given", ["a", "A-z.0_9" + "x" * 57])
def test_a_good_request_id_is_taken_and_answered(world: World, given: str) -> None:
    for path in ("/livez", "/nowhere", "/validate", TOKENS):
        assert world.get(path, headers={"X-Request-Id": given}).header("x-request-id") == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a/b", "\xe9", "a\tb", "<script>"])
def test_a_bad_request_id_is_replaced_by_one_of_ours(world: World, given: str) -> None:
    for path in ("/livez", "/nowhere", "/validate"):
        made = world.get(path, headers={"X-Request-Id": given}).header("x-request-id")
        assert made != given
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", made or "")


def test_made_request_ids_differ(world: World) -> None:
    made = {world.get("/livez").header("x-request-id") for _ in range(30)}
    assert len(made) == 30


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/nowhere", "/api", TOKENS + "/", "/api/token/", "/LIVEZ", "//livez", "/validatex"),
        # Who keeps clients from /api/admin/ by the path as it is written must not be passed by.
        *("/api/admin%2Ftokens", "/api%2fadmin/tokens", "/api/admin/tokens%2Fstats", "/api%252Ftoken"),
    ],
)
def test_an_unknown_path_is_404_and_never_a_redirect(world: World, path: str) -> None:
    world.get(path).problem(404, "not_found")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        # The same path: these signs are encoded without need.
        *(("/live%7a", 200), ("/api/admin/%74okens", 401)),
        # A validation is one however its slashes are written.
        *(("/validate%2F", 401), ("/validate%2Fone-time", 401), ("/validate/envoy/a%2F..%2Fb", 401)),
    ],
)
def test_other_encoded_signs_stand_for_themselves(world: World, path: str, status: int) -> None:
    with Raw(world.running.port) as raw:
        raw.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert raw.answer().status == status


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", TOKENS, "DELETE, GET, HEAD, PATCH, POST"),
        ("POST", TOKENS + "/" + "0" * 16, "GET, HEAD"),
        ("DELETE", "/api/one-time-tokens", "POST"),
        ("GET", CONSUME, "POST"),
        ("PATCH", "/api/token", "DELETE, GET, HEAD, POST"),
        ("GET", "/oauth2/introspect", "POST"),
        ("POST", "/livez", "GET, HEAD"),
        ("OPTIONS", "/metrics", "GET, HEAD"),
        ("BREW", "/livez", "GET, HEAD"),
        ("get", "/api/token", "DELETE, GET, HEAD, POST"),
    ],
)
def test_a_wrong_method_is_405_and_says_which_are_right(world: World, method: str, path: str, allow: str) -> None:
    answer = world.ask(method, path)
    answer.problem(405, "method_not_allowed")
    assert answer.header("allow") == allow


def test_every_401_says_how_to_authenticate_and_tells_absent_from_bad(world: World) -> None:
    for method, path in (("GET", TOKENS), ("GET", TOKENS + "/stats"), ("POST", TOKENS), ("GET", "/validate")):
        absent, bad = world.ask(method, path), world.ask(method, path, bearer="A" * 64)
        absent.problem(401, "unauthorized")
        assert absent.header("www-authenticate") == BARE
        bad.problem(401, "invalid_token")
        assert bad.header("www-authenticate") == INVALID
    for path in ("/oauth2/introspect", "/k8s/tokenreview", "/validate/batch"):
        answer = world.post(path, form={"token": "x"})
        assert (answer.status, bool(answer.header("www-authenticate"))) == (401, True)


def test_a_problem_and_a_secret_are_not_stored(world: World) -> None:
    for answer in (
        world.get("/nowhere"),
        world.get("/validate"),
        world.get(TOKENS),
        world.ask("PUT", TOKENS),
    ):
        assert answer.header("cache-control") == "no-store"


HEAD = b"GET /livez HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize("fields", [61, 62, 63])
def test_64_fields_are_read_and_more_are_431(world: World, fields: int) -> None:
    head = HEAD + b"".join(b"X-%d: y\r\n" % number for number in range(fields))
    for more, status in ((b"", 200), (b"X-A: y\r\nX-B: y\r\nX-C: y\r\n", 431)):
        with Raw(world.running.port) as raw:
            raw.send(head + more + b"\r\n")
            answer = raw.answer()
            assert answer.status == status
            if status == 431:
                answer.problem(431, "head_too_large")


def test_a_head_of_almost_16_kib_is_read_and_a_larger_one_is_431(world: World) -> None:
    for size, status in ((16300, 200), (16500, 431), (70000, 431)):
        filler = b"X-Long: " + b"y" * (size - len(HEAD) - len(b"X-Long: \r\n\r\n")) + b"\r\n\r\n"
        with Raw(world.running.port) as raw:
            raw.send(HEAD + filler)
            assert raw.answer().status == status


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /validate HTTP/1.1\r\nHost: x\r\nX-Bad: a\x01b\r\n\r\n",
        b"GET /val\xffidate HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_bytes_that_are_no_request_are_a_problem_of_400_or_nothing(world: World, request_bytes: bytes) -> None:
    with Raw(world.running.port) as raw:
        raw.send(request_bytes)
        said = raw.rest()
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404"))
    assert json.loads(body)["code"] in ("invalid_request", "not_found")
