"""Settings: a bad value stops the start and names its variable; secrets may come as files and are never printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.logs import wants_json_logs
from service.settings import SECRETS, Settings, SettingsError, described, masked, read

KEY = "k" * 32
REDIS = {"TOKENS_REDIS_URL": "redis://localhost:6379/0", "TOKENS_SECRET_KEY": KEY}


def refusal(**environment: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read({f"TOKENS_{name}": value for name, value in environment.items()})
    message = str(caught.value)
    assert "\n" not in message
    return message


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


@pytest.mark.parametrize("name", ["ADMIN_JWT_CLAIM", "LABEL", "NAMESPACE"])
def test_what_has_not_the_form_is_told_in_words_on_a_short_line(name: str) -> None:
    told = refusal(**{name: "\x01" * 70_000})
    assert len(told) < 200 and "regex" not in told and "\\x7f" not in told


@pytest.mark.parametrize("name", ["PORT", "DOCS", "LOG_FORMAT"])
def test_a_long_value_is_not_said_again_whole(name: str) -> None:
    assert len(refusal(**{name: "a" * 70_000})) < 200


@pytest.mark.parametrize("name", [name for name, default, _ in described() if type(default) is int])
def test_no_number_is_so_great_that_what_comes_of_it_fails(name: str) -> None:
    assert "write a whole number <= " in refusal(**{name.removeprefix("TOKENS_"): str(2**62)})


@pytest.mark.parametrize("path", ["", "a\nb"])
def test_a_path_that_names_no_file_is_told_on_one_line(path: str) -> None:
    assert f"cannot read {path!r}: " in refusal(SECRET_KEY_FILE=path)


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


@pytest.mark.parametrize("field", sorted(SECRETS))
def test_a_secret_may_come_as_a_file(tmp_path: Path, field: str) -> None:
    (tmp_path / "secret").write_text(KEY + "\n")
    more = {"TOKENS_ADMIN_JWT_ISSUER": "i", "TOKENS_ADMIN_JWT_AUDIENCE": "a"}
    settings = read(more | {f"TOKENS_{field.upper()}_FILE": str(tmp_path / "secret")})
    assert getattr(settings, field) == KEY


def test_only_secrets_come_as_files() -> None:
    assert "TOKENS_HOST_FILE is not a setting" in refusal(HOST_FILE="/etc/hostname")
    assert read({"TOKENS_ACCOUNTS_FILE": "/etc/accounts.toml"}).accounts_file == "/etc/accounts.toml"


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(KEY)
    message = refusal(SECRET_KEY=KEY, SECRET_KEY_FILE=str(tmp_path / "secret"))
    assert "TOKENS_SECRET_KEY_FILE and TOKENS_SECRET_KEY are both set" in message


def test_a_secret_file_that_cannot_be_read_names_variable_path_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "absent"
    assert (
        refusal(SECRET_KEY_FILE=str(path)) == f"TOKENS_SECRET_KEY_FILE: cannot read '{path}': No such file or directory"
    )
    path.write_bytes(b"\xff\xfe")
    assert refusal(SECRET_KEY_FILE=str(path)) == f"TOKENS_SECRET_KEY_FILE: {path} is not UTF-8 text"


@pytest.mark.parametrize("name", ["SECRET_KEY", "SECRET_KEY_PREVIOUS", "ADMIN_JWT_SECRET"])
def test_a_key_shorter_than_32_characters_is_refused_with_how_to_make_one(name: str) -> None:
    message = refusal(**{name: "k" * 31})
    assert message.startswith(f"TOKENS_{name} is shorter than 32 characters")
    assert "openssl rand -hex 32" in message
    assert "k" * 31 not in message


def test_an_outside_redis_needs_the_server_key() -> None:
    assert "TOKENS_SECRET_KEY is needed with TOKENS_REDIS_URL" in refusal(REDIS_URL="redis://localhost")


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "http://localhost",
        "redis+sentinel://a,b:x/NAME",
        "redis+cluster://a,b:70000",
        "redis+other://a",
        "redis",
        "rediss:/x",
        "redis://localhost:port",
        "redis://localhost:70000",
        "redis://[::1",
    ],
)
def test_a_redis_url_that_cannot_be_used_is_refused(url: str) -> None:
    assert refusal(REDIS_URL=url, SECRET_KEY=KEY).startswith("TOKENS_REDIS_URL")


@pytest.mark.parametrize("url", ["redis://:pass#word@h", "redis://:pass/word@h", "redis://:pass?word@h"])
def test_a_password_that_breaks_its_url_is_not_repeated(url: str) -> None:
    message = refusal(REDIS_URL=url, SECRET_KEY=KEY)
    assert message.startswith("TOKENS_REDIS_URL: ")
    assert "%23" in message
    assert "pass#" not in message
    assert "'pass'" not in message


@pytest.mark.parametrize(
    "url",
    [
        "redis://u:p@h:1/2",
        "rediss://h",
        "unix:///run/redis.sock?db=1",
        "redis://[::1]:6379",
        "valkeys+cluster://a,[::1]:1",
        "redis+sentinel://u:p@a:1,b:2/NAME/3",
    ],
)
def test_the_redis_urls_of_the_driver_are_taken(url: str) -> None:
    assert read({"TOKENS_REDIS_URL": url, "TOKENS_SECRET_KEY": KEY}).redis_url == url


def test_jwts_need_issuer_and_audience_and_one_source_of_keys() -> None:
    assert "TOKENS_ADMIN_JWT_ISSUER" in refusal(ADMIN_JWT_SECRET=KEY)
    assert "TOKENS_ADMIN_JWT_AUDIENCE" in refusal(ADMIN_JWT_JWKS="/keys.json", ADMIN_JWT_ISSUER="i")
    both = refusal(ADMIN_JWT_SECRET=KEY, ADMIN_JWT_JWKS="/k", ADMIN_JWT_ISSUER="i", ADMIN_JWT_AUDIENCE="a")
    assert "both set" in both


def test_no_secret_is_printed() -> None:
    settings = Settings(
        redis_url="redis://user:hunter2@localhost/0",
        secret_key=KEY,
        secret_key_previous="p" * 32,
        admin_password="opensesame",
        admin_jwt_secret="j" * 32,
    )
    shown = masked(settings)
    assert [name for name, value in shown.items() if value == "***"] == [
        "TOKENS_SECRET_KEY",
        "TOKENS_SECRET_KEY_PREVIOUS",
        "TOKENS_ADMIN_PASSWORD",
        "TOKENS_ADMIN_JWT_SECRET",
    ]
    assert shown["TOKENS_REDIS_URL"] == "redis://user:***@localhost/0"
    assert not any(secret in str(shown) for secret in ("hunter2", KEY, "opensesame"))


def test_a_password_among_the_options_of_a_url_is_not_printed() -> None:
    url = "rediss://h?username=u&password=hunter2&ssl_password=opensesame&db=1"
    shown = masked(Settings(redis_url=url))["TOKENS_REDIS_URL"]
    assert shown == "rediss://h?username=u&password=***&ssl_password=***&db=1"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis+cluster://u:hunter2@a:1,b:2", "redis+cluster://u:***@a:1,b:2"),
        (
            "redis+sentinel://:hunter2@a:1,b/NAME?sentinel_password=hunter2",
            "redis+sentinel://:***@a:1,b/NAME?sentinel_password=***",
        ),
        ("redis://:hunter@2@h/0", "redis://:***@h/0"),
    ],
)
def test_no_password_of_a_group_of_servers_is_printed(url: str, shown: str) -> None:
    assert masked(Settings(redis_url=url))["TOKENS_REDIS_URL"] == shown


def test_a_secret_that_is_not_set_shows_as_empty() -> None:
    assert masked(Settings())["TOKENS_SECRET_KEY"] == ""
    assert masked(Settings(redis_url="redis://localhost"))["TOKENS_REDIS_URL"] == "redis://localhost"


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


@pytest.mark.parametrize("host", ["", " , ", "unix:", "unix:here.sock,::1"])
def test_what_is_no_place_to_listen_on_is_refused(host: str) -> None:
    assert refusal(HOST=host).startswith("TOKENS_HOST=")
    assert refusal(TLS_KEY_FILE="/key.pem") == "TOKENS_TLS_KEY_FILE needs TOKENS_TLS_CERTIFICATE_FILE"


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
