"""With TOKENS_METRICS_PORT the metrics are on that port alone."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from service.api import metrics_port
from service.api.http.proxies import TrustedProxies
from service.api.metrics_port import MetricsPort
from service.app import Service
from service.edge.deadlines import Deadlines
from service.edge.limits import ConnectionLimits
from service.edge.protocol import EdgeProtocol
from service.errors import StartRefused
from service.settings import Settings
from tests.conftest import MakeService
from tests.edge.asking import PATIENCE_SECONDS
from tests.listening import listening
from tests.ports import held_port

ASK = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"


async def get(port: int, path: str, host: str = "127.0.0.1") -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer


async def test_metrics_are_on_their_own_port_and_nothing_else_is(make_service: MakeService) -> None:
    port = held_port()
    service: Service = await make_service(metrics_port=port)
    assert b"tokens_build_info" in await get(port, "/metrics")
    assert (await get(port, "/livez")).startswith(b"HTTP/1.1 404")
    state = {
        "fast_path": service.fast_path,
        "limits": ConnectionLimits(TrustedProxies(), per_address=0),
        "deadlines": Deadlines(),
    }
    async with listening(service, EdgeProtocol, state) as main:
        assert (await get(main, "/metrics")).startswith(b"HTTP/1.1 404")
        assert (await get(main, "/livez")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_the_port_is_on_every_address_that_is_listened_on(make_service: MakeService, host: str) -> None:
    port = held_port()
    await make_service(metrics_port=port, host="0.0.0.0,::")
    assert b"tokens_build_info" in await get(port, "/metrics", host)


async def test_a_port_that_another_program_has_stops_the_start_with_one_line(make_service: MakeService) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refusal = f"^cannot listen on 127.0.0.1 port {port} for metrics: Address already in use; .*TOKENS_METRICS_PORT$"
        with pytest.raises(StartRefused, match=refusal):
            await make_service(metrics_port=port)


async def test_a_start_that_is_refused_for_its_port_leaves_no_connection(
    make_settings: Callable[..., Settings],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        # Patient, because on a busy machine it would start without Redis.
        service = Service(make_settings(metrics_port=taken.getsockname()[1], redis_timeout_ms=5000))
        link: Any = service.stores.shards[0].link
        with pytest.raises(StartRefused):
            async with service.lifespan():
                pass
    assert not link.up


@pytest.mark.slow
async def test_a_scraper_that_does_not_read_holds_no_stop_up() -> None:
    begun = asyncio.Event()

    async def endless(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        begun.set()
        while True:
            await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})

    port = held_port()
    metrics = MetricsPort(endless, ["127.0.0.1"], port)
    metrics.start()
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.transport.pause_reading()
    writer.write(ASK)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await begun.wait()
        await metrics.stop()
    writer.transport.abort()


@pytest.fixture
async def may_answer() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def port(may_answer: asyncio.Event, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """A metrics port whose answers come when they may."""
    monkeypatch.setattr(metrics_port, "_SECONDS", PATIENCE_SECONDS)

    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        await may_answer.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    port = held_port()
    metrics = MetricsPort(answer, ["127.0.0.1"], port)
    metrics.start()
    async with asyncio.timeout(PATIENCE_SECONDS):
        yield port
        may_answer.set()
        await metrics.stop()


async def rest(stream: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> bytes:
    """All that comes until the connection ends, with a reset where its client had more to say."""
    got = b""
    with suppress(ConnectionResetError, BrokenPipeError):
        while part := await stream[0].read(1000):
            got += part
    stream[1].close()
    return got


async def test_a_connection_is_for_one_request(port: int, may_answer: asyncio.Event) -> None:
    several = await asyncio.open_connection("127.0.0.1", port)
    several[1].write(ASK * 2)
    assert await rest(several) == b""
    one = await asyncio.open_connection("127.0.0.1", port)
    one[1].write(ASK)
    may_answer.set()
    answer = await rest(one)
    assert answer.startswith(b"HTTP/1.1 204 ")
    assert b"\r\nconnection: close\r\n" in answer


async def test_whoever_holds_connections_open_keeps_no_scraper_out(
    port: int, may_answer: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_port, "_CONNECTIONS", 3)
    may_answer.set()
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
    scraper = await asyncio.open_connection("127.0.0.1", port)
    scraper[1].write(ASK)
    assert (await rest(scraper)).startswith(b"HTTP/1.1 204 ")
    for first in held[:18]:
        assert await rest(first) == b""
    assert not any(reader.at_eof() for reader, _ in held[18:])
    for _, writer in held[18:]:
        writer.close()


@pytest.mark.parametrize("sent", [b"", ASK[:-2], ASK], ids=["nothing", "half a head", "a question"])
async def test_a_connection_ends_in_time(port: int, sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """There was no end to one that said nothing, or half of a request."""
    monkeypatch.setattr(metrics_port, "_SECONDS", 0.01)
    one = await asyncio.open_connection("127.0.0.1", port)
    one[1].write(sent)
    assert await rest(one) == b""


async def test_a_head_has_an_end(port: int) -> None:
    one = await asyncio.open_connection("127.0.0.1", port)
    one[1].write(ASK[:-2] + b"A: b\r\n" * 3000)
    assert await rest(one) == b""


async def test_a_port_is_free_again_when_the_service_has_ended(make_service: MakeService) -> None:
    port = held_port()
    service: Service = await make_service(background=False, metrics_port=port)
    async with service.lifespan():
        assert b"tokens_build_info" in await get(port, "/metrics")
    socket.create_server(("127.0.0.1", port)).close()
