"""The commands for many tokens, against the real service."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result

from tests.api.running import Lifespan, wait_until
from tests.cli.running import call, running

pytestmark = pytest.mark.slow
PASSWORD = "correct horse"
OLD_SECRET = "an-old-system-made-this-one"


@pytest.fixture(scope="module")
def service() -> Iterator[Lifespan]:
    """A first start with a known password, signed in; its folder's path is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="tk"))
    with running(folder, TOKENS_ADMIN_PASSWORD=PASSWORD) as service:
        done(service, "login", "admin", stdin=f"{PASSWORD}\n")
        yield service
    shutil.rmtree(folder)


def settled(service: Lifespan, *arguments: str, stdin: str = "", **more: str) -> Result:
    """A command, repeated while Redis is too slow for it on a busy machine: the service says so, and to try again."""
    ended: list[Result] = []

    def answered() -> bool:
        ended[:] = [call(service, *arguments, stdin=stdin, **more)]
        return "The token store is not answering" not in ended[0].stderr

    wait_until(answered, what="an answer other than 503")
    return ended[0]


def done(service: Lifespan, *arguments: str, stdin: str = "", **more: str) -> str:
    """What a command that must succeed prints."""
    ended = settled(service, *arguments, stdin=stdin, **more)
    assert ended.exit_code == 0, (arguments, ended.stderr, service.log)
    return ended.stdout


def accepted(service: Lifespan, secret: str) -> bool:
    code = settled(service, "verify", stdin=f"{secret}\n").exit_code
    assert code in (0, 3)
    return code == 0


def test_tokens_of_another_system_are_taken_in_and_an_export_gives_them_out(service: Lifespan, tmp_path: Path) -> None:
    digest = hashlib.sha256(b"another-old-secret").hexdigest()
    rows: list[object] = [{"name": f"old-{n}", "sha256": f"{n:064x}", "duration": "7days"} for n in range(1100)]
    rows[1050] = {"name": "in-clear", "secret": OLD_SECRET, "duration": "7days"}
    rows[1051] = {"name": "hashed", "sha256": digest, "duration": "7days"}
    rows[1070] = {"name": "old-1060", "sha256": "f" * 64, "duration": "7days"}
    rows[1080] = {"name": "no-secret", "duration": "7days"}
    text = "\n".join(json.dumps(row) for row in rows)

    tried = settled(service, "import", "-", "--dry-run", stdin=text)
    skipped = [line.split("\t")[:3] for line in tried.stdout.splitlines()]
    assert skipped == [["1071", "name_taken", "old-1060"], ["1081", "invalid_request", "no-secret"]]
    assert tried.stderr == "1,098 would be imported.\ntoken-service: 2 would be skipped\n"
    assert (tried.exit_code, accepted(service, OLD_SECRET)) == (1, False)
    taken = settled(service, "import", "-", "--json", stdin=text)
    assert (taken.exit_code, [taken.stdout, taken.stderr].count("")) == (1, 0)
    assert accepted(service, OLD_SECRET)
    assert accepted(service, "another-old-secret")

    file = tmp_path / "tokens.ndjson"
    done(service, "export", str(file))
    names = [json.loads(line)["name"] for line in file.read_text().splitlines()]
    assert (len(names), file.stat().st_mode & 0o777) == (1098, 0o600)
    assert "in-clear" in names
    assert OLD_SECRET not in file.read_text()
    assert call(service, "export", str(file)).exit_code == 1
    again = settled(service, "import", str(file), "--json")
    assert json.loads(again.stdout)["imported"] == 0
    assert {one["code"] for one in json.loads(again.stdout)["skipped"]} == {"exists"}

    dry = json.loads(done(service, "revoke", "--query", "old-", "--dry-run", "--json"))
    assert (dry["matched"], len(dry["sample"])) == (1096, 10)
    assert call(service, "revoke", "--query", "old-").exit_code == 2
    assert done(service, "deactivate", "--query", "old-", "--yes").count("\tdeactivated\n") > 0
    assert json.loads(done(service, "deactivate", "--query", "old-", "--dry-run", "--json"))["matched"] == 0
    assert done(service, "revoke", "--status", "inactive", "--yes").count("\trevoked\n") > 0
    assert json.loads(done(service, "stats", "--json"))["revoked"] == 1096
    assert accepted(service, OLD_SECRET)
    assert json.loads(done(service, "stats", "--hygiene", "--json"))["hygiene"]["idle"] == {"30d": 0, "90d": 0}


def test_a_token_rotates_and_revokes_itself(service: Lifespan) -> None:
    first = done(service, "create", "worker", "--scope", "self:rotate", "-q").strip()
    second = done(service, "self", "rotate", "-q", TOKENS_TOKEN=first).strip()
    assert accepted(service, first)
    assert accepted(service, second)
    assert done(service, "rotate", "worker", "--end", "--yes").endswith("\toverlap ended\n")
    assert not accepted(service, first)
    assert json.loads(done(service, "self", "show", "--json", TOKENS_TOKEN=second))["rotations"] == 1
    done(service, "self", "revoke", "--yes", TOKENS_TOKEN=second)
    assert not accepted(service, second)
    assert call(service, "self", "show", TOKENS_TOKEN=second).exit_code == 4


def test_a_refused_token_is_explained_and_its_secret_is_in_no_log(service: Lifespan) -> None:
    secret = done(service, "create", "explained", "--scope", "a", "-q").strip()
    found = json.loads(done(service, "explain", "--scope", "b", "--json", stdin=f"{secret}\n"))
    assert (found["outcome"], found["answer"]["status"]) == ("insufficient_scope", 403)
    done(service, "revoke", "explained", "--yes")
    lines = done(service, "explain", stdin=f"{secret}\n").splitlines()
    assert lines[:2] == ["outcome\trevoked", "answer\t401"]
    assert any(line.startswith("active\tfail\tIt was revoked on ") and line.endswith(" by admin.") for line in lines)
    assert secret not in service.log


def test_the_audit_log_is_verified_and_the_hours_are_counted(service: Lifespan) -> None:
    assert json.loads(done(service, "audit", "verify", "--json"))["intact"]
    assert len(done(service, "usage", "--service", "--hours", "5").splitlines()) == 5


def test_the_last_is_the_end_of_one_s_own_session(service: Lifespan) -> None:
    assert done(service, "sessions", "revoke", "admin", "--yes") == "admin\t1\n"
    assert call(service, "list").exit_code == 4
    done(service, "login", "admin", stdin=f"{PASSWORD}\n")
