"""The image and the unit, as far as a machine without a container engine can tell."""

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

import service
from service import settings
from service.cli import SECTIONS
from tests.api.running import clean
from tests.contract.serving import serving, tool

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


def test_hadolint_has_no_remark() -> None:
    tool("hadolint", str(ROOT / "Dockerfile"))


def test_the_image_runs_as_a_user_that_is_a_number_and_not_root() -> None:
    user, _, group = said("USER").partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert said("VOLUME") == environment_of_image()["TOKENS_DATA_DIR"]


def test_the_image_says_which_version_it_holds() -> None:
    assert ("ARG", f"VERSION={service.__version__}") in instructions()
    labels = dict(pair.split("=", 1) for pair in shlex.split(said("LABEL")))
    assert labels["org.opencontainers.image.version"] == "${VERSION}"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_the_image_calls_commands_that_exist() -> None:
    assert json.loads(said("ENTRYPOINT")) == ["token-service"]
    assert json.loads(said("CMD"))[0] in COMMANDS
    program, command = json.loads(said("HEALTHCHECK").partition("CMD ")[2])
    assert program == "token-service"
    assert command in COMMANDS


def test_podman_is_told_to_keep_the_health_check(tmp_path: Path) -> None:
    engine = tmp_path / "engine"
    engine.write_text("#!/bin/sh\necho $1 as $BUILDAH_FORMAT\n")
    engine.chmod(0o755)
    command = ["make", "--silent", "image", f"ENGINE={engine}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "build as docker\n" in done.stdout


def test_every_setting_in_the_deployments_is_one_of_the_service() -> None:
    secret = {f"TOKENS_{name.upper()}_FILE" for name in settings.BY_FILE}
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


@pytest.mark.slow
@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_pinned_package_has_a_wheel_for_the_image(tmp_path: Path, platform: str) -> None:
    version = re.search(r"PYTHON_IMAGE=python:(\d+\.\d+)", (ROOT / "Dockerfile").read_text())
    assert version
    options = ["--no-deps", "--ignore-installed", "--only-binary=:all:", f"--python-version={version[1]}"]
    options += [f"--platform=manylinux{name}_{platform}" for name in ("_2_28", "2014")]
    pins = ["--requirement", str(DEPLOY / "constraints.txt")]
    command = [sys.executable, "-m", "pip", "--quiet", "install", "--dry-run", "--target", str(tmp_path)]
    subprocess.run([*command, *options, *pins], check=True, timeout=300)


@pytest.mark.slow
def test_the_build_commands_make_a_wheel_of_the_whole_service_that_runs(tmp_path: Path) -> None:
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
            # What pip would compile is compiled when it is run.
            environment = {**os.environ, "PATH": path, "PIP_NO_COMPILE": "0"}
            subprocess.run(["sh", "-euc", command], cwd=source, env=environment, check=True)
    (wheel,) = (tmp_path / "wheels").iterdir()
    holds_the_whole_service_and_nothing_else(wheel)
    program = tmp_path / "opt" / "token-service" / "bin" / "token-service"
    ran = subprocess.run([program, "version"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert service.__version__ in ran.stdout
    told = {name: value for name, value in environment_of_image().items() if name.startswith("TOKENS_")}
    told["TOKENS_DATA_DIR"] = str(tmp_path / "data")
    with serving([program], told, tmp_path) as port:
        check = [program, *json.loads(said("HEALTHCHECK").partition("CMD ")[2])[1:]]
        answer = subprocess.run(
            check, env=clean({**told, "TOKENS_PORT": str(port)}), capture_output=True, check=False, timeout=120
        )
        assert answer.returncode == 0, answer.stderr


def holds_the_whole_service_and_nothing_else(path: Path) -> None:
    with zipfile.ZipFile(path) as wheel:
        files = {name for name in wheel.namelist() if ".dist-info/" not in name}
        described = wheel.read(f"token_service-{service.__version__}.dist-info/METADATA").decode()
    sources = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "service").rglob("*")
        if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in path.relative_to(ROOT).parts)
    }
    assert files == sources
    assert {Path(name).suffix for name in files} >= {".py", ".lua", ".html", ".js", ".css", ".svg"}
    assert f"\nVersion: {service.__version__}\n" in described
    assert "\nLicense-Expression: Apache-2.0\n" in described


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)
