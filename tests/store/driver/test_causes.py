"""What operators are told of a Redis that gives no answer: why, by whatever it says, and once."""

import asyncio
import errno

import pytest
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import ResponseError

from service.errors import StoreUnavailable
from service.store.driver.causes import Outage, cause_of
from service.store.driver.replies import translate
from tests.builders import until


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("NOREPLICAS Not enough good replicas to write.", "fewer replicas are well than its min-replicas-to-write"),
        (
            "ERR Error running script (call to f_0): @user_script:9: -NOREPLICAS Not enough good replicas to write.",
            "fewer replicas are well than its min-replicas-to-write",
        ),
        ("TRYAGAIN Multiple keys request during rehashing of slot", "a hash slot moves from node to node key by key"),
        ("MISCONF Errors writing to the AOF file: No space left on device", "it cannot write to its disk (MISCONF)"),
        ("CLUSTERDOWN Hash slot not served", "its cluster is down (CLUSTERDOWN Hash slot not served): bring"),
    ],
)
def test_what_it_refuses_with_is_told(text: str, told: str) -> None:
    meaning = translate(Exception(text))
    assert isinstance(meaning, StoreUnavailable)
    assert told in meaning.cause
    # While a connection is made, too.
    assert told in cause_of(ResponseError(text))


def test_a_server_that_has_no_connection_left_says_so() -> None:
    """It was told as `ConnectionError`, and in turn as one that wants TLS."""
    assert "maxclients" in cause_of(NoConnection("max number of clients reached"))


def test_what_the_system_says_is_told_by_its_words() -> None:
    """It was told as `ConnectionError`, without what there is to mend."""
    error = NoConnection("Error 113 connecting to 10.0.0.1:6379.")
    error.__cause__ = OSError(errno.EHOSTUNREACH, "No route to host")
    assert cause_of(error) == "the system says: no route to host"


async def test_a_server_that_comes_and_goes_is_told_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While its writes are paused it takes each connection and answers nothing on it: two lines a quarter second."""
    monkeypatch.setattr("service.store.driver.causes._WELL_AFTER_SECONDS", 0)
    outage, told = Outage(), ["silent", "full"]
    for _ in range(3):
        for reason in told:
            outage.tell(reason)
        outage.ends("here")
    assert caplog.messages == told
    await until(lambda: len(caplog.messages) > 2)
    assert caplog.messages[2:] == ["Redis answers again (here)"]
    # And nothing is told of a connection that was lost for no reason of the server's.
    outage.ends("here")
    await asyncio.sleep(0)
    assert len(caplog.messages) == 3
    outage.tell("silent")
    assert caplog.messages[3:] == ["silent"]
