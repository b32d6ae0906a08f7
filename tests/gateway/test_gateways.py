"""What every gateway must do with the configuration we give for it: ask, pass the identity on, refuse in our words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.running import wait_until
from tests.api.wire import Answer, Client, Raw
from tests.gateway.conftest import Gateway, Site, apache, caddy, haproxy, nginx

pytestmark = pytest.mark.slow
IDENTITY = {"x-token-id", "x-token-subject", "x-token-scopes", "x-token-kind", "remote-user", "x-auth-request-user"}
OFFERED = 'Basic realm="tokens", Bearer realm="tokens"'
SPOOFED = {
    "X-Token-Id": "spoof",
    "X-Token-Subject": "spoof",
    "X-Token-Scopes": "spoof",
    "X-Token-Kind": "spoof",
    "X-Token-Name": "spoof",
    "Remote-User": "spoof",
    "X-Auth-Request-User": "spoof",
}


# What a client may say of a request, by any name under which something believes it to be the request's own.
_OWN = (
    "Idempotency-Key",
    "X-Tokens-Retry-Key",
    "X_Tokens_Retry_Key",
    "X-Request-Id",
    "X-Correlation-Id",
    "Request-Id",
    "Unique-Id",
    "X-Unique-Id",
)
SAME = dict.fromkeys(_OWN, "same")


class Front:
    """A client of the gateway, and what it knows of the other side."""

    def __init__(self, gateway: Gateway, site: Site) -> None:
        self.site = site
        self.gateway = gateway
        self.client = Client(gateway.port)

    def ask(self, method: str, path: str, secret: str = "", **more: Any) -> Answer:
        return self.client.ask(method, path, bearer=secret, **more)

    def raw(self, request: str) -> Answer:
        """The answer to exactly these bytes."""
        with Raw(self.gateway.port) as raw:
            raw.send(request.encode("latin-1"))
            return raw.answer(request.partition(" ")[0])

    def passed(self, method: str, path: str, secret: str, **more: Any) -> dict[str, Any]:
        """What the application was sent, by a request that must be allowed."""
        answer = self.ask(method, path, secret, **more)
        assert answer.status == 200, (answer, self.gateway.log[-2000:])
        seen: dict[str, Any] = answer.json()
        seen["headers"] = {name: [v for n, v in seen["headers"] if n == name] for name, _ in seen["headers"]}
        return seen

    def refused(self, status: int, method: str, path: str, secret: str = "", **more: Any) -> Answer:
        """A refusal that never reached the application."""
        before = self.site.application.requests
        answer = self.ask(method, path, secret, **more)
        assert answer.status == status, (answer, self.gateway.log[-2000:])
        assert self.site.application.requests == before
        return answer


@pytest.fixture(scope="module", params=[nginx, caddy, haproxy, apache])
def front(request: pytest.FixtureRequest, site: Site) -> Iterator[Front]:
    gateway = request.param(site)
    yield Front(gateway, site)
    gateway.close()


def test_nobody_and_a_bad_token_do_not_pass(front: Front) -> None:
    for secret in ("", "x", "A" * 64, "rtk_" + "0" * 64, front.site.one_time()):
        answer = front.refused(401, "GET", "/", secret)
        assert (answer.header("www-authenticate") or "").startswith(OFFERED)


def test_a_bad_token_is_told_from_none(front: Front) -> None:
    assert front.refused(401, "GET", "/").header("www-authenticate") == OFFERED
    bad = front.refused(401, "GET", "/", "x").header("www-authenticate")
    assert bad == f'{OFFERED}, error="invalid_token"'


def test_programs_that_know_basic_alone_give_the_token_so(front: Front) -> None:
    secret = front.site.token()["token"]
    for pair in (("x-access-token", secret), (secret, "")):
        headers = front.passed("GET", "/", "", basic=pair)["headers"]
        assert "authorization" not in headers
    front.refused(401, "GET", "/", "", basic=("x-access-token", "rtk_" + "0" * 64))


def test_the_application_learns_who_it_is_and_not_the_secret(front: Front) -> None:
    token = front.site.token(subject="svc:a", scopes=["a", "b"])
    for spoofed in ({}, SPOOFED):
        headers = front.passed("GET", "/", token["token"], headers=spoofed)["headers"]
        assert headers["x-token-id"] == [token["id"]]
        assert headers["x-token-subject"] == headers["remote-user"] == headers["x-auth-request-user"] == ["svc:a"]
        assert headers["x-token-scopes"] == ["a b"]
        assert "spoof" not in str(headers)
        assert token["token"] not in str(headers)


def test_nothing_that_a_client_says_of_itself_reaches_the_application(front: Front) -> None:
    for spelled in (
        SPOOFED,
        {name.lower(): value for name, value in SPOOFED.items()},
        {name.replace("-", "_"): value for name, value in SPOOFED.items()},
    ):
        headers = front.passed("GET", "/", front.site.admin, headers=spelled)["headers"]
        assert "spoof" not in str(headers)
        assert headers["x-token-subject"] == ["admin"]


def test_the_other_two_headers_carry_a_token_too(front: Front) -> None:
    secret = front.site.token()["token"]
    for name in ("X-API-Key", "X-Token"):
        assert secret not in str(front.passed("GET", "/", "", headers={name: secret}))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_request_arrives_as_it_was_sent(front: Front, method: str) -> None:
    body = b"x" * 100_000
    path = "/some/path?required_scope=unheld&x=%20y&token=z"
    seen = front.passed(method, path, front.site.admin, body=body)
    assert (seen["method"], seen["path"], len(seen["body"])) == (method, path, len(body))


def test_a_fault_of_the_application_stays_its_own(front: Front) -> None:
    answer = front.ask("GET", "/broken", front.site.admin)
    assert (answer.status, answer.json()["path"]) == (500, "/broken")


def test_a_scope_is_required_where_the_configuration_says_so(front: Front) -> None:
    without, with_it = front.site.token(scopes=["x"]), front.site.token(scopes=["orders:read"])
    wide = front.site.token(scopes=["orders:*"])
    answer = front.ask("GET", "/orders/7", without["token"], headers={"X-Required-Scope": "x"})
    assert answer.status in (401, 403)
    for token in (with_it, wide):
        assert front.passed("GET", "/orders/7", token["token"])["path"] == "/orders/7"


def test_a_missing_scope_is_403_and_named(front: Front) -> None:
    answer = front.refused(403, "GET", "/orders/7?required_scope=x", front.site.token(scopes=["x"])["token"])
    assert 'scope="orders:read"' in (answer.header("www-authenticate") or "")


def test_a_revoked_token_passes_no_more(front: Front) -> None:
    token = front.site.token()
    front.passed("GET", "/", token["token"])
    front.site.service.ask("DELETE", f"/api/admin/tokens?id={token['id']}", bearer=front.site.admin)
    front.refused(401, "GET", "/", token["token"])


def test_a_used_up_limit_is_429_and_says_when_to_come_back(front: Front) -> None:
    secret = front.site.token(rateLimit={"limit": 2, "periodSeconds": 86400})["token"]
    for _ in range(2):
        front.passed("GET", "/", secret)
    answer = front.refused(429, "GET", "/", secret)
    assert int(answer.header("retry-after") or 0) > 3600
    assert (answer.header("ratelimit-policy") or '"default";q=2;w=86400') == '"default";q=2;w=86400'


def test_the_address_that_counts_is_the_one_the_gateway_sees(front: Front) -> None:
    here, elsewhere = (front.site.token(allowedNetworks=[net])["token"] for net in ("127.0.0.0/8", "203.0.113.0/24"))
    front.passed("GET", "/", here)
    front.passed("GET", "/", here, headers={"X-Forwarded-For": "203.0.113.9"})
    front.refused(403, "GET", "/", elsewhere)
    front.refused(403, "GET", "/", elsewhere, headers={"X-Forwarded-For": "203.0.113.9"})


def test_a_one_time_token_opens_its_door_once(front: Front) -> None:
    by_header, by_url = front.site.one_time(), front.site.one_time()
    front.passed("GET", "/download/file", by_header)
    front.refused(401, "GET", "/download/file", by_header)
    target = f"/download/fasterread.php?tableKey=k&token={by_url}"
    front.passed("GET", target, "")
    front.refused(401, "GET", target)
    front.refused(401, "GET", "/download/file", front.site.admin)


@pytest.mark.parametrize("by_url", [False, True])
def test_of_ten_requests_with_one_token_one_passes_whatever_the_client_says(front: Front, by_url: bool) -> None:
    for said in ({}, SAME, *({name: value} for name, value in SAME.items())):
        secret = front.site.one_time()
        target = f"/download/file?token={secret}" if by_url else "/download/file"
        statuses = [front.ask("GET", target, "" if by_url else secret, headers=said).status for _ in range(10)]
        assert statuses == [200] + [401] * 9, said


def test_a_retry_key_given_twice_or_named_as_of_one_hop_is_still_not_the_clients(front: Front) -> None:
    secret = front.site.one_time()
    twice = "X-Tokens-Retry-Key: a\r\nx-tokens-retry-key: a\r\nConnection: close, X-Tokens-Retry-Key\r\n"
    statuses = [
        front.raw(f"GET /download/file HTTP/1.1\r\nHost: x\r\nX-Token: {secret}\r\n{twice}\r\n").status
        for _ in range(3)
    ]
    assert statuses == [200, 401, 401]


def test_a_lost_answer_costs_no_one_time_token(front: Front) -> None:
    front.passed("GET", "/", front.site.admin)  # so that a connection is kept
    for _ in range(3):
        secret = front.site.one_time()
        front.site.counter.losses = 1
        front.passed("GET", "/download/file", secret)
        assert front.site.counter.losses == 0
        front.refused(401, "GET", "/download/file", secret)


def test_the_clients_own_idempotency_key_reaches_the_application_and_no_retry_key_does(front: Front) -> None:
    headers = front.passed("POST", "/", front.site.admin, headers=SAME)["headers"]
    assert headers["idempotency-key"] == ["same"]
    assert [name for name in headers if name.replace("_", "-") == "x-tokens-retry-key"] == []


def test_a_header_that_the_client_names_as_of_one_hop_counts_all_the_same(front: Front) -> None:
    token = front.site.token(subject="svc:a", scopes=["x"])
    named = ["close", *SPOOFED, "X-Forwarded-For", "X-Required-Scope", "X-Original-URI"]
    hop = f"Connection: keep-alive, upgrade\r\nConnection: {','.join(named)}\r\n"
    lines = f"Host: x\r\nX-Token: {token['token']}\r\n{hop}\r\n"
    answer = front.raw(f"GET / HTTP/1.1\r\n{lines}")
    assert answer.status == 200
    seen = dict(answer.json()["headers"])
    assert (seen["x-token-id"], seen["remote-user"], seen["x-token-scopes"]) == (token["id"], "svc:a", "x")
    assert front.raw(f"GET /orders/7 HTTP/1.1\r\n{lines}").status == 403
    bound = front.site.token(allowedNetworks=["127.0.0.0/8"])["token"]
    assert front.raw(f"GET / HTTP/1.1\r\n{lines}".replace(token["token"], bound)).status == 200


def test_one_connection_to_the_service_carries_many_questions(front: Front) -> None:
    front.passed("GET", "/", front.site.admin)
    before = front.site.counter.connections
    for number in range(30):
        front.passed("POST" if number % 2 else "GET", "/", front.site.admin, body=b"x" if number % 2 else None)
    # One for each process or thread of the gateway: those have one a core, Apache four here.
    assert front.site.counter.connections - before <= 4


def test_without_redis_it_is_neither_yes_nor_no(front: Front) -> None:
    front.site.redis.kill()
    try:
        for path, secret in (("/", front.site.admin), ("/download/x", "0" * 32)):
            assert front.refused(503, "GET", path, secret).header("retry-after") == "1"
    finally:
        front.site.redis.start()
    wait_until(lambda: front.ask("GET", "/", front.site.admin).status == 200, what="requests to pass again")


def test_without_the_service_it_is_neither_yes_nor_no(front: Front) -> None:
    front.site.counter.refuse(True)
    try:
        answer = front.ask("GET", "/", front.site.admin)
        assert answer.status in (401, 503)
    finally:
        front.site.counter.refuse(False)
    wait_until(lambda: front.ask("GET", "/", front.site.admin).status == 200, what="requests to pass again")
