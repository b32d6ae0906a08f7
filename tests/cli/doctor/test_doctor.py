"""The doctor: each thing that can be wrong, and nothing changed by looking."""

import os
import socket
import ssl
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.certificates import self_signed
from tests.cli.conftest import Found, Run
from tests.cli.stub import serving

HASH = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"


def test_a_machine_without_any_set_up_is_well(found: Found, tmp_path: Path) -> None:
    code, checks = found()
    assert code == 0
    assert {result for result, _ in checks.values()} == {"ok"}
    assert "will be started" in checks["redis"][1]
    assert not (tmp_path / "data").exists()


def test_a_bad_setting_is_all_that_is_said(found: Found) -> None:
    code, checks = found(TOKENS_TRUSTED_PROXIES="everyone")
    assert code == 1
    assert list(checks) == ["settings"]
    assert "TOKENS_TRUSTED_PROXIES" in checks["settings"][1]


@pytest.mark.parametrize(
    ("text", "result", "said"),
    [
        (f'[accounts.a]\npassword_hash = "{HASH}"\n', "warning", "no administrator"),
        (
            f'[accounts.a]\npassword_hash = "{HASH}"\nrole = "admin"\ndisabled = true\n',
            "warning",
            "no administrator",
        ),
        ('[accounts.a]\npassword = "x"\n', "failed", "password in clear"),
        ("[", "failed", "not a TOML file"),
    ],
)
def test_accounts_that_do_not_serve_are_seen(
    found: Found, outside: dict[str, str], tmp_path: Path, text: str, result: str, said: str
) -> None:
    path = tmp_path / "accounts.toml"
    path.write_text(text)
    checks = found(**outside | {"TOKENS_ACCOUNTS_FILE": str(path)})[1]
    assert checks["accounts"][0] == result
    assert said in checks["accounts"][1]


def test_readable_hashes_and_no_accounts_are_warned_of(found: Found, outside: dict[str, str]) -> None:
    Path(outside["TOKENS_ACCOUNTS_FILE"]).chmod(0o644)
    assert found(**outside)[1]["accounts"][0] == "warning"
    assert found(**outside | {"TOKENS_ACCOUNTS_FILE": ""})[1]["accounts"][0] == "warning"


def test_a_port_in_use_fails_unless_it_is_our_own(found: Found) -> None:
    with serving() as stub:
        port = stub.url.rpartition(":")[2]
        code, checks = found(TOKENS_PORT=port)
        assert (code, checks["port"][0]) == (1, "failed")
        stub.on("GET", "/livez", {"status": "alive", "version": "9.9.9"})
        assert found(TOKENS_PORT=port)[1]["port"] == ("ok", f"token-service 9.9.9 answers at {port}")


def test_our_own_is_known_also_where_its_certificate_has_ended(found: Found, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "elsewhere.example", age=timedelta(days=3))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def answer() -> None:
            with tls.wrap_socket(listener.accept()[0], server_side=True) as connection:
                connection.recv(65536)
                connection.sendall(b'HTTP/1.0 200 OK\r\n\r\n{"status":"alive","version":"9.9.9"}')

        thread = Thread(target=answer)
        thread.start()
        files = {"TOKENS_TLS_CERT_FILE": str(certificate), "TOKENS_TLS_KEY_FILE": str(key)}
        assert found(TOKENS_PORT=str(port), **files)[1]["port"] == ("ok", f"token-service 9.9.9 answers at {port}")
        thread.join()


def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    return folder


def test_a_data_directory_that_others_may_write_fails(found: Found, tmp_path: Path) -> None:
    data(tmp_path).chmod(0o770)
    code, checks = found()
    assert (code, checks["data directory"][0]) == (1, "failed")


