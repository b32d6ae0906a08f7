"""The wire of /validate: networks, limits and uses, and what each costs."""

import re

import pytest

from tests.api.gateway.test_validate import identity
from tests.api.wire import Raw
from tests.api.world import BY_ONE_PROCESS_AND_BY_FOUR, World

pytestmark = BY_ONE_PROCESS_AND_BY_FOUR


def test_a_network_is_evaluated_by_the_address_that_the_trusted_proxy_reports(world: World) -> None:
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
    secret = world.secret(limits=[{"limit": 3, "periodSeconds": 86400}])
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
    secret = world.secret(limits=[{"limit": 10, "periodSeconds": 86400, "burst": 2}])
    assert [world.validate(secret).status for _ in range(3)] == [200, 200, 429]


def test_a_request_costs_of_each_limit_what_a_gateway_says(world: World) -> None:
    limits = [{"name": name, "limit": most, "periodSeconds": 86400} for name, most in (("small", 10), ("large", 2000))]
    secret = world.secret(limits=limits)
    for cost, status, left in (
        ("7", 200, (3, 1993)),
        ("4", 429, (3, 1993)),
        ("1000", 429, (3, 1993)),
        ("3", 200, (0, 1990)),
        (None, 429, (0, 1990)),
    ):
        answer = world.validate(secret, **({"X_Token_Cost": cost} if cost else {}))
        told = re.findall(r'"\w+";r=(\d+);', answer.header("ratelimit") or "")
        assert (answer.status, told) == (status, [str(one) for one in left]), cost
        # There is no time at which a request that costs more than ten will be admitted.
        assert bool(answer.header("retry-after")) == (status == 429 and cost != "1000"), cost


@pytest.mark.parametrize("cost", ["0", "1001", "-1", "1.5", "01", "", "x", "1\r\nX-Token-Cost: 2"])
def test_a_cost_that_is_no_number_from_one_to_a_thousand_is_refused(world: World, cost: str) -> None:
    with Raw(world.running.port) as raw:
        raw.send(f"GET /validate HTTP/1.1\r\nHost: x\r\nX-Token-Cost: {cost}\r\n\r\n".encode())
        (error,) = raw.answer().problem(403, "invalid_cost")["errors"]
    assert error["field"] == "X-Token-Cost"


def test_the_uses_of_a_token_run_out(world: World) -> None:
    token = world.create(maxUses=2)
    assert [world.validate(token["token"]).status for _ in range(4)] == [200, 200, 401, 401]
    assert world.shown(token["id"])["usesLeft"] == 0
    world.validate(token["token"]).problem(401, "invalid_token")


def test_a_refusal_for_scope_or_network_spends_neither_use_nor_rate(world: World) -> None:
    limit = {"limit": 2, "periodSeconds": 86400}
    token = world.create(maxUses=2, limits=[limit], allowedNetworks=["127.0.0.0/8"], scopes=["a"])
    secret = token["token"]
    assert world.validate(secret).status == 200
    for _ in range(4):
        assert world.validate(secret, "/validate?required_scope=b").status == 403
        assert world.validate(secret, X_Forwarded_For="198.51.100.1").status == 403
    assert world.shown(token["id"])["usesLeft"] == 1
    assert [world.validate(secret).status for _ in range(2)] == [200, 401]
