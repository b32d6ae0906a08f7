"""The wire of one-time tokens: issued, shown once, spent once."""

import re
import time
from datetime import UTC, datetime

import pytest

from tests.api.world import BY_ONE_PROCESS_AND_BY_FOUR, TOKENS, World

pytestmark = BY_ONE_PROCESS_AND_BY_FOUR

GENERATOR = "/api-v1/fastertokengenerator.php"
ISSUE = "/api/one-time-tokens"
CONSUME = "/api/one-time-tokens/consume"
UNSPENT = {"valid": False}


@pytest.mark.parametrize("version", ["1", "2", "017"])
def test_the_generator_answers_as_the_php_one_did(world: World, version: str) -> None:
    before = int(time.time())
    answer = world.get(f"/api-v{version}/fastertokengenerator.php")
    assert (answer.status, answer.media_type) == (200, "application/json")
    body = answer.json()
    assert set(body) == {"status", "token", "expiry_time"}
    assert body["status"] == "success"
    assert re.fullmatch(r"[0-9a-f]{32}", body["token"])
    expiry = datetime.strptime(body["expiry_time"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    assert before + 300 <= expiry.timestamp() <= time.time() + 300
    assert answer.header("cache-control") == "no-store"
    assert world.post(CONSUME, {"token": body["token"]}).json()["valid"] is True


def outstanding(world: World) -> int:
    return int(world.get(f"{TOKENS}/stats", bearer=world.admin).json()["oneTimeOutstanding"])


def test_head_tells_what_the_generator_would_answer_and_issues_nothing(world: World) -> None:
    before = outstanding(world)
    head = world.ask("HEAD", "/api-v1/fastertokengenerator.php")
    assert (head.status, head.body, outstanding(world) <= before) == (200, b"", True)
    get = world.get("/api-v1/fastertokengenerator.php")
    for name in ("content-length", "content-type", "cache-control"):
        assert head.header(name) == get.header(name)


@pytest.mark.parametrize("version", ["", "x", "1x", "-1"])
def test_a_generator_without_a_numeric_version_is_not_there(world: World, version: str) -> None:
    world.get(f"/api-v{version}/fastertokengenerator.php").problem(404, "not_found")


def test_issuing_answers_the_token_its_kind_and_its_end(world: World) -> None:
    before = int(time.time())
    answer = world.post(ISSUE)
    assert answer.status == 201
    body = answer.json()
    assert set(body) == {"token", "kind", "expiresAt", "expiresIn"}
    assert re.fullmatch(r"[0-9a-f]{32}", body["token"])
    assert (body["kind"], body["expiresIn"]) == ("one_time", 300)
    assert before + 300 <= datetime.fromisoformat(body["expiresAt"]).timestamp() <= time.time() + 300
    assert body["expiresAt"].endswith("Z")
    assert answer.header("cache-control") == "no-store"


def test_what_a_known_issuer_attached_comes_back_to_the_consumer_alone(world: World) -> None:
    data = {"order": 7, "tags": ["a", None, 1.5], "name": "Zoë"}
    before = int(time.time())
    token = world.one_time(ttlSeconds=60, subject="order-7", data=data)
    answer = world.post(CONSUME, {"token": token})
    assert answer.status == 200
    body = answer.json()
    assert set(body) == {"valid", "subject", "data", "expiresAt"}
    assert (body["valid"], body["subject"], body["data"]) == (True, "order-7", data)
    assert before + 60 <= datetime.fromisoformat(body["expiresAt"]).timestamp() <= time.time() + 60
    assert world.post(CONSUME, {"token": token}).json() == UNSPENT


@pytest.mark.parametrize("text", ["x" * 4089, "ß" * 2044])
def test_data_may_have_4096_bytes(world: World, text: str) -> None:
    token = world.one_time(data={"": text})
    assert world.post(CONSUME, {"token": token}).json()["data"] == {"": text}


def test_a_token_without_subject_and_data_is_consumed_with_nulls(world: World) -> None:
    body = world.post(CONSUME, {"token": world.one_time()}).json()
    assert (body["valid"], body["subject"], body["data"]) == (True, None, None)


@pytest.mark.parametrize("seconds", [1, 3600])
def test_a_life_within_bounds_is_kept(world: World, seconds: int) -> None:
    assert world.post(ISSUE, {"ttlSeconds": seconds}).json()["expiresIn"] == seconds


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"ttlSeconds": 0}, "ttlSeconds"),
        ({"ttlSeconds": 3601}, "ttlSeconds"),
        ({"ttlSeconds": "60"}, "ttlSeconds"),
        ({"subject": "with space"}, "subject"),
        ({"subject": ""}, "subject"),
        ({"data": []}, "data"),
        ({"data": {"": "x" * 4090}}, "data"),
        ({"data": {"": "ß" * 2045}}, "data"),
        ({"kind": "session"}, "kind"),
    ],
)
def test_a_wrong_field_is_named(world: World, body: object, field: str) -> None:
    problem = world.post(ISSUE, body, bearer=world.admin).problem(400, "invalid_request")
    assert [error["field"] for error in problem["errors"]] == [field]