def test_root_may_care_for_the_directory_of_whoever_serves(
    found: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, whole = data(tmp_path), Path.stat

    def of_another(path: Path, **how: Any) -> os.stat_result:
        facts = whole(path, **how)
        return os.stat_result((*facts[:4], 4711, *facts[5:])) if path == folder else facts

    monkeypatch.setattr(Path, "stat", of_another)
    for user, result in ((0, "ok"), (4711, "ok"), (4712, "failed")):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        assert found()[1]["data directory"][0] == result


def test_that_others_may_write_is_said_of_a_full_disk_too(
    found: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.cli.doctor.command._NEEDED_BYTES", 1 << 60)
    data(tmp_path).chmod(0o770)
    assert "others may write" in found()[1]["data directory"][1]


def test_an_accounts_file_whose_link_leads_nowhere_fails(found: Found, tmp_path: Path) -> None:
    (data(tmp_path) / "accounts.toml").symlink_to("/nowhere")
    assert found()[1]["accounts"][0] == "failed"


def test_a_data_directory_that_is_a_file_fails(found: Found, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert found()[1]["data directory"][0] == "failed"


def test_a_full_disk_is_warned_of(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.cli.doctor.command._NEEDED_BYTES", 1 << 60)
    assert found()[1]["data directory"][0] == "warning"


@pytest.mark.parametrize(
    ("content", "mode", "result"),
    [
        ("a" * 64, 0o600, "ok"),
        ("a" * 64, 0o640, "warning"),
        ("short", 0o600, "failed"),
        ("\xff", 0o600, "failed"),
        ("K" * 64, 0o600, "failed"),
    ],
)
def test_the_server_key_is_checked(found: Found, tmp_path: Path, content: str, mode: int, result: str) -> None:
    path = data(tmp_path) / "server.key"
    path.write_bytes(content.encode("latin-1"))
    path.chmod(mode)
    assert found()[1]["server key"][0] == result


@pytest.mark.parametrize("file", ["appendonlydir/x", "appendonly.aof"])
def test_a_lost_server_key_fails(found: Found, tmp_path: Path, file: str) -> None:
    path = data(tmp_path) / file
    path.parent.mkdir(exist_ok=True)
    path.touch()
    result, said = found()[1]["server key"]
    assert (result, "restore it from a backup" in said) == ("failed", True)


def test_what_cannot_be_read_is_told_and_not_taken_for_missing(found: Found, tmp_path: Path) -> None:
    # As a directory of another user's, which is nothing to root: no name may be as long.
    checks = found(TOKENS_DATA_DIR=str(tmp_path / ("x" * 300)))[1]
    assert [checks[name][0] for name in ("server key", "accounts")] == ["failed", "failed"]
    assert checks["redis"][0] == "ok"


@pytest.mark.usefixtures("terminal")
def test_a_terminal_gets_every_word_and_a_sum(run: Run) -> None:
    result = run("doctor", env={"TOKENS_PORT": "0", "TOKENS_DATA_DIR": "/" + "x" * 100})
    assert "/" + "x" * 100 in result.stdout
    assert "0 failed, 0 warnings" in result.stderr


def test_a_port_is_free_or_has_a_stranger(found: Found) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = str(stranger.getsockname()[1])

        def hang_up() -> None:
            stranger.accept()[0].close()

        thread = Thread(target=hang_up)
        thread.start()
        taken = found(TOKENS_PORT=port)[1]["port"]
        thread.join()
    assert taken[0] == "failed"
    assert "Address already in use" in taken[1]
    assert found(TOKENS_PORT=port)[1]["port"] == ("ok", f"{port} is free")


def test_all_that_it_would_listen_on_is_checked(found: Found, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "localhost")
    listen = {"TOKENS_HOST": f"127.0.0.1,unix:{tmp_path}/x.sock", "TOKENS_PORT": "0"}
    tls = {"TOKENS_TLS_CERT_FILE": str(certificate)}
    checks = found(**listen, **tls, TOKENS_TLS_KEY_FILE=str(key))[1]
    assert (checks["certificate"][0], f"{certificate} is valid from" in checks["certificate"][1]) == ("ok", True)
    # The last of the two.
    assert checks["port"] == ("ok", f"{tmp_path}/x.sock will be made")
    code, checks = found(**listen, **tls)
    assert (code, checks["certificate"][0]) == (1, "failed")
    code, checks = found(TOKENS_HOST=f"unix:{tmp_path}/gone/x.sock")
    assert (code, checks["port"]) == (1, ("failed", f"{tmp_path}/gone cannot be written: choose another TOKENS_HOST"))


def test_a_certificate_is_refused_on_the_days_on_which_clients_refuse_it(found: Found, tmp_path: Path) -> None:
    for age in (timedelta(days=3), timedelta(days=-1)):
        certificate, key = self_signed(tmp_path, "localhost", age=age)
        code, checks = found(TOKENS_TLS_CERT_FILE=str(certificate), TOKENS_TLS_KEY_FILE=str(key))
        assert (code, checks["certificate"][0]) == (1, "failed")
        assert "clients refuse it today" in checks["certificate"][1]


@pytest.mark.slow
def test_places_that_a_start_would_not_get_fail(found: Found, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert found(TOKENS_HOST=f"unix:{tmp_path}/file")[1]["port"][0] == "failed"
    assert found(TOKENS_HOST=f"unix:/{'x' * 120}")[1]["port"][0] == "failed"
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        taken = str(stranger.getsockname()[1])
        code, checks = found(TOKENS_METRICS_PORT=taken)
        assert (code, checks["metrics port"][0]) == (1, "failed")
        assert "choose another port with TOKENS_METRICS_PORT" in checks["metrics port"][1]
    # Free by now, but not twice.
    assert found(TOKENS_PORT=taken, TOKENS_HOST="127.0.0.1,127.0.0.1")[1]["port"][0] == "failed"
    assert found(TOKENS_PORT=taken, TOKENS_METRICS_PORT=taken)[1]["metrics port"][0] == "failed"
    assert found(TOKENS_METRICS_PORT=taken)[1]["metrics port"][0] == "ok"
