"""The doctor's look at Redis: reached, fit for tokens, of the same time."""

import time
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from service.cli.doctor import redis_server
from service.embedded import EmbeddedRedis
from service.embedded.data_note import note_data
from service.keyring import Keyring
from service.store.driver.keys import Keys
from service.store.monitoring.inspection import Inspection
from tests.api.redis_child import RedisChild
from tests.cli.conftest import Found
from tests.cli.stub import serving
from tests.embedded.embedded_runs import fresh_folder, running


def test_an_outside_redis_is_described(found: Found, outside: dict[str, str]) -> None:
    code, checks = found(**outside)
    assert code == 0
    assert list(checks) == ["settings", "server key", "redis", "durability", "clock", "accounts", "port"]
    assert "master, noeviction, answers in" in checks["redis"][1]
    assert checks["clock"] == ("ok", "the same as that of Redis")


def test_a_redis_that_is_away_fails(found: Found, outside: dict[str, str]) -> None:
    code, checks = found(**outside | {"TOKENS_REDIS_URL": "redis://:hunter22@127.0.0.1:1"})
    assert code == 1
    result, detail = checks["redis"]
    assert result == "failed"
    assert "TOKENS_REDIS_URL" in detail
    assert "hunter22" not in detail


def test_something_else_at_the_port_of_redis_fails(found: Found, outside: dict[str, str]) -> None:
    with serving() as stub:
        code, checks = found(**outside | {"TOKENS_REDIS_URL": stub.url.replace("http", "redis")})
    assert (code, checks["redis"][0]) == (1, "failed")


@pytest.mark.parametrize(("ahead", "result"), [(0.0, "ok"), (3.0, "warning"), (-29.0, "warning"), (31.0, "failed")])
def test_clocks_that_differ_are_seen(
    found: Found, outside: dict[str, str], monkeypatch: pytest.MonkeyPatch, ahead: float, result: str
) -> None:
    real = time.time

    class Turned:
        perf_counter = staticmethod(time.perf_counter)

        @staticmethod
        def time() -> float:
            return real() + ahead

    monkeypatch.setattr(redis_server, "time", Turned)
    code, checks = found(**outside)
    assert checks["clock"][0] == result
    assert code == (1 if result == "failed" else 0)
    if ahead:
        said = f"{ahead:.1f} s behind" if ahead > 0 else f"{-ahead:.1f} s ahead of"
        assert f"Redis' clock is {said} this machine's" in checks["clock"][1]


def test_another_server_key_than_that_of_the_tokens_fails(
    found: Found, outside: dict[str, str], redis_server: EmbeddedRedis
) -> None:
    namespace = f"t{uuid4().hex[:12]}"
    told = outside | {"TOKENS_NAMESPACE": namespace}
    other = "another server key of the tests, long enough"
    with redis.Redis.from_url(redis_server.url) as client:
        client.set(Keys(namespace, 0).key_mark, Keyring(other).marks(namespace)[0])
    code, checks = found(**told)
    assert code == 1
    assert "TOKENS_SECRET_KEY_PREVIOUS" in checks["redis server key"][1]
    for key in ({"TOKENS_SECRET_KEY": other}, {"TOKENS_SECRET_KEY_PREVIOUS": other}):
        code, checks = found(**told | key)
        assert (code, "redis server key" in checks) == (0, False)


def test_a_redis_that_was_emptied_fails_until_that_is_confirmed(
    found: Found, outside: dict[str, str], redis_server: EmbeddedRedis
) -> None:
    namespace = f"t{uuid4().hex[:12]}"
    with redis.Redis.from_url(redis_server.url) as client:
        client.set(Keys(namespace, 0).reset_note, "x")
        code, checks = found(**outside, TOKENS_NAMESPACE=namespace)
        assert (code, "confirm-reset" in checks["redis store reset"][1]) == (1, True)
        client.delete(Keys(namespace, 0).reset_note)
    assert found(**outside, TOKENS_NAMESPACE=namespace)[0] == 0


