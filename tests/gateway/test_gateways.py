"""What every gateway must do with the configuration we give for it: ask, pass the identity on, refuse in our words."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.running import wait_until
from tests.api.wire import Answer, Client, Raw
from tests.gateway.conftest import Gateway, Site, apache, caddy, envoy, haproxy, nginx

pytestmark = pytest.mark.slow
IDENTITY = {"x-token-id", "x-token-subject", "x-token-scopes", "x-token-kind", "remote-user", "x-auth-request-user"}
CADDY_OF_TODAY = Path(sys.executable).with_name("caddy")
OFFERED = 'Basic realm="tokens", Bearer realm="tokens"'
SPOOFED = {
    "X-Token-Id": "spoof",
    "X-Token-Subject": "spoof",
    "X-Token-Scopes": "spoof",
    "X-Token-Kind": "spoof",
    "X-Token-Name": "spoof",
    "Remote-User": "spoof",
    "X-Auth-Request-User": "spoof",
    "X-Forwarded-For": "spoof",
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


class Deployment:
    """A client of the gateway, and what it knows of the other side."""

    def __init__(self, gateway: Gateway, site: Site, *, is_envoy: bool) -> None:
        self.is_envoy = is_envoy
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


@pytest.fixture(scope="module", params=[nginx, caddy, haproxy, apache, envoy])
def deployment(request: pytest.FixtureRequest, site: Site) -> Iterator[Deployment]:
    gateway = request.param(site)
    yield Deployment(gateway, site, is_envoy=request.param is envoy)
    gateway.close()


def test_nobody_and_a_bad_token_do_not_pass(deployment: Deployment) -> None:
    for secret in ("", "x", "A" * 64, "rtk_" + "0" * 64, deployment.site.one_time()):
        answer = deployment.refused(401, "GET", "/", secret)
        assert (answer.header("www-authenticate") or "").startswith(OFFERED)


def test_a_bad_token_is_told_from_none(deployment: Deployment) -> None:
    assert deployment.refused(401, "GET", "/").header("www-authenticate") == OFFERED
    bad = deployment.refused(401, "GET", "/", "x").header("www-authenticate")
    assert bad == f'{OFFERED}, error="invalid_token"'


def test_programs_that_know_basic_alone_give_the_token_so(deployment: Deployment) -> None:
    secret = deployment.site.token()["token"]
    for pair in (("x-access-token", secret), (secret, "")):
        headers = deployment.passed("GET", "/", "", basic=pair)["headers"]
        assert "authorization" not in headers
    deployment.refused(401, "GET", "/", "", basic=("x-access-token", "rtk_" + "0" * 64))


def test_the_application_learns_who_it_is_and_not_the_secret(deployment: Deployment) -> None:
    token = deployment.site.token(subject="svc:a", scopes=["a", "b"])
    for spoofed in ({}, SPOOFED):
        headers = deployment.passed("GET", "/", token["token"], headers=spoofed)["headers"]
        assert headers["x-token-id"] == [token["id"]]
        assert headers["x-token-subject"] == headers["remote-user"] == headers["x-auth-request-user"] == ["svc:a"]
        assert headers["x-token-scopes"] == ["a b"]
        assert "spoof" not in str(headers)
        assert token["token"] not in str(headers)


def test_nothing_that_a_client_says_of_itself_reaches_the_application(deployment: Deployment) -> None:
    for spelled in (
        SPOOFED,
        {name.lower(): value for name, value in SPOOFED.items()},
        {name.replace("-", "_"): value for name, value in SPOOFED.items()},
        {name.replace("-", "."): value for name, value in SPOOFED.items()},
    ):
        headers = deployment.passed("GET", "/", deployment.site.admin, headers=spelled)["headers"]
        assert "spoof" not in str(headers)
        assert headers["x-token-subject"] == ["admin"]


def test_what_there_is_nothing_to_say_of_is_left_out_and_not_said_empty(deployment: Deployment) -> None:
    """A session has no name, and a refusal for the network neither a challenge nor a limit."""
    passed = deployment.passed("GET", "/", deployment.site.admin, headers=SPOOFED)["headers"]
    assert [name for name, values in passed.items() if "" in values] == []
    elsewhere = deployment.site.token(allowedNetworks=["203.0.113.0/24"])["token"]
    refused = deployment.refused(403, "GET", "/", elsewhere)
    assert [name for name, value in refused.headers if not value] == []


def test_a_doubled_authorization_is_refused_as_a_wrong_one_is(deployment: Deployment) -> None:
    line = f"Authorization: Bearer {deployment.site.admin}\r\n"
    before = deployment.site.application.requests
    answer = deployment.raw(f"GET / HTTP/1.1\r\nHost: x\r\n{line}{line}\r\n")
    assert answer.status in (401, 400)  # nginx takes no such request
    assert deployment.site.application.requests == before


def test_the_other_two_headers_carry_a_token_too(deployment: Deployment) -> None:
    secret = deployment.site.token()["token"]
    for name in ("X-API-Key", "X-Token"):
        assert secret not in str(deployment.passed("GET", "/", "", headers={name: secret}))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_request_arrives_as_it_was_sent(deployment: Deployment, method: str) -> None:
    body = b"x" * 100_000
    path = "/some/path?required_scope=unheld&x=%20y&token=z"
    seen = deployment.passed(method, path, deployment.site.admin, body=body)
    assert (seen["method"], seen["path"], len(seen["body"])) == (method, path, len(body))


def test_a_fault_of_the_application_stays_its_own(deployment: Deployment) -> None:
    answer = deployment.ask("GET", "/broken", deployment.site.admin)
    assert (answer.status, answer.json()["path"]) == (500, "/broken")


def test_a_scope_is_required_where_the_configuration_says_so(deployment: Deployment) -> None:
    without, with_it = deployment.site.token(scopes=["x"]), deployment.site.token(scopes=["orders:read"])
    wide = deployment.site.token(scopes=["orders:*"])
    answer = deployment.ask("GET", "/orders/7", without["token"], headers={"X-Required-Scope": "x"})
    assert answer.status in (401, 403)
    for token in (with_it, wide):
        assert deployment.passed("GET", "/orders/7", token["token"])["path"] == "/orders/7"


def test_a_path_is_matched_as_an_application_reads_it(deployment: Deployment) -> None:
    """Else a one-time token, which anybody may be given, is enough for every path, and a scope is required of nobody."""
    before = deployment.site.application.requests
    unheld, once = deployment.site.token(scopes=["x"])["token"], deployment.site.one_time()
    asking = "Access-Control-Request-Method: PUT"
    for up in ("..", "%2e%2e", ".%2E"):
        for start in (
            f"GET /download/{up}/x HTTP/1.1\r\nX-Token: {once}",
            f"GET /download/{up}%2fx HTTP/1.1\r\nX-Token: {once}",
            f"GET /x/{up}/orders/7 HTTP/1.1\r\nX-Token: {unheld}",
            f"OPTIONS /browser/{up}/x HTTP/1.1\r\n{asking}",
        ):
            assert deployment.raw(f"{start}\r\nHost: x\r\n\r\n").status in (400, 401, 403, 404), start
    for path in ("//orders/7", "/./orders/7", "/%6frders/7", "/orders%2f7", "/%2forders/7", "/orders/%zz"):
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Token: {unheld}\r\n\r\n"
        assert deployment.raw(head).status in (400, 403, 404), path
    assert deployment.site.application.requests == before
    deployment.passed("GET", "/%6frders/7", deployment.site.token(scopes=["orders:read"])["token"])


def test_a_missing_scope_is_403_and_named(deployment: Deployment) -> None:
    answer = deployment.refused(403, "GET", "/orders/7?required_scope=x", deployment.site.token(scopes=["x"])["token"])
    assert 'scope="orders:read"' in (answer.header("www-authenticate") or "")


def test_a_revoked_token_passes_no_more(deployment: Deployment) -> None:
    token = deployment.site.token()
    deployment.passed("GET", "/", token["token"])
    deployment.site.service.ask("DELETE", f"/api/admin/tokens?id={token['id']}", bearer=deployment.site.admin)
    deployment.refused(401, "GET", "/", token["token"])


def test_a_used_up_limit_is_429_and_says_when_to_come_back(deployment: Deployment) -> None:
    secret = deployment.site.token(rateLimits=[{"limit": 2, "periodSeconds": 86400}])["token"]
    for _ in range(2):
        # What a request costs is the gateway's to say.
        said = deployment.passed("GET", "/", secret, headers={"X-Token-Cost": "2"})
        assert "x-token-cost" not in said["headers"]
    answer = deployment.refused(429, "GET", "/", secret)
    assert int(answer.header("retry-after") or 0) > 3600
    assert (answer.header("ratelimit-policy") or '"default";q=2;w=86400') == '"default";q=2;w=86400'


def test_the_address_that_counts_is_the_one_the_gateway_sees(deployment: Deployment) -> None:
    # Envoy names a client on its own machine by an address of the machine.
    address = deployment.passed("GET", "/", deployment.site.admin)["headers"]["x-forwarded-for"][0]
    assert (address == "127.0.0.1") is not deployment.is_envoy
    here, elsewhere = (deployment.site.token(allowedNetworks=[net])["token"] for net in (address, "203.0.113.0/24"))
    deployment.passed("GET", "/", here)
    deployment.passed("GET", "/", here, headers={"X-Forwarded-For": "203.0.113.9"})
    deployment.refused(403, "GET", "/", elsewhere)
    deployment.refused(403, "GET", "/", elsewhere, headers={"X-Forwarded-For": "203.0.113.9"})


def test_a_one_time_token_opens_its_door_once(deployment: Deployment) -> None:
    by_header, by_url = deployment.site.one_time(), deployment.site.one_time()
    deployment.passed("GET", "/download/file", by_header)
    deployment.refused(401, "GET", "/download/file", by_header)
    target = f"/download/fasterread.php?tableKey=k&token={by_url}"
    deployment.passed("GET", target, "")
    deployment.refused(401, "GET", target)
    deployment.refused(401, "GET", "/download/file", deployment.site.admin)


@pytest.mark.parametrize("by_url", [False, True])
def test_of_ten_requests_with_one_token_one_passes_whatever_the_client_says(
    deployment: Deployment, by_url: bool
) -> None:
    for said in ({}, SAME, *({name: value} for name, value in SAME.items())):
        secret = deployment.site.one_time()
        target = f"/download/file?token={secret}" if by_url else "/download/file"
        statuses = [deployment.ask("GET", target, "" if by_url else secret, headers=said).status for _ in range(10)]
        assert statuses == [200] + [401] * 9, said


def test_a_retry_key_given_twice_or_named_as_of_one_hop_is_still_not_the_clients(deployment: Deployment) -> None:
    secret = deployment.site.one_time()
    twice = "X-Tokens-Retry-Key: a\r\nx-tokens-retry-key: a\r\nConnection: close, X-Tokens-Retry-Key\r\n"
    statuses = [
        deployment.raw(f"GET /download/file HTTP/1.1\r\nHost: x\r\nX-Token: {secret}\r\n{twice}\r\n").status
        for _ in range(3)
    ]
    assert statuses == [200, 401, 401]


def test_a_websocket_is_accepted_and_costs_one_token(deployment: Deployment) -> None:
    secret = deployment.site.one_time()
    for path, statuses in (
        (f"/download/ws?token={secret}", (b"101", b"401")),
        ("/?token=x", (b"401",)),
    ):
        for status in statuses:
            with socket.create_connection(("127.0.0.1", deployment.gateway.port), timeout=15) as connection:
                connection.sendall(
                    f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
                )
                stream = connection.makefile("rb")
                assert stream.readline().split()[1] == status, deployment.gateway.log[-2000:]
                if status == b"101":
                    while stream.readline().strip():
                        pass
                    connection.sendall(b"over and back")
                    assert stream.read(13) == b"over and back"
                stream.close()


def test_no_upgrade_but_a_websockets_reaches_the_application(deployment: Deployment) -> None:
    lines = f"Host: x\r\nX-Token: {deployment.site.admin}\r\nConnection: Upgrade\r\nUpgrade: other\r\n"
    answer = deployment.raw(f"GET / HTTP/1.1\r\n{lines}\r\n")
    if deployment.is_envoy:  # it takes no such request
        assert answer.status == 403
    else:
        assert "upgrade" not in dict(answer.json()["headers"])


def test_a_preflight_reaches_the_application_without_a_credential_and_speaks_for_nobody(deployment: Deployment) -> None:
    asking = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    said = SPOOFED | {"X-Token": "spoof", "Authorization": "Bearer spoof"}
    headers = deployment.passed("OPTIONS", "/browser/x", "", headers=asking | said)["headers"]
    assert headers["access-control-request-method"] == ["POST"]
    assert "spoof" not in str(headers)
    assert not IDENTITY & {name for name, values in headers.items() if values != [""]}
    for method, path, more in (
        ("OPTIONS", "/browser/x", {}),
        ("OPTIONS", "/x", asking),
        ("OPTIONS", "/orders/x", asking),
        ("GET", "/browser/x", asking),
    ):
        deployment.refused(401, method, path, headers=more)


def test_a_lost_answer_costs_no_one_time_token(deployment: Deployment) -> None:
    # So that a connection is kept: Caddy keeps one for each place in its file that asks.
    deployment.passed("GET", "/download/file", deployment.site.one_time())
    for _ in range(3):
        secret = deployment.site.one_time()
        deployment.site.counter.losses = 1
        if deployment.is_envoy:  # it asks once: neither yes nor no, as its file says
            assert deployment.refused(503, "GET", "/download/file", secret).header("retry-after") == "1"
        else:
            deployment.passed("GET", "/download/file", secret)
        assert deployment.site.counter.losses == 0
        deployment.refused(401, "GET", "/download/file", secret)


def test_the_clients_own_idempotency_key_reaches_the_application_and_no_retry_key_does(deployment: Deployment) -> None:
    headers = deployment.passed("POST", "/", deployment.site.admin, headers=SAME)["headers"]
    assert headers["idempotency-key"] == ["same"]
    assert [name for name in headers if name.replace("_", "-") == "x-tokens-retry-key"] == []


def test_a_header_that_the_client_names_as_of_one_hop_counts_all_the_same(deployment: Deployment) -> None:
    token = deployment.site.token(subject="svc:a", scopes=["x"])
    named = ["close", *SPOOFED, "X-Forwarded-For", "X-Required-Scope", "X-Original-URI"]
    hop = f"Connection: keep-alive, upgrade\r\nConnection: {','.join(named)}\r\n"
    lines = f"Host: x\r\nX-Token: {token['token']}\r\n{hop}\r\n"
    answer = deployment.raw(f"GET / HTTP/1.1\r\n{lines}")
    if deployment.is_envoy:  # it takes no such request
        assert answer.status == 400
        return
    assert answer.status == 200
    seen = dict(answer.json()["headers"])
    assert (seen["x-token-id"], seen["remote-user"], seen["x-token-scopes"]) == (token["id"], "svc:a", "x")
    assert deployment.raw(f"GET /orders/7 HTTP/1.1\r\n{lines}").status == 403
    bound = deployment.site.token(allowedNetworks=["127.0.0.0/8"])["token"]
    assert deployment.raw(f"GET / HTTP/1.1\r\n{lines}".replace(token["token"], bound)).status == 200


def test_one_connection_to_the_service_carries_many_questions(deployment: Deployment) -> None:
    deployment.passed("GET", "/", deployment.site.admin)
    before = deployment.site.counter.connections
    for number in range(30):
        deployment.passed(
            "POST" if number % 2 else "GET", "/", deployment.site.admin, body=b"x" if number % 2 else None
        )
    # One for each process or thread of the gateway: those have one a core, Apache four here.
    assert deployment.site.counter.connections - before <= 4


def test_without_redis_it_is_neither_yes_nor_no(deployment: Deployment) -> None:
    deployment.site.redis.kill()
    try:
        for path, secret in (("/", deployment.site.admin), ("/download/x", "0" * 32)):
            assert deployment.refused(503, "GET", path, secret).header("retry-after") == "1"
    finally:
        deployment.site.redis.start()
    wait_until(lambda: deployment.ask("GET", "/", deployment.site.admin).status == 200, what="requests to pass again")


def test_without_the_service_it_is_neither_yes_nor_no(deployment: Deployment) -> None:
    deployment.site.counter.refuse(True)
    try:
        assert deployment.refused(503, "GET", "/", deployment.site.admin).header("retry-after") == "1"
    finally:
        deployment.site.counter.refuse(False)
    wait_until(lambda: deployment.ask("GET", "/", deployment.site.admin).status == 200, what="requests to pass again")


def test_too_many_fields_are_no_fault_of_the_service(deployment: Deployment) -> None:
    fields = "".join(f"A{number}: b\r\n" for number in range(70))
    answer = deployment.raw(f"GET / HTTP/1.1\r\nHost: x\r\nX-Token: {deployment.site.admin}\r\n{fields}\r\n")
    # HAProxy and Apache ask with the fields that count alone.
    assert answer.status in (200, 431)


def test_a_service_that_says_nothing_keeps_nobody_waiting_for_ever(deployment: Deployment) -> None:
    if deployment.is_envoy:
        pytest.skip("its patience is stretched here")
    deployment.site.counter.instead = b""
    try:
        assert deployment.refused(503, "GET", "/", deployment.site.admin).header("retry-after") == "1"
    finally:
        deployment.site.counter.instead = None


@pytest.mark.parametrize(
    ("program", "said"),
    [("caddy", ["{http.reverse_proxy.header.X-Token-Name}"]), (str(CADDY_OF_TODAY), None)],
    ids=["2.6", "2.11"],
)
def test_caddy_passes_a_literal_placeholder_on_before_2_11_and_nothing_since(
    site: Site, program: str, said: list[str] | None
) -> None:
    """Why X-Token-Name is left out of the file: a session has none."""
    version = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout.lstrip("v")
    if not version.startswith("2.6." if said else "2.11."):
        pytest.skip(f"this caddy is {version}")
    gateway = caddy(site, program, **{"copy_headers ": "copy_headers X-Token-Name "})
    deployment = Deployment(gateway, site, is_envoy=False)
    try:
        assert deployment.passed("GET", "/", site.admin, headers=SPOOFED)["headers"].get("x-token-name") == said
        token = site.token()
        assert deployment.passed("GET", "/", token["token"])["headers"]["x-token-name"] == [quote(token["name"])]
        deployment.refused(401, "GET", "/")
    finally:
        gateway.close()
