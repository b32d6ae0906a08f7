"""Every operation refuses: a wrong scope, a wrong role, what cannot be read, what is too large, and without Redis."""

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from service.api.http.examples import PROBLEM_EXAMPLES
from service.tokens.secret import with_checksum
from tests.api.conftest import Environment
from tests.api.described import Described
from tests.api.redis_child import RedisChild
from tests.api.running import IMPATIENT_MS, Lifespan, wait_until
from tests.api.samples import SAMPLES, Sample
from tests.api.wire import Answer, Client, Raw
from tests.api.world import World, fresh

# Well-formed secrets that nobody was given.
SESSION, MANAGED, ONE_TIME = "A" * 64, with_checksum("0" * 56), "0" * 32
WITH_BODY = [sample for sample in SAMPLES if sample.has_body]
CLIENTS = ("client", "revoking client")
SCOPED = [sample for sample in SAMPLES if sample.scope]


def named(samples: list[Sample]) -> Any:
    return pytest.mark.parametrize("sample", samples, ids=str)


def ask(client: Client, sample: Sample, bearer: str = "", **changed: Any) -> Answer:
    sent = {"json_body": sample.json_body, "form": sample.form, **changed}
    if sample.lines and not changed:
        sent |= {"body": sample.lines.encode(), "headers": {"Content-Type": sample.media_type}}
    return client.ask(sample.method, sample.path, bearer=bearer, **sent)


def send(world: World, sample: Sample, body: bytes) -> Answer:
    """The sample with these bytes for its body, from somebody who may ask."""
    bearer = world.secret(scopes=[sample.scope]) if sample.scope else world.admin if sample.needs else ""
    headers = {"Content-Type": sample.media_type}
    return ask(world.client, sample, bearer, json_body=None, form=None, body=body, headers=headers)


def test_there_is_a_sample_of_every_operation(described: Described) -> None:
    found = {(method.upper(), path) for path, methods in described.paths.items() for method in methods}
    sampled = {(sample.method, sample.template) for sample in SAMPLES}
    assert found == sampled, f"without sample: {found - sampled}; not described: {sampled - found}"


@named(SCOPED)
def test_a_token_without_the_scope_is_refused_and_with_it_is_not(world: World, sample: Sample) -> None:
    refused = ask(world.client, sample, world.secret(scopes=["orders:read", "tokens:other"]))
    if sample.needs in CLIENTS:
        assert refused.status == 401
        assert "invalid_client" in refused.body.decode()
    else:
        refused.problem(403, "insufficient_scope")
        assert f'scope="{sample.scope}"' in (refused.header("www-authenticate") or "")
    terms = {**sample.json_body, "name": fresh("sample")} if "name" in (sample.json_body or {}) else sample.json_body
    allowed = ask(world.client, sample, world.secret(scopes=[sample.scope]), json_body=terms)
    assert allowed.status in (200, 201, 400 if "url" in (terms or {}) else 404), allowed


@named([sample for sample in SAMPLES if sample.needs and sample.needs not in (*CLIENTS, "issue")])
def test_without_a_credential_or_with_a_bad_one_it_is_401(world: World, sample: Sample) -> None:
    ask(world.client, sample).problem(401, "unauthorized")
    for bad in (SESSION, MANAGED, "rtk_" + "0" * 64, "x"):
        ask(world.client, sample, bad).problem(401, "invalid_token")


@named(WITH_BODY)
def test_a_body_that_cannot_be_read_is_400_or_made_no_difference(world: World, sample: Sample) -> None:
    for body in (b"{", b'{"a":1,"a":2}', b"\xff\xff", b"[]", b"a=1&a=2"):
        assert send(world, sample, body).status == (200 if sample.takes_anything else 400), body


@named(WITH_BODY)
def test_a_body_over_the_limit_is_413_or_made_no_difference(world: World, sample: Sample) -> None:
    answer = send(world, sample, b" " * (sample.limit + 1))
    if sample.path == "/api/token" and sample.takes_anything:
        assert (answer.status, answer.body) == (200, b"{}")
    else:
        answer.problem(413, "payload_too_large")


@named(list(SAMPLES))
def test_a_head_over_the_limit_is_431(world: World, sample: Sample) -> None:
    with Raw(world.running.port) as raw:
        raw.send(f"{sample.method} {sample.path} HTTP/1.1\r\nHost: x\r\nX-Long: {'x' * 17000}\r\n\r\n".encode())
        raw.answer(sample.method).problem(431, "head_too_large")


