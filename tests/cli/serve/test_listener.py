"""What `serve` does before uvicorn: the socket, the settings for the workers, the first account."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
from argon2 import PasswordHasher

from service.cli.failure import Failure, WrongUsage
from service.cli.serve.first_start import admin_account, check_accounts
from service.cli.serve.sockets import listen
from service.embedded import EmbeddedRedis
from service.settings import Settings
from service.tokens.accounts.accounts import read_accounts
from tests.api.running import DEADLINE
from tests.cli.conftest import Run

DASHBOARD = "http://127.0.0.1:8080/dashboard/"
HASH = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"


def test_the_socket_listens_at_once_so_that_a_second_one_is_refused() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        with pytest.raises(Failure, match=f"port {port}: Address already in use; .*--port or TOKENS_PORT"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["host.invalid", "192.0.2.1", "::ffff:1:2:3:4:5:6:7"])
def test_an_address_that_is_not_here_is_one_line(host: str) -> None:
    with pytest.raises(Failure, match=r"^cannot listen on .*--host"):
        listen(host, 0)


def test_an_ipv6_address_takes_ipv6_alone() -> None:
    with listen("::", 0) as listener:
        assert listener.family == socket.AF_INET6
        assert listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


def test_a_port_in_use_ends_serve_before_anything_is_made(run: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("serve", "--port", str(taken.getsockname()[1]))
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKENS_PUBLIC_URL", "example.com"),
        ("TOKENS_PUBLIC_URL", "https://ada:hunter2@example.com"),
        ("TOKENS_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("TOKENS_ACCEPT_ALSO", "Token"),
        ("TOKENS_ACCOUNTS_FILE", __file__),
        ("TOKENS_ADMIN_PASSWORD", "elevenchars"),
        ("TOKENS_REDIS_BIN", "no-such-program"),
        ("TOKENS_ADMIN_JWT_JWKS", "no-such-file"),
        ("TOKENS_ADMIN_JWT_JWKS", "https:///keys"),
        ("TOKENS_ADMIN_JWT_JWKS", "https://[::1/keys"),
    ],
)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_setting_that_is_wrong_ends_serve_before_anything_is_made(
    run: Run, tmp_path: Path, name: str, value: str, workers: str
) -> None:
    terms = {"TOKENS_ADMIN_JWT_ISSUER": "https://id.example", "TOKENS_ADMIN_JWT_AUDIENCE": "tokens"}
    more = terms if name == "TOKENS_ADMIN_JWT_JWKS" else {}
    result = run("serve", "--port", "0", "--workers", workers, env={**more, name: value})
    assert result.exit_code != 0
    assert result.stderr.startswith(f"token-service: {name}")
    assert "Errno" not in result.stderr and "hunter2" not in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_a_metrics_port_in_use_ends_serve_before_anything_is_made(run: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("serve", "--port", "0", env={"TOKENS_METRICS_PORT": str(taken.getsockname()[1])})
    assert result.exit_code == 1
    assert "for metrics: Address already in use; choose another port" in result.stderr
    assert not (tmp_path / "data").exists()


def test_accounts_of_an_earlier_start_are_read_before_anything_starts(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "accounts.toml").write_text("accounts")
    result = run("serve", "--port", "0")
    assert result.exit_code == 1
    assert "accounts.toml: not a TOML file" in result.stderr
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["accounts.toml"]


def test_a_password_that_makes_no_account_is_told_at_the_start(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.cli.serve.command.run", lambda *_, **__: None)
    accounts = tmp_path / "accounts.toml"
    accounts.write_text(f'[accounts.ada]\npassword_hash = "{HASH}"\nrole = "admin"\n')
    outside = {"TOKENS_REDIS_URL": "redis://127.0.0.1:1", "TOKENS_SECRET_KEY": "k" * 32, "TOKENS_PORT": "0"}
    unread = "TOKENS_ADMIN_PASSWORD is passed over"
    for settings in (outside, {**outside, "TOKENS_ACCOUNTS_FILE": str(accounts)}):
        assert unread not in run("serve", env=settings).stderr
        result = run("serve", env={**settings, "TOKENS_ADMIN_PASSWORD": "correct horse"})
        assert result.exit_code == 0
        assert result.stderr.count(unread) == 1
        assert "correct horse" not in result.output


def test_a_password_that_made_an_account_is_not_said_to_make_none(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.setattr("service.cli.serve.command.run", lambda *_, **__: None)
    found = {"redis_url": "redis://127.0.0.1:1", "secret_key": "k" * 32}
    monkeypatch.setattr(
        "service.cli.serve.managed_redis.running",
        lambda settings: nullcontext(msgspec.structs.replace(settings, **found)),
    )
    # At the first start and at one behind it, which still has the setting.
    for _ in range(2):
        result = run("serve", "--port", "0", env={"TOKENS_ADMIN_PASSWORD": "correct horse"})
        assert result.exit_code == 0
        assert "passed over" not in result.stderr


@pytest.mark.parametrize("text", ["", '[accounts.ada]\npassword_hash = "{}"\n'])
def test_a_file_in_which_nobody_may_administer_is_told_at_the_start(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr("service.cli.serve.command.run", lambda *_, **__: None)
    path = tmp_path / "accounts.toml"
    path.write_text(text.format(HASH))
    outside = {"TOKENS_REDIS_URL": "redis://127.0.0.1:1", "TOKENS_SECRET_KEY": "k" * 32, "TOKENS_PORT": "0"}
    result = run("serve", env={**outside, "TOKENS_ACCOUNTS_FILE": str(path)})
    assert result.exit_code == 0
    assert result.stderr.count(f"{path} has no administrator: token-service accounts add NAME --role admin") == 1
    path.write_text(f'[accounts.ada]\npassword_hash = "{HASH}"\nrole = "admin"\n')
    assert run("serve", env={**outside, "TOKENS_ACCOUNTS_FILE": str(path)}).stderr == ""


def test_options_go_before_the_environment_and_are_checked_like_it(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = run("serve", "--port", port, env={"TOKENS_PORT": "0"})
    assert f"cannot listen on 127.0.0.1 port {port}" in result.stderr
    assert run("serve", "--port", "65536").exit_code == 2
    assert run("serve", "--workers", "0").exit_code == 2


def test_a_redis_that_cannot_be_started_is_one_line(run: Run) -> None:
    result = run("serve", "--port", "0", env={"TOKENS_REDIS_BIN": "/bin/true"})
    assert result.exit_code == 1
    assert result.stderr == (
        "token-service: TOKENS_REDIS_BIN: /bin/true is no Redis or Valkey server; name a redis-server of 6.2 or later\n"
    )


def test_the_first_start_makes_an_account_and_says_its_password_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(data_dir=str(tmp_path))
    effective = admin_account(settings, dashboard=DASHBOARD)
    said = capsys.readouterr().out
    path = tmp_path / "accounts.toml"
    assert effective.accounts_file == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = re.search(r"password   ([0-9a-f]{5}(?:-[0-9a-f]{5}){3})\n", said)
    assert found is not None
    assert PasswordHasher().verify(read_accounts(path)["admin"].password_hash, found[1])
    assert DASHBOARD in said
    assert admin_account(settings, dashboard=DASHBOARD) == effective
    hint = re.search(r"\nAnother password: (.+)\n", said)
    assert hint is not None
    # As in another shell, which knows no virtual environment.
    typed = subprocess.run(
        ["/bin/sh", "-c", hint[1]],
        env={"PATH": "/usr/bin:/bin"},
        input=b"correct horse\n",
        check=True,
        timeout=DEADLINE,
    )
    assert typed.returncode == 0
    assert PasswordHasher().verify(read_accounts(path)["admin"].password_hash, "correct horse")
    assert capsys.readouterr().out == ""


def test_a_given_password_is_taken_and_never_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(data_dir=str(tmp_path), admin_password="correct horse")
    admin_account(settings, dashboard=DASHBOARD)
    assert "correct horse" not in capsys.readouterr().out
    account = read_accounts(tmp_path / "accounts.toml")["admin"]
    assert PasswordHasher().verify(account.password_hash, "correct horse")


def test_a_short_password_is_taken_in_a_lab_alone(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path), admin_password="elevenchars")
    with pytest.raises(
        WrongUsage, match=r"^TOKENS_ADMIN_PASSWORD has fewer than 12 characters: --allow-short "
    ) as said:
        check_accounts(settings, allow_short=False)
    assert "elevenchars" not in str(said.value)
    check_accounts(settings, allow_short=True)
    admin_account(settings, dashboard=DASHBOARD)
    # Nobody is locked out of a service that was started so once.
    check_accounts(settings, allow_short=False)


def test_a_named_accounts_file_is_left_alone(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path), accounts_file=str(tmp_path / "mine.toml"))
    assert admin_account(settings, dashboard=DASHBOARD) == settings
    assert list(tmp_path.iterdir()) == []


def test_of_two_first_starts_one_makes_the_account(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "accounts.toml"
    monkeypatch.setattr("service.cli.serve.first_start.hash_password", lambda _: path.write_text("the other's") and "x")
    assert admin_account(Settings(data_dir=str(tmp_path)), dashboard=DASHBOARD).accounts_file == str(path)
    assert path.read_text() == "the other's"
    assert capsys.readouterr().out == ""


def test_an_account_that_cannot_be_kept_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"^cannot write .*: No such file or directory$"):
        admin_account(Settings(data_dir=str(tmp_path / "gone")), dashboard=DASHBOARD)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_uvicorn_hears_any_ends_the_start(
    run: Run, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    class Importing(ModuleType):
        def __getattr__(self, name: str) -> None:
            if name == "create_app":
                signal.raise_signal(number)
            raise AttributeError(name)

    monkeypatch.setitem(sys.modules, "service.app", Importing("service.app"))
    environment = {"TOKENS_REDIS_URL": "redis://127.0.0.1:1", "TOKENS_SECRET_KEY": "k" * 32, "TOKENS_PORT": "0"}
    result = run("serve", env=environment)
    assert (result.exit_code, result.output) == (0, "")


def test_a_second_signal_does_not_cut_short_what_is_being_closed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    def close() -> None:
        signal.raise_signal(signal.SIGTERM)
        closed.append(True)

    server = EmbeddedRedis("unix:///redis.sock", "k" * 64, owner=True, close=close)
    monkeypatch.setattr("service.embedded.start", lambda *_, **__: server)
    monkeypatch.setattr("service.cli.serve.command.run", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    environment = {"TOKENS_PORT": "0", "TOKENS_ACCOUNTS_FILE": os.devnull}
    assert (run("serve", env=environment).exit_code, closed) == (0, [True])
