"""Signing in and out, and where the session is kept meanwhile."""

import json
import stat
import time
from errno import ENOSPC, EROFS
from pathlib import Path

import pytest

from service.cli.client import session_state
from service.cli.commands import sessions
from service.cli.terminal import prompts
from tests.cli.conftest import Run
from tests.cli.stub import COUNTS, Stub, token

STATS = "/api/admin/tokens/stats"


@pytest.fixture
def nobody(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> Stub:
    """A service to which nobody has signed in yet; its sessions last an hour."""
    monkeypatch.delenv("TOKENS_TOKEN")
    stub.on("POST", "/api/token", {"token": "S" * 64, "expiry_time": int(time.time()) + 3600})
    stub.on("DELETE", "/api/token", {})
    stub.on("GET", STATS, COUNTS)
    return stub


def kept(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "state").rglob("*.json"))


def test_a_session_is_used_until_it_is_signed_out(nobody: Stub, run: Run, tmp_path: Path) -> None:
    signed_in = run("login", "ada", stdin="correct horse\n")
    assert signed_in.exit_code == 0
    assert "S" * 64 not in signed_in.output
    assert nobody.asked[0].body == {"username": "ada", "password": "correct horse"}
    assert run("stats").exit_code == 0
    assert nobody.asked[1].headers["Authorization"] == f"Bearer {'S' * 64}"
    assert run("logout").exit_code == 0
    assert (nobody.asked[2].method, nobody.asked[2].body) == ("DELETE", {"token": "S" * 64})
    assert kept(tmp_path) == []
    assert run("stats").exit_code == 4


def test_the_session_is_kept_for_its_owner_alone(nobody: Stub, run: Run, tmp_path: Path) -> None:
    run("login", "ada", stdin="pw\n")
    (path,) = kept(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_each_service_has_a_session_of_its_own(nobody: Stub, run: Run, tmp_path: Path) -> None:
    run("login", "ada", stdin="pw\n")
    elsewhere = {"TOKENS_URL": f"{nobody.url}/other"}
    assert run("stats", env=elsewhere).exit_code == 4
    nobody.on("POST", "/other/api/token", {"token": "T" * 64, "expiry_time": int(time.time()) + 3600})
    run("login", "ada", stdin="pw\n", env=elsewhere)
    assert len(kept(tmp_path)) == 2


def test_a_token_in_the_environment_goes_before_the_session(nobody: Stub, run: Run) -> None:
    run("login", "ada", stdin="pw\n")
    run("stats", env={"TOKENS_TOKEN": "given"})
    assert nobody.asked[-1].headers["Authorization"] == "Bearer given"


@pytest.mark.parametrize("content", ["", "[]", '{"url": "x"}', "\x00"])
def test_a_damaged_file_is_no_session(nobody: Stub, run: Run, tmp_path: Path, content: str) -> None:
    run("login", "ada", stdin="pw\n")
    kept(tmp_path)[0].write_text(content)
    assert run("stats").exit_code == 4


def test_a_clock_that_is_ahead_ends_no_session_and_leaves_none_open(nobody: Stub, run: Run, tmp_path: Path) -> None:
    run("login", "ada", stdin="pw\n")
    (path,) = kept(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"expires_at": int(time.time()) - 1}))
    assert run("stats").exit_code == 0
    assert "Signed out" in run("logout").stderr
    assert (nobody.asked[-1].method, nobody.asked[-1].body) == ("DELETE", {"token": "S" * 64})


def test_a_session_that_finds_no_room_is_ended(nobody: Stub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(session_state, "write_private", full)
    result = run("login", "ada", stdin="pw\n")
    assert (result.exit_code, "No space left on device" in result.stderr) == (1, True)
    assert (nobody.asked[-1].method, nobody.asked[-1].body) == ("DELETE", {"token": "S" * 64})


def test_a_relative_state_directory_is_ignored(nobody: Stub, run: Run, tmp_path: Path) -> None:
    environment = {"XDG_STATE_HOME": "relative", "HOME": str(tmp_path)}
    assert run("login", "ada", stdin="pw\n", env=environment).exit_code == 0
    assert len(list((tmp_path / ".local/state/token-service").iterdir())) == 1


@pytest.mark.parametrize("state", ["file", "/proc"])
def test_where_no_file_can_be_made_nobody_is_signed_in(nobody: Stub, run: Run, tmp_path: Path, state: str) -> None:
    (tmp_path / "file").write_text("")
    result = run("login", "ada", stdin="pw\n", env={"XDG_STATE_HOME": str(tmp_path / state)})
    assert result.exit_code == 1
    assert "set XDG_STATE_HOME" in result.stderr
    assert not nobody.asked


def test_without_a_home_a_sign_in_is_not_kept_and_everything_else_goes_on(nobody: Stub, run: Run) -> None:
    homeless = {"XDG_STATE_HOME": None, "HOME": ""}
    result = run("login", "ada", stdin="pw\n", env=homeless)
    refusal = "token-service: cannot keep the session: this user has no home directory; set XDG_STATE_HOME\n"
    assert (result.exit_code, result.stderr, nobody.asked) == (1, refusal, [])
    assert run("stats", env=homeless).exit_code == 4
    assert run("logout", env=homeless).exit_code == 0


def test_a_wrong_password_fails_and_keeps_nothing(stub: Stub, run: Run, tmp_path: Path) -> None:
    stub.on("POST", "/api/token", b"invalid credentials", status=401, headers={"Content-Type": "text/plain"})
    result = run("login", "ada", stdin="pw\n")
    assert (result.exit_code, result.stderr) == (1, "token-service: wrong name or password\n")
    assert kept(tmp_path) == []


def test_a_throttled_sign_in_says_when_to_try_again(stub: Stub, run: Run) -> None:
    stub.problem("POST", "/api/token", 429, "Too many tries.", headers={"Retry-After": "600"})
    result = run("login", "ada", stdin="pw\n")
    assert (result.exit_code, result.stderr) == (1, "token-service: Too many tries. (again in 600 s)\n")


def test_without_a_name_or_password_it_is_a_usage_error(stub: Stub, run: Run) -> None:
    assert run("login", stdin="pw\n").exit_code == 2
    assert run("login", "ada", stdin="").exit_code == 2
    assert not stub.asked


def test_signing_out_twice_is_done(nobody: Stub, run: Run) -> None:
    result = run("logout", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"url": nobody.url, "signedOut": False})
    assert not nobody.asked


