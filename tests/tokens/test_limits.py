"""Rate limits and uses where it is hard: on a full server, and under several processes at once."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from multiprocessing import get_context

import pytest

from service.app import Service
from service.model import Calendar, Kind, Outcome, RateLimit
from service.settings import Settings
from service.store.driver.pipeline import Pipeline
from tests.builders import create, month_day, outcome
from tests.conftest import MakeService
from tests.links import connector

PROCESSES, REQUESTS, LIMIT = 4, 10_000, 1_000


@asynccontextmanager
async def full(service: Service) -> AsyncIterator[None]:
    """Redis refuses every write that needs memory."""
    link = service.stores.shards[0].link
    await link.execute("CONFIG", "SET", "maxmemory", "1")
    try:
        yield
    finally:
        await link.execute("CONFIG", "SET", "maxmemory", "0")


@pytest.mark.parametrize("shards", [1, 16])
async def test_on_a_full_server_a_limit_pauses_and_is_counted(make_service: MakeService, shards: int) -> None:
    service = await make_service(shards=shards)
    created = await create(service, rate_limits=(RateLimit(1, 3600),))
    async with full(service):
        assert [await outcome(service, created.secret) for _ in range(3)] == [Outcome.ACTIVE] * 3
    assert "tokens_limits_paused_total 3.0" in (await service.metrics.render(""))[0].decode()
    assert [await outcome(service, created.secret) for _ in range(2)] == [Outcome.ACTIVE, Outcome.RATE_LIMITED]


@pytest.mark.parametrize("limits", [(), (RateLimit(100, 60),)])
async def test_on_a_full_server_uses_are_still_spent_to_the_last(
    make_service: MakeService, limits: tuple[RateLimit, ...]
) -> None:
    service = await make_service()
    created = await create(service, max_uses=5, rate_limits=limits)
    async with full(service):
        outcomes = await asyncio.gather(*[outcome(service, created.secret) for _ in range(20)])
    assert Counter(outcomes) == {Outcome.ACTIVE: 5, Outcome.USES_EXHAUSTED: 15}
    assert (await service.rules.managed.tokens.get(created.token.token_id)).uses_left == 0


def _hammer(settings: Settings, shards: int, secret: str, requests: int) -> Counter[str]:
    """What so many requests at once come to in a process of its own."""

    async def ask() -> Counter[str]:
        link = Pipeline(connector(settings.redis_url), timeout_seconds=30)
        service = Service(settings, links=[link] * shards)
        try:
            verdicts = await asyncio.gather(
                *[service.rules.authority.verify(secret.encode(), (Kind.MANAGED,)) for _ in range(requests)]
            )
        finally:
            await service.rules.accounts.passwords.aclose()
            await link.aclose()
        return Counter(verdict.outcome.value for verdict in verdicts)

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    """Started once: each imports the whole service."""
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as processes:
        yield processes


@pytest.mark.slow
@pytest.mark.parametrize("shards", [1, 16])
async def test_a_limit_is_exact_under_four_processes(
    make_service: MakeService, make_settings: Callable[..., Settings], processes: ProcessPoolExecutor, shards: int
) -> None:
    service = await make_service(shards=shards)
    day = RateLimit(LIMIT * 2, 86400, name="day")
    month = RateLimit(LIMIT * 2, 0, name="month", calendar=Calendar("month", month_day()))
    created = await create(service, rate_limits=(RateLimit(LIMIT, 60), day, month), max_uses=LIMIT * 2)
    began = time.time() * 1000
    loop = asyncio.get_running_loop()
    parts = await asyncio.gather(
        *[
            loop.run_in_executor(processes, _hammer, make_settings(), shards, created.secret, REQUESTS // PROCESSES)
            for _ in range(PROCESSES)
        ]
    )
    outcomes = sum(parts, Counter())
    assert sum(outcomes.values()) == REQUESTS
    assert set(outcomes) == {"active", "rate_limited"}
    assert LIMIT <= outcomes["active"] <= 2 * LIMIT
    assert (await service.rules.managed.tokens.get(created.token.token_id)).uses_left == 2 * LIMIT - outcomes["active"]
    # What the first limit refused has charged these nothing.
    due, used = await service.stores.credentials.dues(created.token.token_id, (day, month), time.time())
    assert used == outcomes["active"]
    first_at = due - outcomes["active"] * day.interval
    assert began - 1 <= first_at <= time.time() * 1000 + 1
