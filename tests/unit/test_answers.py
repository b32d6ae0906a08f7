"""What a gateway's request presents, and the bytes that answer it."""

import re
from base64 import b64encode

import msgspec
import pytest
from msgspec import structs

from service.api.auth.presented import Accepted, presented, read_accepted
from service.api.gateway.answers import ABSENT, UNAVAILABLE, answer, request_cost, required_scopes, retried_request
from service.api.http.call import Headers
from service.api.http.proxies import TrustedProxies
from service.model import Credential, Kind, Outcome, Quota, RateLimit, Verdict
from service.tokens.secret import with_checksum

TOKEN = Credential("00" * 8, "ada", ("orders:read", "stock"), 1, 0, name="CI déploiement 1")
SESSION = Credential("s1", "Jürgen", (), 1, 2, kind=Kind.SESSION)


@pytest.mark.parametrize(
    ("headers", "secrets"),
    [
        ([], []),
        ([(b"authorization", b"Bearer abc")], [b"abc"]),
        ([(b"authorization", b"bEaReR   abc ")], [b"abc"]),
        ([(b"authorization", b"Bearer")], []),
        ([(b"authorization", b"Bearer \t")], []),
        ([(b"authorization", b"")], []),
        ([(b"authorization", b"Bearerabc")], []),
        ([(b"authorization", b"Basic abc")], []),
        ([(b"x-api-key", b" abc ")], [b"abc"]),
        ([(b"x-token", b"abc")], [b"abc"]),
        ([(b"x-token", b"abc"), (b"authorization", b"Bearer abc"), (b"x-api-key", b"abc")], [b"abc"]),
        ([(b"x-token", b"abc"), (b"x-api-key", b"abd")], [b"abc", b"abd"]),
        ([(b"x-token", b"abc"), (b"x-token", b"")], [b"abc"]),
        ([(b"x-token", b" "), (b"x-api-key", b"")], []),
        ([(b"authorization", b"Bearer a"), (b"authorization", b"Bearer a")], [b"Bearer a", b"Bearer a"]),
        ([(b"authorization", b"Bearer a"), (b"authorization", b"")], [b"Bearer a", b""]),
        ([(b"cookie", b"token=abc"), (b"x-tokens", b"abc")], []),
    ],
)
def test_every_different_secret_of_a_request_is_seen(headers: Headers, secrets: list[bytes]) -> None:
    assert presented(headers) == secrets


KNOWN, OTHER = with_checksum("ab" * 28), "B" * 64


@pytest.mark.parametrize(
    ("pair", "secrets"),
    [
        (f"x-access-token:{KNOWN}", [KNOWN]),
        (f"oauth2:{KNOWN}", [KNOWN]),
        (f"ada:{KNOWN}", [KNOWN]),
        (f"__token__:{KNOWN}", [KNOWN]),
        (f"{KNOWN}:", [KNOWN]),
        (f"{KNOWN}:x-oauth-basic", [KNOWN]),
        (f"{KNOWN}:password", [KNOWN]),
        (f":{KNOWN}", [KNOWN]),
        (f"{KNOWN}:{KNOWN}", [KNOWN]),
        (f"{KNOWN}:{OTHER}", [KNOWN, OTHER]),
        # Secrets that another system made have any form, a colon in them too.
        ("ada:sk-live-1:2", ["sk-live-1:2"]),
        ("sk-live-1:", ["sk-live-1"]),
        ("sk-live-1:x-oauth-basic", ["sk-live-1"]),
        (":", []),
    ],
)
def test_basic_presents_the_token_in_its_user_or_password(pair: str, secrets: list[str]) -> None:
    headers = [(b"authorization", b"bAsIc  " + b64encode(pair.encode()) + b" ")]
    assert presented(headers, accepted=Accepted(basic=True)) == [secret.encode() for secret in secrets]
    assert presented(headers) == []


ALSO = read_accepted("scheme:Token, scheme:Api-Key,bare,header:apikey,header:PRIVATE-TOKEN,cookie:knox", basic=False)


