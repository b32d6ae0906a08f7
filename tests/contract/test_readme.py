"""Every command in the README is run, in order, in one shell, against a service started as the README says."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.api.running import ROOT, Lifespan

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh)?\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


class Started(NamedTuple):
    """The port of a service that a newcomer has just started, the password that it printed, and the home it lies in."""

    port: str
    password: str
    home: Path


@pytest.fixture(scope="module")
def started() -> Iterator[Started]:
    """What `make run` executes, on a port that is free; the README's may be taken on this machine."""
    # The socket of the embedded Redis lies in it, and its path must stay short.
    home = Path(tempfile.mkdtemp(prefix="tk"))
    with closing(Lifespan({"HOME": str(home)})) as service:
        password = re.search(r"^ *password +(\S+)$", service.said, re.MULTILINE)
        assert password is not None, service.said
        yield Started(str(service.port), password[1], home)
    shutil.rmtree(home)


def test_the_make_commands_of_the_first_screen_exist() -> None:
    targets = re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE)
    assert {"run", "test"} <= set(targets)
    for target in set(targets):
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, (target, done.stderr)


@pytest.mark.slow
def test_every_command_runs_as_it_is_printed(started: Started) -> None:
    commands = [text for kind, text in BLOCKS if kind and not text.startswith("make")]
    assert len(commands) >= 5
    in_the_checkout = _files()
    done = subprocess.run(
        ["bash", "-c", ("set -euo pipefail\n" + "".join(commands)).replace("8080", started.port)],
        cwd=ROOT,
        env={"HOME": str(started.home), "PATH": os.environ["PATH"], "TOKENS_PORT": started.port},
        input=f"{started.password}\n",
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (shown,) = [text for kind, text in BLOCKS if not kind and text.startswith("HTTP")]
    for line in shown.splitlines():
        # The id is another one each time.
        said = line if "token-id" not in line else line.partition(":")[0]
        assert said in done.stdout, said
    assert "HTTP/1.1 401 Unauthorized" in done.stdout
    assert '"valid":true' in done.stdout
    assert "checkout-api" in done.stdout
    assert _files() == in_the_checkout, "a command of the README writes into the checkout"


def _files() -> set[Path]:
    return {path for path in ROOT.iterdir() if path.name != "__pycache__"}
