"""The URL of Redis: what of it the driver would pass over, or stumble on later, is refused at once."""

from __future__ import annotations

from ssl import TLSVersion
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from redis.asyncio.connection import parse_url

# What may stand behind the question mark; the rest of what the driver knows is the service's own affair.
_OPTIONS = ("db", "username", "password", "socket_keepalive")
_TLS_OPTIONS = (
    "ssl_ca_certs",
    "ssl_ca_data",
    "ssl_ca_path",
    "ssl_cert_reqs",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_ciphers",
    "ssl_keyfile",
    "ssl_min_version",
    "ssl_password",
)
_CERTIFICATES_ASKED_FOR = ("none", "optional", "required")
_TLS_VERSIONS = {TLSVersion.TLSv1_2.value: "TLS 1.2", TLSVersion.TLSv1_3.value: "TLS 1.3"}


def options_of(url: str) -> dict[str, Any]:
    """What the driver's connections take, by name, and their class as `connection_class`.

    Raises ValueError with a line that says what to write, and repeats no value: one may be a password.
    """
    parts = urlsplit(url)
    _check_names(parts)
    options: dict[str, Any] = dict(parse_url(url))
    _check_place(parts, options)
    _check_tls(options)
    return options


def _check_names(parts: SplitResult) -> None:
    known = _OPTIONS + _TLS_OPTIONS if parts.scheme == "rediss" else _OPTIONS
    for name in parse_qs(parts.query, keep_blank_values=True):
        if name in known:
            continue
        if name in _TLS_OPTIONS:
            raise ValueError(f"the option {name} needs a URL that begins with rediss://")
        raise ValueError(f"take the option {name[:40]!r} away; there are {', '.join(known)}")


def _check_place(parts: SplitResult, options: dict[str, Any]) -> None:
    if parts.scheme == "unix":
        if not options.get("path"):
            raise ValueError("the path of the socket is missing; write it as in unix:///run/redis.sock")
    elif parts.path not in ("", "/") and not parts.path.removeprefix("/").isdecimal():
        raise ValueError("behind the host comes the number of a database, as in redis://host:6379/0, or nothing")
    if options.get("db", 0) < 0:
        raise ValueError("the number of the database is below 0")


def _check_tls(options: dict[str, Any]) -> None:
    if options.get("ssl_cert_reqs", "required") not in _CERTIFICATES_ASKED_FOR:
        raise ValueError(f"ssl_cert_reqs is one of {', '.join(_CERTIFICATES_ASKED_FOR)}")
    if options.get("ssl_min_version", TLSVersion.TLSv1_2.value) not in _TLS_VERSIONS:
        known = ", ".join(f"{number} ({name})" for number, name in _TLS_VERSIONS.items())
        raise ValueError(f"ssl_min_version is one of {known}")
