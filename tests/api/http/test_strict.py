"""What other settings change: only known issuers, no trusted proxy, tokens without an end."""

from tests.api.test_oauth import introspect
from tests.api.test_one_time import GENERATOR, ISSUE
from tests.api.world import World


def test_a_strict_service_issues_to_known_callers_alone(strict: World) -> None:
    for method, path in (("GET", GENERATOR), ("POST", ISSUE)):
        answer = strict.ask(method, path)
        answer.problem(401, "unauthorized")
        assert answer.header("www-authenticate") == 'Bearer realm="tokens"'
        assert strict.ask(method, path, bearer=strict.secret(scopes=["one-time:issue"])).status in (200, 201)
        assert strict.ask(method, path, bearer=strict.admin).status in (200, 201)
        refused = strict.ask(method, path, bearer=strict.secret(scopes=["orders:read"]))
        refused.problem(403, "insufficient_scope")
        challenge = 'Bearer realm="tokens", error="insufficient_scope", scope="one-time:issue"'
        assert refused.header("www-authenticate") == challenge
        strict.ask(method, path, bearer=strict.user).problem(403, "forbidden")


def test_a_client_cannot_ask_again_where_no_proxy_is_trusted(strict: World) -> None:
    secret = strict.one_time()
    sent = {"X-Tokens-Retry-Key": "same", "X-Forwarded-For": "127.0.0.1"}
    assert [strict.get("/validate/one-time", bearer=secret, headers=sent).status for _ in range(2)] == [200, 401]


def test_a_client_cannot_choose_its_address_where_no_proxy_is_trusted(strict: World) -> None:
    secret = strict.secret(allowedNetworks=["203.0.113.0/24"])
    strict.validate(secret, X_Forwarded_For="203.0.113.9").problem(403, "network_denied")
    assert strict.validate(strict.secret(allowedNetworks=["127.0.0.0/8"])).status == 200


def test_never_is_a_duration_where_the_longest_life_is_0(strict: World) -> None:
    token = strict.create(duration="never")
    assert token["expiresAt"] is None
    assert strict.shown(token["id"])["expiresAt"] is None
    assert strict.validate(token["token"]).status == 200
    far = strict.create(expiresAt="2099-01-01T00:00:00Z")
    assert far["expiresAt"] == "2099-01-01T00:00:00Z"


def test_a_token_without_end_has_no_exp(strict: World) -> None:
    claims = introspect(strict, strict.secret(duration="never"))
    assert claims["active"] is True
    assert "exp" not in claims
