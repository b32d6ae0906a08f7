"""What every file of deploy/clients/ must do in its framework: ask, know the caller, refuse in the service's words."""

import asyncio
import runpy
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from tests.api.running import wait_until
from tests.api.wire import Answer, Client, Raw
from tests.gateway.child import Gateway
from tests.gateway.client_programs import CLIENTS, STARTS, missing
from tests.gateway.conftest import Site
from tests.ports import held_port

pytestmark = pytest.mark.slow
FILES = {
    "asgi": "asgi.py",
    "flask": "wsgi.py",
    "django": "wsgi.py",
    "express": "node.cjs",
    "fastify": "node.cjs",
    "go": "tokencheck.go",
    "java": "TokenFilter.java",
}
NAMES = ("Id", "Subject", "Scopes", "Kind", "Name")
SPOOFED = {f"X-Token-{name}": "spoof" for name in NAMES} | {"Remote-User": "spoof", "X-Auth-Request-User": "spoof"}


class Program(msgspec.Struct, frozen=True):
    """An application with the check in it, and the other side."""

    gateway: Gateway
    client: Client
    site: Site

    def refused(self, status: int, secret: str, path: str = "/") -> Answer:
        answer = self.client.ask("GET", path, bearer=secret, headers={"Accept": "*/*"})
        assert answer.status == status, (answer, self.gateway.log)
        return answer

    def passed(self, secret: str, path: str = "/") -> object:
        spoofed = SPOOFED | {name.replace("-", "_"): value for name, value in SPOOFED.items()}
        answer = self.client.ask("GET", path, bearer=secret, headers=spoofed)
        assert answer.status == 200, (answer, self.gateway.log)
        seen = answer.json()
        assert not seen["spoofed"]
        return seen["token"]


