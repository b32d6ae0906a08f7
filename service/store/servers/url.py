"""The URL of Redis: parts that redis-py would ignore, or fail on later, are refused at once."""

import re
from collections.abc import Mapping
from enum import StrEnum
from ssl import TLSVersion
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from redis.asyncio.connection import parse_url

from service.addresses import bracketed, is_host

# Options that a URL may have; the service itself sets the other options of redis-py.
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
_SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")
_CERTIFICATES_ASKED_FOR = ("none", "optional", "required")
# RFC 8996 forbids earlier versions.
_TLS_VERSIONS = {TLSVersion.TLSv1_2.value: "TLS 1.2", TLSVersion.TLSv1_3.value: "TLS 1.3"}
_URL = re.compile(r"(?P<scheme>(?:redis|valkey)s?(?:\+(?P<topology>sentinel|cluster))?|unix)://(?P<rest>.*)", re.DOTALL)
_AUTHORITY = re.compile(r"(?:(?P<user>[^/?#]*)@)?(?P<hosts>[^/?#@]*)(?P<path>/[^?#]*)?(?P<query>\?.*)?", re.DOTALL)

_ESCAPES = "write @ : / ? # [ ] in a password as %40 %3A %2F %3F %23 %5B %5D"


class Topology(StrEnum):
    """What a URL names: one server, the sentinels of a primary, or a cluster."""

    ONE = "one"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


class Address(NamedTuple):
    """A host, by name or by number, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{bracketed(self.host)}:{self.port}"


class Place(NamedTuple):
    """A parsed URL. `options` are those of a connection, by redis-py's names; a unix socket has no address."""

    topology: Topology
    addresses: tuple[Address, ...]
    options: dict[str, Any]
    primary_name: str = ""
    # Read-only, because all instances share this default.
    sentinel_options: Mapping[str, Any] = MappingProxyType({})


def place_of(url: str) -> Place:
    """Parse a URL.

    Raises ValueError with a line that says what to write. It repeats no value, because that may be a password.
    """
    if (whole := _URL.fullmatch(url)) is None:
        raise ValueError("begin with redis://, rediss://, redis+sentinel://, redis+cluster:// or unix://")
    topology = Topology(whole["topology"] or "one")
    # redis-py knows only the schemes of Redis.
    scheme = whole["scheme"].partition("+")[0].replace("valkey", "redis")
    if (parts := _AUTHORITY.fullmatch(whole["rest"])) is None:
        raise ValueError(f"its password holds characters that end it; {_ESCAPES}")
    # Before redis-py sees the URL: if a password is cut off at one of its characters, redis-py would repeat the rest.
    addresses = _addresses(topology, scheme, parts["hosts"])
    name, path = _name_and_path(topology, parts["path"] or "")
    options, of_sentinels = _query(topology, scheme, (parts["query"] or "?")[1:])
    user = f"{parts['user']}@" if parts["user"] else ""
    # redis-py reads one host: several are read here, and it gets a name that stands for them.
    host = parts["hosts"] if topology is Topology.ONE else "several"
    known: dict[str, Any] = dict(parse_url(f"{scheme}://{user}{host}{path}?{urlencode(options)}"))
    _check_place(scheme, path, known)
    _check_tls(known)
    for given in ("host", "port"):
        known.pop(given, None)
    if topology is Topology.CLUSTER and known.get("db"):
        raise ValueError("a cluster has one database: take its number away")
    if topology is not Topology.SENTINEL:
        return Place(topology, addresses, known)
    tls = {option: value for option, value in known.items() if option.startswith(("ssl_", "connection_class"))}
    return Place(topology, addresses, known, name, tls | of_sentinels)


def _name_and_path(topology: Topology, path: str) -> tuple[str, str]:
    if topology is not Topology.SENTINEL:
        return "", path
    name, _, database = path.removeprefix("/").partition("/")
    if not name:
        raise ValueError("the name of the primary is missing, as in redis+sentinel://host:26379,host2:26379/NAME")
    return unquote(name), f"/{database}" if database else ""


def _query(topology: Topology, scheme: str, query: str) -> tuple[dict[str, str], dict[str, str]]:
    """The options of the servers, and those of the sentinels without the prefix `sentinel_`."""
    known = _OPTIONS + (_TLS_OPTIONS if scheme == "rediss" else ())
    known += _SENTINEL_OPTIONS if topology is Topology.SENTINEL else ()
    # Blank values are kept: otherwise a misspelled option without a value would go unnoticed.
    given = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
    for name in given:
        if name in known:
            continue
        if name in _TLS_OPTIONS:
            raise ValueError(f"the option {name} needs a URL that begins with rediss:// or rediss+")
        if name in _SENTINEL_OPTIONS:
            raise ValueError(f"the option {name} needs a URL that begins with redis+sentinel://")
        raise ValueError(f"take the option {name[:40]!r} away; there are {', '.join(known)}")
    ours = {name: value for name, value in given.items() if name not in _SENTINEL_OPTIONS}
    return ours, {name.removeprefix("sentinel_"): given[name] for name in _SENTINEL_OPTIONS if name in given}


def _addresses(topology: Topology, scheme: str, hosts: str) -> tuple[Address, ...]:
    if scheme == "unix":
        return ()
    default = 26379 if topology is Topology.SENTINEL else 6379
    return tuple(_address(host, default) for host in (hosts.split(",") if topology is not Topology.ONE else [hosts]))


def _address(text: str, default: int) -> Address:
    try:
        parts = urlsplit(f"//{text}")
        # A missing host means this machine, as in redis-py.
        found = Address(unquote(parts.hostname or "localhost"), parts.port or default)
    except ValueError:
        # The reason would repeat a part of the URL, which may be a part of its password.
        raise ValueError(f"its port is no number up to 65535, or an address in [ ] is wrong; {_ESCAPES}") from None
    if not is_host(found.host):
        raise ValueError("its host is none: a part of it is empty, or longer than 63 characters")
    return found


def _check_place(scheme: str, path: str, options: dict[str, Any]) -> None:
    if scheme == "unix":
        if not options.get("path"):
            raise ValueError("the path of the socket is missing; write it as in unix:///run/redis.sock")
    elif path not in ("", "/") and not path.removeprefix("/").isdecimal():
        raise ValueError("behind the host comes the number of a database, as in redis://host:6379/0, or nothing")
    if options.get("db", 0) < 0:
        raise ValueError("the number of the database is below 0")


def _check_tls(options: dict[str, Any]) -> None:
    if options.get("ssl_cert_reqs", "required") not in _CERTIFICATES_ASKED_FOR:
        raise ValueError(f"ssl_cert_reqs is one of {', '.join(_CERTIFICATES_ASKED_FOR)}")
    if "ssl_keyfile" in options and "ssl_certfile" not in options:
        raise ValueError("ssl_keyfile needs ssl_certfile")
    if options.get("ssl_min_version", TLSVersion.TLSv1_2.value) not in _TLS_VERSIONS:
        known = ", ".join(f"{number} ({name})" for number, name in _TLS_VERSIONS.items())
        raise ValueError(f"ssl_min_version is one of {known}")
