"""Every command of the operator's guide is run, in order, in one shell, beside real services and their Redis."""

import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.embedded.prerequisites import find_server
from service.tokens.accounts.passwords import hash_password
from tests.ports import held_port

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "deploy" / "OPERATING.md").read_text(encoding="utf-8")
BLOCKS = [textwrap.dedent(block) for block in re.findall(r"^ *```sh\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)]
UNIT = (ROOT / "deploy" / "systemd" / "token-service.service").read_text(encoding="utf-8")
# Where it hands over what root alone may read.
HANDED_OVER = "/run/credentials/token-service.service/etc_"
PASSWORD = "twelve letters and more"
# What systemd would do for the unit that `unit` names: one with a Redis of its own, one with the embedded one.
BEGINNING = r"""
set -euo pipefail
declare -A pids
trap 'kill "${pids[@]}" && wait "${pids[@]}" || true; for port in 6379 6390; do redis-cli -p $port shutdown nosave || true; done' EXIT
# A service that has just begun may not have reached its Redis yet; 503 says so.
ask() { curl --retry 9 --retry-delay 1 "$@"; }
own() { :; }
embedded() { unset TOKENS_REDIS_URL; TOKENS_PORT=8090 TOKENS_DATA_DIR=/var/lib/token-service; }
systemctl() {
  case $1 in
    start)
      exec {out}< <(set -a; . /etc/token-service/environment; $unit; exec token-service serve)
      pids[$unit]=$!
      grep -m 1 -q 'listens on' <&$out ;;
    stop) kill ${pids[$unit]} && wait ${pids[$unit]} ;;
    restart) systemctl stop && systemctl start ;;
  esac
}
created() {
  ask -s http://127.0.0.1:8080/api/admin/tokens -H "Authorization: Bearer $session" -H 'Content-Type: application/json' \
    -d "{\"name\":\"$1\",\"duration\":\"1month\"}" | grep -o 'rtk_[0-9a-f]*'
}
expect() {
  said=$(ask -s -o /dev/null -w '%{http_code}' http://127.0.0.1:$2/validate -H "X-API-Key: $1")
  test $said = $3 || { echo "$said after: $4" >&2; exit 1; }
}
redis-server --dir ~ --port 6379 --appendonly yes --maxmemory-policy noeviction --daemonize yes
until redis-cli -p 6379 ping | grep -q PONG; do sleep 0.1; done
unit=own && systemctl start
session=$(ask -s http://127.0.0.1:8080/api/token -H 'Content-Type: application/json' \
  -d "{\"username\":\"admin\",\"password\":\"$(cat ~/password)\"}" | grep -o '[0-9A-Za-z]\{64\}')
kept=$(created kept) ended=$(created ended)
"""
# What goes before and after each block of the page.
AROUND = [
    ("", "expect $kept 8080 200 'another key'"),
    ("unit=embedded && systemctl start", "expect $kept 8090 200 'moving'"),
    ("", "expect $kept 8090 200 'a copy'"),
    ("", "expect $kept 8090 200 'a copy that is back'; unit=own"),
    ("", "ask -sf -o /dev/null http://127.0.0.1:8080/oauth2/revoke -d token=$ended"),
    ("", "expect $ended 8080 401 'a token ended since'; expect $kept 8080 200 'another Redis'"),
    ("", "expect $kept 8080 200 'another version'"),
]


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with what an operator has; its path is short, because sockets lie in it."""
    home = Path(tempfile.mkdtemp(prefix="tk"))
    for name in ("etc", "var", "bin"):
        (home / name).mkdir(mode=0o700)
    (home / "bin" / "redis-server").symlink_to(find_server().path)
    (home / "password").write_text(f"{PASSWORD}\n")
    account = f'[accounts.admin]\npassword_hash = "{hash_password(PASSWORD)}"\nrole = "admin"\n'
    for folder in ("etc", "var"):
        (home / folder / "accounts.toml").write_text(account)
        (home / folder / "accounts.toml").chmod(0o600)
    (home / "etc" / "secret_key").write_text("k" * 64)
    (home / "etc" / "environment").write_text(
        "TOKENS_PORT=8080\nTOKENS_REDIS_URL=redis://127.0.0.1:6379\n"
        f"TOKENS_SECRET_KEY_FILE={HANDED_OVER}secret_key\nTOKENS_ACCOUNTS_FILE={HANDED_OVER}accounts.toml\n"
    )
    yield home
    # A server that was told to end may still be removing a file of its own.
    shutil.rmtree(home, ignore_errors=True)


def test_how_many_processes_are_needed_follows_from_the_speed_table_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    measured = re.findall(r"^\| [^|]*\| \**([\d,]+)\**(?= |$)", readme, re.MULTILINE)
    section = PAGE.partition("## How much of each")[2].partition("\n## ")[0]
    said = re.findall(r"([\d,]{6,})/s", section.partition("\n|")[0])
    assert said and set(said) <= set(measured)
    planned = 0.7 * min(map(_number, said))
    rows = re.findall(r"^\| [^|]+ \| ([\d,]+) / [^=]+ = [\d.]+: \*\*(\d+)\*\*", section, re.MULTILINE)
    assert len(rows) == 3
    assert [math.ceil(_number(wanted) / planned) for wanted, _ in rows] == [int(processes) for _, processes in rows]


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def test_the_service_is_told_of_no_file_that_only_root_may_read() -> None:
    """Its user is one that systemd makes up: a path of /etc/token-service would end the start."""
    named = re.findall(r"TOKENS_\w+_FILE=(\S+)(?= >> environment|$)", UNIT + "\n".join(BLOCKS), re.MULTILINE)
    assert "LoadCredential=etc:/etc/token-service\n" in UNIT
    assert len(named) == 3
    assert [name for name in named if not name.startswith(HANDED_OVER)] == []


@pytest.mark.slow
def test_every_command_runs_as_it_is_printed(home: Path) -> None:
    lines = [BEGINNING]
    for block, (before, after) in zip(BLOCKS, AROUND, strict=True):
        lines += [before, block, after]
    places = {str(port): str(held_port()) for port in (8080, 8090, 6379, 6390)}
    places |= {"/etc/token-service": str(home / "etc"), "/var/lib/token-service": str(home / "var")}
    places[HANDED_OVER] = f"{home}/etc/"

    def placed(text: str) -> str:
        return re.sub("|".join(places), lambda found: places[found[0]], text)

    (home / "etc" / "environment").write_text(placed((home / "etc" / "environment").read_text()))
    path = os.pathsep.join((str(home / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        ["bash", "-c", placed("\n".join(lines))],
        cwd=home,
        env={"HOME": str(home), "PATH": path, "TOKENS_PORT": places["8080"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
