"""The accounts file as the command line edits it."""

import json
import stat
import threading
import tomllib
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from service.cli.commands import accounts
from service.model import Role
from service.tokens.accounts.accounts import read_accounts
from tests.cli.conftest import Run
from tests.cli.stub import Stub

HASH = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"
WRITTEN = f"""\
# Who may sign in.
[accounts.ada]  # on holiday
password_hash = "{HASH}"   # of last year
role = "admin"

# Bob left a password here.
[accounts.bob]
password = "swordfish"
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "accounts.toml"
    path.write_text(WRITTEN)
    monkeypatch.setenv("TOKENS_ACCOUNTS_FILE", str(path))
    return path


def test_the_first_account_makes_the_file(run: Run, tmp_path: Path) -> None:
    result = run("accounts", "add", "admin", "--role", "admin", stdin="correct horse\n")
    assert result.exit_code == 0
    assert "SIGHUP" in result.stderr
    path = tmp_path / "data" / "accounts.toml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    account = read_accounts(path)["admin"]
    assert (account.role, account.disabled) == (Role.ADMIN, False)
    assert PasswordHasher().verify(account.password_hash, "correct horse")
    assert "correct horse" not in path.read_text()


@pytest.mark.parametrize("command", [("list",), ("add", "ada"), ("enable", "ada")])
def test_a_file_that_cannot_be_read_is_told_and_not_taken_for_missing(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    # As in a directory of another user's, which is nothing to root: no name may be as long.
    path = tmp_path / ("x" * 300)
    result = run("accounts", *command, env={"TOKENS_ACCOUNTS_FILE": str(path)})
    assert (result.exit_code, result.stderr) == (1, f"token-service: {path}: File name too long\n")


def test_a_change_leaves_everything_else_as_it_was_written(run: Run, path: Path) -> None:
    assert run("accounts", "disable", "ada").exit_code == 0
    assert path.read_text() == WRITTEN.replace('role = "admin"\n', 'role = "admin"\ndisabled = true\n')
    assert run("accounts", "enable", "ada").exit_code == 0
    assert path.read_text() == WRITTEN


def test_a_new_password_replaces_one_in_clear(run: Run, path: Path) -> None:
    assert run("accounts", "passwd", "bob", stdin="correct horse\n").exit_code == 0
    assert "swordfish" not in path.read_text()
    assert PasswordHasher().verify(read_accounts(path)["bob"].password_hash, "correct horse")


def test_an_account_is_added_behind_the_others(run: Run, path: Path) -> None:
    path.write_text(WRITTEN.replace('password = "swordfish"', f'password_hash = "{HASH}"'))
    before = path.read_text()
    assert run("accounts", "add", "eve@example.org", stdin="correct horse\n").exit_code == 0
    assert path.read_text().startswith(before)
    assert list(read_accounts(path)) == ["ada", "bob", "eve@example.org"]
    assert read_accounts(path)["eve@example.org"].role is Role.USER


def test_a_name_is_taken_in_any_case(run: Run, path: Path) -> None:
    path.write_text(f'[accounts.ada]\npassword_hash = "{HASH}"\n')
    before = path.read_text()
    result = run("accounts", "add", "ADA", stdin="correct horse\n")
    assert result.exit_code == 1
    assert "there is an account ada" in result.stderr
    assert path.read_text() == before


@pytest.mark.parametrize("name", ["a b", "é", "", "x" * 65, "a\nb"])
def test_a_name_that_no_header_can_carry_is_a_usage_error(run: Run, path: Path, name: str) -> None:
    assert run("accounts", "add", name, stdin="correct horse\n").exit_code == 2
    assert path.read_text() == WRITTEN


@pytest.mark.parametrize("command", ["passwd", "disable", "enable"])
def test_an_unknown_account_fails(run: Run, path: Path, command: str) -> None:
    result = run("accounts", command, "nobody", stdin="correct horse\n")
    assert result.exit_code == 1
    assert "there is no account nobody" in result.stderr
    assert path.read_text() == WRITTEN


@pytest.mark.parametrize("content", ["accounts = 3\n", "accounts = [1]\n", '[accounts]\nada = "admin"\n'])
def test_what_is_no_table_is_no_account(run: Run, path: Path, content: str) -> None:
    path.write_text(content)
    result = run("accounts", "disable", "ada")
    assert (result.exit_code, path.read_text()) == (1, content)
    assert "there is no account ada" in result.stderr


def test_no_password_changes_nothing(run: Run, path: Path) -> None:
    assert run("accounts", "passwd", "ada", stdin="\n").exit_code == 2
    assert path.read_text() == WRITTEN


def test_the_list_names_role_and_state(run: Run, path: Path) -> None:
    path.write_text(f'[accounts.ada]\npassword_hash = "{HASH}"\nrole = "viewer"\ndisabled = true\n')
    assert run("accounts", "list").stdout == "ada\tviewer\tdisabled\n"
    assert json.loads(run("accounts", "list", "--json").stdout) == [{"name": "ada", "role": "viewer", "disabled": True}]


def test_the_service_is_asked_when_each_account_signed_in_last(run: Run, stub: Stub) -> None:
    ada = {"name": "ada", "role": "admin", "disabled": False, "lastSignInAt": "2026-11-20T17:00:00Z"}
    bob = {"name": "bob", "role": "user", "disabled": True, "lastSignInAt": None}
    stub.on("GET", "/api/admin/accounts", {"accounts": [ada, bob]})
    told = run("accounts", "list", "--sign-ins").stdout
    assert told == "ada\tadmin\tenabled\t2026-11-20T17:00:00Z\nbob\tuser\tdisabled\t-\n"
    assert json.loads(run("accounts", "list", "--sign-ins", "--json").stdout) == [ada, bob]


@pytest.mark.parametrize("command", [("add", "bob"), ("passwd", "ada"), ("disable", "ada"), ("enable", "ada")])
def test_an_edit_is_told_as_json(run: Run, path: Path, command: tuple[str, str]) -> None:
    path.write_text(f'[accounts.ada]\npassword_hash = "{HASH}"\n')
    result = run("accounts", *command, "--json", stdin="correct horse\n")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == {"name": command[1], "file": str(path)}


def test_a_list_of_none_says_how_to_make_one(run: Run) -> None:
    result = run("accounts", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "token-service accounts add" in result.stderr


def test_a_file_with_a_password_in_clear_is_not_listed(run: Run, path: Path) -> None:
    result = run("accounts", "list")
    assert result.exit_code == 1
    assert "password in clear" in result.stderr
    assert "swordfish" not in result.output


def test_the_hash_is_a_line_for_the_file(run: Run) -> None:
    line = run("accounts", "hash", stdin="correct horse\n").stdout
    assert PasswordHasher().verify(tomllib.loads(line)["password_hash"], "correct horse")


@pytest.mark.parametrize("content", ["[accounts", "\xff"])
def test_a_file_that_is_no_toml_is_one_line(run: Run, path: Path, content: str) -> None:
    path.write_bytes(content.encode("latin-1"))
    result = run("accounts", "disable", "ada")
    assert result.exit_code == 1
    assert "not a TOML file" in result.stderr
    assert path.read_bytes() == content.encode("latin-1")


def test_with_an_outside_redis_the_file_must_be_named(run: Run) -> None:
    environment = {"TOKENS_REDIS_URL": "redis://127.0.0.1", "TOKENS_SECRET_KEY": "x" * 32}
    result = run("accounts", "list", env=environment)
    assert result.exit_code == 1
    assert "TOKENS_ACCOUNTS_FILE" in result.stderr


def test_editors_take_turns(path: Path) -> None:
    path.write_text("")
    start = threading.Barrier(8)

    def edit(number: int) -> None:
        start.wait()
        with accounts.editing(path) as document:
            accounts.add(document, f"user{number}", password_hash=HASH, role="user")

    threads = [threading.Thread(target=edit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read_accounts(path)) == [f"user{number}" for number in range(8)]


def test_a_link_to_the_file_stays_one(run: Run, path: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "link.toml"
    link.parent.mkdir()
    link.symlink_to(path)
    assert run("accounts", "disable", "ada", env={"TOKENS_ACCOUNTS_FILE": str(link)}).exit_code == 0
    assert link.is_symlink()
    assert "disabled = true" in path.read_text()


def test_the_hash_is_a_member_too(run: Run) -> None:
    members = json.loads(run("accounts", "hash", "--json", stdin="correct horse\n").stdout)
    assert PasswordHasher().verify(members["password_hash"], "correct horse")


def test_a_place_that_cannot_be_written_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for below in ("file/accounts.toml", "file/deeper/accounts.toml"):
        result = run(
            "accounts", "add", "ada", stdin="correct horse\n", env={"TOKENS_ACCOUNTS_FILE": str(tmp_path / below)}
        )
        assert result.exit_code == 1
        assert str(tmp_path / "file") in result.stderr


def test_a_file_that_cannot_be_replaced_is_left_and_told(run: Run, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(self: Path, target: Path) -> Path:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "replace", busy)
    result = run("accounts", "disable", "ada")
    assert (result.exit_code, result.stderr) == (
        1,
        f"token-service: cannot write {path}: Device or resource busy\n",
    )
    assert path.read_text() == WRITTEN
    assert list(path.parent.glob(".accounts*")) == []


def test_a_member_of_an_inline_table_is_changed(run: Run, path: Path) -> None:
    path.write_text(f'[accounts]\nada = {{ password_hash = "{HASH}", role = "admin" }}\n')
    assert run("accounts", "disable", "ada").exit_code == 0
    assert read_accounts(path)["ada"].disabled


def test_a_file_that_cannot_be_read_is_one_line(run: Run, path: Path) -> None:
    path.unlink()
    path.mkdir()
    result = run("accounts", "passwd", "ada", stdin="correct horse\n")
    assert (result.exit_code, result.stderr) == (1, f"token-service: {path}: Is a directory\n")


@pytest.mark.parametrize("command", [["add", "eve"], ["passwd", "ada"], ["hash"]])
@pytest.mark.parametrize("short", ["elevenchars", "e\u0301" * 11])
def test_a_short_password_is_taken_in_a_lab_alone(run: Run, path: Path, command: list[str], short: str) -> None:
    path.write_text(f'[accounts.ada]\npassword_hash = "{HASH}"\n')
    before = path.read_text()
    result = run("accounts", *command, stdin=f"{short}\n")
    assert (result.exit_code, path.read_text(), result.stdout) == (2, before, "")
    assert "fewer than 12 characters" in result.stderr
    assert short not in result.output
    assert run("accounts", *command, "--allow-short", stdin=f"{short}\n").exit_code == 0
