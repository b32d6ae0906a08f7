"""/validate has two ways, the fast path and the ordinary route: the same bytes come out of both."""

import asyncio
import itertools
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.api.http.proxies import TrustedProxies
from service.app import Service
from service.edge.deadlines import Deadlines
from service.edge.limits import ConnectionLimits
from service.edge.protocol import EdgeProtocol
from service.model import RateLimit
from service.tokens.secret import with_checksum
from tests.builders import ADMIN, create
from tests.conftest import MakeService
from tests.listening import listening

# What differs between any two answers: the second they were given in, and the ids made for them.
VARYING_FACTS = ("request_id", "seconds")
VARYING = re.compile(rb'(date: [^\r]+|x-request-id: [0-9a-f]+-[0-9a-f]+|"request_id":"[0-9a-f]+-[0-9a-f]+")')


class Ways(NamedTuple):
    """The two ports, and the secrets that both know."""

    fast_path: int
    ordinary: int
    secrets: dict[str, str]
    service: Service


@pytest.fixture
async def ways(request: pytest.FixtureRequest, make_service: MakeService) -> AsyncIterator[Ways]:
    """A service of the usual settings, or with those that a test asks for."""
    # Without background work: a use that is told amid the two, a second later, would be shown on one way alone.
    service: Service = await make_service(one_time_issue="open", background=False, **getattr(request, "param", {}))
    scopes = ("orders:read", "users:*")
    secrets = {
        "plain": (await create(service, "plain")).secret,
        "scoped": (await create(service, "scöped name", scopes=scopes, subject="team-7")).secret,
        "networked": (await create(service, "networked", networks=("10.0.0.0/8",))).secret,
        "unknown": with_checksum("ab" * 28),
        "mistyped": with_checksum("ab" * 28)[:-1] + "x",
        "capitals": with_checksum("ab" * 28).upper(),
        "session": (await service.rules.sessions.sign_in("admin", "correct horse", ADMIN)).secret,
        "other session": "A" * 64,
        "one-time": (await service.rules.one_time.issue(address="192.0.2.1", anonymous=True)).secret,
        "empty": "",
        "junk": "tok en",
    }
    revoked = await create(service, "revoked")
    await service.rules.managed.tokens.revoke(revoked.token.token_id, ADMIN)
    secrets["revoked"] = revoked.secret
    state = {
        "fast_path": service.fast_path,
        "limits": ConnectionLimits(TrustedProxies(), per_address=0),
        "deadlines": Deadlines(),
    }
    async with (
        listening(service, EdgeProtocol, state) as fast_path,
        listening(service, HttpToolsProtocol, {}) as ordinary,
    ):
        yield Ways(fast_path, ordinary, secrets, service)


# What a gateway's configuration or its clients may make of the path, without another meaning.
TARGETS = (
    "/validate/",
    "//validate",
    "///validate//",
    "/validate/?required_scope=orders:read",
    "/validate#x",
    "/validate?required_scope=orders:read#&required_scope=b",
    "/%76alidate/",
    "/validate%2F",
    "/validate/envoy",
    "/validate/envoy/",
    "//validate//envoy//a//b",
    "/validate/envoy/%0A",
    "/validate/envoy/a%0Ab%0D%0A",
    "/validate/envoy/%FF%00",
    "/validate/envoy/%",
    "/validate/envoy/../one-time",
    "/validate/envoy/..%2F..%2Fone-time",
    "/validate/envoy/one-time",
    "/validate/envoy/?required_scope=b",
    "/validate/envoy/a?b?c#d",
    "/validate%2Fenvoy/x",
    '/validate/envoy/a;b|c"<>{}^`\\',
)
SPENDING = (
    "/validate/one-time/",
    "//validate//one-time//",
    "/validate/one-time/envoy",
    "/validate/one-time/envoy/",
    "/validate//one-time/envoy/%0A",
    "/validate/one-time?token=b",
    "/validate/one-time/envoy/..%2F..%2Fvalidate",
    "/validate%2Fone-time",
)
# Fields that present nothing.
EMPTY = (
    ("X-API-Key:",),
    ("X-Token: ",),
    ("Authorization: Bearer",),
    ("Authorization: bearer  ",),
    ("Authorization:",),
    ("X-Token:", "X-API-Key:", "Authorization: Bearer"),
    ("X-Token:", "X-Token:"),
)


