"""The URL of Redis: all that it says is used, and what cannot be is refused before anything is opened."""

from __future__ import annotations

from typing import Any

import pytest

from service.app import create_app
from service.settings import Settings, SettingsError
from service.store.driver.connection import connector
from service.store.driver.url import options_of


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", {"host": "h"}),
        ("redis://h/", {"host": "h"}),
        ("redis://u:p%23@h:1/2", {"host": "h", "port": 1, "db": 2, "username": "u", "password": "p#"}),
        ("redis://h?socket_keepalive=no&db=3", {"host": "h", "socket_keepalive": False, "db": 3}),
        ("unix:///run/a%20b.sock?db=1&password=p", {"path": "/run/a b.sock", "db": 1, "password": "p"}),
        (
            "rediss://h?ssl_cert_reqs=none&ssl_min_version=772",
            {"host": "h", "ssl_cert_reqs": "none", "ssl_min_version": 772},
        ),
        (
            "rediss://h?ssl_ca_certs=/etc/ca.pem&ssl_check_hostname=no",
            {"host": "h", "ssl_ca_certs": "/etc/ca.pem", "ssl_check_hostname": False},
        ),
    ],
)
def test_what_a_url_says_reaches_the_driver(url: str, expected: dict[str, Any]) -> None:
    options = options_of(url)
    assert connector(url)
    options.pop("connection_class", None)
    assert options == expected


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://h?socket_timeout=x", "take the option 'socket_timeout' away; there are db, "),
        ("redis://h?socket_timeout=5", "take the option 'socket_timeout' away"),
        ("redis://h?retry=3", "take the option 'retry' away"),
        ("redis://h?foo", "take the option 'foo' away"),
        ("unix:///run/redis.sock?host=h", "take the option 'host' away"),
        ("redis://h?db=first", "Invalid value for 'db'"),
        ("redis://h?db=-1", "the number of the database is below 0"),
        ("redis://h/first", "behind the host comes the number of a database"),
        ("redis://h/1/2", "behind the host comes the number of a database"),
        ("unix://h", "the path of the socket is missing"),
        ("redis://h?ssl_ca_certs=/etc/ca.pem", "ssl_ca_certs needs a URL that begins with rediss://"),
        ("rediss://h?ssl_cert_reqs=maybe", "ssl_cert_reqs is one of none, optional, required"),
        ("rediss://h?ssl_min_version=1", "ssl_min_version is one of 771 \\(TLS 1.2\\), 772"),
        ("http://localhost", "scheme"),
        ("redis://localhost:port", "."),
        ("", "."),
    ],
)
def test_what_the_driver_would_pass_over_or_stumble_on_is_refused_before_anything_is_opened(
    url: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        connector(url)
    assert "\n" not in str(caught.value)


def test_the_service_says_which_setting_it_was() -> None:
    settings = Settings(redis_url="redis://h?socket_timeout=x", secret_key="k" * 32)
    with pytest.raises(SettingsError, match=r"^TOKENS_REDIS_URL: take the option 'socket_timeout' away; .*[^.]$"):
        create_app(settings)
