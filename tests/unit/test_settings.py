"""Settings: a bad value or an unknown name stops the start and names its variable."""

from pathlib import Path

import pytest

from service.app import Service
from service.logs import wants_json_logs
from service.settings import Settings, SettingsError, described, masked, read
from tests.unit.environment import REDIS, refusal


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = read({"PATH": "/usr/bin", "HOME": "/root"})
    assert settings == Settings()
    assert (settings.host, settings.port, settings.max_lifetime_days) == ("127.0.0.1", 8080, 365)


def test_values_are_read_as_their_types_without_the_spaces_around_them() -> None:
    settings = read(REDIS | {"TOKENS_PORT": " 9000 ", "TOKENS_DOCS": "Off", "TOKENS_ONE_TIME_ISSUE": "authenticated"})
    assert (settings.port, settings.docs, settings.one_time_issue) == (9000, False, "authenticated")


@pytest.mark.parametrize(
    ("text", "told"), [("eighty", "write a whole number"), ("8.5", "whole number"), ("70000", "whole number <= 65535")]
)
def test_what_is_no_number_is_told_in_words(text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=f"^TOKENS_PORT='{text}': .*{told}$"):
        read({"TOKENS_PORT": text})


def test_what_the_driver_finds_wrong_in_a_url_is_told_as_every_other_setting_is() -> None:
    with pytest.raises(SettingsError) as told:
        Service(Settings(redis_url="redis://localhost?db=x", secret_key="k" * 32))
    assert str(told.value) == "TOKENS_REDIS_URL: Invalid value for 'db' in connection URL"


@pytest.mark.parametrize("name", ["ADMIN_JWT_CLAIM", "LABEL", "NAMESPACE"])
def test_what_has_not_the_form_is_told_in_words_on_a_short_line(name: str) -> None:
    told = refusal(**{name: "\x01" * 70_000})
    assert len(told) < 200 and "regex" not in told and "\\x7f" not in told


@pytest.mark.parametrize("name", ["SECRET_KEY", "ADMIN_PASSWORD", "DATA_DIR", "IMPORT_SUFFIX"])
def test_bytes_that_are_no_text_are_refused_and_not_repeated(name: str) -> None:
    assert refusal(**{name: "\udcff" * 40}) == f"TOKENS_{name} is not UTF-8 text"


@pytest.mark.parametrize("name", ["PORT", "DOCS", "LOG_FORMAT"])
def test_a_long_value_is_not_said_again_whole(name: str) -> None:
    assert len(refusal(**{name: "a" * 70_000})) < 200


@pytest.mark.parametrize("name", [name for name, default, _ in described() if type(default) is int])
def test_no_number_is_so_great_that_what_comes_of_it_fails(name: str) -> None:
    assert "write a whole number <= " in refusal(**{name.removeprefix("TOKENS_"): str(2**62)})