def test_what_is_noted_of_data_is_checked_while_no_redis_runs(found: Found, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    manifest = folder / "appendonlydir" / "appendonly.aof.manifest"
    manifest.parent.mkdir(mode=0o700, parents=True)
    manifest.touch()
    manifest.with_name("appendonly.aof.1.incr.aof").write_text("commands")
    theirs, ours = "a" * 40, "b" * 40
    assert found(TOKENS_SECRET_KEY=ours)[0] == 0
    note_data(folder, "another", Keyring("c" * 40).marks("another")[0])
    note_data(folder, "tokens", Keyring(theirs).marks("tokens")[0])
    code, checks = found(TOKENS_SECRET_KEY=ours)
    assert (code, "TOKENS_SECRET_KEY_PREVIOUS" in checks["redis server key"][1]) == (1, True)
    assert found(TOKENS_SECRET_KEY=theirs)[0] == 0
    assert found(TOKENS_SECRET_KEY=ours, TOKENS_SECRET_KEY_PREVIOUS=theirs)[0] == 0
    assert found(TOKENS_SECRET_KEY=ours, TOKENS_NAMESPACE="new")[0] == 0
    manifest.unlink()
    code, checks = found(TOKENS_SECRET_KEY=theirs)
    assert (code, "restore it from a backup" in checks["redis"][1]) == (1, True)


def test_a_running_redis_of_the_data_directory_is_examined(found: Found) -> None:
    with fresh_folder() as folder, running(folder):
        code, checks = found(TOKENS_DATA_DIR=str(folder))
    assert code == 0
    assert "answers in" in checks["redis"][1]
    assert checks["clock"][0] == "ok"


def test_a_redis_that_cannot_be_started_fails(found: Found) -> None:
    code, checks = found(TOKENS_REDIS_BIN="/bin/true")
    assert (code, checks["redis"][0]) == (1, "failed")
    assert "TOKENS_REDIS_BIN" in checks["redis"][1]


def test_a_server_too_old_for_the_data_fails(found: Found, tmp_path: Path) -> None:
    (tmp_path / "data" / "appendonlydir").mkdir(parents=True)
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\necho Redis server v=6.2.14 sha=0\n")
    program.chmod(0o755)
    code, checks = found(TOKENS_REDIS_BIN=str(program))
    assert (code, checks["redis"][0]) == (1, "failed")
    assert "was written by 7.0 or later" in checks["redis"][1]


def test_an_eviction_policy_that_deletes_tokens_fails(
    found: Found, outside: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = "allkeys-lru deletes tokens"

    async def evicting(*_: object, **__: object) -> Inspection:
        return Inspection("7.0", "allkeys-lru", {"eviction": policy}, ("nothing is kept",))

    monkeypatch.setattr(redis_server, "inspect", evicting)
    code, checks = found(**outside)
    assert code == 1
    assert checks["redis eviction"] == ("failed", policy)
    assert checks["redis"] == ("warning", "nothing is kept")


def test_a_replica_fails(found: Found, outside: dict[str, str]) -> None:
    child = RedisChild("--replicaof", "127.0.0.1 1")
    try:
        code, checks = found(**outside | {"TOKENS_REDIS_URL": child.url})
    finally:
        child.close()
    assert code == 1
    assert checks["redis role"] == ("failed", "This Redis is a slave: connect to the master.")


def test_a_redis_that_forbids_what_is_needed_fails(
    found: Found, outside: dict[str, str], redis_server: EmbeddedRedis
) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        client.execute_command("ACL", "SETUSER", "barred", "on", ">pw", "+client", "+select", "+role")
    url = redis_server.url.replace("unix://", "unix://barred:pw@")
    code, checks = found(**outside | {"TOKENS_REDIS_URL": url})
    assert (code, checks["redis"][0]) == (1, "failed")
