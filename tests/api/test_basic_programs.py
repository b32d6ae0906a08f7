"""Programs that know HTTP Basic alone, as they are installed: they ask without, are offered Basic, and ask again."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.api.conftest import Environment
from tests.api.described import Described
from tests.api.running import Lifespan
from tests.api.world import World
from tests.conftest import PASSWORD

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lenient(environment: Environment, described: Described) -> Iterator[World]:
    """A service that takes Basic where gateways ask."""
    with closing(Lifespan(environment(accept_basic="on"))) as running:
        yield World(running, described, PASSWORD)


def ran(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """What a program says that finds no settings of its own and can ask nobody."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    alone = {
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "NO_PROXY": "*",
        "LC_ALL": "C",
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        command, cwd=folder, env=environment | alone, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.parametrize("pair", ["x-access-token:{}", "{}:x-oauth-basic", "{}", "ada:{}"])
def test_git_gives_the_token_as_user_or_as_password(lenient: World, tmp_path: Path, pair: str) -> None:
    place = f"127.0.0.1:{lenient.running.port}/validate/envoy/repository.git"
    good = ran(tmp_path, "git", "ls-remote", f"http://{pair.format(lenient.secret())}@{place}")
    # An empty list of branches, for the gateway's question has no body.
    assert (good.returncode, good.stdout) == (0, ""), good.stderr
    bad = ran(tmp_path, "git", "ls-remote", f"http://{pair.format('rtk_' + '0' * 64)}@{place}")
    assert bad.returncode != 0
    assert "Authentication failed" in bad.stderr or "could not read Password" in bad.stderr, bad.stderr


def test_curl_chooses_basic_of_what_is_offered(lenient: World, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{lenient.running.port}/validate"
    said = ran(tmp_path, "curl", "-si", "--anyauth", "-u", f"{lenient.secret()}:", url)
    assert [line.split()[1] for line in said.stdout.splitlines() if line.startswith("HTTP/1.1")] == ["401", "200"]
    assert 'www-authenticate: Basic realm="tokens", Bearer realm="tokens"\n' in said.stdout