def basic_forms(secret: str) -> list[str]:
    """The fields of programs that know Basic alone, as git, docker, npm and pip send them, and some that are none."""
    pairs = (
        f"x-access-token:{secret}",
        f"{secret}:",
        f"{secret}:x-oauth-basic",
        f"__token__:{secret}",
        f"{secret}:{secret}",
        f":{secret}",
        ":",
        secret,
    )
    encoded = [b64encode(pair.encode()).decode() for pair in pairs]
    return [*[f"Basic {text}" for text in encoded], f"basic  {encoded[0]} ", "Basic", "Basic !!!", "Basic dTpw="]


def empty_beside(bearer: str, secret: str) -> list[tuple[str, ...]]:
    """A credential, and others that present nothing."""
    return [
        (bearer, "X-API-Key:"),
        (bearer, "X-Token:"),
        ("X-Token:", "X-API-Key: ", bearer),
        ("Authorization: Bearer", f"X-Token: {secret}"),
        ("Authorization:", f"X-API-Key: {secret}"),
        ("X-Token:", f"X-Token: {secret}"),
    ]


def request(line: str, *fields: str) -> bytes:
    return "\r\n".join([line, "Host: gateway.test", *fields, "", ""]).encode("latin-1")


def recorded(secrets: dict[str, str]) -> list[bytes]:
    """Some hundred requests: every secret in every place, every method, scopes, odd targets and odd fields."""
    requests = [request("GET /validate HTTP/1.1", *fields) for fields in EMPTY]
    for (name, secret), method in itertools.product(secrets.items(), ("GET", "HEAD", "POST")):
        if name == "one-time":
            continue  # spent by the first way that sees it on the other path; on this one it is refused below
        requests += [
            request(f"{method} /validate HTTP/1.1", field + secret)
            for field in ("Authorization: Bearer ", "authorization: bearer ", "X-API-Key: ", "X-Token: ")
        ]
    for secret in secrets.values():
        bearer = f"Authorization: Bearer {secret}"
        requests += [
            request("GET /validate?required_scope=orders:read HTTP/1.1", bearer),
            request("GET /validate?required_scope=orders:read&required_scope=users:write HTTP/1.1", bearer),
            request("GET /validate?required_scope=admin%3Aall&x=%zz HTTP/1.1", bearer),
            request("GET /validate?required_scope= HTTP/1.1", bearer),
            request("GET /validate HTTP/1.1", bearer, "X-Required-Scope: users:write, orders:read"),
            request("GET /validate HTTP/1.1", bearer, 'X-Required-Scope: a"b\\c'),
            request("GET /validate/envoy/any/path?required_scope=nothing HTTP/1.1", bearer),
            request("PROPFIND /validate HTTP/1.1", bearer, "X-Request-Id: gateway.7-a_b"),
            request("GET /validate HTTP/1.1", bearer, "X-Request-Id: not accepted"),
            request("GET /validate HTTP/1.1", bearer, f"X-API-Key: {secret}"),
            request("GET /validate HTTP/1.1", bearer, "X-Token: another"),
            request("GET /validate HTTP/1.1", f"Authorization: Basic {secret}"),
            request("GET /validate HTTP/1.1", f"Authorization: Bearer\t{secret}"),
            request("GET /validate HTTP/1.1", f"Authorization:   Bearer   {secret}  "),
            request("GET /validate HTTP/1.1", bearer, "X-Forwarded-For: 10.1.2.3"),
            request("GET /validate HTTP/1.1", bearer, "Accept: a", "Accept: b"),
            request("GET /validate HTTP/1.0", bearer),
            request("GET /validate HTTP/1.1", bearer, "Connection: close"),
            request("GET /validate HTTP/1.1", bearer, "Connection: keep-alive"),
            request("GET http://gateway.test/validate HTTP/1.1", bearer),
            request("GET /%76alidate HTTP/1.1", bearer),
            request("GET /validate/one-timer HTTP/1.1", bearer),
            *[request(f"GET {target} HTTP/1.1", bearer) for target in TARGETS],
            *[request("GET /validate HTTP/1.1", *fields) for fields in empty_beside(bearer, secret)],
            request("GET /validate HTTP/1.1", bearer, bearer),
            request("GET /validate HTTP/1.1", bearer, "Authorization: Basic dTpw"),
            request("GET /validate HTTP/1.1", "Authorization: Basic dTpw", f"X-Token: {secret}"),
            request("GET /validate HTTP/1.1", bearer, "authorization:"),
            request("GET /validate/one-time HTTP/1.1", bearer, bearer),
            request("POST /validate HTTP/1.1", bearer, "Content-Length: 3") + b"abc",
            request("POST /validate HTTP/1.1", bearer, "Content-Length: 0"),
            request("GET /validate HTTP/1.1", bearer, "Expect: 100-continue"),
            request("GET /validate HTTP/1.1", bearer, "Upgrade: h2c", "Connection: Upgrade"),
        ]
    spent = "0" * 32
    requests += [
        request("GET /validate/one-time HTTP/1.1", f"Authorization: Bearer {spent}"),
        request("GET /validate/one-time HTTP/1.1", f"X-Original-URI: /r.php?tableKey=k&token={spent}"),
        request("GET /validate/one-time HTTP/1.1", f"X-Forwarded-Uri: /r.php?token={spent}&token=b"),
        request(
            "GET /validate/one-time/envoy/x?token=y HTTP/1.1",
            f"X-Token: {spent}",
            "X-Original-URI: /r?token=b",
        ),
        request("GET /validate/one-time HTTP/1.1"),
        request("GET /validate/one-time HTTP/1.1", f"X-Token: {secrets['plain']}"),
        request("HEAD /validate HTTP/1.1"),
        request("OPTIONS /validate HTTP/1.1"),
    ]
    return requests