@pytest.mark.parametrize(
    ("fields", "secrets"),
    [
        ({"authorization": "Token abc"}, ["abc"]),
        ({"authorization": "tOKEN   abc "}, ["abc"]),
        ({"authorization": "Api-Key abc"}, ["abc"]),
        ({"authorization": "abc"}, ["abc"]),
        ({"authorization": "abc "}, ["abc"]),
        ({"authorization": "Bearer abc"}, ["abc"]),
        ({"apikey": "abc"}, ["abc"]),
        ({"private-token": " abc"}, ["abc"]),
        ({"cookie": 'theme=dark; knox="abc"; Knox=no'}, ["abc"]),
        ({"cookie": "knox=a=b"}, ["a=b"]),
        ({"cookie": "a=1; knox=abc", "apikey": "abc", "authorization": "Token abc"}, ["abc"]),
        ({"cookie": "knox=abc; knox=abd"}, ["abc", "abd"]),
        ({"apikey": "abc", "x-api-key": "abd"}, ["abc", "abd"]),
        ({"authorization": "Token", "apikey": "", "cookie": "knox=; other; ="}, []),
        ({"authorization": "Basic"}, []),
        ({"authorization": "Basic dTpw"}, []),
        ({"authorization": "Digest abc"}, []),
        ({"authorization": ""}, []),
    ],
)
def test_what_else_presents_a_token_does_where_it_is_taken(fields: dict[str, str], secrets: list[str]) -> None:
    headers = [(name.encode(), value.encode()) for name, value in fields.items()]
    assert presented(headers, accepted=ALSO) == [secret.encode() for secret in secrets]
    usual = [pair for pair in headers if pair[0] == b"x-api-key" or pair[1].startswith(b"Bearer")]
    assert presented(headers) == presented(usual)


@pytest.mark.parametrize(
    "text",
    [
        "token",
        "scheme",
        "scheme:",
        "bare:x",
        "header:a b",
        "scheme:Bearer",
        "scheme:basic",
        "header:Authorization",
        "header:cookie",
        "header:X-Token-Cost",
        "header:x-tokens-retry-key",
        "header:x-original-uri",
        "header:Content-Length",
        "cookie:a=b",
        "cookie:a;b",
        "header:x:y",
    ],
)
def test_what_cannot_be_taken_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        read_accepted(f"bare, {text}", basic=False)


@pytest.mark.parametrize("field", [b"Basic !!!", b"Basic YQ==", b"Basic YTpi YTpi", b"Basic YTp"])
def test_basic_that_cannot_be_read_presents_what_is_no_token(field: bytes) -> None:
    assert presented([(b"authorization", field)], accepted=Accepted(basic=True)) == [field]


@pytest.mark.parametrize("field", [b"Basic", b"Basic ", b"Digest YTpi", b"Basicx YTpi", b""])
def test_another_scheme_and_an_empty_one_present_nothing(field: bytes) -> None:
    assert presented([(b"authorization", field)], accepted=Accepted(basic=True)) == []


@pytest.mark.parametrize(
    ("uri", "secrets"),
    [
        (b"/fasterread.php?tableKey=k&token=abc", [b"abc"]),
        (b"https://h/x?token=a%62c#token=no", [b"abc"]),
        (b"/x?tokens=abc", []),
        (b"/x", []),
        (b"/x?token=", []),
        (b"/x?token=abc&token=abd", [b"abc", b"abd"]),
        (b"/x?token=abc&token=abc&token=", [b"abc"]),
        (b"/x?token=%C3%A9", [b"\xe9"]),
        (b"/x?token=%E2%82%AC", [b"?"]),
        (b"/x?\xff\xfe&token=abc", [b"abc"]),
    ],
)
@pytest.mark.parametrize("name", [b"x-original-uri", b"x-forwarded-uri"])
def test_a_one_time_token_is_found_in_the_original_uri(name: bytes, uri: bytes, secrets: list[bytes]) -> None:
    assert presented([(b"host", b"h"), (name, uri)], in_uri=True) == secrets
    assert presented([(b"host", b"h"), (name, uri)]) == []


def test_without_an_original_uri_there_is_no_token_in_it() -> None:
    assert presented([(b"host", b"h")], in_uri=True) == []


def test_every_line_that_tells_the_original_uri_is_read() -> None:
    lines = [(b"x-original-uri", b"/x?token=abc"), (b"x-forwarded-uri", b"/x?token=abc")]
    assert presented(lines, in_uri=True) == [b"abc"]
    assert presented([*lines, (b"x-forwarded-uri", b"/x?token=abd")], in_uri=True) == [b"abc", b"abd"]
    assert presented([*lines, (b"x-token", b"abe")], in_uri=True) == [b"abe", b"abc"]


@pytest.mark.parametrize("uri", [b"//[x?token=abc", b"http://[::1/?token=abc", b"/x?" + b"a=1&" * 300 + b"token=abc"])
def test_an_original_uri_that_is_none_is_no_failure(uri: bytes) -> None:
    assert presented([(b"x-original-uri", uri)], in_uri=True) == [b"abc"]


