"""A process of another year, by the real libfaketime, beside a right one: it unmakes no token and says what is wrong."""

import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.store.driver.keys import Keys
from tests.api.running import Lifespan, wait_until
from tests.api.wire import Client
from tests.api.world import fresh
from tests.conftest import PASSWORD
from tests.fault.conftest import Open, Site

TOKENS = "/api/admin/tokens"
LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(LIBRARY is None, reason="no libfaketime here; tests/tokens/test_wrong_clock.py turns our clock"),
]


@pytest.fixture
def right(open_site: Open) -> Site:
    return open_site()


@pytest.fixture
def wrong(right: Site, settings: dict[str, str]) -> Iterator[Lifespan]:
    """A process beside the right one whose machine is in the year after next."""
    clock = {"LD_PRELOAD": str(LIBRARY), "FAKETIME": "+600d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    with closing(Lifespan({"TOKENS_REDIS_URL": right.redis.url, **settings, **clock})) as running:
        yield running


def sweep_alone(right: Site) -> None:
    """While the right process stands still, let the wrong one sweep; what it does last is to trim this index."""
    index = Keys("tokens", 0).one_time_index
    right.running.process.send_signal(signal.SIGSTOP)
    right.redis.client.zadd(index, {"expired": 1})
    wait_until(lambda: right.redis.client.zscore(index, "expired") is None, what="a sweep")
    right.running.process.send_signal(signal.SIGCONT)


def test_a_process_of_another_year_unmakes_no_token_and_says_what_is_wrong(right: Site, wrong: Lifespan) -> None:
    tokens, other = [right.create(fresh("lives")) for _ in range(4)], Client(wrong.port)
    admin = other.sign_in("admin", PASSWORD)
    one_time = other.done("POST", "/api/one-time-tokens").json()["token"]
    sweep_alone(right)
    for asked in (right.client, other):
        assert {asked.get("/validate", bearer=token["token"]).status for token in tokens} == {200}
        found = asked.get(f"{TOKENS}/stats", bearer=admin).json()
        assert (found["active"], found["expired"]) == (4, 0)
    assert right.client.post("/api/one-time-tokens/consume", {"token": one_time}).json()["valid"]
    says_that_its_clock_is_wrong(wrong)
    assert right.client.get("/readyz").status == 200
    # Each of them can end tokens, by id and by their secret.
    for asked, by_id, by_secret in ((right.client, *tokens[:2]), (other, *tokens[2:])):
        asked.done("DELETE", f"{TOKENS}?id={by_id['id']}", bearer=admin)
        asked.done("DELETE", "/api/tokens/self", bearer=by_secret["token"])
    for asked in (right.client, other):
        assert {asked.get("/validate", bearer=token["token"]).status for token in tokens} == {401}


def says_that_its_clock_is_wrong(wrong: Lifespan) -> None:
    """To whoever probes it, to whoever scrapes it, and in its log."""
    answer = Client(wrong.port).get("/readyz")
    (clock,) = [check for check in answer.json()["checks"] if check["name"] == "clock"]
    assert (answer.status, clock["status"]) == (503, "failed")
    assert "behind this machine's: set both machines' clocks" in clock["detail"]
    scraped = Client(wrong.port).get("/metrics").body.decode()
    (gauge,) = [line for line in scraped.splitlines() if line.startswith("tokens_clock_seconds_apart ")]
    assert abs(abs(float(gauge.split()[1])) - 600 * 86400) < 3600
    assert "set both machines' clocks" in wrong.log