@pytest.fixture(scope="module")
def deserted(environment: Environment, described: Described) -> Iterator[Client]:
    """A service whose Redis has been killed."""
    with (
        closing(RedisChild()) as redis,
        closing(Lifespan(environment(redis_url=redis.url, redis_timeout_ms=IMPATIENT_MS))) as running,
    ):
        redis.kill()
        client = Client(running.port, seen=described.evaluate)
        wait_until(lambda: client.get("/readyz").status == 503, what="the loss of Redis to be seen")
        yield client


@named(list(SAMPLES))
def test_without_redis_it_is_neither_yes_nor_no(deserted: Client, sample: Sample) -> None:
    spends = sample.needs == "one-time gateway"
    answer = ask(deserted, sample, (ONE_TIME if spends else MANAGED) if sample.needs else "")
    assert answer.status == sample.without_redis
    if sample.without_redis == 503 and sample.path not in ("/readyz", "/healthz"):
        answer.problem(503, "store_unavailable")
        invited = None if sample.path == "/k8s/tokenreview" else "1"
        assert (answer.header("retry-after"), answer.header("cache-control")) == (invited, "no-store")


def test_the_generator_fails_in_the_words_of_the_php_one(deserted: Client) -> None:
    for bearer in ("", MANAGED):
        answer = deserted.get("/api-v1/fastertokengenerator.php", bearer=bearer)
        assert (answer.status, answer.media_type) == (500, "application/json")
        assert answer.json() == {"status": "error", "message": "Error generating token"}


def test_readiness_says_what_is_missing_and_the_metrics_that_redis_is_down(deserted: Client) -> None:
    body = deserted.get("/readyz").json()
    assert body["status"] == "not_ready"
    assert [check["name"] for check in body["checks"] if check["status"] == "failed"] == ["redis"]
    told = deserted.get("/metrics").body
    assert b"\ntokens_redis_up 0.0\n" in told
    assert re.search(rb'\ntokens_redis_errors_total\{error="\w+"\} [1-9]', told)


def test_what_can_be_refused_without_redis_is(deserted: Client) -> None:
    deserted.get("/validate").problem(401, "unauthorized")
    deserted.get("/validate", bearer="rtk_" + "0" * 64).problem(401, "invalid_token")
    deserted.get("/validate", bearer="x").problem(401, "invalid_token")
    assert deserted.get("/api/token?token=x").json() == {"valid": False, "expiry_time": None}


def test_a_second_authorization_is_refused_but_where_gateways_ask(world: World) -> None:
    for sample in SAMPLES:
        with Raw(world.running.port) as raw:
            lines = "Host: x\r\nAuthorization: Bearer x\r\nauthorization: Bearer x\r\n\r\n"
            raw.send(f"{sample.method} {sample.path} HTTP/1.1\r\n{lines}".encode())
            if sample.needs.endswith("gateway"):
                raw.answer(sample.method).problem(401, "invalid_token")
            elif sample.path.startswith("/oauth2/"):
                assert raw.answer(sample.method).json()["error"] == "invalid_request"
            else:
                raw.answer(sample.method).problem(400, "invalid_request")


def test_the_examples_of_problems_in_the_document_are_what_is_said(world: World) -> None:
    """Those of faults and time-outs are left out: they would have to be brought about."""
    tokens, admin = "/api/admin/tokens", world.admin
    reader = world.secret(scopes=["tokens:read"])
    limited = world.secret(scopes=["tokens:read"], limits=[{"limit": 1, "periodSeconds": 86400}])
    assert world.get(tokens, bearer=limited).status == 200
    said = {
        401: world.get(tokens),
        403: world.post(tokens, json_body={"name": fresh("never")}, bearer=reader),
        404: world.get(f"{tokens}/{'0' * 16}", bearer=admin),
        405: world.post("/livez"),
        413: world.post(tokens, body=b" " * 16385, bearer=admin),
        415: world.post(tokens, body=b"{}", headers={"Content-Type": "text/plain"}, bearer=admin),
        429: world.get(tokens, bearer=limited),
    }
    for status, fields in ((400, "Authorization: Bearer a\r\n" * 2), (431, f"X-Long: {'a' * 20_000}\r\n")):
        with Raw(world.running.port) as raw:
            raw.send(f"GET {tokens} HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode())
            said[status] = raw.answer()
    for status, answer in said.items():
        code, detail = PROBLEM_EXAMPLES[status]
        assert answer.problem(status, code)["detail"] == detail
