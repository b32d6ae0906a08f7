"""A service behind the edge's protocol, and a clock for its deadlines."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest

from service.api.http.proxies import TrustedProxies
from service.app import Service
from service.edge.deadlines import Deadlines
from service.edge.limits import ConnectionLimits
from service.edge.protocol import EdgeProtocol
from tests.conftest import MakeService
from tests.edge.asking import PATIENCE_SECONDS
from tests.listening import listening


class Turned:
    """A clock for the sweep, which stands still unless a test turns it."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._read = asyncio.Event()

    def __call__(self) -> float:
        self._read.set()
        return 1000.0 + self.ahead

    async def to(self, ahead: float) -> None:
        """Turn it, and wait until the sweep has looked at everything by it."""
        self.ahead = ahead
        self._read.clear()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._read.wait()


@pytest.fixture
def turned(monkeypatch: pytest.MonkeyPatch) -> Turned:
    # It looks at what a test has turned: four times a second a test would wait for it.
    monkeypatch.setattr("service.edge.deadlines._TICK", 0.01)
    return Turned()


@pytest.fixture
async def service(make_service: MakeService) -> Service:
    """One that believes what a gateway on this machine says of its client."""
    return await make_service(trusted_proxies="127.0.0.1", one_time_issue_per_minute=3)


def edge(
    service: Service, turned: Turned, limits: ConnectionLimits | None = None, tls: ssl.SSLContext | None = None
) -> AbstractAsyncContextManager[int]:
    """Listens as the service does, on the port that this yields; without limits for any number of connections."""
    limits = limits or ConnectionLimits(TrustedProxies(), per_address=0)
    state = {"fast_path": service.fast_path, "limits": limits, "deadlines": Deadlines(turned)}
    return listening(service, EdgeProtocol, state, tls)


@pytest.fixture
async def port(service: Service, turned: Turned) -> AsyncIterator[int]:
    async with edge(service, turned) as port:
        yield port
