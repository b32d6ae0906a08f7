"""The image and what runs it, as far as a machine without a container engine can tell."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from redis.exceptions import NoPermissionError

import service
from service import settings
from service.cli import SECTIONS
from service.embedded import premises
from tests.store.embedded_runs import wait_for

ROOT = Path(service.__file__).parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
COMMANDS = {name for section in SECTIONS.values() for name in section}
SETTINGS = {name for name, _, _ in settings.described()}
PLATFORMS = ("x86_64", "aarch64")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, arguments), continued lines joined and comments dropped."""
    text = (ROOT / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


def said(instruction: str) -> str:
    """The arguments of the last such instruction: the one that counts in the image."""
    return [arguments for word, arguments in instructions() if word == instruction][-1]


def environment_of_image() -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in shlex.split(said("ENV")))


def tool(name: str, *words: str) -> None:
    """Run a checker from the environment of these tests; what it finds is in the failure."""
    command = [str(Path(sys.executable).with_name(name)), *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_hadolint_has_no_remark() -> None:
    tool("hadolint", str(ROOT / "Dockerfile"))


def test_the_compose_file_fits_the_specification() -> None:
    tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yaml"))
    style = "{extends: default, rules: {line-length: {max: 110}, document-start: disable}}"
    tool("yamllint", "--strict", "--config-data", style, str(DEPLOY / "compose.yaml"))


def test_the_image_runs_as_a_user_that_is_a_number_and_not_root() -> None:
    user, _, group = said("USER").partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert said("VOLUME") == environment_of_image()["TOKENS_DATA_DIR"]


def test_the_image_calls_commands_that_exist() -> None:
    assert json.loads(said("ENTRYPOINT")) == ["token-service"]
    assert json.loads(said("CMD"))[0] in COMMANDS
    program, command = json.loads(said("HEALTHCHECK").partition("CMD ")[2])
    assert program == "token-service"
    assert command in COMMANDS


def test_every_setting_in_the_deployments_is_one_of_the_service() -> None:
    secret = {f"TOKENS_{name.upper()}_FILE" for name in settings.SECRETS}
    for file in ("Dockerfile", "deploy/compose.yaml", "deploy/systemd/token-service.service"):
        named = set(re.findall(r"\bTOKENS_[A-Z_]+", (ROOT / file).read_text()))
        assert named - SETTINGS - secret == set(), file
        assert named, file


def test_the_build_context_has_what_is_copied_and_little_else() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    copied = {
        source
        for word, arguments in instructions()
        if word == "COPY" and not arguments.startswith("--from")
        for source in arguments.split()[:-1]
    }
    assert rules[0] == "*"
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == copied
    assert all((ROOT / source).exists() for source in copied)


def test_containers_keep_nothing_they_do_not_need() -> None:
    for name, container in COMPOSE["services"].items():
        assert container["read_only"] is True, name
        assert container["cap_drop"] == ["ALL"], name
        assert container["security_opt"] == ["no-new-privileges:true"], name
        assert set(container["secrets"]) <= set(COMPOSE["secrets"]), name
    assert "ports" not in COMPOSE["services"]["redis"]
    assert all(port.startswith("127.0.0.1:") for port in COMPOSE["services"]["tokens"]["ports"])


def test_a_stop_waits_longer_than_the_service_drains() -> None:
    grace = int(COMPOSE["services"]["tokens"]["stop_grace_period"].removesuffix("s"))
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read(DEPLOY / "systemd" / "token-service.service")
    drain = settings.Settings().drain_seconds
    assert grace > drain
    assert int(unit["Service"]["TimeoutStopSec"]) > drain
    assert unit["Service"]["ExecStart"].endswith("/token-service serve")
    # The first signal must not reach the embedded Redis, which would end before the service has drained.
    assert unit["Service"]["KillMode"] == "mixed"


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The directory that the commands in the head of the compose file make, run as they stand there."""
    shutil.copytree(DEPLOY / "redis", tmp_path / "redis")
    head = re.findall(r"^#   (.+)$", (DEPLOY / "compose.yaml").read_text(), re.MULTILINE)
    script = "\n".join(line for line in head if not line.startswith("docker "))
    subprocess.run(["sh", "-euc", script], cwd=tmp_path, check=True, timeout=30)
    return tmp_path / "secrets"


@pytest.fixture
def redis_of_compose(secrets: Path) -> Iterator[Path]:
    """A real server under the configuration and users of the compose file; yields its socket."""
    path = secrets.parent / "s"
    words = [word.replace("/run/secrets", str(secrets)) for word in COMPOSE["services"]["redis"]["command"]]
    words[0] = premises.find_server(None).path
    words[1] = str(DEPLOY / "redis" / "redis.conf")
    command = [*words, "--port", "0", "--unixsocket", path.name, "--dir", str(secrets.parent)]
    with subprocess.Popen(command, cwd=secrets.parent, stdout=subprocess.DEVNULL) as server:
        try:
            wait_for(path.exists, "the server's socket")
            yield path
        finally:
            server.terminate()


def test_the_secrets_of_the_compose_file_are_made_by_its_commands(secrets: Path) -> None:
    made = {path.name for path in secrets.iterdir()}
    wanted = {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()}
    assert wanted - made == {"accounts.toml"}
    assert secrets.stat().st_mode & 0o777 == 0o700
    settings.read({"TOKENS_SECRET_KEY_FILE": str(secrets / "secret_key")})


def test_the_service_is_given_the_address_of_its_redis(secrets: Path, tmp_path: Path) -> None:
    (tmp_path / "token-service").write_text('#!/bin/sh\necho "$@" "$TOKENS_REDIS_URL"\n')
    (tmp_path / "token-service").chmod(0o755)
    command = [
        word.replace("$$", "$").replace("/run/secrets", str(secrets))
        for word in COMPOSE["services"]["tokens"]["entrypoint"]
    ]
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=30)
    password = (secrets / "redis_password").read_text()
    assert ran.stdout == f"serve redis://tokens:{password}@redis:6379/0\n"


def test_redis_takes_the_recommended_settings(redis_of_compose: Path, secrets: Path) -> None:
    password = (secrets / "redis_password").read_text()
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
    password = (secrets / "redis_password").read_text()
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
@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_pinned_package_has_a_wheel_for_the_image(tmp_path: Path, platform: str) -> None:
    version = re.search(r"python:(\d+\.\d+)", said("ARG"))
    assert version
    options = ["--no-deps", "--ignore-installed", "--only-binary=:all:", f"--python-version={version[1]}"]
    options += [f"--platform=manylinux{name}_{platform}" for name in ("_2_28", "2014")]
    pins = ["--requirement", str(DEPLOY / "constraints.txt")]
    command = [sys.executable, "-m", "pip", "--quiet", "install", "--dry-run", "--target", str(tmp_path)]
    subprocess.run([*command, *options, *pins], check=True, timeout=300)


@pytest.mark.slow
def test_the_build_commands_make_a_service_that_runs(tmp_path: Path) -> None:
    """Each COPY and RUN of the build stage, in order, under another root."""
    build, _ = re.split(r"(?m)^FROM \S+\n", (ROOT / "Dockerfile").read_text())
    source = tmp_path / "src"
    for word, arguments in instructions():
        if word == "COPY" and arguments.startswith("--from"):
            break
        if word == "COPY":
            *names, target = arguments.split()
            for name in names:
                copy(ROOT / name, source / (name if target == "./" else target))
        if word == "RUN" and arguments in re.sub(r"\\\n\s*", "", build):
            command = re.sub(r"(?<![\w.])/(opt|wheels)\b", rf"{tmp_path}/\1", arguments)
            source.mkdir(exist_ok=True)
            path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
            subprocess.run(["sh", "-euc", command], cwd=source, env={**os.environ, "PATH": path}, check=True)
    program = tmp_path / "opt" / "token-service" / "bin" / "token-service"
    ran = subprocess.run([program, "version"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert service.__version__ in ran.stdout


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)
