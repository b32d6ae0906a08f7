"""Every command in the README is run, in order, in one shell, against a service started as the README says."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PASSWORD = "a password for the readme"


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """The service with a data directory of its own; its port stands in for the README's."""
    folder = tempfile.mkdtemp(prefix="tk")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = {
        **os.environ,
        "TOKENS_DATA_DIR": f"{folder}/data",
        "TOKENS_PORT": port,
        "TOKENS_ADMIN_PASSWORD": PASSWORD,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "service", "serve"], env=environment, cwd=ROOT, stdout=subprocess.DEVNULL
    ) as process:
        _wait_for(f"http://127.0.0.1:{port}/readyz")
        yield port
        process.terminate()
        process.wait(timeout=20)
    shutil.rmtree(folder)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urlopen(url, timeout=1) as answer:
                assert answer.status == 200
            return
        except (URLError, OSError):
            assert time.monotonic() < deadline, "the service did not become ready"
            time.sleep(0.05)


def test_the_make_commands_of_the_first_screen_exist() -> None:
    targets = re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE)
    assert {"run", "test"} <= set(targets)
    for target in set(targets):
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, (target, done.stderr)


@pytest.mark.slow
def test_every_command_runs_as_it_is_printed(service: str, tmp_path: Path) -> None:
    blocks = [block for block in BLOCKS if not block.startswith(("make", "$"))]
    assert len(blocks) >= 4
    # The answer that the first screen shows must be the one that its command gets.
    shown = [block.removeprefix("$ ").partition("\n") for block in BLOCKS if block.startswith("$ ")]
    assert shown, "the first screen shows a request with its answer"
    tool = tmp_path / "bin" / "token-service"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m service "$@"\n')
    tool.chmod(0o755)
    first_screen = f'{shown[0][0]} > "{tmp_path}/shown"\n'
    blocks = [block.replace("curl -fsS -X POST", first_screen + "curl -fsS -X POST", 1) for block in blocks]
    script = "set -euo pipefail\n" + "\n".join(blocks).replace("8080", service)
    environment = {
        **os.environ,
        "PATH": f"{tool.parent}:{os.environ['PATH']}",
        "PASSWORD": PASSWORD,
        "TOKENS_URL": f"http://127.0.0.1:{service}",
        "XDG_STATE_HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        ["bash", "-c", script.replace("8080", service)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answered = (tmp_path / "shown").read_text()
    for line in shown[0][2].splitlines():
        name = line.partition(":")[0] if ":" in line else line
        assert name in answered, f"the answer has no {name}"
    assert "x-token-subject: billing" in answered
    assert '"valid":true' in done.stdout
    assert "checkout-api" in done.stdout
