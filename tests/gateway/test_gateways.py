"""What every gateway must do with the configuration we give for it: ask, pass requests on, refuse in our words."""

import pytest

from tests.api.running import wait_until
from tests.gateway.conftest import Deployment

pytestmark = pytest.mark.slow
OFFERED = 'Basic realm="tokens", Bearer realm="tokens"'


def test_nobody_and_a_bad_token_do_not_pass(deployment: Deployment) -> None:
    for secret in ("", "x", "A" * 64, "rtk_" + "0" * 64, deployment.site.one_time()):
        answer = deployment.refused(401, "GET", "/", secret)
        assert (answer.header("www-authenticate") or "").startswith(OFFERED)


def test_a_bad_token_is_told_from_none(deployment: Deployment) -> None:
    assert deployment.refused(401, "GET", "/").header("www-authenticate") == OFFERED
    bad = deployment.refused(401, "GET", "/", "x").header("www-authenticate")
    assert bad == f'{OFFERED}, error="invalid_token"'


def test_programs_that_know_basic_alone_give_the_token_so(deployment: Deployment) -> None:
    secret = deployment.site.create()["token"]
    for pair in (("x-access-token", secret), (secret, "")):
        headers = deployment.passed("GET", "/", "", basic=pair)["headers"]
        assert "authorization" not in headers
    deployment.refused(401, "GET", "/", "", basic=("x-access-token", "rtk_" + "0" * 64))


def test_a_doubled_authorization_is_refused_as_a_wrong_one_is(deployment: Deployment) -> None:
    line = f"Authorization: Bearer {deployment.site.admin}\r\n"
    before = deployment.site.application.requests
    answer = deployment.raw(f"GET / HTTP/1.1\r\nHost: x\r\n{line}{line}\r\n")
    assert answer.status in (401, 400)  # nginx takes no such request
    assert deployment.site.application.requests == before


def test_the_other_two_headers_carry_a_token_too(deployment: Deployment) -> None:
    secret = deployment.site.create()["token"]
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
    without, with_it = deployment.site.create(scopes=["x"]), deployment.site.create(scopes=["orders:read"])
    wide = deployment.site.create(scopes=["orders:*"])
    answer = deployment.ask("GET", "/orders/7", without["token"], headers={"X-Required-Scope": "x"})
    assert answer.status in (401, 403)
    for token in (with_it, wide):
        assert deployment.passed("GET", "/orders/7", token["token"])["path"] == "/orders/7"


def test_a_path_is_matched_as_an_application_reads_it(deployment: Deployment) -> None:
    """Else a one-time token, which anybody may be given, is enough for every path, and a scope is required of nobody."""
    before = deployment.site.application.requests
    unheld, once = deployment.site.create(scopes=["x"])["token"], deployment.site.one_time()
    asking = "Access-Control-Request-Method: PUT"
    for up in ("..", "%2e%2e", ".%2E"):
        for start in (
            f"GET /download/{up}/x HTTP/1.1\r\nX-Token: {once}",
            f"GET /download/{up}%2fx HTTP/1.1\r\nX-Token: {once}",
            f"GET /x/{up}/orders/7 HTTP/1.1\r\nX-Token: {unheld}",
            f"OPTIONS /browser/{up}/x HTTP/1.1\r\n{asking}",
        ):
            assert deployment.raw(f"{start}\r\nHost: x\r\n\r\n").status in (400, 401, 403, 404), start
    elsewhere = ("//orders/7", "/./orders/7", "/%6frders/7", "/orders%2f7", "/%2forders/7", "/orders/%zz")
    for path in (*elsewhere, "/orders", "/orders?x=/", "/%6frders"):
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Token: {unheld}\r\n\r\n"
        # nginx sends /orders to /orders/.
        assert deployment.raw(head).status in (301, 400, 403, 404), path
    assert deployment.site.application.requests == before
    deployment.passed("GET", "/%6frders/7", deployment.site.create(scopes=["orders:read"])["token"])
    # What only begins so is another path.
    deployment.passed("GET", "/orders-x", unheld)


def test_a_missing_scope_is_403_and_named(deployment: Deployment) -> None:
    answer = deployment.refused(403, "GET", "/orders/7?required_scope=x", deployment.site.create(scopes=["x"])["token"])
    assert 'scope="orders:read"' in (answer.header("www-authenticate") or "")


def test_a_revoked_token_passes_no_more(deployment: Deployment) -> None:
    token = deployment.site.create()
    deployment.passed("GET", "/", token["token"])
    deployment.site.client.ask("DELETE", f"/api/admin/tokens?id={token['id']}", bearer=deployment.site.admin)
    deployment.refused(401, "GET", "/", token["token"])


def test_a_used_up_limit_is_429_and_says_when_to_come_back(deployment: Deployment) -> None:
    secret = deployment.site.create(limits=[{"limit": 2, "periodSeconds": 86400}])["token"]
    for _ in range(2):
        # What a request costs is the gateway's to say.
        said = deployment.passed("GET", "/", secret, headers={"X-Token-Cost": "2"})
        assert "x-token-cost" not in said["headers"]
    answer = deployment.refused(429, "GET", "/", secret)
    assert int(answer.header("retry-after") or 0) > 3600
    assert (answer.header("ratelimit-policy") or '"default";q=2;w=86400') == '"default";q=2;w=86400'


@pytest.mark.parametrize("upgrade", ["h2c", "other"])
def test_no_upgrade_but_a_websockets_reaches_the_application(deployment: Deployment, upgrade: str) -> None:
    if (deployment.name, upgrade) == ("traefik", "other"):
        pytest.skip("Traefik takes away h2c alone, as its file says")
    lines = f"Host: x\r\nX-Token: {deployment.site.admin}\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n"
    answer = deployment.raw(f"GET / HTTP/1.1\r\n{lines}\r\n")
    if (deployment.name, upgrade) == ("envoy", "other"):  # it takes no such request
        assert answer.status == 403
    else:
        assert "upgrade" not in dict(answer.json()["headers"])


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
    # Traefik has a word of its own for it, as its file says.
    status, retry_after = (500, None) if deployment.name == "traefik" else (503, "1")
    try:
        assert deployment.refused(status, "GET", "/", deployment.site.admin).header("retry-after") == retry_after
    finally:
        deployment.site.counter.refuse(False)
    wait_until(lambda: deployment.ask("GET", "/", deployment.site.admin).status == 200, what="requests to pass again")


def test_too_many_fields_are_no_fault_of_the_service(deployment: Deployment) -> None:
    fields = "".join(f"A{number}: b\r\n" for number in range(70))
    answer = deployment.raw(f"GET / HTTP/1.1\r\nHost: x\r\nX-Token: {deployment.site.admin}\r\n{fields}\r\n")
    # HAProxy and Apache ask with the fields that count alone.
    assert answer.status in (200, 431)


def test_a_service_that_says_nothing_keeps_nobody_waiting_for_ever(deployment: Deployment) -> None:
    if deployment.name in ("envoy", "traefik"):
        pytest.skip("the patience of the one is stretched here, that of the other is 30 seconds")
    deployment.site.counter.instead = b""
    before = deployment.site.counter.connections
    try:
        assert deployment.refused(503, "GET", "/", deployment.site.admin).header("retry-after") == "1"
        # Each try takes two seconds of the client's.
        assert deployment.site.counter.connections - before <= 1
    finally:
        deployment.site.counter.instead = None