@pytest.mark.parametrize(
    ("query", "header", "scopes"),
    [
        (b"", None, ()),
        (b"required_scope=a", None, ("a",)),
        (b"required_scope=a&x=1&required_scope=b", None, ("a", "b")),
        (b"required_scope=a+b%20a", None, ("a", "b")),
        (b"required_scope=", None, ("",)),
        (b"required_scope", None, ("",)),
        (b"required_scope=a", b"b, c d", ("a", "b", "c", "d")),
        (b"", b"a", ("a",)),
        (b"Required_Scope=a", None, ()),
        (b"required_scope=%FF", None, ("\ufffd",)),
    ],
)
def test_the_header_adds_scopes_to_those_of_the_query(
    query: bytes, header: bytes | None, scopes: tuple[str, ...]
) -> None:
    assert required_scopes(query, [] if header is None else [(b"x-required-scope", header)]) == scopes


@pytest.mark.parametrize(
    ("keys", "client", "request_"),
    [
        ([b"k"], ("10.0.0.1", 1), "gateway\nk"),
        ([b"k"], None, "gateway\nk"),  # a unix socket has no address
        ([b"k"], ("192.0.2.1", 1), ""),
        ([b"k", b"k"], ("10.0.0.1", 1), ""),
        ([b"k" * 64], ("10.0.0.1", 1), "gateway\n" + "k" * 64),
        ([b"k" * 65], ("10.0.0.1", 1), ""),
        ([b""], ("10.0.0.1", 1), ""),
        ([b"a b"], ("10.0.0.1", 1), "gateway\na b"),
        ([b"a\tb"], ("10.0.0.1", 1), ""),
        ([b"\xe9"], ("10.0.0.1", 1), ""),
        ([], ("10.0.0.1", 1), ""),
    ],
)
def test_a_trusted_proxy_alone_names_the_request_that_it_asks_about(
    keys: list[bytes], client: tuple[str, int] | None, request_: str
) -> None:
    headers = [(b"idempotency-key", b"client"), *[(b"x-tokens-retry-key", key) for key in keys]]
    assert retried_request(headers, client, TrustedProxies(["10.0.0.0/8"])) == request_


def test_without_trusted_proxies_nobody_names_a_request() -> None:
    for client in (None, ("127.0.0.1", 1)):
        assert retried_request([(b"x-tokens-retry-key", b"k")], client, TrustedProxies()) == ""


def test_an_allowed_request_has_an_empty_body_and_the_identity() -> None:
    status, headers, body = answer(Verdict(Outcome.ACTIVE, TOKEN), "r1")
    assert (status, body) == (200, b"")
    assert dict(headers) == {
        b"content-length": b"0",
        b"cache-control": b"no-store",
        b"x-token-id": b"00" * 8,
        b"x-token-subject": b"ada",
        b"x-token-scopes": b"orders:read stock",
        b"x-token-kind": b"managed",
        b"remote-user": b"ada",
        b"x-auth-request-user": b"ada",
        b"x-token-name": b"CI%20d%C3%A9ploiement%201",
    }


def test_identity_headers_are_ascii_and_never_empty() -> None:
    headers = dict(answer(Verdict(Outcome.ACTIVE, SESSION), "r1").headers)
    assert headers[b"x-token-subject"] == headers[b"remote-user"] == b"J%C3%BCrgen"
    assert headers[b"x-token-scopes"] == b"-"
    assert b"x-token-name" not in headers
    nobody = msgspec.structs.replace(SESSION, kind=Kind.ONE_TIME, subject="")
    assert dict(answer(Verdict(Outcome.ACTIVE, nobody), "r1").headers)[b"x-token-subject"] == b"-"


@pytest.mark.parametrize(
    ("name", "said"), [("", b"-"), ("a b c", b"a%20b%20c"), ("100 %20", b"100%20%2520"), ("a\r\nb/", b"a%0D%0Ab%2F")]
)
def test_a_name_comes_percent_encoded(name: str, said: bytes) -> None:
    named = msgspec.structs.replace(TOKEN, name=name)
    assert dict(answer(Verdict(Outcome.ACTIVE, named), "r1").headers)[b"x-token-name"] == said


@pytest.mark.parametrize("subject", ["a\r\nSet-Cookie: x=1", "a\x00b", "a b", "100%", "a\tb", "\ud7ff\u2028"])
def test_no_subject_breaks_out_of_its_header(subject: str) -> None:
    value = dict(answer(Verdict(Outcome.ACTIVE, msgspec.structs.replace(TOKEN, subject=subject)), "r").headers)
    assert all(0x21 <= byte < 0x7F for byte in value[b"x-token-subject"])