@pytest.mark.parametrize(("text", "value"), [("on", True), ("TRUE", True), ("1", True), ("no", False), ("0", False)])
def test_a_switch_is_written_in_several_ways(text: str, *, value: bool) -> None:
    assert read({"TOKENS_DOCS": text}).docs is value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PORT", "eighty"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", ""),
        ("PORT", "80.5"),
        ("WORKERS", "0"),
        ("WORKERS", "257"),
        ("WORKERS", "true"),
        ("NAMESPACE", "Tokens"),
        ("NAMESPACE", ""),
        ("NAMESPACE", "a{b}"),
        ("NAMESPACE", "n" * 33),
        ("NAMESPACE", "tokens:1"),
        ("ONE_TIME_TTL_SECONDS", "0"),
        ("ONE_TIME_TTL_SECONDS", "3601"),
        ("ONE_TIME_ISSUE", "closed"),
        ("ONE_TIME_ISSUE_PER_MINUTE", "0"),
        ("SESSION_TTL_SECONDS", "0"),
        ("SESSION_IDLE_SECONDS", "-1"),
        ("MAX_LIFETIME_DAYS", "-1"),
        ("RETENTION_DAYS", "0"),
        ("AUDIT_MAX_ENTRIES", "999"),
        ("LOG_FORMAT", "xml"),
        ("ACCESS_LOG", "maybe"),
        ("METRICS_PORT", "70000"),
        ("WEBHOOK_ALLOW_PRIVATE", "sometimes"),
        ("DOCS", ""),
        ("DRAIN_SECONDS", "301"),
        ("ADMIN_JWT_CLAIM", "admin"),
    ],
)
def test_a_bad_value_names_its_variable(name: str, text: str) -> None:
    assert refusal(**{name: text}).startswith(f"TOKENS_{name}=")


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("TOKENS_PROT", "TOKENS_PORT"),
        ("TOKENS_REDIS_URI", "TOKENS_REDIS_URL"),
        ("TOKENS_SECRET_KEY_FIEL", "TOKENS_SECRET_KEY_FILE"),
        ("TOKENS_TRUSTED_PROXY", "TOKENS_TRUSTED_PROXIES"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known_one(wrong: str, right: str) -> None:
    message = refusal(**{wrong.removeprefix("TOKENS_"): "x"})
    assert message == f"{wrong} is not a setting: did you mean {right}?"


def test_an_unknown_name_like_no_other_is_refused_with_where_to_read() -> None:
    assert "token-service config" in refusal(XYZZY_QUUX_PLUGH="1")


def test_what_the_command_line_reads_itself_is_no_mistake() -> None:
    assert read({"TOKENS_URL": "http://localhost", "TOKENS_TOKEN": "secret"}) == Settings()


def test_every_setting_is_described_with_its_default() -> None:
    rows = described()
    assert [name for name, _, _ in rows] == list(masked(Settings()))
    assert all(meaning for _, _, meaning in rows)
    assert {name: default for name, default, _ in rows}["TOKENS_SESSION_TTL_SECONDS"] == 86400


def test_logs_are_json_where_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    for watched in (True, False):
        monkeypatch.setattr("sys.stderr.isatty", lambda watched=watched: watched, raising=False)
        assert wants_json_logs(Settings(log_format="auto")) is not watched
        assert wants_json_logs(Settings(log_format="json"))
        assert not wants_json_logs(Settings(log_format="text"))


def test_a_user_without_a_home_is_told_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert refusal(PORT="0").startswith("TOKENS_DATA_DIR begins with ~ and this user has no home directory")
    assert refusal(DATA_DIR="/data", ACCOUNTS_FILE="~/accounts.toml").startswith("TOKENS_ACCOUNTS_FILE begins with ~")
    assert read({"TOKENS_DATA_DIR": "/data"}).data_path == Path("/data")
    assert read(REDIS).redis_url


@pytest.mark.parametrize("home", ["", "of/somebody"])
def test_a_home_that_is_no_whole_path_is_none(monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    monkeypatch.setenv("HOME", home)
    assert refusal(PORT="0").startswith("TOKENS_DATA_DIR begins with ~ and this user has no home directory")
    assert refusal(DATA_DIR="/data", ACCOUNTS_FILE="~/accounts.toml").startswith("TOKENS_ACCOUNTS_FILE begins with ~")
    assert read({"TOKENS_DATA_DIR": "/data"}).data_path == Path("/data")


@pytest.mark.parametrize(
    "host", ["", " , ", "unix:", "unix:here.sock,::1", "::1,here..org", "h" * 64, "127.0.0.1:8080", "[::1]:80", "[::1"]
)
def test_what_is_no_place_to_listen_on_is_refused(host: str) -> None:
    assert refusal(HOST=host).startswith("TOKENS_HOST=")
    assert refusal(TLS_KEY_FILE="/key.pem") == "TOKENS_TLS_KEY_FILE needs TOKENS_TLS_CERT_FILE"


def test_an_ipv6_address_may_stand_in_brackets_as_in_a_url() -> None:
    assert read({"TOKENS_HOST": "[::1], 127.0.0.1,[fe80::1%lo]"}).hosts == ["::1", "127.0.0.1", "fe80::1%lo"]


@pytest.mark.parametrize("name", ["TRUSTED_PROXIES", "ACCEPT_ALSO", "KUBERNETES_AUDIENCES"])
def test_a_list_of_commas_alone_is_not_an_empty_one(name: str) -> None:
    assert refusal(**{name: ", ,"}) == f"TOKENS_{name}=', ,' lists nothing: write what it is to hold, or unset it"
    assert read({f"TOKENS_{name}": ""}) == read({})


def test_an_empty_data_directory_is_not_the_one_that_this_is_started_in() -> None:
    assert refusal(DATA_DIR=" ") == "TOKENS_DATA_DIR='': write text that is not empty"


def test_the_data_directory_may_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert Settings().data_path == Path("/home/someone/.local/share/token-service")


SERVICE_LINKS = {
    "TOKENS_PORT": "tcp://10.96.0.7:8080",
    "TOKENS_SERVICE_HOST": "10.96.0.7",
    "TOKENS_SERVICE_PORT": "8080",
    "TOKENS_SERVICE_PORT_HTTP": "8080",
    "TOKENS_PORT_8080_TCP": "tcp://[fd00::7]:8080",
    "TOKENS_PORT_8080_TCP_ADDR": "fd00::7",
    "TOKENS_PORT_8080_TCP_PORT": "8080",
    "TOKENS_PORT_8080_TCP_PROTO": "tcp",
}


def test_what_kubernetes_sets_for_a_service_of_this_name_is_passed_over() -> None:
    assert read(SERVICE_LINKS) == Settings()


@pytest.mark.parametrize("name", sorted(SERVICE_LINKS))
def test_only_what_kubernetes_would_write_is_passed_over(name: str) -> None:
    assert name in refusal(**{name.removeprefix("TOKENS_"): "http://10.96.0.7"})