@pytest.mark.parametrize("body", [{"subject": "anyone"}, {"data": {}}])
def test_an_anonymous_issuer_may_speak_in_nobodys_name(world: World, body: object) -> None:
    world.post(ISSUE, body).problem(403, "forbidden")


def test_an_address_gets_60_a_minute_anonymously_and_a_known_issuer_as_many_as_it_wants(world: World) -> None:
    here = {"X-Forwarded-For": f"192.0.2.{world.running.port % 250}"}
    began = time.monotonic()
    admitted = 0
    for method, path in [("GET", GENERATOR), ("POST", ISSUE)] * 2:
        # A place is free again each second, also while this runs.
        while (refused := world.ask(method, path, headers=here)).status in (200, 201):
            admitted += 1
        refused.problem(429, "rate_limited")
        assert 60 <= admitted <= 61 + time.monotonic() - began
        assert 1 <= int(refused.header("retry-after") or 0) <= 60
        assert world.ask(method, path, headers={"X-Forwarded-For": "192.0.2.254"}).status in (200, 201)
        assert world.ask(method, path, headers=here, bearer=world.admin).status in (200, 201)


def test_a_bad_credential_is_not_taken_for_none(world: World) -> None:
    world.post(ISSUE, bearer="rtk_" + "0" * 64).problem(401, "invalid_token")
    world.get(GENERATOR, bearer="A" * 64).problem(401, "invalid_token")


def test_nothing_else_than_consuming_spends(world: World) -> None:
    token = world.one_time()
    for method in ("GET", "HEAD", "PUT"):
        assert world.ask(method, CONSUME, json_body={"token": token}).status == 405
    for secret in (token,):
        assert world.validate(secret).status == 401
        assert world.get(f"/api/token?token={secret}").json() == {"valid": False, "expiry_time": None}
        assert world.ask("DELETE", "/api/token", json_body={"token": secret}).json() == {}
        looked = world.post("/oauth2/introspect", form={"token": secret}, bearer=world.admin)
        assert looked.json()["active"] is True
        assert world.post("/validate/batch", {"tokens": [secret]}, bearer=world.admin).json()["results"][0]["active"]
    assert world.post(CONSUME, {"token": token}).json()["valid"] is True


def test_a_revoked_one_time_token_is_not_valid(world: World) -> None:
    token = world.one_time()
    assert world.post("/oauth2/revoke", form={"token": token}).status == 200
    assert world.post(CONSUME, {"token": token}).json()["valid"] is False


@pytest.mark.parametrize("secret", ["", "x", "0" * 32, "F" * 32, "é" * 32, "0" * 31 + "\x00", "rtk_" + "0" * 64])
def test_what_was_never_issued_is_not_valid(world: World, secret: str) -> None:
    answer = world.post(CONSUME, {"token": secret})
    assert (answer.status, answer.json()) == (200, UNSPENT)


@pytest.mark.parametrize("body", [{}, {"token": 7}, {"token": None}, {"token": "0" * 32, "more": 1}, ["token"]])
def test_a_consumption_that_cannot_be_read_is_refused(world: World, body: object) -> None:
    world.post(CONSUME, body).problem(400, "invalid_request")


@pytest.mark.parametrize("text", ["a" * 64, "order 9, first try", "gateway b"])
def test_a_retry_with_the_same_key_gets_the_first_answer_and_another_key_none(world: World, text: str) -> None:
    token = world.one_time(subject="order-9", data={"n": 9})
    key = {"Idempotency-Key": text}
    first = world.post(CONSUME, {"token": token}, headers=key)
    assert first.json()["valid"] is True
    assert world.post(CONSUME, {"token": token}, headers=key).body == first.body
    assert world.post(CONSUME, {"token": token}, headers={"Idempotency-Key": "b"}).json() == UNSPENT
    assert world.post(CONSUME, {"token": token}).json() == UNSPENT


@pytest.mark.parametrize("key", ["", "a" * 65, "a\tb", "caf\xe9"])
def test_a_key_that_is_not_1_to_64_printable_characters_is_refused_and_spends_nothing(world: World, key: str) -> None:
    token = world.one_time()
    world.post(CONSUME, {"token": token}, headers={"Idempotency-Key": key}).problem(400, "invalid_request")
    assert world.post(CONSUME, {"token": token}).json()["valid"] is True
