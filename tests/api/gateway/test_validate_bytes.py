"""The wire of /validate byte by byte: bodies that never come, many questions on one connection, and its two ways."""

from typing import Any

import pytest

from tests.api.gateway.test_validate import PATHS
from tests.api.wire import Answer, Raw
from tests.api.world import World, fresh


def send(world: World, request: bytes) -> tuple[Answer, bytes]:
    """The answer to these bytes, and what comes after it until the service closes."""
    with Raw(world.running.port) as raw:
        raw.send(request)
        return raw.answer(), raw.rest()


@pytest.mark.parametrize("declared", ["Content-Length: 5", "Content-Length: 99999999", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("good", [True, False])
def test_a_body_that_is_declared_and_never_sent_is_not_waited_for(world: World, declared: str, good: bool) -> None:
    secret = world.secret() if good else "x"
    head = f"POST /validate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n{declared}\r\n\r\n"
    answer, rest = send(world, head.encode())
    assert (answer.status, answer.header("connection"), rest) == (200 if good else 401, "close", b"")


def test_one_connection_carries_many_questions(world: World) -> None:
    secret = world.secret()
    good = f"GET /validate HTTP/1.1\r\nHost: x\r\nX-API-Key: {secret}\r\n\r\n".encode()
    bad = b"GET /validate HTTP/1.1\r\nHost: x\r\nX-API-Key: x\r\n\r\n"
    with Raw(world.running.port) as raw:
        for request, status in ((good, 200), (bad, 401), (good, 200)):
            raw.send(request)
            assert raw.answer().status == status


def test_what_was_cut_into_single_bytes_is_read_all_the_same(world: World) -> None:
    secret = world.secret()
    request = f"HEAD /validate?required_scope=a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n\r\n"
    with Raw(world.running.port) as raw:
        for byte in request.encode():
            raw.send(bytes([byte]))
        assert raw.answer("HEAD").status == 403


def test_an_old_client_is_answered_and_its_connection_closed(world: World) -> None:
    answer, rest = send(world, f"GET /validate HTTP/1.0\r\nX-Token: {world.secret()}\r\n\r\n".encode())
    assert (answer.status, rest) == (200, b"")


def both_ways(world: World, line: str, headers: dict[str, str]) -> list[Any]:
    """Status, headers and body of one question by the fast path, and by the way that a field said twice leads to."""
    found = []
    for more in ("", "X-A: 1\r\nX-A: 2\r\n"):
        sent = {"Host": "x", "X-Request-Id": "same", **headers}
        request = line + "".join(f"{name}: {value}\r\n" for name, value in sent.items()) + more + "\r\n"
        with Raw(world.running.port) as raw:
            raw.send(request.encode("latin-1"))
            answer = raw.answer(line.partition(" ")[0])
        found.append((answer.status, [pair for pair in answer.headers if pair[0] != "date"], answer.body))
    return found


def waits(answer: tuple[int, list[tuple[str, str]], bytes]) -> str | None:
    """How long the answer says to wait."""
    return dict(answer[1]).get("retry-after")


def test_both_ways_to_the_answer_agree_to_the_byte(world: World) -> None:
    rated = world.secret(limits=[{"limit": 1, "periodSeconds": 86400}])
    world.validate(rated)
    secrets = [
        world.secret(scopes=["a"], name=fresh("Zoë")),
        world.user,
        rated,
        world.one_time(),
        "x",
        "",
        "A" * 64,
        world.secret(allowedNetworks=["192.0.2.0/24"]),
    ]
    for method in ("GET", "HEAD", "POST"):
        for path in ("/validate", "/validate?required_scope=a", "/validate?required_scope=b", *PATHS[1:]):
            for secret in secrets:
                for headers in ({"Authorization": f"Bearer {secret}"}, {"X-Token": secret, "X-Required-Scope": "a"}):
                    line = f"{method} {path} HTTP/1.1\r\n"
                    fast_path, ordinary = both_ways(world, line, headers)
                    while fast_path != ordinary and waits(fast_path) != waits(ordinary):
                        # A second passed between the two, and the wait that they tell is one less.
                        fast_path, ordinary = both_ways(world, line, headers)
                    assert fast_path == ordinary, (method, path, headers)
