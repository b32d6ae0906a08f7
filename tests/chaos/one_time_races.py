"""Racers for one-time tokens on a service of four processes, over and over."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.api.redis_child import RedisChild
from tests.api.running import Lifespan
from tests.chaos.conftest import Row
from tests.fault.racing import race

ROUNDS, TOKENS, RACERS = 20, 100, 100


@pytest.fixture
def port(settings: dict[str, str]) -> Iterator[int]:
    with closing(RedisChild()) as redis:
        told = {"TOKENS_REDIS_URL": redis.url, "TOKENS_ACCESS_LOG": "off", "TOKENS_TRUSTED_PROXIES": "127.0.0.1"}
        with closing(Lifespan(settings | told, workers=4)) as running:
            yield running.port


def test_twenty_rounds_of_10_000_racers_have_exactly_100_winners_each(port: int, row: Row) -> None:
    won = [race(port, tokens=TOKENS, racers=RACERS)[0] for _ in range(ROUNDS)]
    missed = sum(times != 1 for each in won for times in each)
    row(f"{ROUNDS} rounds of {TOKENS * RACERS} racers", "each token won once", f"{missed} of {ROUNDS * TOKENS} not")
    assert won == [[1] * TOKENS] * ROUNDS
