"""A service behind the edge's protocol, and a clock for its deadlines."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from service.app import Service
from service.edge.protocol import EdgeProtocol
from service.edge.sweep import Sweep
from tests.listening import listening


class Turned:
    """A clock for the sweep that a test turns."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def turned() -> Turned:
    return Turned()


@pytest.fixture
async def service(make_service: Callable[..., Any]) -> Service:
    """One that believes what a gateway on this machine says of its client."""
    made: Service = await make_service(trusted_proxies="127.0.0.1", one_time_issue_per_minute=3)
    return made


@pytest.fixture
async def port(service: Service, turned: Turned) -> AsyncIterator[int]:
    state = {"straight": service.straight, "sweep": Sweep(turned)}
    async with listening(service, EdgeProtocol, state) as port:
        yield port
