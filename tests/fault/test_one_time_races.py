"""A one-time token works at most once: whoever races for it, by whatever door, in however many processes."""

import threading

from tests.fault.conftest import Site
from tests.fault.racing import race
from tests.threads import beside

# Of 10,000 racers each; `make chaos` has twenty.
ROUNDS = 2


def test_of_100_racing_callers_exactly_one_gets_each_token_whichever_process_they_reach(four: Site) -> None:
    processes = set()
    for _ in range(ROUNDS):
        won, asked = race(four.running.port, tokens=100, racers=100)
        assert won == [1] * 100
        processes |= asked
    assert len(processes) > 1, "only one process took part"


def test_of_200_callers_at_once_exactly_one_gets_the_token(four: Site) -> None:
    assert race(four.running.port, tokens=1, racers=200)[0] == [1]


def test_scripts_that_are_forgotten_in_the_race_change_nothing(four: Site) -> None:
    over = threading.Event()

    def forget() -> None:
        while not over.wait(0.01):
            four.redis.client.script_flush()

    with beside(forget, over=over):
        assert race(four.running.port, tokens=100, racers=20)[0] == [1] * 100
