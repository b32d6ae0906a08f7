"""The wire of /validate/one-time: the gateway's question that spends what it allows."""

import pytest

from tests.api.gateway.test_validate import BARE, INVALID, METHODS, identity
from tests.api.wire import Raw
from tests.api.world import BY_ONE_PROCESS_AND_BY_FOUR, World

pytestmark = BY_ONE_PROCESS_AND_BY_FOUR

PATH = "/validate/one-time"
PATHS = (PATH, f"{PATH}/envoy/", f"{PATH}/envoy/fasterread.php?tableKey=k")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", METHODS)
def test_a_token_is_allowed_once_by_any_method(world: World, method: str, path: str) -> None:
    secret = world.one_time()
    first, second = (world.ask(method, path, bearer=secret) for _ in range(2))
    assert first.status == 200
    assert (second.status, second.header("www-authenticate")) == (401, INVALID)
    absent = world.ask(method, path)
    assert (absent.status, absent.header("www-authenticate")) == (401, BARE)


def test_what_it_says_of_the_token(world: World) -> None:
    found = identity(world.get(PATH, bearer=world.one_time(subject="order-7", data={"x": 1})))
    assert (found["subject"], found["scopes"], found["kind"], found["name"]) == ("order-7", "-", "one_time", None)
    assert identity(world.get(PATH, bearer=world.one_time()))["subject"] == "-"


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key", "X-Token", "X-Original-URI", "X-Forwarded-Uri"])
def test_the_token_comes_by_a_header_or_in_the_uri_that_the_client_asked_for(world: World, header: str) -> None:
    secret = world.one_time()
    value = {"Authorization": f"Bearer {secret}", "X-API-Key": secret, "X-Token": secret}
    sent = {header: value.get(header, f"/fasterread.php?tableKey=k&token={secret}")}
    assert [world.get(PATH, headers=sent).status for _ in range(2)] == [200, 401]


def test_never_in_a_parameter_of_our_own_url(world: World) -> None:
    secret = world.one_time()
    world.get(f"{PATH}?token={secret}").problem(401, "unauthorized")
    world.get(f"{PATH}/envoy/fasterread.php?token={secret}").problem(401, "unauthorized")
    assert world.get(PATH, bearer=secret).status == 200


def test_two_different_tokens_are_none_and_neither_is_spent(world: World) -> None:
    one, other = world.one_time(), world.one_time()
    for headers in (
        {"X-Original-URI": f"/x?token={other}"},
        {"X-Token": other},
        {"X-Original-URI": f"/x?token={one}&token={other}"},
    ):
        world.get(PATH, bearer=one, headers=headers).problem(401, "invalid_token")
    assert world.get(PATH, bearer=one, headers={"X-Original-URI": f"/x?token={one}"}).status == 200
    assert world.get(PATH, bearer=other).status == 200


def test_no_other_kind_opens_this_door_and_this_kind_no_other(world: World) -> None:
    secret = world.one_time()
    for other in (world.secret(), world.user):
        world.get(PATH, bearer=other).problem(401, "invalid_token")
        assert world.validate(other).status == 200
    world.validate(secret).problem(401, "invalid_token")
    world.validate(secret, "/validate/envoy/x").problem(401, "invalid_token")
    assert world.get(PATH, bearer=secret).status == 200


def test_a_gateway_may_ask_again_about_the_same_request_and_about_no_other(world: World) -> None:
    secret = world.one_time()
    statuses = [
        world.get(PATH, bearer=secret, headers={"X-Tokens-Retry-Key": key} if key else {}).status
        for key in ("first", "first", "second", "", "first")
    ]
    assert statuses == [200, 200, 401, 401, 200]


@pytest.mark.parametrize("key", ["a" * 65, "two\twords", "", "caf\u00e9"])
def test_a_retry_key_that_is_none_lets_nobody_ask_again(world: World, key: str) -> None:
    secret = world.one_time()
    assert [world.get(PATH, bearer=secret, headers={"X-Tokens-Retry-Key": key}).status for _ in range(2)] == [200, 401]


def test_of_two_retry_keys_none_is_believed(world: World) -> None:
    # A gateway that adds its own behind its client's.
    secret = world.one_time()
    lines = f"X-Token: {secret}\r\nX-Tokens-Retry-Key: client\r\nX-Tokens-Retry-Key: gateway\r\n"
    statuses = []
    for _ in range(2):
        with Raw(world.running.port) as raw:
            raw.send(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
            statuses.append(raw.answer().status)
    assert statuses == [200, 401]


@pytest.mark.parametrize("name", ["Idempotency-Key", "X-Request-Id", "X_Tokens_Retry_Key"])
def test_no_header_of_a_client_makes_a_token_good_twice(world: World, name: str) -> None:
    secret = world.one_time()
    assert [world.get(PATH, bearer=secret, headers={name: "same"}).status for _ in range(3)] == [200, 401, 401]


def test_who_knows_a_gateways_key_cannot_repeat_its_question_by_the_api(world: World) -> None:
    secret = world.one_time()
    assert world.get(PATH, bearer=secret, headers={"X-Tokens-Retry-Key": "seen-in-a-log"}).status == 200
    for key in ("seen-in-a-log", "gatewayseen-in-a-log"):
        answer = world.post("/api/one-time-tokens/consume", {"token": secret}, headers={"Idempotency-Key": key})
        assert answer.json() == {"valid": False}


def test_a_body_that_is_declared_and_never_sent_is_not_waited_for(world: World) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-Token: {world.one_time()}\r\nContent-Length: 7\r\n\r\n"
    with Raw(world.running.port) as raw:
        raw.send(head.encode())
        answer = raw.answer()
        assert (answer.status, answer.header("connection"), raw.rest()) == (200, "close", b"")


def test_a_required_scope_is_held_by_no_one_time_token_which_stays_unspent(world: World) -> None:
    secret = world.one_time()
    world.get(PATH, bearer=secret, headers={"X-Required-Scope": "a"}).problem(403, "insufficient_scope")
    assert world.get(PATH, bearer=secret).status == 200
