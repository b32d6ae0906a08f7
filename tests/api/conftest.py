"""Running services for the tests of the wire: one process, four of them, and one with stricter settings."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from service import embedded
from service.app import Service
from tests.api.described import Described
from tests.api.running import Lifespan
from tests.api.wire import Client
from tests.api.world import World
from tests.asgi import Person, sign_in
from tests.conftest import PASSWORD, SERVER_KEY

Environment = Callable[..., dict[str, str]]


@pytest.fixture(scope="session")
def accounts_file(accounts_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The people of all tests, and dora, who has the same password and is disabled."""
    text = accounts_file.read_text()
    dora = text[text.index("[accounts.uma]") :].replace("uma", "dora") + "disabled = true\n"
    path = tmp_path_factory.mktemp("accounts") / "accounts.toml"
    path.write_text(text + dora)
    return path


@pytest.fixture
async def admin(service: Service) -> Person:
    """An administrator signed in at the service that is asked over ASGI."""
    return await sign_in(service)


@pytest.fixture(scope="session")
def environment(redis_server: embedded.EmbeddedRedis, accounts_file: Path) -> Environment:
    """Settings for a service with a namespace of its own; names without their prefix, in small letters."""

    def make(**overrides: str) -> dict[str, str]:
        settings = {
            "redis_url": redis_server.url,
            "secret_key": SERVER_KEY,
            "namespace": f"t{uuid4().hex[:12]}",
            "accounts_file": str(accounts_file),
            "log_format": "json",
        }
        return {f"TOKENS_{name.upper()}": value for name, value in (settings | overrides).items()}

    return make


@pytest.fixture(scope="package")
def one_process(environment: Environment) -> Iterator[Lifespan]:
    with closing(Lifespan(environment(trusted_proxies="127.0.0.1"))) as running:
        yield running


@pytest.fixture(scope="package")
def four_processes(environment: Environment) -> Iterator[Lifespan]:
    with closing(Lifespan(environment(trusted_proxies="127.0.0.1"), workers=4)) as running:
        yield running


@pytest.fixture(scope="package")
def described(one_process: Lifespan) -> Described:
    """What the document promises; every answer of a checked client is compared with it."""
    return Described(Client(one_process.port).get("/openapi.json").json())


@pytest.fixture(scope="package")
def world(request: pytest.FixtureRequest, described: Described) -> World:
    """People signed in at a service of one process, or, where a module asks for it, of four."""
    running = request.getfixturevalue(getattr(request, "param", "one process").replace(" ", "_"))
    return World(running, described, PASSWORD)


@pytest.fixture(scope="package")
def strict(environment: Environment, described: Described) -> Iterator[World]:
    """A service that trusts no proxy, issues one-time tokens to known callers alone and allows endless tokens."""
    with closing(Lifespan(environment(one_time_issue="authenticated", max_lifetime_days="0"))) as running:
        yield World(running, described, PASSWORD)
