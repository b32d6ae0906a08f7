"""The service beside its Redis, as the compose file sets them up: run by hand, without containers."""

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import yaml
from redis.exceptions import NoPermissionError

import service
from service import settings
from service.embedded import prerequisites
from tests.api.running import wait_until
from tests.contract.serving import serving, tool

ROOT = Path(service.__file__).parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def test_the_compose_file_fits_the_specification() -> None:
    tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yaml"))
    style = "{extends: default, rules: {line-length: {max: 110}, document-start: disable}}"
    tool("yamllint", "--strict", "--config-data", style, str(DEPLOY / "compose.yaml"))


def test_containers_keep_nothing_they_do_not_need() -> None:
    for name, container in COMPOSE["services"].items():
        assert container["read_only"] is True, name
        assert container["cap_drop"] == ["ALL"], name
        assert container["security_opt"] == ["no-new-privileges:true"], name
        assert set(container.get("secrets", ())) <= set(COMPOSE["secrets"]), name
    assert "ports" not in COMPOSE["services"]["redis"]
    ports = [port for container in COMPOSE["services"].values() for port in container.get("ports", ())]
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_what_containers_are_given_to_read_is_there() -> None:
    mounts = [mount for container in COMPOSE["services"].values() for mount in container.get("volumes", ())]
    given = [mount.partition(":")[0] for mount in mounts if mount.startswith("./")]
    assert len(given) > 3
    assert [path for path in given if not (DEPLOY / path).exists()] == []


def test_its_redis_mends_its_log_after_a_power_failure() -> None:
    version = re.fullmatch(r"valkey/valkey:(\d+)\.(\d+)-alpine", COMPOSE["services"]["redis"]["image"])
    assert version is not None
    assert tuple(map(int, version.groups())) >= prerequisites.MENDING_VALKEY


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that the commands in the head of the compose file make, run as they stand there."""
    folder = tmp_path_factory.mktemp("compose")
    shutil.copytree(DEPLOY / "redis", folder / "redis")
    head = re.findall(r"^#   (.+)$", (DEPLOY / "compose.yaml").read_text(), re.MULTILINE)
    script = "\n".join(line for line in head if not line.startswith("docker "))
    subprocess.run(["sh", "-euc", script], cwd=folder, check=True, timeout=120)
    return folder / "secrets"


def password_of(secrets: Path) -> str:
    """The password that the commands made, as the service gets it."""
    return urlsplit((secrets / "redis_url").read_text()).password or ""


@pytest.fixture(scope="module")
def redis_of_compose(secrets: Path) -> Iterator[Path]:
    """A real server under the configuration and users of the compose file; yields its socket."""
    path = secrets.parent / "s"
    words = [word.replace("/run/secrets", str(secrets)) for word in COMPOSE["services"]["redis"]["command"]]
    words[0] = prerequisites.find_server().path
    words[1] = str(DEPLOY / "redis" / "redis.conf")
    command = [*words, "--port", "0", "--unixsocket", path.name, "--dir", str(secrets.parent)]
    with subprocess.Popen(command, cwd=secrets.parent, stdout=subprocess.DEVNULL) as server:
        try:
            wait_until(lambda: path.exists() or server.poll() is not None, what="the server's socket")
            assert server.poll() is None, "it does not start under this configuration"
            yield path
        finally:
            server.terminate()


def test_the_secrets_of_the_compose_file_are_made_by_its_commands(secrets: Path) -> None:
    made = {path.name for path in secrets.iterdir()}
    wanted = {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()}
    assert wanted - made == {"accounts.toml"}
    assert secrets.stat().st_mode & 0o777 == 0o700
    settings.read({"TOKENS_SECRET_KEY_FILE": str(secrets / "secret_key")})


def test_the_service_is_given_the_address_of_its_redis(secrets: Path) -> None:
    told = {
        name: str(value).replace("/run/secrets", str(secrets))
        for name, value in COMPOSE["services"]["tokens"]["environment"].items()
    }
    assert settings.read(told).redis_url == f"redis://tokens:{password_of(secrets)}@redis:6379/0"


def test_redis_takes_the_recommended_settings(redis_of_compose: Path, secrets: Path) -> None:
    password = password_of(secrets)
    with redis.Redis(unix_socket_path=str(redis_of_compose), username="tokens", password=password) as client:
        facts = client.info()
        assert facts["maxmemory_policy"] == "noeviction"
        assert facts["aof_enabled"] == 1
        assert client.execute_command("EVAL", "return redis.call('SET', KEYS[1], 1)", 1, "tokens:x") == b"OK"


@pytest.mark.parametrize(
    "words",
    [("FLUSHALL",), ("CONFIG", "GET", "*"), ("KEYS", "*"), ("SHUTDOWN", "NOSAVE"), ("SET", "other:x", "1")],
)
def test_the_redis_user_of_the_service_may_no_more_than_it_needs(
    redis_of_compose: Path, secrets: Path, words: tuple[str, ...]
) -> None:
    password = password_of(secrets)
    with (
        redis.Redis(unix_socket_path=str(redis_of_compose), username="tokens", password=password) as client,
        pytest.raises(NoPermissionError),
    ):
        client.execute_command(*words)


def test_nobody_without_a_password_may_more_than_ping(redis_of_compose: Path) -> None:
    with redis.Redis(unix_socket_path=str(redis_of_compose)) as client:
        assert client.execute_command("PING")
        for words in (("INFO",), ("GET", "tokens:x"), ("ACL", "LIST")):
            with pytest.raises(NoPermissionError):
                client.execute_command(*words)


@pytest.mark.slow
def test_the_service_needs_no_more_of_redis_than_its_user_may(redis_of_compose: Path, secrets: Path) -> None:
    password = password_of(secrets)
    told = {
        "TOKENS_REDIS_URL": f"unix://tokens:{password}@{redis_of_compose}",
        "TOKENS_SECRET_KEY_FILE": str(secrets / "secret_key"),
    }
    with serving([sys.executable, "-m", "service"], told, ROOT) as port:
        issued = get(port, "/api-v1/fastertokengenerator.php")
        assert issued["status"] == "success"
        assert get(port, "/readyz")["status"] == "ready"


def get(port: int, path: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        return json.load(answer)
