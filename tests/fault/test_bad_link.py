"""A network between the service and Redis that is slow, silent, torn or lying; and a Redis that pauses or forgets."""

from collections.abc import Callable

import pytest

from service.tokens.secret import with_checksum
from tests.api.running import wait_until
from tests.api.wire import Answer, Client
from tests.api.world import fresh
from tests.fault.conftest import Linked, Open, Site


@pytest.fixture
def ask(linked: Linked) -> Callable[[], Answer]:
    """A good question, asked by a client that does not wait for ever."""
    site, _ = linked
    client, secret = Client(site.running.port), site.create(fresh("linked"))["token"]
    wait_until(lambda: client.get("/validate", bearer=secret).status == 200, what="the link to be well")
    return lambda: client.get("/validate", bearer=secret)


def well_again(ask: Callable[[], Answer]) -> None:
    wait_until(lambda: ask().status == 200, what="validations to work again")


def test_a_slow_link_is_borne(linked: Linked, ask: Callable[[], Answer]) -> None:
    _, proxy = linked
    proxy.delay_seconds = 0.1
    try:
        # One answer may be lost to a busy machine, but not all.
        wait_until(lambda: ask().status == 200, what="an answer over the slow link")
    finally:
        proxy.delay_seconds = 0
    well_again(ask)


def test_a_link_that_is_slower_than_the_deadline_is_unknown(linked: Linked, ask: Callable[[], Answer]) -> None:
    _, proxy = linked
    proxy.delay_seconds = 3.0
    try:
        for _ in range(5):
            ask().problem(503, "store_unavailable")
    finally:
        proxy.delay_seconds = 0
    well_again(ask)


def test_a_silent_link_is_unknown(linked: Linked, ask: Callable[[], Answer]) -> None:
    _, proxy = linked
    proxy.silent = True
    try:
        for _ in range(5):
            ask().problem(503, "store_unavailable")
    finally:
        proxy.silent = False
    well_again(ask)


def test_a_connection_that_was_reset_is_made_anew_and_nobody_notices(linked: Linked, ask: Callable[[], Answer]) -> None:
    _, proxy = linked
    for _ in range(10):
        proxy.loop.call_soon_threadsafe(proxy.reset)
        assert ask().status in (200, 503)
        well_again(ask)


@pytest.mark.parametrize("bytes_passed", [1, 4, 20])
def test_a_reply_that_is_torn_is_never_taken_for_an_answer(
    linked: Linked, ask: Callable[[], Answer], bytes_passed: int
) -> None:
    _, proxy = linked
    proxy.cut = bytes_passed
    assert ask().status in (200, 503)
    well_again(ask)


def lies(site: Site) -> list[bytes]:
    """Replies that are none to our question; the last is the record of somebody else's good token."""
    (key, *_) = site.redis.client.keys("*:c:*")
    record = site.redis.client.get(key)
    assert isinstance(record, bytes)
    return [
        b"nonsense\r\n",
        b"$-1\r\n$-1\r\n",
        b":1\r\n",
        b"*2\r\n$1\r\na\r\n$1\r\nb\r\n",
        b"$3\r\nabc\r\n",
        b"+OK\r\n",
        b"$%d\r\n%b\r\n" % (len(record), record),
    ]


def test_a_reply_that_is_not_ours_lets_nobody_in(linked: Linked, ask: Callable[[], Answer]) -> None:
    site, proxy = linked
    nobody = with_checksum("0" * 56)
    for lie in lies(site) * 3:
        proxy.garbage = lie
        assert site.client.get("/validate", bearer=nobody).status in (401, 503), lie
        well_again(ask)


def test_a_redis_that_pauses_is_unknown(linked: Linked, ask: Callable[[], Answer]) -> None:
    linked[0].redis.client.client_pause(2000)
    ask().problem(503, "store_unavailable")
    well_again(ask)


def test_a_redis_that_forgot_everything_lets_nobody_in_and_makes_nobody_an_administrator(open_site: Open) -> None:
    site = open_site()
    secret, one_time = site.create(fresh("forgotten"))["token"], site.one_time()
    site.redis.client.flushall()
    for bearer in (secret, site.admin):
        site.client.get("/validate", bearer=bearer).problem(401, "invalid_token")
    assert site.client.post("/api/one-time-tokens/consume", {"token": one_time}).json() == {"valid": False}
    for method, path in (("GET", "/api/admin/tokens"), ("POST", "/api/admin/tokens"), ("POST", "/api/admin/webhooks")):
        assert site.client.ask(method, path).status == 401
    assert site.client.sign_in("admin", "correct horse")