@pytest.fixture(scope="module", params=STARTS)
def program(request: pytest.FixtureRequest, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    if reason := missing(request.param):
        pytest.skip(reason)
    url = f"http://127.0.0.1:{site.counter.port}/validate"
    gateway = STARTS[request.param](url, tmp_path_factory.mktemp(request.param))
    yield Program(gateway, Client(gateway.port), site)
    gateway.close()


def test_every_file_is_run() -> None:
    assert {path.name for path in CLIENTS.iterdir() if path.is_file()} == {*FILES.values(), "README.md"}
    assert set(FILES) == set(STARTS)


def test_the_application_knows_who_calls_and_nobody_else_comes_in(program: Program) -> None:
    token = program.site.create(subject="svc:a", scopes=["a", "orders:*"])
    nobody = program.site.create()
    known = {"id": token["id"], "subject": "svc:a", "scopes": ["a", "orders:*"], "kind": "managed"}
    assert program.passed(token["token"]) == {**known, "name": token["name"]}
    assert program.passed(token["token"], "/orders/")
    assert program.passed(nobody["token"]) == {
        "id": nobody["id"],
        "subject": "-",
        "scopes": [],
        "kind": "managed",
        "name": nobody["name"],
    }

    absent, bad = program.refused(401, ""), program.refused(401, "rtk_" + "0" * 64)
    assert "error" not in (absent.header("www-authenticate") or "error")
    assert 'error="invalid_token"' in (bad.header("www-authenticate") or "")
    assert bad.problem(401, "invalid_token")
    missing_scope = program.refused(403, nobody["token"], "/orders/")
    assert 'scope="orders:read"' in (missing_scope.header("www-authenticate") or "")
    elsewhere = program.site.create(allowedNetworks=["203.0.113.0/24"])["token"]
    assert program.refused(403, elsewhere).json()["code"] == "network_denied"
    with Raw(program.gateway.port) as raw:
        line = f"Authorization: Bearer {token['token']}\r\n"
        raw.send(f"GET / HTTP/1.1\r\nHost: x\r\n{line}{line}\r\n".encode())
        assert raw.answer("GET").status == 401


def test_a_used_up_limit_is_429_and_says_when_to_come_back(program: Program) -> None:
    secret = program.site.create(limits=[{"limit": 1, "periodSeconds": 86400}])["token"]
    program.passed(secret)
    answer = program.refused(429, secret)
    assert int(answer.header("retry-after") or 0) > 3600
    assert answer.header("ratelimit-policy") == '"default";q=1;w=86400'


def test_without_redis_or_the_service_it_is_503_and_one_connection_carries_the_rest(program: Program) -> None:
    secret = program.site.admin  # a secret of this moment may be lost with its Redis
    program.passed(secret)
    before = program.site.counter.connections
    for _ in range(10):
        program.passed(secret)
    assert program.site.counter.connections == before

    # A kept connection that ends without an answer costs nobody a refusal.
    program.site.counter.losses = 1
    program.passed(secret)
    program.site.redis.kill()
    try:
        answer = program.refused(503, secret)
        assert (answer.header("retry-after"), answer.json()["code"]) == ("1", "store_unavailable")
    finally:
        program.site.redis.start()
    wait_until(lambda: program.client.ask("GET", "/", bearer=secret).status == 200, what="Redis to answer again")
    elsewhere = f"HTTP/1.1 307 x\r\nLocation: http://127.0.0.1:{program.site.running.port}/validate"
    for said in ("HTTP/1.1 200 OK", elsewhere):  # of some other server
        program.site.counter.instead = f"{said}\r\nContent-Length: 0\r\n\r\n".encode()
        try:
            assert program.refused(503, secret).header("retry-after") == "1"
        finally:
            program.site.counter.instead = None
    program.site.counter.refuse(True)
    try:
        assert program.refused(503, secret).header("retry-after") == "1"
    finally:
        program.site.counter.refuse(False)
    wait_until(lambda: program.client.ask("GET", "/", bearer=secret).status == 200, what="requests to pass again")


@pytest.mark.parametrize("said", ["garbage", "HTTP/1.1 204 No Content", "HTTP/1.1 401 x\r\nTransfer-Encoding: chunked"])
def test_an_answer_that_is_not_the_services_is_503(said: str) -> None:
    token_check = runpy.run_path(str(CLIENTS / "asgi.py"))["TokenCheck"]
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said.encode() + b"\r\n\r\n")
        writer.close()

    async def ask() -> None:
        async with await asyncio.start_server(say, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            check = token_check(None, url=f"http://127.0.0.1:{port}/validate", connect_seconds=20, answer_seconds=20)
            await check({"type": "http", "headers": [], "client": None}, None, send)

    asyncio.run(ask())
    assert sent[0]["status"] == 503
    assert (b"retry-after", b"1") in sent[0]["headers"]


def test_scopes_that_the_url_asks_for_are_required(site: Site) -> None:
    secret = site.create(scopes=["orders:write"])["token"]
    asked = {"url": f"http://127.0.0.1:{site.running.port}/validate?required_scope=orders:read"}
    asked |= {"connect_seconds": 20, "answer_seconds": 20}
    said: list[Any] = []

    async def send(message: dict[str, Any]) -> None:
        said.append(message.get("status"))

    async def ask() -> None:
        check = runpy.run_path(str(CLIENTS / "asgi.py"))["TokenCheck"](None, **asked)
        await check({"type": "http", "headers": [(b"x-token", secret.encode())], "client": None}, None, send)
        for _, writer in check.idle:
            writer.close()
            await writer.wait_closed()

    asyncio.run(ask())
    check = runpy.run_path(str(CLIENTS / "wsgi.py"))["TokenCheck"](None, **asked)
    check({"HTTP_X_TOKEN": secret}, lambda status, _: said.append(status))
    check.idle.pop()[0].close()
    assert said == [403, None, "403 Forbidden"]


@pytest.mark.parametrize("url", ["https://127.0.0.1/validate", "127.0.0.1:8080/validate"])
def test_a_url_whose_secrets_would_go_elsewhere_is_refused_at_the_start(url: str) -> None:
    for name in ("asgi.py", "wsgi.py"):
        with pytest.raises(ValueError, match="http://"):
            runpy.run_path(str(CLIENTS / name))["TokenCheck"](None, url=url)
    program = f"require({str(CLIENTS / 'node.cjs')!r}).express({{ url: {url!r} }})"
    done = subprocess.run(["node", "-e", program], capture_output=True, text=True)
    assert done.returncode and "http://" in done.stderr


def test_a_yes_whose_head_breaks_off_is_503(site: Site) -> None:
    """Wherever: half a scope may be another one. asyncio, Node, Go and Java read no such head."""
    token_check = runpy.run_path(str(CLIENTS / "wsgi.py"))["TokenCheck"]
    with Raw(site.running.port) as raw:
        secret = site.create(subject="billing", scopes=["orders:read-own"])["token"]
        raw.send(f"GET /validate HTTP/1.1\r\nHost: x\r\nX-Token: {secret}\r\nConnection: close\r\n\r\n".encode())
        whole = raw.rest()
    cuts = [*range(0, whole.index(b"\r\nx-request-id:"), 5), len(whole)]
    said: list[str] = []

    def say(listener: socket.socket) -> None:
        for cut in cuts:
            with listener.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(whole[:cut])

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        listener.settimeout(60)
        saying = pool.submit(say, listener)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/validate"
        check = token_check(lambda _, start: start("200 OK", []), url=url, connect_seconds=20, answer_seconds=20)
        for _ in cuts:
            check({}, lambda status, _: said.append(status))
        saying.result()
    assert said == ["503 Service Unavailable"] * (len(cuts) - 1) + ["200 OK"]


@pytest.mark.parametrize("extensions", [{}, {"websocket.http.response": {}}])
def test_a_websocket_is_refused_before_it_is_accepted(extensions: dict[str, Any]) -> None:
    token_check = runpy.run_path(str(CLIENTS / "asgi.py"))["TokenCheck"]
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    check = token_check(None, url=f"http://127.0.0.1:{held_port()}/validate")
    scope = {"type": "websocket", "headers": [], "client": None, "extensions": extensions}
    asyncio.run(check(scope, None, send))
    if extensions:
        assert (sent[0]["type"], sent[0]["status"]) == ("websocket.http.response.start", 503)
    else:
        assert sent == [{"type": "websocket.close", "code": 1008}]
