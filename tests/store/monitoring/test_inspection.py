"""What must be true of the server behind a connection: checked on what servers say, and on real ones."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest

from service import embedded
from service.embedded.prerequisites import find_server
from service.errors import StoreFull, StoreUnavailable
from service.store.driver.pipeline import Pipeline
from service.store.monitoring.inspection import inspect
from service.store.servers.links import no_servers
from tests.builders import until
from tests.embedded.embedded_runs import fresh_folder, running
from tests.links import AWAY, Interrupted, Recording, Wrapped, connector

Allowed = Callable[..., Awaitable[Pipeline]]
USERS = Path(__file__).parents[3] / "deploy" / "redis" / "users.acl.example"


class Telling(Wrapped):
    """A server that says this of itself; what it is set to, where it may be asked that."""

    def __init__(self, configured: dict[str, str] | None = None, **facts: object) -> None:
        self.configured = configured
        self.text = (
            "# Server\r\n" + "".join(f"{name}:{value}\r\n" for name, value in facts.items()) + "\r\nnonsense\r\n"
        )

    async def execute(self, *args: Any, **how: Any) -> Any:
        if args[:2] == ("CONFIG", "GET"):
            if self.configured is None:
                raise StoreUnavailable("forbidden")
            return [args[2].encode(), self.configured[args[2]].encode()]
        if args[0] in ("DEL", "EVAL", "EVALSHA", "EXISTS"):
            return []
        assert args == ("INFO",)
        return self.text.encode() + b"executable:/\xff\r\n"


GOOD = {"redis_version": "7.4.1", "maxmemory_policy": "noeviction", "aof_enabled": 1}


async def test_a_fit_server_has_no_faults() -> None:
    found = await inspect(Telling(**GOOD), b"scratch")
    assert (found.version, found.policy, found.faults) == ("7.4.1", "noeviction", {})


@pytest.mark.parametrize(
    ("facts", "warns"),
    [
        ({}, True),
        ({"redis_version": "8.10.0"}, True),
        ({"valkey_version": "9.0.3"}, True),
        ({"valkey_version": "9.1.0"}, False),
        ({"valkey_version": "10.0.0"}, False),
    ],
)
async def test_a_server_that_goes_on_behind_a_torn_file_is_told_of(facts: dict[str, str], warns: bool) -> None:
    found = await inspect(Telling(**(GOOD | facts)), b"scratch")
    assert ["BGREWRITEAOF" in warning for warning in found.warnings] == [True] * warns


@pytest.mark.parametrize(
    ("fact", "fault", "said"),
    [
        ({"redis_version": "6.0.16"}, "version", "Redis 6.0.16 is too old"),
        ({"redis_version": "5.9.9"}, "version", "too old"),
        ({"redis_version": ""}, "version", "too old"),
        ({"maxmemory_policy": "allkeys-lru"}, "eviction", "allkeys-lru deletes tokens"),
        ({"maxmemory_policy": "volatile-ttl"}, "eviction", "volatile-ttl deletes tokens"),
    ],
)
async def test_a_server_that_must_not_be_used_has_its_fault_named(fact: dict[str, str], fault: str, said: str) -> None:
    found = await inspect(Telling(**(GOOD | fact)), b"scratch")
    assert list(found.faults) == [fault]
    assert said in found.faults[fault]


@pytest.mark.parametrize("version", ["6.2.0", "6.2.14", "7.0.15", "8.10.0", "10.0.0", "255.255.255"])
async def test_every_version_since_6_2_will_do(version: str) -> None:
    assert (await inspect(Telling(**(GOOD | {"redis_version": version})), b"scratch")).faults == {}


async def test_valkey_is_told_by_its_own_version() -> None:
    found = await inspect(Telling(**(GOOD | {"redis_version": "7.2.4", "valkey_version": "9.1.0"})), b"scratch")
    assert (found.version, found.faults) == ("9.1.0", {})


async def test_several_faults_are_all_told_and_missing_persistence_is_a_warning() -> None:
    found = await inspect(Telling(redis_version="6.0.1", maxmemory_policy="allkeys-lfu"), b"scratch")
    assert set(found.faults) == {"version", "eviction"}
    (warning,) = found.warnings
    assert "appendonly is off" in warning


async def test_a_node_that_is_away_is_not_told_as_one_that_forbids() -> None:
    """Another one answers what has no key, and sends on what has: no process of a cluster started while one was away."""
    away = dict.fromkeys(("EXISTS", "DEL", "EVALSHA", "EVAL"), AWAY)
    with pytest.raises(StoreUnavailable):
        await inspect(Interrupted(Telling(**GOOD), before=away), b"scratch", in_cluster=True)


SET = {"min-replicas-to-write": "1", "appendfsync": "always"}
BY_SECOND = SET | {"appendfsync": "everysec"}


@pytest.mark.parametrize(
    ("durability", "configured", "facts", "text", "warning"),
    [
        ("memory", BY_SECOND, {}, "appendfsync everysec: a power failure loses a second or two", ""),
        ("memory", None, {}, "min-replicas-to-write 0, appendfsync unknown", ""),
        ("memory", None, {"min_slaves_good_slaves": 1}, "min-replicas-to-write unknown", ""),
        ("memory", SET, {"connected_slaves": 2}, "memory; 2 replicas, min-replicas-to-write 1, appendfsync always", ""),
        ("memory", SET, {"aof_enabled": 0}, "a restart loses all since the last snapshot", ""),
        (
            "replicated",
            BY_SECOND | {"min-replicas-to-write": "0"},
            {"connected_slaves": 1},
            "a failover what no replica had yet, and an old primary that is cut off goes on taking writes",
            "",
        ),
        ("replicated", SET, {}, "a power failure loses nothing", "a primary has no replica"),
        ("fsync", BY_SECOND, {}, "everysec", "appendfsync is everysec"),
        ("fsync", None, {}, "unknown", ""),
        ("fsync", SET, {"redis_version": "7.0.15"}, "always", "needs Redis 7.2 or Valkey"),
        ("both", SET, {"connected_slaves": 1}, "both; 1 replicas", ""),
    ],
)
async def test_what_servers_are_set_to_is_told_with_what_that_promises(
    durability: str, configured: dict[str, str] | None, facts: dict[str, int], text: str, warning: str
) -> None:
    found = await inspect(Telling(configured, **GOOD | facts), b"scratch", durability=durability)
    assert text in found.promise
    misfits = [one for one in found.warnings if "TOKENS_DURABILITY" in one]
    assert [warning in one for one in misfits] == [True] * bool(warning)
    assert found.by_configuration == (configured is not None)


@pytest.fixture(scope="module")
def own_server() -> Iterator[embedded.EmbeddedRedis]:
    """A server whose configuration a test may spoil."""
    with fresh_folder() as folder, running(folder) as server:
        yield server


@pytest.fixture
async def operator(own_server: embedded.EmbeddedRedis) -> AsyncIterator[Pipeline]:
    """The one who may change everything, and puts it right again."""
    pipeline = Pipeline(connector(own_server.url), timeout_seconds=10)
    yield pipeline
    for command in (
        ("CONFIG", "SET", "maxmemory", "0"),
        ("CONFIG", "SET", "maxmemory-policy", "noeviction"),
        ("ACL", "DELUSER", "service"),
    ):
        await pipeline.execute(*command)
    await pipeline.aclose()


async def test_the_managed_server_is_fit(operator: Pipeline) -> None:
    found = await inspect(operator, b"scratch")
    assert (found.policy, found.faults) == ("noeviction", {})
    # Of a server that goes on behind a torn end of its file, that alone.
    assert ["torn end" in warning for warning in found.warnings] == [True] * (not find_server().mends_its_file)


async def test_a_real_server_that_evicts_is_refused(operator: Pipeline) -> None:
    await operator.execute("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
    assert set((await inspect(operator, b"scratch")).faults) == {"eviction"}


async def test_a_full_server_says_so(operator: Pipeline) -> None:
    await operator.execute("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(StoreFull):
        await operator.execute("SET", "x", "1")
    assert await operator.execute("GET", "x") is None


@pytest.fixture
async def allowed(own_server: embedded.EmbeddedRedis, operator: Pipeline) -> AsyncIterator[Allowed]:
    """Connects a user who may do this much."""
    async with AsyncExitStack() as stack:

        async def connect(*rules: str) -> Pipeline:
            await operator.execute("ACL", "SETUSER", "service", "reset", "on", ">secret", "~*", *rules)
            opened = connector(own_server.url.replace("unix://", "unix://service:secret@"))
            return await stack.enter_async_context(aclosing(Pipeline(opened, timeout_seconds=10)))

        yield connect


@pytest.mark.parametrize("command", ["set", "xadd", "hgetall", "lpush"])
async def test_a_command_that_scripts_alone_call_is_missed(allowed: Allowed, operator: Pipeline, command: str) -> None:
    """It was told to nobody: readiness said yes, a change was answered 503 and made half."""
    pipeline = await allowed("+@all", f"-{command}")
    (fault,) = (await inspect(pipeline, b"scratch")).faults.items()
    assert fault == (
        "scripts",
        f"Redis cannot be used: its access list forbids what the service needs: {command.upper()}",
    )
    assert await operator.execute("EXISTS", "scratch") == 0


async def test_what_the_example_of_an_access_list_allows_is_enough(allowed: Allowed) -> None:
    (rules,) = re.findall(r"^user tokens on >PASSWORD ~tokens:\* (.*)$", USERS.read_text(), re.MULTILINE)
    pipeline = await allowed(*rules.split())
    assert (await inspect(pipeline, b"scratch")).faults == {}


async def test_where_info_is_forbidden_the_server_is_tried(allowed: Allowed, operator: Pipeline) -> None:
    pipeline = await allowed("+@all", "-info")
    link = Recording(pipeline)
    found = await inspect(link, b"scratch")
    assert found.faults == {}
    assert "INFO is forbidden" in found.warnings[0]
    assert link.names() == ["INFO", "SET", "GETDEL", "EVALSHA", "EVAL"]
    assert await operator.execute("EXISTS", "scratch") == 0


@pytest.mark.parametrize("may_tell", [True, False])
async def test_a_full_server_is_told_of_and_used_all_the_same(
    allowed: Allowed, operator: Pipeline, may_tell: bool
) -> None:
    """Nothing said so: everything was refused, and no rate limit counted, while the log was empty."""
    pipeline = await allowed("+@all", *([] if may_tell else ["-info"]))
    await operator.execute("CONFIG", "SET", "maxmemory", "1")
    full = await inspect(pipeline, b"scratch")
    await operator.execute("CONFIG", "SET", "maxmemory", "0")
    roomy = await inspect(pipeline, b"scratch")
    assert full.faults == roomy.faults == {}
    assert len(full.warnings) == len(roomy.warnings) + may_tell
    assert ("maxmemory" in full.warnings[0]) is may_tell


@pytest.mark.parametrize("command", ["set", "getdel", "eval", "evalsha"])
async def test_a_server_that_forbids_what_we_cannot_do_without_is_no_use(allowed: Allowed, command: str) -> None:
    pipeline = await allowed("+@all", "-info", f"-{command}")
    with pytest.raises(StoreUnavailable):
        await inspect(pipeline, b"scratch")


async def test_a_wrong_password_is_unavailable_and_stays_out_of_the_log(
    allowed: Allowed, operator: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = await allowed("+@all")
    await operator.execute("ACL", "SETUSER", "service", "<secret", ">other-secret")
    errors: list[str] = []
    pipeline._on_error = errors.append
    with pytest.raises(StoreUnavailable):
        await pipeline.execute("PING")
    await until(lambda: errors)
    assert "secret" not in caplog.text
    await operator.execute("ACL", "SETUSER", "service", ">secret")
    await until(lambda: pipeline.up)


async def test_where_no_redis_is_named_nothing_is_reached() -> None:
    servers = no_servers()
    with pytest.raises(StoreUnavailable):
        await servers.links[0].execute("PING")
    await servers.aclose()
