"""Filling the store with managed tokens through the service's own rules and store."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import uvloop

from service.app import Service
from service.model import Origin
from service.settings import read
from service.store.driver.pipeline import Pipeline
from service.store.managed.query import Query
from service.store.usage import Use
from service.tokens.managed.tokens import NewToken
from tests.links import connector

T = TypeVar("T")
AT_ONCE = 200
SAMPLED = 50_000
DAY = 86400
ORIGIN = Origin(actor="admin", address="", channel="bench", request_id="")


@dataclass
class Filled:
    """How many tokens there are, the seconds it took, and the secret and id of an even sample."""

    count: int = 0
    seconds: float = 0.0
    sample: list[tuple[str, str]] = field(default_factory=list)


@asynccontextmanager
async def serving(env: dict[str, str]) -> AsyncIterator[Service]:
    """A service with these settings in this process, which answers nobody."""
    settings = read(env)
    # The service's own deadline is for one request among others, not for hundreds at once on a busy machine.
    link = Pipeline(connector(settings.redis_url), timeout_seconds=30)
    service = Service(settings, links=[link])
    async with aclosing(link), service.lifespan():
        yield service


async def fill(env: dict[str, str], first: int, last: int, seconds: float, sampled: int = SAMPLED) -> Filled:
    """Create `scale <first>` to `scale <last>`, many in one write; stops early when the time is over."""
    filled, began = Filled(), time.monotonic()
    every = max(1, (last - first) // sampled)
    async with serving(env) as service:
        for start in range(first, last, AT_ONCE):
            expires_at = int(time.time()) + (1 + start // AT_ONCE % 300) * DAY
            numbers = range(start, min(last, start + AT_ONCE))
            new = [NewToken(f"scale {number}", expires_at) for number in numbers]
            made = await asyncio.gather(*[service.rules.managed.tokens.create(one, ORIGIN) for one in new])
            for number, created in zip(numbers, made, strict=True):
                if number % every == 0:
                    filled.sample.append((created.secret, created.token.token_id))
            filled.count += len(made)
            # At once, and not each second: what is not sealed is kept, and where it is much no token is made.
            await service.rules.audit.checkpoints.seal()
            filled.seconds = time.monotonic() - began
            if filled.seconds > seconds:
                break
    return filled


async def use(env: dict[str, str], days: int) -> None:
    """Tell of uses of every token on each of the last days."""
    async with serving(env) as service:
        batches = [batch async for batch in service.rules.managed.queries.everything(Query())]
        today = int(time.time())
        for now in range(today - (days - 1) * DAY, today + 1, DAY):
            for batch in batches:
                uses = [
                    Use(one.token.token_id, one.token.digest, now, 1 + now // DAY % 5000, 0, "192.0.2.1", b"bench")
                    for one in batch
                ]
                store = service.stores.usage
                at_once = store.at_once(of_a_crowd=True)
                for start in range(0, len(uses), at_once):
                    await store.add(uses[start : start + at_once], now)


def in_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run it in a loop of its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def fill_now(env: dict[str, str], first: int, last: int, seconds: float, sampled: int = SAMPLED) -> Filled:
    """`fill`, in a loop of its own."""
    return in_loop(fill(env, first, last, seconds, sampled))
