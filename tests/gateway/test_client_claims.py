"""What a client says of itself counts behind no gateway: identity, address, and keys that would repeat a use."""

import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.gateway.conftest import Deployment, Site, caddy

pytestmark = pytest.mark.slow
IDENTITY = {"x-token-id", "x-token-subject", "x-token-scopes", "x-token-kind", "remote-user", "x-auth-request-user"}
CADDY_OF_TODAY = Path(sys.executable).with_name("caddy")
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


def test_the_application_learns_who_it_is_and_not_the_secret(deployment: Deployment) -> None:
    token = deployment.site.create(subject="svc:a", scopes=["a", "b"])
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
    elsewhere = deployment.site.create(allowedNetworks=["203.0.113.0/24"])["token"]
    refused = deployment.refused(403, "GET", "/", elsewhere)
    assert [name for name, value in refused.headers if not value] == []


def test_the_address_that_counts_is_the_one_the_gateway_sees(deployment: Deployment) -> None:
    # Envoy names a client on its own machine by an address of the machine.
    address = deployment.passed("GET", "/", deployment.site.admin)["headers"]["x-forwarded-for"][0]
    assert (address == "127.0.0.1") is (deployment.name != "envoy")
    here, elsewhere = (deployment.site.create(allowedNetworks=[net])["token"] for net in (address, "203.0.113.0/24"))
    deployment.passed("GET", "/", here)
    deployment.passed("GET", "/", here, headers={"X-Forwarded-For": "203.0.113.9"})
    deployment.refused(403, "GET", "/", elsewhere)
    deployment.refused(403, "GET", "/", elsewhere, headers={"X-Forwarded-For": "203.0.113.9"})


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


def test_a_header_that_the_client_names_as_of_one_hop_counts_all_the_same(deployment: Deployment) -> None:
    token = deployment.site.create(subject="svc:a", scopes=["x"])
    named = ["close", *SPOOFED, "X-Forwarded-For", "X-Required-Scope", "X-Original-URI"]
    hop = f"Connection: keep-alive, upgrade\r\nConnection: {','.join(named)}\r\n"
    lines = f"Host: x\r\nX-Token: {token['token']}\r\n{hop}\r\n"
    answer = deployment.raw(f"GET / HTTP/1.1\r\n{lines}")
    if deployment.name == "envoy":  # it takes no such request
        assert answer.status == 400
        return
    assert answer.status == 200
    seen = dict(answer.json()["headers"])
    assert (seen["x-token-id"], seen["remote-user"], seen["x-token-scopes"]) == (token["id"], "svc:a", "x")
    assert deployment.raw(f"GET /orders/7 HTTP/1.1\r\n{lines}").status == 403
    bound = deployment.site.create(allowedNetworks=["127.0.0.0/8"])["token"]
    assert deployment.raw(f"GET / HTTP/1.1\r\n{lines}".replace(token["token"], bound)).status == 200


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
    deployment = Deployment(gateway, site, "caddy")
    try:
        assert deployment.passed("GET", "/", site.admin, headers=SPOOFED)["headers"].get("x-token-name") == said
        token = site.create()
        assert deployment.passed("GET", "/", token["token"])["headers"]["x-token-name"] == [quote(token["name"])]
        deployment.refused(401, "GET", "/")
    finally:
        gateway.close()


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
            with socket.create_connection(("127.0.0.1", deployment.gateway.port), timeout=60) as connection:
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


def test_a_lost_answer_costs_no_one_time_token(deployment: Deployment) -> None:
    # So that a connection is kept: Caddy keeps one for each place in its file that asks.
    deployment.passed("GET", "/download/file", deployment.site.one_time())
    for _ in range(3):
        secret = deployment.site.one_time()
        deployment.site.counter.losses = 1
        if deployment.name == "envoy":  # it asks once: neither yes nor no, as its file says
            assert deployment.refused(503, "GET", "/download/file", secret).header("retry-after") == "1"
        elif deployment.name == "traefik":  # it asks again and has no word to say so, as its file says
            deployment.refused(401, "GET", "/download/file", secret)
        else:
            deployment.passed("GET", "/download/file", secret)
        assert deployment.site.counter.losses == 0
        deployment.refused(401, "GET", "/download/file", secret)


def test_the_clients_own_idempotency_key_reaches_the_application_and_no_retry_key_does(deployment: Deployment) -> None:
    headers = deployment.passed("POST", "/", deployment.site.admin, headers=SAME)["headers"]
    assert headers["idempotency-key"] == ["same"]
    assert [name for name in headers if name.replace("_", "-") == "x-tokens-retry-key"] == []
