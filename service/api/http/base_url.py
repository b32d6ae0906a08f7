"""The address under which clients reach the service, and the parts of URLs that are compared with it. No I/O."""

import re
from ipaddress import IPv6Address
from typing import NamedTuple

from service.addresses import read_address

_PORTS = {"http": "80", "https": "443"}
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_URL = re.compile(rf"(?P<scheme>https?)://(?P<host>{_HOST.pattern})(?P<prefix>{_PREFIX.pattern})/?", re.IGNORECASE)


class BaseUrl(NamedTuple):
    """Scheme and host in small letters, the host without the scheme's usual port; `prefix` is a path without its last
    slash, or empty.
    """

    scheme: str
    host: str
    prefix: str = ""

    @property
    def origin(self) -> str:
        """As browsers write it (RFC 6454)."""
        return f"{self.scheme}://{self.host}"

    @property
    def is_loopback(self) -> bool:
        """Is this a name of the browser's own machine, to which plain http is safe?"""
        return is_loopback(self.host)

    def __str__(self) -> str:
        return self.origin + self.prefix


def read_base_url(text: str) -> BaseUrl:
    """`https://example.com/tokens`. Raises ValueError for anything else."""
    found = _URL.fullmatch(text)
    host = host_of(found["host"], found["scheme"].lower()) if found else None
    if found is None or host is None or not is_prefix(found["prefix"]):
        raise ValueError("write it like https://example.com or https://example.com/tokens")
    return BaseUrl(found["scheme"].lower(), host, found["prefix"])


def host_of(text: str, scheme: str) -> str | None:
    """A host as `BaseUrl` has it, None for what is none."""
    found = _HOST.fullmatch(text.lower())
    if found is None:
        return None
    name, port = found["name"], found["port"] or ""
    if port and int(port) > 65535:
        return None
    if name.startswith("["):
        try:
            IPv6Address(name[1:-1])
        except ValueError:
            return None
    # Browsers leave the usual port of a scheme out, and a proxy may add it.
    return f"{name}:{port}" if port and port != _PORTS[scheme] else name


def is_prefix(text: str) -> bool:
    """Is this a path before ours? It stands in pages and cookies, so a segment has few signs, and none climbs."""
    return bool(_PREFIX.fullmatch(text)) and not {".", ".."} & set(text.split("/"))


def is_loopback(host: str) -> bool:
    """`localhost`, a name below it, 127.0.0.0/8 or [::1], with a port or without."""
    name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    address = read_address(name)
    # Names below `localhost` are loopback as well (RFC 6761, 6.3).
    return address.is_loopback if address else name == "localhost" or name.endswith(".localhost")
