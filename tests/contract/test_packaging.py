"""The package and its chores: what is installed, what make promises."""

import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import service
from tests.contract.sources import imports, modules

ROOT = Path(service.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def constraints() -> dict[str, Requirement]:
    lines = (ROOT / "deploy" / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in pins}


def run_time() -> list[Requirement]:
    return [Requirement(line) for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["embedded"]]


def pinned_version(pin: Requirement) -> Version:
    (specifier,) = pin.specifier
    assert specifier.operator == "=="
    return Version(specifier.version)


def installed_closure(wanted: list[Requirement]) -> set[str]:
    """Names of everything that these bring here, themselves included."""
    names: set[str] = set()
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if name in names or not (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            continue
        names.add(name)
        wanted += [Requirement(line) for line in metadata.requires(name) or ()]
    return names


def test_constraints_name_exactly_what_the_service_brings() -> None:
    closure = installed_closure(run_time())
    for_here = {name for name, pin in constraints().items() if pin.marker is None or pin.marker.evaluate()}
    assert for_here == closure


def test_every_import_is_of_a_package_that_is_named() -> None:
    imported = {name.partition(".")[0] for tree in modules().values() for name in imports(tree)}
    named = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    packages = metadata.packages_distributions()
    foreign = imported - sys.stdlib_module_names - {"service"}
    unnamed = {name for name in foreign if not named & {canonicalize_name(owner) for owner in packages[name]}}
    assert unnamed == set()


def test_the_pinned_versions_are_those_under_test() -> None:
    differing = {
        name: metadata.version(name)
        for name, pin in constraints().items()
        if (pin.marker is None or pin.marker.evaluate()) and Version(metadata.version(name)) != pinned_version(pin)
    }
    assert differing == {}


def test_every_pin_lies_within_the_bounds_of_the_package() -> None:
    pins = constraints()
    for requirement in run_time():
        assert pinned_version(pins[canonicalize_name(requirement.name)]) in requirement.specifier, requirement


def test_libraries_whose_insides_are_used_stay_within_one_series() -> None:
    bounds = {requirement.name: requirement.specifier for requirement in run_time()}
    assert "0.54.9" in bounds["uvicorn"]
    assert "0.55.0" not in bounds["uvicorn"]
    assert "8.1.9" in bounds["redis"]
    assert "8.2.0" not in bounds["redis"]


def test_test_tools_have_exact_versions() -> None:
    tools = [Requirement(line) for line in PROJECT["optional-dependencies"]["dev"]]
    loose = [tool.name for tool in tools if tool.name != PROJECT["name"] and "==" not in str(tool.specifier)]
    assert loose == []


def test_the_command_is_there() -> None:
    module, _, function = PROJECT["scripts"]["token-service"].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_make_lists_every_target_with_its_meaning() -> None:
    declared = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert declared
    lines = make("help").stdout.splitlines()
    listed = dict(re.fullmatch(r"make (\S+) +(.+)", line).groups() for line in lines)  # type: ignore[union-attr]
    assert set(declared[1].split()) - set(listed) == {"system-packages"}
    assert make().stdout.splitlines() == lines


def test_make_refuses_an_old_python_in_one_line(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    ran = make(".venv/bin/python", "PYTHON=false", folder=tmp_path)
    assert ran.returncode != 0
    assert "false is not Python 3.11 or later" in ran.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(("user", "installs"), [("0", True), ("1000", False)])
def test_missing_programs_are_installed_by_root_and_named_to_others(
    tmp_path: Path, user: str, *, installs: bool
) -> None:
    log = tmp_path / "log"
    for name, deed in {"id": f"echo {user}", "apt-get": f'echo "$@" >>"{log}"'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{deed}\n")
        (tmp_path / name).chmod(0o755)
    ran = make("system-packages", "APT_PACKAGES=sh no-such-program", path=tmp_path)
    assert (ran.returncode == 0) is installs
    assert log.exists() is installs
    assert "no-such-program" in (log.read_text() if installs else ran.stderr)
    assert " sh" not in ran.stderr


def test_ci_runs_the_checks_then_every_test_and_stops_at_a_failure(tmp_path: Path) -> None:
    log = tmp_path / "log"
    (tmp_path / "make").write_text(f'#!/bin/sh\necho "$1" >>"{log}"\ntest "$1" != "$FAILING"\n')
    (tmp_path / "make").chmod(0o755)
    for failing, ran in {"": ["check", "test"], "check": ["check"], "test": ["check", "test"]}.items():
        log.unlink(missing_ok=True)
        environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "FAILING": failing}
        done = subprocess.run(["bash", str(ROOT / ".ci" / "run")], env=environment, check=False, timeout=120)
        assert log.read_text().split() == ran
        assert (done.returncode == 0) is (failing == "")


@pytest.mark.slow
def test_make_run_works_from_a_path_with_spaces_and_installs_once(tmp_path: Path) -> None:
    checkout = tmp_path / "a path with spaces"
    unwanted = shutil.ignore_patterns(".git", ".venv", ".bench", ".tools", "tests", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, checkout, ignore=unwanted)
    first = make("run", "ARGS=--help", folder=checkout)
    assert first.returncode == 0, first.stderr
    assert "Usage: " in first.stdout
    assert make("--question", ".venv/run.stamp", folder=checkout).returncode == 0
    (checkout / "pyproject.toml").touch()
    assert make("--question", ".venv/run.stamp", folder=checkout).returncode == 1


def make(*words: str, folder: Path = ROOT, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run make as a person would: without what a make above this one has set."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    environment["PIP_NO_COMPILE"] = "0"  # pip's way to say that it is not to compile: that takes seconds
    if path is not None:
        environment["PATH"] = f"{path}:{environment['PATH']}"
    command = ["make", "--no-print-directory", *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
