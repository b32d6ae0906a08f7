"""Protection against SSRF (server-side request forgery): the URLs and addresses that a webhook may be sent to.

A service that posts to a URL from a client could be made to call what only the service can reach. So the address is
checked after each resolution of the name, and the connection goes to exactly that address.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import NamedTuple
from urllib.parse import urlsplit

from service.addresses import bracketed, is_in, read_address, read_networks
from service.errors import wrong

# Returns the addresses of a host name; raises OSError.
Resolve = Callable[[str, int], Awaitable[list[str]]]
_LONGEST = 2048
_RESOLVE_SECONDS = 2.0
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?\.?"
# RFC 6761 (localhost), RFC 6762 (local, and the names of its appendix G), RFC 8375 (home.arpa).
_LOCAL_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home.arpa", "corp", "private")
_NOT_FOR_US = read_networks(
    (
        # Private, and shared by a carrier.
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
        # This host, loopback, and link-local, where metadata services are.
        *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16"),
        # For protocols, relays, benchmarks and documentation.
        *("192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),
        # Multicast and reserved.
        *("224.0.0.0/4", "240.0.0.0/4"),
        # Outside all of these: the address of a cloud platform's own service.
        "168.63.129.16/32",
        # IPv6: for protocols, documentation, relays to IPv4, and more documentation.
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
)
# Everything that IANA has assigned to networks of the Internet so far.
_UNICAST = IPv6Network("2000::/3")
# NAT64 (RFC 6052): the last 32 bits are an IPv4 address.
_TRANSLATED = IPv6Network("64:ff9b::/96")


class Destination(NamedTuple):
    """A URL, ready to connect to. `host` is a name or an address, without brackets."""

    secure: bool
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        host = bracketed(self.host)
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


class Destinations:
    """Where webhooks may go. `resolve` returns a name's addresses; `allow_private` allows any address."""

    def __init__(self, resolve: Resolve, *, allow_private: bool) -> None:
        self.resolve = resolve
        self._allow_private = allow_private

    def read(self, url: str) -> Destination:
        """Parse a URL. Raises InvalidRequest if webhooks may not go there."""
        return read_url(url, allow_private=self._allow_private)

    async def addresses(self, destination: Destination) -> list[str]:
        """The addresses that may be connected to, none if all are forbidden. Raises OSError."""
        found = await self.resolve(destination.host, destination.port)
        return [address for address in found if self._allow_private or is_public(address)]

    async def check(self, url: str) -> Destination:
        """Resolve the URL's name now; a name without an address yet is checked when it is used.

        Raises InvalidRequest, also if one of the name's addresses is not public.
        """
        destination = self.read(url)
        if self._allow_private:
            return destination
        try:
            async with asyncio.timeout(_RESOLVE_SECONDS):
                found = await self.resolve(destination.host, destination.port)
        except OSError:  # a time-out is one too
            return destination
        if not all(map(is_public, found)):
            raise wrong("url", "this name leads to a private, local or reserved address")
        return destination


# Cached, because each message needs it, and parsing took a tenth of a message's time.
@lru_cache(64)
def read_url(url: str, *, allow_private: bool) -> Destination:
    """Parse a URL. Raises InvalidRequest if its form or its name is not allowed for webhooks."""
    if len(url) > _LONGEST or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise wrong("url", "give an absolute https URL in ASCII")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise wrong("url", "give an absolute https URL") from None
    if parts.scheme != "https" and not (allow_private and parts.scheme == "http"):
        raise wrong("url", "only https is allowed")
    if "@" in parts.netloc or parts.fragment or port == 0:
        raise wrong("url", "leave out user names, fragments and port 0")
    host = (parts.hostname or "").rstrip(".")
    is_v6 = isinstance(read_address(host), IPv6Address) and "%" not in host
    if not (is_v6 if "[" in parts.netloc else re.fullmatch(_HOST, host)):
        raise wrong("url", "the host is not a name or an address")
    if not allow_private:
        _refuse_local(host)
    secure = parts.scheme == "https"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(secure, host, port or (443 if secure else 80), target)


def is_public(address: str) -> bool:
    """True if a webhook may go to this address. An IPv6 address that embeds an IPv4 address is checked by that."""
    ip = read_address(address)
    if ip is None:
        return False
    if isinstance(ip, IPv6Address):
        hidden = ip.ipv4_mapped or (IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _TRANSLATED else None)
        if hidden is not None:
            return is_public(str(hidden))
        # What is not global unicast today may be assigned to anything tomorrow.
        if ip not in _UNICAST or ip.scope_id is not None:
            return False
    return not is_in(ip, _NOT_FOR_US)


def _refuse_local(host: str) -> None:
    """Raises InvalidRequest for an address that is not public, in any notation, and for names that mean one."""
    try:
        # Also 127.1, 0x7f000001 and 017700000001, which a resolver takes as addresses.
        literal = host if ":" in host else socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        name = host.lower()
        if "." not in name or name.endswith(tuple(f".{local}" for local in _LOCAL_NAMES)):
            raise wrong("url", "this name is a local one") from None
        return
    if not is_public(literal):
        raise wrong("url", "this address is private, local or reserved")
