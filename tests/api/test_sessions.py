"""The wire of session tokens: a password traded for a day, checked, ended."""

import re
import time
from itertools import count
from typing import Any

import pytest

from tests.api.wire import Answer
from tests.api.world import BY_ONE_PROCESS_AND_BY_FOUR, World

pytestmark = BY_ONE_PROCESS_AND_BY_FOUR

PATH = "/api/token"
DEAD = {"valid": False, "expiry_time": None}
_addresses = count(1)


def somewhere() -> dict[str, str]:
    """The header of an address that nobody has signed in from, as the trusted proxy reports it."""
    number = next(_addresses)
    return {"X-Forwarded-For": f"198.51.{number // 250}.{number % 250}"}


def sign_in(world: World, username: str, password: str, headers: dict[str, str]) -> Answer:
    return world.post(PATH, {"username": username, "password": password}, headers=headers)


def test_a_password_is_traded_for_a_token_of_a_day(world: World) -> None:
    before = int(time.time())
    answer = sign_in(world, "uma", world.password, somewhere())
    assert (answer.status, answer.media_type) == (200, "application/json")
    body = answer.json()
    assert set(body) == {"token", "expiry_time"}
    assert re.fullmatch(r"[a-zA-Z0-9]{64}", body["token"])
    assert before + 86400 <= body["expiry_time"] <= time.time() + 86400
    assert answer.header("cache-control") == "no-store"
    valid = {"valid": True, "expiry_time": body["expiry_time"]}
    assert world.get(f"{PATH}?token={body['token']}").json() == valid
    assert world.get(PATH, headers={"X-Token": body["token"]}).json() == valid


@pytest.mark.parametrize("query", ["", "?token=", "?token=x", "?token=" + "A" * 64, "?other=1", "?token=%C3%A9"])
def test_what_is_no_token_of_ours_is_not_valid(world: World, query: str) -> None:
    answer = world.get(PATH + query)
    assert (answer.status, answer.json()) == (200, DEAD)


def test_wrong_password_and_unknown_name_are_one_answer_to_the_byte(world: World) -> None:
    def tried(name: str) -> tuple[int, list[tuple[str, str]], bytes]:
        answer = sign_in(world, name, "wrong", {**somewhere(), "X-Request-Id": "same"})
        return answer.status, [header for header in answer.headers if header[0] != "date"], answer.body

    wrong, unknown = tried("uma"), tried("nobody")
    assert wrong == unknown
    status, headers, body = wrong
    assert (status, body) == (401, b"invalid credentials")
    assert dict(headers)["content-type"].partition(";")[0] == "text/plain"
    assert dict(headers)["www-authenticate"].startswith('Bearer realm="tokens"')
    assert dict(headers)["cache-control"] == "no-store"
    sign_in(world, "uma", world.password, somewhere())


def test_a_disabled_account_signs_in_no_more_than_an_unknown_one(world: World) -> None:
    assert sign_in(world, "dora", world.password, somewhere()).body == b"invalid credentials"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"username": "uma"},
        {"username": "uma", "password": 1},
        {"username": "uma", "password": "x", "more": 1},
        [],
        "uma",
    ],
)
def test_a_sign_in_that_cannot_be_read_is_refused_and_counts_as_no_try(world: World, body: object) -> None:
    here = somewhere()
    for _ in range(7):
        world.post(PATH, body, headers=here).problem(400, "invalid_request")
    assert sign_in(world, "uma", world.password, here).status == 200


def test_the_sixth_wrong_password_for_a_name_is_throttled_wherever_it_comes_from(world: World) -> None:
    name = f"nobody-{next(_addresses)}-{world.running.port}"
    for _ in range(5):
        assert sign_in(world, name, "wrong", somewhere()).status == 401
    throttled = sign_in(world, name, "wrong", somewhere())
    throttled.problem(429, "rate_limited")
    assert 1 <= int(throttled.header("retry-after") or 0) <= 900
    assert sign_in(world, f" {name.upper()}\u200d", "wrong", somewhere()).status == 429


def test_the_twenty_first_wrong_password_from_an_address_is_throttled_whatever_the_name(world: World) -> None:
    here = somewhere()
    for number in range(20):
        assert sign_in(world, f"someone-{next(_addresses)}-{number}", "wrong", here).status == 401
    assert sign_in(world, "someone-else", "wrong", here).status == 429
    assert sign_in(world, "uma", world.password, somewhere()).status == 200


def test_guessing_at_an_account_does_not_lock_out_the_address_it_signs_in_from(world: World) -> None:
    home = somewhere()
    assert sign_in(world, "vera", world.password, home).status == 200
    while sign_in(world, "vera", "wrong", somewhere()).status == 401:
        continue
    assert sign_in(world, "vera", world.password, somewhere()).status == 429
    assert sign_in(world, "vera", world.password, home).status == 200


def _delete_by_header(world: World, token: str) -> Answer:
    return world.ask("DELETE", PATH, headers={"X-Token": token})


def _delete_as_printed(world: World, token: str) -> Answer:
    body = b'{\n  "token": "%s",\n}\n' % token.encode()
    return world.ask("DELETE", PATH, body=body, headers={"Content-Type": "application/json"})


def _delete_by_body(world: World, token: str) -> Answer:
    return world.ask("DELETE", PATH, json_body={"token": token})


def _delete_without_media_type(world: World, token: str) -> Answer:
    return world.ask("DELETE", PATH, body=b'{"token":"%s"}' % token.encode())


@pytest.mark.parametrize("delete", [_delete_by_header, _delete_as_printed, _delete_by_body, _delete_without_media_type])
def test_a_deleted_session_is_over_at_once_and_deleting_again_is_the_same(world: World, delete: Any) -> None:
    token = world.client.sign_in("uma", world.password)
    assert world.validate(token).status == 200
    for _ in range(2):
        answer = delete(world, token)
        assert (answer.status, answer.body) == (200, b"{}")
        assert world.validate(token).status == 401
        assert world.get(f"{PATH}?token={token}").json() == DEAD


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[]", b'{"token":1}', b"\xff\xfe", b'{"token":"' + b"x" * 30000 + b'"}', b"[" * 15000]
)
def test_deleting_answers_the_same_whatever_the_body(world: World, body: bytes) -> None:
    answer = world.ask("DELETE", PATH, body=body, headers={"Content-Type": "text/xml"})
    assert (answer.status, answer.body) == (200, b"{}")


def test_deleting_ends_no_token_of_another_kind(world: World) -> None:
    secret, one_time = world.secret(), world.one_time()
    for token in (secret, one_time):
        assert _delete_by_body(world, token).body == b"{}"
    assert world.validate(secret).status == 200
    assert world.post("/api/one-time-tokens/consume", {"token": one_time}).json()["valid"] is True
