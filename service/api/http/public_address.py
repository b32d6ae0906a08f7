"""The address under which a client reaches the service, for absolute URLs, cookies and the origin check.

TOKENS_PUBLIC_URL sets it. Otherwise trusted proxies may report it, and any other Host counts only if it names this
machine: a Host that a client makes up gets into no URL.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

import msgspec

from service.addresses import read_address
from service.api.http.proxies import TrustedProxies

if TYPE_CHECKING:
    from service.api.http.call import Call

# Where clients ask for an issuer's metadata; the issuer's path, if any, follows (RFC 8414, 3.1).
METADATA = "/.well-known/oauth-authorization-server"

_PORTS = {"http": "80", "https": "443"}
_HOST = r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?"
_PREFIX = r"(?:/[A-Za-z0-9._~-]+)*"
_URL = rf"(?i)(?P<scheme>https?)://(?P<host>{_HOST})(?P<prefix>{_PREFIX})/?"


class BaseUrl(msgspec.Struct, frozen=True):
    """Scheme and host in lower case, the host without the scheme's default port; `prefix` is a path without its last
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
        """True for a name of the browser's own machine, to which plain http is safe."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        return self.origin + self.prefix


def read_base_url(text: str) -> BaseUrl:
    """Reads a URL like `https://example.com/tokens`. Raises ValueError for anything else."""
    found = re.fullmatch(_URL, text)
    host = host_of(found["host"], found["scheme"].lower()) if found else None
    if found is None or host is None or not is_prefix(found["prefix"]):
        raise ValueError("write it like https://example.com or https://example.com/tokens")
    return BaseUrl(found["scheme"].lower(), host, found["prefix"])


def host_of(text: str, scheme: str) -> str | None:
    """A host in the form of `BaseUrl`, None if the text is not a host."""
    found = re.fullmatch(_HOST, text.lower())
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
    # Browsers leave out a scheme's default port, and a proxy may add it.
    return f"{name}:{port}" if port and port != _PORTS[scheme] else name


def is_prefix(text: str) -> bool:
    """True for a valid path prefix. It appears in pages and cookies, so few characters are allowed, and no `..`."""
    return bool(re.fullmatch(_PREFIX, text)) and not {".", ".."} & set(text.split("/"))


def is_loopback(host: str) -> bool:
    """True for `localhost`, a name below it, 127.0.0.0/8 or [::1], with or without a port."""
    name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    address = read_address(name)
    # Names below `localhost` are loopback as well (RFC 6761, 6.3).
    return address.is_loopback if address else name == "localhost" or name.endswith(".localhost")


class PublicAddress:
    """Finds the service's address for a request."""

    def __init__(self, configured: BaseUrl | None, trusted: TrustedProxies) -> None:
        self.configured = configured
        self._trusted = trusted

    def of(self, call: Call) -> BaseUrl:
        """The address for documents and absolute URLs."""
        if self.configured is not None:
            return self.configured
        scheme = self._scheme(call)
        host = self.host(call, scheme)
        if host is None or not (self._is_proxied(call) or is_loopback(host)):
            host = _socket_of(call, scheme)
        return BaseUrl(scheme, host, self.prefix(call))

    def prefix(self, call: Call) -> str:
        """The path before this service's own, for links and cookies; often empty."""
        if self.configured is not None:
            return self.configured.prefix
        given = self._said(call, b"x-forwarded-prefix").rstrip("/")
        return given if is_prefix(given) else ""

    def seen(self, call: Call) -> BaseUrl:
        """The address as the browser sees it, as far as this request shows; for comparison with its other fields."""
        scheme = self._scheme(call)
        return BaseUrl(scheme, self.host(call, scheme) or "", self.prefix(call))

    def host(self, call: Call, scheme: str) -> str | None:
        """The host as the client names it, without the scheme's default port; None if it is invalid."""
        said = self._said(call, b"x-forwarded-host") or self._forwarded(call, "host") or call.text_header(b"host")
        return host_of(said, scheme)

    def _scheme(self, call: Call) -> str:
        said = (self._said(call, b"x-forwarded-proto") or self._forwarded(call, "proto")).lower()
        return said if said in ("http", "https") else str(call.scope["scheme"])

    def _is_proxied(self, call: Call) -> bool:
        client = call.scope.get("client")
        return self._trusted.trusts(client[0] if client else "")

    def _said(self, call: Call, name: bytes) -> str:
        """What the nearest proxy says: the last part of the last line; empty unless the proxy is trusted."""
        if not self._is_proxied(call):
            return ""
        lines = [value for field, value in call.scope["headers"] if field == name]
        return lines[-1].rpartition(b",")[2].strip().decode("latin-1") if lines else ""

    def _forwarded(self, call: Call, name: str) -> str:
        """A parameter of the nearest proxy's `Forwarded` field (RFC 7239), empty without it."""
        for pair in self._said(call, b"forwarded").split(";"):
            key, _, value = pair.partition("=")
            if key.strip().lower() == name:
                return value.strip().strip('"')
        return ""


def _socket_of(call: Call, scheme: str) -> str:
    """The address that the connection came to; `localhost` for a unix socket."""
    address, port = call.scope.get("server") or ("", None)
    if port is None:
        return "localhost"
    return host_of(f"[{address}]:{port}" if ":" in address else f"{address}:{port}", scheme) or "localhost"
