"""Services that tests may hurt: each with a Redis of its own, of one process or of four."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest

from tests.api.redis_child import RedisChild
from tests.api.running import IMPATIENT_MS, Lifespan
from tests.api.wire import Client
from tests.api.world import Issuing
from tests.conftest import PASSWORD, SERVER_KEY
from tests.fault.lost_replies import proxied
from tests.store.proxy import FaultProxy


class Site(Issuing, msgspec.Struct, frozen=True):
    """A running service and its Redis, and an administrator's session."""

    redis: RedisChild
    running: Lifespan
    client: Client
    admin: str


Open = Callable[..., Site]
Linked = tuple[Site, FaultProxy]


@pytest.fixture(scope="session")
def settings(accounts_file: Path) -> dict[str, str]:
    """What every service here is told."""
    return {
        "TOKENS_SECRET_KEY": SERVER_KEY,
        "TOKENS_ACCOUNTS_FILE": str(accounts_file),
        "TOKENS_LOG_FORMAT": "json",
        # The tests ask as gateways do.
        "TOKENS_TRUSTED_PROXIES": "127.0.0.1",
        "TOKENS_ONE_TIME_ISSUE_PER_MINUTE": "1000000",
    }


@contextmanager
def sites(settings: Mapping[str, str]) -> Iterator[Open]:
    """Starts sites, which end with the block: each costs time as long as it is there, also when nobody asks it."""
    begun: list[Lifespan] = []
    with ExitStack() as held:

        def start(*, workers: int = 1, redis: RedisChild | None = None, url: str = "", **changed: str) -> Site:
            redis = redis or RedisChild()
            held.callback(redis.close)
            told = {f"TOKENS_{name.upper()}": value for name, value in changed.items()}
            running = Lifespan({"TOKENS_REDIS_URL": url or redis.url, **settings, **told}, workers=workers)
            held.callback(running.close)
            begun.append(running)
            client = Client(running.port)
            return Site(redis, running, client, client.sign_in("admin", PASSWORD))

        try:
            yield start
        finally:
            for running in begun:
                running.process.terminate()  # all at once: each takes a while


@pytest.fixture
def open_site(settings: dict[str, str]) -> Iterator[Open]:
    """Starts sites for one test."""
    with sites(settings) as start:
        yield start


@pytest.fixture(scope="package")
def four(settings: dict[str, str]) -> Iterator[Site]:
    """A service of four processes whose Redis stays well."""
    with sites(settings) as start:
        yield start(workers=4, access_log="off")


@pytest.fixture(scope="module")
def fragile(settings: dict[str, str]) -> Iterator[Site]:
    """A service of one process for the tests of one module, whose Redis they may hurt if they heal it again."""
    with sites(settings) as start:
        yield start()


@contextmanager
def behind_proxy(settings: Mapping[str, str], **changed: str) -> Iterator[Linked]:
    redis = RedisChild()
    with proxied(redis.socket_path) as proxy, sites(settings) as start:
        yield start(redis=redis, url=proxy.url, **changed), proxy


@pytest.fixture(scope="module")
def lossy(settings: dict[str, str]) -> Iterator[Linked]:
    """A service of one process that waits, and the proxy before its Redis."""
    with behind_proxy(settings) as linked:
        yield linked


@pytest.fixture(scope="package")
def linked(settings: dict[str, str]) -> Iterator[Linked]:
    """A service of one process and the proxy before its Redis, which whoever hurts it heals again."""
    with behind_proxy(settings, redis_timeout_ms=IMPATIENT_MS) as linked:
        yield linked