def test_the_quota_is_told_in_rate_limit_fields() -> None:
    one = RateLimit(100, 60)
    limited = structs.replace(TOKEN, rate_limits=(one,))
    headers = dict(answer(Verdict(Outcome.ACTIVE, limited, (), (Quota(one, 7, 42, 0),)), "r").headers)
    assert headers[b"ratelimit-policy"] == b'"default";q=100;w=60'
    assert headers[b"ratelimit"] == b'"default";r=7;t=42'
    two = RateLimit(20, 1, 0, "burst"), RateLimit(100, 60, 0, "m.1")
    limited, quotas = structs.replace(TOKEN, rate_limits=two), (Quota(two[0], 0, 1, 1), Quota(two[1], 0, 60, 3))
    refused = answer(Verdict(Outcome.RATE_LIMITED, limited, (), quotas), "r")
    headers = dict(refused.headers)
    assert (refused.status, headers[b"retry-after"]) == (429, b"3")
    assert headers[b"ratelimit-policy"] == b'"burst";q=20;w=1, "m.1";q=100;w=60'
    assert headers[b"ratelimit"] == b'"burst";r=0;t=1, "m.1";r=0;t=60'


BARE = b'Bearer realm="tokens"'
REFUSALS = [
    (ABSENT, 401, "unauthorized", BARE),
    *[
        (Verdict(outcome), 401, "invalid_token", BARE + b', error="invalid_token"')
        for outcome in (
            Outcome.MALFORMED,
            Outcome.UNKNOWN,
            Outcome.EXPIRED,
            Outcome.INACTIVE,
            Outcome.REVOKED,
            Outcome.USES_EXHAUSTED,
        )
    ],
    (
        Verdict(Outcome.INSUFFICIENT_SCOPE, TOKEN, ("a", "b")),
        403,
        "insufficient_scope",
        BARE + b', error="insufficient_scope", scope="a b"',
    ),
    (Verdict(Outcome.NETWORK_DENIED), 403, "network_denied", None),
    (UNAVAILABLE, 503, "store_unavailable", None),
    # An active verdict without its record, a limit without its figures: never an allowance.
    (Verdict(Outcome.ACTIVE), 401, "invalid_token", BARE + b', error="invalid_token"'),
    (Verdict(Outcome.RATE_LIMITED), 401, "invalid_token", BARE + b', error="invalid_token"'),
]


@pytest.mark.parametrize(("verdict", "status", "code", "challenge"), REFUSALS)
def test_a_refusal_is_a_problem_with_its_challenge(
    verdict: Verdict, status: int, code: str, challenge: bytes | None
) -> None:
    refused = answer(verdict, "r1")
    headers = dict(refused.headers)
    problem = msgspec.json.decode(refused.body)
    assert (refused.status, problem["status"], problem["code"], problem["request_id"]) == (
        status,
        status,
        code,
        "r1",
    )
    assert headers.get(b"www-authenticate") == challenge
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"content-length"] == b"%d" % len(refused.body)
    assert headers[b"cache-control"] == b"no-store"
    assert (headers.get(b"retry-after") == b"1") is (status == 503)


def test_bad_unknown_expired_inactive_and_revoked_are_answered_alike() -> None:
    bodies = {answer(Verdict(outcome), "r").body for outcome in (Outcome.MALFORMED, Outcome.UNKNOWN, Outcome.REVOKED)}
    assert len(bodies) == 1


@pytest.mark.parametrize("scope", ["", 'a"b', "a\\b", "a\r\nb", "é", "\ufffd"])
def test_no_required_scope_breaks_out_of_the_challenge(scope: str) -> None:
    refused = answer(Verdict(Outcome.INSUFFICIENT_SCOPE, TOKEN, (scope,)), "r")
    assert dict(refused.headers)[b"www-authenticate"].endswith(b'scope="invalid"')
    assert msgspec.json.decode(refused.body)["detail"] == "A scope that is asked for is malformed: no token has it."


@pytest.mark.parametrize(("client", "cost"), [(("10.0.0.1", 1), 40), (("192.0.2.1", 1), 1), (None, 40)])
def test_only_a_trusted_proxy_says_what_a_request_costs(client: tuple[str, int] | None, cost: int) -> None:
    trusted = TrustedProxies(["10.0.0.0/8"])
    assert request_cost([(b"x-token-cost", b"40")], client, trusted) == cost
    assert request_cost([(b"host", b"a")], client, trusted) == 1
