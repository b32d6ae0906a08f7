"""With TOKENS_METRICS_PORT the metrics are on that port alone."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from service.app import Service
from service.edge.protocol import EdgeProtocol
from service.edge.sweep import Sweep
from tests.listening import listening

pytestmark = pytest.mark.anyio


async def get(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer


async def test_metrics_are_on_their_own_port_and_nothing_else_is(make_service: Callable[..., Any]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    service: Service = await make_service(metrics_port=port)
    assert b"tokens_build_info" in await get(port, "/metrics")
    assert (await get(port, "/livez")).startswith(b"HTTP/1.1 404")
    async with listening(service, EdgeProtocol, {"straight": service.straight, "sweep": Sweep()}) as main:
        assert (await get(main, "/metrics")).startswith(b"HTTP/1.1 404")
        assert (await get(main, "/livez")).startswith(b"HTTP/1.1 200")
