"""Filling the store with managed tokens through the service's own rules and store."""

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass, field

import uvloop

from service.app import Service
from service.model import Origin
from service.settings import read
from service.store.driver.pipeline import Pipeline
from service.tokens.managed.tokens import NewToken
from tests.links import connector

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


async def fill(env: dict[str, str], first: int, last: int, seconds: float, sampled: int = SAMPLED) -> Filled:
    """Create `scale <first>` to `scale <last>`, many in one write; stops early when the time is over."""
    settings, filled, began = read(env), Filled(), time.monotonic()
    # The service's own deadline is for one request among others, not for hundreds at once on a busy machine.
    link = Pipeline(connector(settings.redis_url), timeout_seconds=30)
    service = Service(settings, links=[link])
    every = max(1, (last - first) // sampled)
    async with aclosing(link), service.lifespan():
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


def fill_now(env: dict[str, str], first: int, last: int, seconds: float, sampled: int = SAMPLED) -> Filled:
    """`fill`, in a loop of its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(fill(env, first, last, seconds, sampled))