def test_signing_out_forgets_the_session_even_if_the_service_is_away(nobody: Stub, run: Run, tmp_path: Path) -> None:
    run("login", "ada", stdin="pw\n")
    nobody.problem("DELETE", "/api/token", 503, "The token store is not answering.")
    run("logout")
    assert kept(tmp_path) == []


def test_a_name_is_asked_for_where_somebody_answers(nobody: Stub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "somebody_answers", lambda: True)
    monkeypatch.setattr(sessions, "somebody_answers", lambda: True)
    result = run("login", "--json", stdin="ada\ncorrect horse\n")
    assert result.exit_code == 0
    assert nobody.asked[0].body == {"username": "ada", "password": "correct horse"}
    assert "correct horse" not in result.output
    assert '"username": "ada"' in result.stdout


def test_a_session_that_cannot_be_forgotten_is_one_line(nobody: Stub, run: Run, tmp_path: Path) -> None:
    run("login", "ada", stdin="pw\n")
    (path,) = kept(tmp_path)
    path.unlink()
    path.mkdir()
    result = run("logout")
    assert result.exit_code == 1
    assert f"cannot remove {path}" in result.stderr


def test_a_session_whose_file_cannot_be_removed_is_ended(
    nobody: Stub, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("login", "ada", stdin="pw\n")

    def kept_for_ever(*_: object, **__: object) -> None:
        raise OSError(EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", kept_for_ever)
    result = run("logout")
    assert (result.exit_code, "Read-only file system" in result.stderr) == (1, True)
    assert (nobody.asked[-1].method, nobody.asked[-1].body) == ("DELETE", {"token": "S" * 64})


def test_whoami_asks_the_service_for_whom_it_takes_the_session(nobody: Stub, run: Run) -> None:
    assert run("whoami").exit_code == 4
    run("login", "ada", stdin="pw\n")
    nobody.on("GET", "/validate", {}, headers={"X-Token-Subject": "ada", "X-Token-Kind": "session"})
    nobody.problem("GET", "/validate", 401, "The token is not valid.")
    told = json.loads(run("whoami", "--json").stdout)
    assert (told["url"], told["username"]) == (nobody.url, "ada")
    assert told["expiresAt"].endswith("Z")
    assert run("whoami").exit_code == 4


def test_a_session_of_another_service_is_none_of_this_one(nobody: Stub, run: Run, tmp_path: Path) -> None:
    run("login", "ada", stdin="pw\n")
    (file,) = kept(tmp_path)
    # As where the names of two files are one: they are cut from a hash.
    file.write_text(json.dumps(json.loads(file.read_text()) | {"url": "http://other.example"}))
    asked = len(nobody.asked)
    assert (run("whoami").exit_code, len(nobody.asked)) == (4, asked)


def test_whoami_says_nothing_of_the_session_that_is_kept_where_another_token_asks(nobody: Stub, run: Run) -> None:
    run("login", "ada", stdin="pw\n")
    nobody.on("GET", "/validate", {}, headers={"X-Token-Subject": "bob", "X-Token-Kind": "session"})
    told = json.loads(run("whoami", "--json", env={"TOKENS_TOKEN": "T" * 64}).stdout)
    assert told == {"url": nobody.url, "username": "bob", "expiresAt": None}


def test_whoami_names_the_token_and_spends_no_use(stub: Stub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENS_TOKEN", "rtk_secret")
    stub.on("GET", "/api/tokens/self", token(scopes=["a"]))
    result = run("whoami")
    assert result.stdout.splitlines()[1:] == [
        "token\tcheckout-api",
        "id\t00a1b2c3d4e5f607",
        "scopes\ta",
        "until\t2026-12-20T10:00:00Z",
    ]
    assert stub.asked[0].headers["X-Requested-With"] == "tokens-cli"
