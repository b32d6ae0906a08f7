"""A request that is sent after a revoke, a deactivation or a consumption has returned is refused, in every process."""

import asyncio
import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self

import msgspec
import pytest

from tests.api.world import fresh
from tests.conftest import PASSWORD
from tests.fault.conftest import Site
from tests.fault.volley import consume, get, post, volley
from tests.threads import beside

TOKENS = "/api/admin/tokens"


Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Everywhere:
    """A connection to every process of a service."""

    def __init__(self, port: int, processes: int) -> None:
        self._port = port
        self._processes = processes
        self._lines: list[Line] = []

    async def __aenter__(self) -> Self:
        met: dict[bytes, Line] = {}
        spare = []
        while len(met) < self._processes:
            # A process that is busy takes no new connection, so these are opened many at once.
            lines = await asyncio.gather(*[asyncio.open_connection("127.0.0.1", self._port) for _ in range(16)])
            answers = await asyncio.gather(*[_ask(line, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n") for line in lines])
            for line, (_, process) in zip(lines, answers, strict=True):
                spare.append(line) if process in met else met.setdefault(process, line)
        for _, writer in spare:
            writer.close()
        self._lines = list(met.values())
        return self

    async def __aexit__(self, *_: object) -> None:
        for _, writer in self._lines:
            writer.close()

    async def statuses(self, request: bytes) -> list[int]:
        """What each process answers to the same request."""
        return [status for status, _ in await asyncio.gather(*[_ask(line, request) for line in self._lines])]


async def _ask(line: Line, request: bytes) -> tuple[int, bytes]:
    reader, writer = line
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    size = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
    await reader.readexactly(size)
    return int(head.split(b" ")[1]), head.partition(b"x-request-id: ")[2].partition(b"-")[0]


def load(site: Site, secret: str) -> AbstractContextManager[None]:
    """Validations all the time, beside the test."""
    over = threading.Event()

    def press() -> None:
        while not over.is_set():
            asyncio.run(volley(site.running.port, [get("/validate", secret)] * 400, connections=8))

    return beside(press, over=over)


class Trial(msgspec.Struct, frozen=True):
    """A question that is answered yes, and the request after whose answer it must be no."""

    question: bytes
    end: bytes
    spends: bool = False


def revoked(site: Site, count: int) -> list[Trial]:
    return [
        Trial(get("/validate", token["token"]), request("DELETE", f"{TOKENS}?id={token['id']}", site.admin))
        for token in create(site, count)
    ]


def deactivated(site: Site, count: int) -> list[Trial]:
    return [
        Trial(
            get("/validate", token["token"]),
            request("PATCH", TOKENS, site.admin, {"id": token["id"], "isActive": False}),
        )
        for token in create(site, count)
    ]


def revoked_by_its_holder(site: Site, count: int) -> list[Trial]:
    return [
        Trial(get("/validate", token["token"]), request("DELETE", "/api/tokens/self", token["token"]))
        for token in create(site, count)
    ]


def signed_out(site: Site, count: int) -> list[Trial]:
    credentials = {"username": "uma", "password": PASSWORD}
    # One after the other: tries for one account are counted before they are checked.
    sign_in = [request("POST", "/api/token", "", credentials)] * count
    secrets = [reply["token"] for reply in ask_all(site, sign_in, connections=1)]
    return [
        Trial(get("/validate", secret), request("DELETE", "/api/token", "", {"token": secret})) for secret in secrets
    ]


def consumed(site: Site, count: int) -> list[Trial]:
    replies = ask_all(site, [request("POST", "/api/one-time-tokens", "", {})] * count)
    return [
        Trial(get("/validate/one-time", reply["token"]), consume(reply["token"], "Idempotency-Key: k"), spends=True)
        for reply in replies
    ]


def create(site: Site, count: int) -> list[dict[str, str]]:
    bodies = [{"name": fresh("revoked"), "duration": "7days"} for _ in range(count)]
    return [reply["token"] for reply in ask_all(site, [request("POST", TOKENS, site.admin, body) for body in bodies])]


def request(method: str, path: str, bearer: str, body: object = None) -> bytes:
    credential = [f"Authorization: Bearer {bearer}"] if bearer else []
    data = b"" if body is None else json.dumps(body).encode()
    return post(path, data, *credential).replace(b"POST", method.encode(), 1)


def ask_all(site: Site, requests: list[bytes], *, connections: int = 16) -> list[dict[str, Any]]:
    replies = asyncio.run(volley(site.running.port, requests, connections=connections))
    assert {reply.status for reply in replies if reply is not None} <= {200, 201}
    return [json.loads(reply.body) for reply in replies if reply is not None]


async def accepted_late(port: int, trials: list[Trial]) -> int:
    """How many questions any process answered with yes after their end had been answered."""
    late = 0
    async with Everywhere(port, 4) as everywhere:
        ender = await asyncio.open_connection("127.0.0.1", port)
        for trial in trials:
            if not trial.spends:
                assert await everywhere.statuses(trial.question) == [200] * 4
            assert (await _ask(ender, trial.end))[0] == 200
            answers = await everywhere.statuses(trial.question)
            assert set(answers) <= {200, 401}
            late += 200 in answers
        ender[1].close()
    return late


@pytest.mark.parametrize("ending", [revoked, deactivated, revoked_by_its_holder, signed_out, consumed])
@pytest.mark.parametrize("loaded", [False, True])
def test_nothing_that_has_ended_is_accepted_afterwards(
    four: Site, ending: Callable[[Site, int], list[Trial]], loaded: bool
) -> None:
    trials = ending(four, 200)
    assert len(trials) == 200
    with load(four, four.admin) if loaded else nullcontext():
        assert asyncio.run(accepted_late(four.running.port, trials)) == 0