async def statuses(ways: Ways, sent: bytes) -> bytes:
    """The status that both ways agree on."""
    fast_path, ordinary = await asyncio.gather(exchange(ways.fast_path, [sent], 1), exchange(ways.ordinary, [sent], 1))
    assert fast_path == ordinary, sent
    return fast_path[9:12]


async def exchange(port: int, pieces: list[bytes], answers: int) -> bytes:
    """Send pieces on one connection, each in a packet of its own, and read this many answers, or to the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    head_only = b"".join(pieces).startswith(b"HEAD")
    got = b""
    async with asyncio.timeout(60):
        for _ in range(answers):
            head = await reader.readuntil(b"\r\n\r\n")
            got += head
            if head.startswith(b"HTTP/1.1 100"):
                head = await reader.readuntil(b"\r\n\r\n")
                got += head
            length = re.search(rb"content-length: (\d+)", head)
            if length and not head_only:
                got += await reader.readexactly(int(length[1]))
        if b"connection: close" in got:
            got += await reader.read() + b"<closed>"
    writer.close()
    return VARYING.sub(b"~", got)


@pytest.mark.slow
async def test_several_hundred_recorded_requests_get_the_same_bytes_both_ways(ways: Ways) -> None:
    requests = recorded(ways.secrets)
    assert len(requests) >= 300
    for sent in requests:
        fast_path, ordinary = await asyncio.gather(
            exchange(ways.fast_path, [sent], 1), exchange(ways.ordinary, [sent], 1)
        )
        assert fast_path == ordinary, sent
    exposition = (await ways.service.metrics.render(""))[0].decode()
    counted = re.search(r'tokens_validation_seconds_count{path="fast"} (\d+)', exposition)
    assert counted is not None and int(counted[1]) > 150, "the fast path was hardly taken"


def session_checks(secrets: dict[str, str]) -> list[bytes]:
    """GET /api/token with every secret in both places, and what a client may make of the rest."""
    good = secrets["session"]
    line = f"GET /api/token?token={good} HTTP/1.1"
    requests = [
        request(f"{method} /api/token{query} HTTP/1.1", *fields)
        for secret in secrets.values()
        for method in ("GET", "HEAD")
        for query, fields in (
            (f"?token={quote(secret)}", ()),
            ("", (f"X-Token: {secret}",)),
            (f"?token={good}", (f"X-Token: {secret}",)),
            ("?token=%FF", (f"X-Token: {secret}",)),
        )
    ]
    queries = ("", "?", "?token", "?token=", f"?token={good}&token=b", f"?token=b&token={good}", f"?x=1&token={good}")
    return [
        *requests,
        *[request(f"GET /api/token{query} HTTP/1.1") for query in queries],
        request(f"GET /api/token?token=%{ord(good[0]):02x}{good[1:]} HTTP/1.1"),
        request("GET /api/token?token=%zz HTTP/1.1"),
        request("GET /api/token?token=%FF HTTP/1.1"),
        request(f"GET /api/token?token={good}#x HTTP/1.1"),
        request(f"GET /api/token/?token={good} HTTP/1.1"),
        request(f"GET /api/tokens/self?token={good} HTTP/1.1"),
        request("GET /api/token HTTP/1.1", "X-Token: a", f"X-Token: {good}"),
        request(line, "Authorization: Bearer a", "Authorization: Bearer a"),
        request(line, "X-Request-Id: mine"),
        request(line, "Connection: close"),
        request(line, "X-Forwarded-For: 192.0.2.9"),
        request(f"GET /api/token?token={good} HTTP/1.0"),
        request(f"PATCH /api/token?token={good} HTTP/1.1"),
    ]


@pytest.mark.parametrize("ways", [{"trusted_proxies": "127.0.0.1"}], indirect=True)
async def test_a_session_check_gets_the_same_bytes_both_ways_and_is_counted_and_logged_the_same(
    ways: Ways, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "service.requests")
    told: list[list[dict[str, Any]]] = []
    answers: list[list[bytes]] = []
    counted: list[list[str]] = []
    for port in (ways.fast_path, ways.ordinary):
        caplog.clear()
        before = await counts(ways)
        answers.append([await exchange(port, [sent], 1) for sent in session_checks(ways.secrets)])
        counted.append([f"{name} {value - before.get(name, 0)}" for name, value in (await counts(ways)).items()])
        records = [record.facts for record in caplog.records if record.name == "service.requests"]  # type: ignore[attr-defined]
        told.append([{name: fact for name, fact in facts.items() if name not in VARYING_FACTS} for facts in records])
    assert answers[0] == answers[1]
    assert counted[0] == counted[1]
    assert told[0] == told[1]
    assert sum(answer.endswith(b"}") and b'"valid":true' in answer for answer in answers[0]) > 5


async def counts(ways: Ways) -> dict[str, float]:
    """Validations and requests so far, by their labels."""
    lines = (await ways.service.metrics.render(""))[0].decode().splitlines()
    wanted = ("tokens_validations_total", "tokens_http_requests_total", "tokens_http_request_seconds_count")
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line.startswith(wanted))}


async def test_a_request_that_says_it_has_no_body_takes_the_fast_path(ways: Ways) -> None:
    sent = request("GET /validate HTTP/1.1", f"X-Token: {ways.secrets['plain']}", "Content-Length: 0")
    assert await statuses(ways, sent) == b"200"
    exposition = (await ways.service.metrics.render(""))[0].decode()
    assert 'tokens_validation_seconds_count{path="fast"} 1' in exposition


async def test_the_path_is_answered_as_it_means_whatever_slashes_it_has(ways: Ways) -> None:
    bearer = f"Authorization: Bearer {ways.secrets['scoped']}"
    for target in TARGETS:
        assert await statuses(ways, request(f"PUT {target} HTTP/1.1", bearer)) == b"200", target
    for target in SPENDING:
        issued = await ways.service.rules.one_time.issue(address="192.0.2.1", anonymous=False)
        asked = request(f"PUT {target} HTTP/1.1", f"X-Token: {issued.secret}")
        # Each way spends; the first one is let in.
        assert [(await exchange(port, [asked], 1))[9:12] for port in ways[:2]] == [b"200", b"401"], target
    for target in ("/validate/x", "/validatex", "/validate/envoyx", "/validate/one-time/x", "/x/validate"):
        assert await statuses(ways, request(f"GET {target} HTTP/1.1", bearer)) == b"404", target


async def test_an_empty_credential_presents_nothing(ways: Ways) -> None:
    secret = ways.secrets["plain"]
    for fields in empty_beside(f"Authorization: Bearer {secret}", secret):
        assert await statuses(ways, request("GET /validate HTTP/1.1", *fields)) == b"200", fields
    for fields in EMPTY:
        for path in ("/validate", "/validate/one-time"):
            told = await exchange(ways.fast_path, [request(f"GET {path} HTTP/1.1", *fields)], 1)
            assert b'Bearer realm="tokens"\r\n' in told, (path, fields)


@pytest.mark.parametrize("ways", [{"accept_basic": True}, {"accept_basic": False}], indirect=True)
async def test_basic_carries_a_token_where_it_is_taken_and_presents_nothing_elsewhere(ways: Ways) -> None:
    plain, taken = ways.secrets["plain"], ways.service.settings.accept_basic
    offered = b'Basic realm="tokens", Bearer realm="tokens"' if taken else b'Bearer realm="tokens"'
    issued = await ways.service.rules.one_time.issue(address="192.0.2.1", anonymous=False)
    for known, once in zip(basic_forms(plain)[:6], basic_forms(issued.secret), strict=False):
        asked = request("GET /validate HTTP/1.1", f"Authorization: {known}")
        assert await statuses(ways, asked) == (b"200" if taken else b"401"), known
        asked = request("GET /validate HTTP/1.1", f"Authorization: {once}")
        assert await statuses(ways, asked) == b"401", once
    for port in ways[:2]:
        issued = await ways.service.rules.one_time.issue(address="192.0.2.1", anonymous=False)
        spending = request("GET /validate/one-time HTTP/1.1", f"Authorization: {basic_forms(issued.secret)[0]}")
        spent = [(await exchange(port, [spending], 1))[9:12] for _ in range(2)]
        assert spent == [b"200" if taken else b"401", b"401"]
    for secret in ways.secrets.values():
        for field in basic_forms(secret):
            await statuses(ways, request("GET /validate HTTP/1.1", f"Authorization: {field}"))
    beside = request("GET /validate HTTP/1.1", "Authorization: Basic dTpw", f"X-Token: {plain}")
    assert await statuses(ways, beside) == (b"401" if taken else b"200")
    for fields in ((), ("Authorization: Basic",), ("Authorization: Basic Og==",)):
        told = await exchange(ways.fast_path, [request("GET /validate HTTP/1.1", *fields)], 1)
        assert b"\r\nwww-authenticate: " + offered + b"\r\n" in told, fields
    told = await exchange(ways.fast_path, [request("GET /validate HTTP/1.1", "Authorization: Bearer x")], 1)
    assert b"\r\nwww-authenticate: " + offered + b', error="invalid_token"\r\n' in told


ALSO = "scheme:Token,bare,header:apikey,cookie:knox"


@pytest.mark.parametrize("ways", [{"accept_also": ALSO}, {}], indirect=True)
async def test_what_else_carries_a_token_does_where_it_is_taken(ways: Ways) -> None:
    plain, taken = ways.secrets["plain"], bool(ways.service.settings.accept_also)
    yes, status = f"Authorization: Bearer {plain}", b"200" if taken else b"401"
    for field in (
        f"Authorization: Token {plain}",
        f"Authorization: {plain}",
        f"apikey: {plain}",
        f"Cookie: knox={plain}",
    ):
        assert await statuses(ways, request("GET /validate HTTP/1.1", field)) == status, field
    # What one field was worked out to mean a moment ago says nothing of the others, nor does a session's check.
    await exchange(ways.fast_path, [request(f"GET /api/token?token={ways.secrets['session']} HTTP/1.1")], 1)
    for known in (yes, f"X-API-Key: {ways.secrets['session']}"):
        for other in ("apikey: another", "Cookie: a=b; knox=another"):
            assert await statuses(ways, request("GET /validate HTTP/1.1", known)) == b"200", known
            both = await statuses(ways, request("GET /validate HTTP/1.1", known, other))
            assert both == (b"401" if taken else b"200"), (known, other)


async def test_a_second_authorization_is_no_credential(ways: Ways) -> None:
    good = f"Authorization: Bearer {ways.secrets['plain']}"
    for other in (good, "Authorization: Bearer x", "Authorization: Basic dTpw", "authorization:"):
        for fields in ((good, other), (other, good), (good, other, f"X-Token: {ways.secrets['plain']}")):
            assert await statuses(ways, request("GET /validate HTTP/1.1", *fields)) == b"401", fields


async def test_what_was_worked_out_of_one_field_says_nothing_of_another(ways: Ways) -> None:
    secret = ways.secrets["plain"]
    bearer = f"Authorization: Bearer {secret}"
    for _ in range(2):
        for field in (bearer, f"X-API-Key: {secret}", f"X-Token: {secret}"):
            assert await statuses(ways, request("GET /validate HTTP/1.1", field)) == b"200", field
        for field in (f"Authorization: {secret}", f"X-API-Key: Bearer {secret}", f"X-Token: Bearer {secret}"):
            assert await statuses(ways, request("GET /validate HTTP/1.1", field)) == b"401", field
        for fields in ((bearer, "X-Token: x"), (f"X-API-Key: {secret}", "X-Token: x")):
            assert await statuses(ways, request("GET /validate HTTP/1.1", *fields)) == b"401", fields
    asked = {f"X-Required-Scope: {wanted}": status for wanted, status in (("a", b"403"), ("orders:read", b"200"))}
    scoped = f"Authorization: Bearer {ways.secrets['scoped']}"
    for wanted, status in [*asked.items()] * 2:
        assert await statuses(ways, request("GET /validate HTTP/1.1", scoped, wanted)) == status, wanted
        target = "/validate?required_scope=a"
        assert await statuses(ways, request(f"GET {target} HTTP/1.1", scoped, wanted)) == b"403", wanted


async def test_where_no_proxy_is_trusted_a_retry_key_is_not_believed_on_either_way(ways: Ways) -> None:
    for port in ways[:2]:
        issued = await ways.service.rules.one_time.issue(address="192.0.2.1", anonymous=False)
        asked = request("GET /validate/one-time HTTP/1.1", f"X-Token: {issued.secret}", "X-Tokens-Retry-Key: k")
        assert [(await exchange(port, [asked], 1))[9:12] for _ in range(2)] == [b"200", b"401"]


async def test_a_request_split_at_every_byte_gets_the_same_bytes(ways: Ways) -> None:
    sent = request(
        "GET /validate?required_scope=orders:read HTTP/1.1", f"Authorization: Bearer {ways.secrets['scoped']}"
    )
    whole = await exchange(ways.ordinary, [sent], 1)
    assert b"200 OK" in whole
    for at in range(1, len(sent)):
        assert await exchange(ways.fast_path, [sent[:at], sent[at:]], 1) == whole


async def test_pipelined_requests_are_answered_in_order_whatever_way_each_goes(ways: Ways) -> None:
    plain, scoped = ways.secrets["plain"], ways.secrets["scoped"]
    sent = [
        request("GET /validate HTTP/1.1", f"X-Token: {plain}", "X-Request-Id: first"),
        request("GET /validate HTTP/1.1", "X-Request-Id: second"),
        # Known here by now, but as no session.
        request("GET /api/token HTTP/1.1", f"X-Token: {plain}", "X-Request-Id: managed"),
        request(f"GET /api/token?token={ways.secrets['session']} HTTP/1.1", "X-Request-Id: third"),
        request("GET /livez HTTP/1.1", "X-Request-Id: between"),
        request("GET /validate HTTP/1.1", f"X-Token: {scoped}", "X-Request-Id: fourth"),
        request("GET /validate HTTP/1.1", "Accept: a", "Accept: b", f"X-Token: {scoped}", "X-Request-Id: fifth"),
        request("GET /validate HTTP/1.1", f"X-Token: {plain}", "X-Request-Id: sixth"),
    ]
    fast_path, ordinary = await asyncio.gather(
        exchange(ways.fast_path, [b"".join(sent)], 8), exchange(ways.ordinary, [b"".join(sent)], 8)
    )
    assert fast_path == ordinary
    ids = re.findall(rb"x-request-id: (\w+)", fast_path)
    assert ids == [b"first", b"second", b"managed", b"third", b"between", b"fourth", b"fifth", b"sixth"]


async def test_a_long_pipeline_of_answers_without_a_lookup_does_not_nest(ways: Ways) -> None:
    asked = request("GET /validate HTTP/1.1", f"X-Token: {ways.secrets['plain']}")
    got = await exchange(ways.fast_path, [asked + request("GET /validate HTTP/1.1") * 3000], 3001)
    assert got.count(b"HTTP/1.1 401") == 3000


async def test_a_limited_token_counts_on_both_ways_together(ways: Ways) -> None:
    created = await create(ways.service, rate_limits=(RateLimit(limit=4, period_seconds=60),))
    sent = request("GET /validate HTTP/1.1", f"X-Token: {created.secret}")
    statuses = [(await exchange(port, [sent], 1))[9:12] for port in (ways.fast_path, ways.ordinary) * 3]
    assert statuses == [b"200"] * 4 + [b"429"] * 2


async def test_a_limited_token_is_charged_once_also_by_a_server_that_has_lost_the_script(ways: Ways) -> None:
    created = await create(ways.service, rate_limits=(RateLimit(limit=4, period_seconds=60),))
    told = []
    for _ in range(3):
        told.append(
            await exchange(ways.fast_path, [request("GET /validate HTTP/1.1", f"X-Token: {created.secret}")], 1)
        )
        await ways.service.stores.shards[0].link.execute("SCRIPT", "FLUSH")
    assert [re.search(rb";r=(\d);", each)[1] for each in told] == [b"3", b"2", b"1"]  # type: ignore[index]


async def test_a_one_time_token_is_spent_once_on_either_way(ways: Ways) -> None:
    secret = ways.secrets["one-time"]
    sent = request("GET /validate/one-time HTTP/1.1", f"X-Original-URI: /read.php?token={secret}")
    answers = await asyncio.gather(
        *[exchange(port, [sent], 1) for port in (ways.fast_path, ways.ordinary) for _ in range(10)]
    )
    assert sum(answer.startswith(b"HTTP/1.1 200") for answer in answers) == 1
    issued = await ways.service.rules.one_time.issue(address="192.0.2.1", anonymous=False)
    sent = request("GET /validate/one-time HTTP/1.1", f"X-Token: {issued.secret}")
    assert [(await exchange(ways.fast_path, [sent], 1))[9:12] for _ in range(2)] == [b"200", b"401"]
    assert (await ways.service.rules.managed.queries.statistics()).one_time_outstanding == 0


async def test_an_aborted_request_harms_nobody(ways: Ways) -> None:
    sent = request("GET /validate HTTP/1.1", f"X-Token: {ways.secrets['plain']}")
    for _ in range(50):
        _, writer = await asyncio.open_connection("127.0.0.1", ways.fast_path)
        writer.write(sent)
        writer.transport.abort()
    assert (await exchange(ways.fast_path, [sent], 1)).startswith(b"HTTP/1.1 200")
