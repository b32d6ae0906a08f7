"""The README's table of settings is what the code has, row by row."""

from typing import Any

from service.settings import described
from tests.contract.sources import ROOT, documented_settings


def written(default: Any) -> str:
    """A default as the table shows it."""
    if isinstance(default, bool):
        return "on" if default else "off"
    return str(default)


def test_the_table_of_settings_is_that_of_the_code() -> None:
    table = documented_settings((ROOT / "README.md").read_text(encoding="utf-8"))
    assert table == [(name, written(default), meaning) for name, default, meaning in described()]


def test_the_check_sees_a_changed_row() -> None:
    row = "| `TOKENS_PORT` | `8080` | port to listen on |\n"
    assert documented_settings(row) == [("TOKENS_PORT", "8080", "port to listen on")]
    assert documented_settings(row.replace("8080", "9090")) == [("TOKENS_PORT", "9090", "port to listen on")]
    assert documented_settings("| `TOKENS_ADMIN_PASSWORD` |  | a password |") == [
        ("TOKENS_ADMIN_PASSWORD", "", "a password")
    ]


# What deployments, gateways' configurations and checks from outside already set. A name here never changes.
PROMISED = """
HOST PORT WORKERS DATA_DIR REDIS_URL REDIS_BIN NAMESPACE SECRET_KEY SECRET_KEY_PREVIOUS ACCOUNTS_FILE
ADMIN_PASSWORD ADMIN_JWT_SECRET ADMIN_JWT_JWKS ADMIN_JWT_ISSUER ADMIN_JWT_AUDIENCE ADMIN_JWT_CLAIM
ONE_TIME_TTL_SECONDS ONE_TIME_ISSUE ONE_TIME_ISSUE_PER_MINUTE ONE_TIME_FENCE SESSION_TTL_SECONDS
SESSION_IDLE_SECONDS MAX_LIFETIME_DAYS RETENTION_DAYS AUDIT_MAX_ENTRIES TRUSTED_PROXIES LOG_FORMAT METRICS_PORT
WEBHOOK_ALLOW_PRIVATE DOCS DRAIN_SECONDS PUBLIC_URL ACCEPT_BASIC REDIS_TIMEOUT_MS DURABILITY
CONNECTIONS_PER_ADDRESS LABEL TLS_CERT_FILE TLS_KEY_FILE
"""


def test_no_promised_name_is_gone() -> None:
    assert {f"TOKENS_{name}" for name in PROMISED.split()} - {name for name, _, _ in described()} == set()
