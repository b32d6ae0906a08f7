"""The URL of Redis: all that it says is used, and what cannot be is refused before anything is opened."""

import re
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.connection import SSLConnection

from service.app import create_app
from service.settings import Settings, SettingsError
from service.store.servers.url import Address, Topology, place_of
from tests.certificates import self_signed
from tests.links import connector

PEM = "give PEM files, and ssl_password if they need it"


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
            "rediss://h?ssl_ca_path=/etc&ssl_check_hostname=no",
            {"host": "h", "ssl_ca_path": "/etc", "ssl_check_hostname": False},
        ),
    ],
)
def test_what_a_url_says_reaches_the_driver(url: str, expected: dict[str, Any]) -> None:
    place = place_of(url)
    assert connector(url)
    options = dict(place.options)
    options.pop("connection_class", None)
    host, port = expected.pop("host", None), expected.pop("port", 6379)
    assert place.addresses == ((Address(host, port),) if host else ())
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
        ("rediss://h?ssl_keyfile=/etc/key.pem", "ssl_keyfile needs ssl_certfile"),
        ("http://localhost", "begin with redis://"),
        ("redis://localhost:port", "."),
        ("", "."),
    ],
)
def test_what_the_driver_would_pass_over_or_stumble_on_is_refused_before_anything_is_connected(
    url: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        connector(url)
    assert "\n" not in str(caught.value)


def test_the_service_says_which_setting_it_was() -> None:
    settings = Settings(redis_url="redis://h?socket_timeout=x", secret_key="k" * 32)
    with pytest.raises(SettingsError, match=r"^TOKENS_REDIS_URL: take the option 'socket_timeout' away; .*[^.]$"):
        create_app(settings)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            "ssl_ca_certs={0}/none.pem",
            "ssl_ca_certs is '{0}/none.pem', which cannot be read: No such file or directory",
        ),
        ("ssl_ca_certs={0}", "ssl_ca_certs is '{0}', which cannot be read: Is a directory"),
        ("ssl_ca_path={0}/none", "ssl_ca_path is '{0}/none', which cannot be read: No such file or directory"),
        ("ssl_ca_path={0}/empty", "ssl_ca_path is '{0}/empty', which cannot be read: Not a directory"),
        (
            "ssl_certfile={0}/none.pem",
            "ssl_certfile is '{0}/none.pem', which cannot be read: No such file or directory",
        ),
        (
            "ssl_certfile={0}/certificate.pem&ssl_keyfile={0}/none.pem",
            "ssl_keyfile is '{0}/none.pem', which cannot be read: No such file or directory",
        ),
        ("ssl_ca_certs={0}/empty", f"its ssl_ options cannot be used: no certificate or crl found; {PEM}"),
        ("ssl_ca_certs={0}/key.pem", f"its ssl_ options cannot be used: no certificate or crl found; {PEM}"),
        ("ssl_certfile={0}/certificate.pem", f"its ssl_ options cannot be used: pem lib; {PEM}"),
        ("ssl_ciphers=none", f"its ssl_ options cannot be used: no cipher can be selected; {PEM}"),
    ],
)
@pytest.mark.parametrize("servers", ["rediss://h", "rediss+sentinel://h/NAME", "rediss+cluster://h"])
def test_files_of_tls_that_cannot_be_used_refuse_the_start_and_are_named(
    tmp_path: Path, servers: str, options: str, reason: str
) -> None:
    """They were taken for a Redis that is away, which is waited for."""
    self_signed(tmp_path, "h")
    (tmp_path / "empty").touch()
    with pytest.raises(SettingsError) as caught:
        create_app(Settings(redis_url=f"{servers}?{options.format(tmp_path)}", secret_key="k" * 32))
    assert str(caught.value) == f"TOKENS_REDIS_URL: {reason.format(tmp_path)}"


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (
            "redis+sentinel://a:1,b,[::1]:2/NAME",
            (Topology.SENTINEL, (("a", 1), ("b", 26379), ("::1", 2)), {}, "NAME", {}),
        ),
        (
            "valkey+sentinel://u:p%40@a/NAME/3?sentinel_username=s&sentinel_password=t",
            (
                Topology.SENTINEL,
                (("a", 26379),),
                {"username": "u", "password": "p@", "db": 3},
                "NAME",
                {"username": "s", "password": "t"},
            ),
        ),
        ("redis+cluster://:p@a:1,b", (Topology.CLUSTER, (("a", 1), ("b", 6379)), {"password": "p"}, "", {})),
        ("valkey://a", (Topology.ONE, (("a", 6379),), {}, "", {})),
    ],
)
def test_a_group_of_servers_is_taken_apart(url: str, place: tuple[Any, ...]) -> None:
    assert place_of(url) == place


@pytest.mark.parametrize(
    "url", ["rediss+sentinel://a/NAME?ssl_cert_reqs=none", "valkeys+sentinel://a/NAME?ssl_cert_reqs=none"]
)
def test_sentinels_are_asked_by_tls_as_the_servers_are(url: str) -> None:
    place = place_of(url)
    assert place.options == place.sentinel_options
    assert place.options["connection_class"] is SSLConnection


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis+sentinel://a:1,b:2", "the name of the primary is missing, as in redis"),
        ("redis+cluster://a/1", "a cluster has one database"),
        ("redis+cluster://a?sentinel_password=hunter2", "needs a URL that begins with redis\\+sentinel"),
        ("redis+cluster://:hunter2@a:x,b", "its port is no number"),
        ("redis+cluster://:hunter2@a,b..c", "its host is none"),
        (f"redis://:hunter2@{'a' * 64}", "its host is none"),
        ("redis+other://a", "begin with redis://"),
    ],
)
def test_a_group_of_servers_that_cannot_be_used_is_refused_without_its_password(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        place_of(url)
    assert "hunter2" not in str(caught.value)


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
    with pytest.raises(ValueError, match=r"\w"):
        place_of(url)


@pytest.mark.parametrize("url", ["redis://:pass#word@h", "redis://:pass/word@h", "redis://:pass?word@h"])
def test_a_password_that_breaks_its_url_is_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="%23") as caught:
        place_of(url)
    assert not re.search("pass#|'pass'|word@", str(caught.value))
