"""Settings that hold a secret or a password: as files, long enough, refused without being repeated, never printed."""

from pathlib import Path

import pytest

from service.settings import SECRETS, Settings, masked, read
from tests.unit.environment import KEY, refusal


@pytest.mark.parametrize("path", ["", "a\nb"])
def test_a_path_that_names_no_file_is_told_on_one_line(path: str) -> None:
    assert f"cannot read {path!r}: " in refusal(SECRET_KEY_FILE=path)


@pytest.mark.parametrize("field", sorted(SECRETS))
def test_a_secret_may_come_as_a_file(tmp_path: Path, field: str) -> None:
    (tmp_path / "secret").write_text(KEY + "\n")
    terms = {"TOKENS_ADMIN_JWT_ISSUER": "i", "TOKENS_ADMIN_JWT_AUDIENCE": "a"} if field == "admin_jwt_secret" else {}
    settings = read(terms | {f"TOKENS_{field.upper()}_FILE": str(tmp_path / "secret")})
    assert getattr(settings, field) == KEY


def test_a_file_from_windows_holds_the_same_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(KEY + "\r\n", encoding="utf-8-sig")
    assert read({"TOKENS_SECRET_KEY_FILE": str(tmp_path / "secret")}).secret_key == KEY


@pytest.mark.parametrize("quote", ["'", '"'])
@pytest.mark.parametrize("name", ["SECRET_KEY", "ADMIN_PASSWORD", "ADMIN_JWT_ISSUER", "HOST", "PORT", "DOCS"])
def test_quotes_that_were_left_around_a_value_are_refused_without_it(tmp_path: Path, name: str, quote: str) -> None:
    """A service that is started with them has another secret than those without."""
    assert refusal(**{name: f" {quote}{KEY}{quote}\n"}) == (
        f"TOKENS_{name} stands in quotes, which would be a part of it: take them away"
    )
    (tmp_path / "secret").write_text(f"{quote}{KEY}{quote}")
    assert "TOKENS_SECRET_KEY_FILE stands in quotes" in refusal(SECRET_KEY_FILE=str(tmp_path / "secret"))


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


def test_jwts_need_issuer_and_audience_and_one_source_of_keys() -> None:
    assert "TOKENS_ADMIN_JWT_ISSUER" in refusal(ADMIN_JWT_SECRET=KEY)
    assert "TOKENS_ADMIN_JWT_AUDIENCE" in refusal(ADMIN_JWT_JWKS="/keys.json", ADMIN_JWT_ISSUER="i")
    both = refusal(ADMIN_JWT_SECRET=KEY, ADMIN_JWT_JWKS="/k", ADMIN_JWT_ISSUER="i", ADMIN_JWT_AUDIENCE="a")
    assert "both set" in both


@pytest.mark.parametrize("term", ["ADMIN_JWT_ISSUER", "ADMIN_JWT_AUDIENCE"])
def test_what_jwts_must_say_is_refused_where_no_key_is_there_to_check_any(term: str) -> None:
    message = refusal(**{term: "https://id.example"})
    assert f"TOKENS_{term}" in message
    assert "set TOKENS_ADMIN_JWT_SECRET or TOKENS_ADMIN_JWT_JWKS" in message


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


def test_an_empty_file_is_told_in_place_of_a_setting_that_is_not_set(tmp_path: Path) -> None:
    (path := tmp_path / "url").write_text(" \n")
    assert refusal(REDIS_URL_FILE=str(path)).startswith(f"TOKENS_REDIS_URL_FILE: {path} is empty")
