"""What every test stands on: a private Redis for the run, a namespace and a clock for each test."""

import gc
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import hypothesis
import pytest
from fakeredis import FakeServer
from fakeredis.aioredis import FakeRedis

from service import embedded
from service.app import Service
from service.settings import Settings
from service.store.driver.pipeline import Pipeline
from tests.embedded.embedded_runs import fresh_folder, running
from tests.links import ClientLink, Interrupted, Wrapped, connector
from tests.server_groups import Six, Trio

# How fast an example runs is the machine's affair, and nothing is kept between runs.
hypothesis.settings.register_profile("house", deadline=None, database=None)
hypothesis.settings.load_profile("house")

# What the fixtures `make_service` and `turn_time` are.
MakeService = Callable[..., Awaitable[Service]]
TurnTime = Callable[[float], None]
SERVER_KEY = "a server key of the tests, long enough"
# argon2id of "correct horse", cheap on purpose.
PASSWORD = "correct horse"


class Clock:
    """A clock that stands still unless the test turns it. It starts at the real time: the scripts of Redis go by that.

    What comes later is later all the same: each reading is a microsecond after the one before.
    """

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds

    def catch_up(self) -> None:
        """Before it is asked how a limit stands that was charged by the real time: a busy machine takes seconds."""
        self.now = max(self.now, time.time())


class OnClock(Wrapped):
    """A Redis that tells the service the time of its clock, as far as it is asked for it; its scripts go by the real one."""

    def __init__(self, link: Any, clock: Clock) -> None:
        super().__init__(link)
        self.clock = clock

    def execute(self, *args: Any, **how: Any) -> Any:
        # At once, as the real one: a coroutine would wait for a task, and warn where that is cancelled before it began.
        asked = super().execute(*args, **how)
        return self._time(asked) if args == ("TIME",) else asked

    async def _time(self, asked: Awaitable[Any]) -> list[bytes]:
        await asked
        seconds, micros = divmod(round(self.clock() * 1e6), 1_000_000)
        return [b"%d" % seconds, b"%d" % micros]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Nothing that is collected goes before the end, so no collector need search it: a quarter of that time."""
    gc.disable()
    collected = yield
    gc.freeze()
    gc.enable()
    return collected


# What takes seconds to start: a browser, several processes or servers, a service of one module or test alone.
SLOW = {"browser", "four", "linked", "lived", "open_site", "six", "trio"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever asks for one of these is slow."""
    for item in items:
        if not SLOW.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def redis_server() -> Iterator[embedded.EmbeddedRedis]:
    """One private server for the run; its socket's path must stay short."""
    with fresh_folder() as folder, running(folder) as server:
        yield server


@pytest.fixture(scope="module")
def trio() -> Iterator[Trio]:
    """A primary and its replica under three sentinels."""
    group = Trio()
    yield group
    group.close()


@pytest.fixture(scope="module")
def six() -> Iterator[Six]:
    """A cluster of three primaries with a replica each, whose rest answers without a part."""
    group = Six("--cluster-require-full-coverage", "no")
    yield group
    group.close()


@pytest.fixture
def namespace() -> str:
    return f"t{uuid4().hex[:12]}"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def accounts_file() -> Iterator[Path]:
    """admin, viewer and user, all with the same password."""
    from argon2 import PasswordHasher

    cheap = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
    folder = Path(tempfile.mkdtemp(prefix="tk"))
    path = folder / "accounts.toml"
    path.write_text(
        "".join(
            f'[accounts.{name}]\npassword_hash = "{cheap}"\nrole = "{role}"\n'
            for name, role in (("admin", "admin"), ("vera", "viewer"), ("uma", "user"))
        )
    )
    yield path
    shutil.rmtree(folder)


@pytest.fixture
def make_settings(redis_server: embedded.EmbeddedRedis, namespace: str, accounts_file: Path) -> Callable[..., Settings]:
    def make(**overrides: Any) -> Settings:
        defaults: dict[str, Any] = {
            "redis_url": redis_server.url,
            "secret_key": SERVER_KEY,
            "namespace": namespace,
            "accounts_file": str(accounts_file),
        }
        return Settings(**(defaults | overrides))

    return make


@pytest.fixture
async def make_service(make_settings: Callable[..., Settings], clock: Clock) -> AsyncIterator[MakeService]:
    """Makes services: `await make_service(shards=16, one_time_issue="authenticated")`.

    Another call makes another process of the same service. `background=False` leaves out what it does by itself;
    `wrap` may put something between the store and its link.
    """
    server = FakeServer()
    async with AsyncExitStack() as stack:

        async def make(
            *,
            shards: int = 1,
            fake: bool = False,
            background: bool = True,
            wrap: Callable[[Any], Any] = lambda link: link,
            **overrides: Any,
        ) -> Service:
            settings = make_settings(**overrides)
            if fake:
                link: Any = ClientLink(FakeRedis(server=server, protocol=2, max_connections=10_000))
                stack.push_async_callback(link.client.aclose)
            else:
                # A loaded machine may stall for longer than the service would wait.
                link = Pipeline(connector(settings.redis_url, timeout_seconds=60), timeout_seconds=60)
                stack.push_async_callback(link.aclose)
            outer = wrap(OnClock(link, clock))
            if isinstance(outer, Interrupted):
                stack.callback(outer.end)
            service = Service(settings, clock=clock, links=[outer] * shards)
            stack.push_async_callback(service.rules.accounts.passwords.aclose)
            if background and not fake:  # fakeredis knows no INFO, so nothing watches it
                await stack.enter_async_context(service.lifespan())
            return service

        yield make


# The quick tests have one shard, the slow ones sixteen. On fakeredis are those that turn the time of its keys.
SHARDS = [1, pytest.param(16, marks=pytest.mark.slow)]


@pytest.fixture(params=SHARDS)
async def service(request: pytest.FixtureRequest, make_service: MakeService) -> Service:
    """The same service with 1 and 16 shards."""
    return await make_service(shards=request.param)


@pytest.fixture(params=SHARDS)
async def still(request: pytest.FixtureRequest, make_service: MakeService) -> Service:
    """The same without its background work: nothing is swept or flushed but by the test."""
    return await make_service(shards=request.param, background=False)


@pytest.fixture
async def faked(make_service: MakeService) -> Service:
    """One of a single shard on fakeredis."""
    return await make_service(fake=True)


@pytest.fixture(params=SHARDS)
async def aging(request: pytest.FixtureRequest, make_service: MakeService, fake_clock: Clock) -> Service:
    """A still one on fakeredis: when the clock is turned its keys age and its scripts see it, so that a sweep moves."""
    return await make_service(shards=request.param, fake=True)


@pytest.fixture
def fake_clock(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """That of fakeredis and of the services on it in one."""
    monkeypatch.setattr(time, "time", clock)
    return clock


@pytest.fixture
def turn_time(fake_clock: Clock) -> TurnTime:
    """Turn the time of fakeredis, and with it that of every clock here: `turn_time(300)`."""
    return fake_clock.forward
