"""Addresses and networks: read, compared, and counted as one client's. No I/O.

Where a request comes from is decided in `api/http/proxies.py`, where a webhook may go in `tokens/webhooks/ssrf.py`.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_REMEMBERED = 4096
# By version: what one client has for sure, and what one site is given.
_GROUP_LENGTHS = {4: (32, 24), 6: (64, 48)}


def read_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """The networks of these texts (CIDR or single addresses), IPv4 inside IPv6 as IPv4. Raises ValueError."""
    return tuple(_read_network(text.strip()) for text in texts)


def as_written(text: str) -> str | None:
    """The normal form of a network or single address whose address is in its own already; None where one must be read.

    Told in a tenth of the time in which one is read and written: a line of an import may have fifty of them.
    """
    address, slash, length = text.partition("/")
    family, bits = (AF_INET6, 128) if ":" in address else (AF_INET, 32)
    length = length if slash else str(bits)
    try:
        packed, prefix = inet_pton(family, address), int(length)
    except (OSError, ValueError):
        return None
    if not 0 <= prefix <= bits or str(prefix) != length or (family == AF_INET6 and "." in address):
        return None
    has_host = int.from_bytes(packed, "big") & ((1 << (bits - prefix)) - 1)
    return None if has_host or inet_ntop(family, packed) != address else f"{address}/{length}"


def _read_network(text: str) -> Network:
    if "%" in text:
        raise ValueError(f"{text!r} names a zone, which means something on one machine alone")
    network = ip_network(text)
    if network.version == 6 and network.prefixlen >= 96 and network.network_address.ipv4_mapped is not None:
        return IPv4Network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    return network


def read_address(text: str) -> Address | None:
    """The address, None for what is none: a proxy may forward anything."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def read_hosts(text: str) -> list[str]:
    """The hosts of a list with commas, as they are resolved: an IPv6 address may stand in brackets, as in a URL."""
    parts = [part for part in map(str.strip, text.split(",")) if part]
    return [part[1:-1] if part.startswith("[") and part.endswith("]") else part for part in parts]


def is_host(text: str) -> bool:
    """Can this be a host? A name with a part that is empty or too long is no OSError to those who resolve it."""
    # A colon makes an IPv6 address, or a port, which is no part of a host.
    return bool(resolved_by(text)) and (":" not in text or read_address(text) is not None)


def resolved_by(host: str) -> bytes:
    """What a host is resolved by; nothing for what can be none."""
    if host.isascii():
        # As IDNA has it (RFC 3490, 4.1): Python loads its tables for any text, which are 0.3 MiB of every process.
        return host.encode() if all(0 < len(label) < 64 for label in host.removesuffix(".").split(".")) else b""
    try:
        return host.encode("idna")
    except UnicodeError:
        return b""


def bracketed(host: str) -> str:
    """The host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def unmapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 one embeds (::ffff:192.0.2.1), else the address itself."""
    if address.version == 6 and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def is_within(networks: tuple[Network, ...], allowed: tuple[Network, ...]) -> bool:
    """Does every network lie wholly in one of those allowed? None at all means anywhere, on either side."""
    if not allowed:
        return True
    # No network is anywhere, which lies within nothing.
    return bool(networks) and all(any(_is_part(network, of) for of in allowed) for network in networks)


def _is_part(network: Network, of: Network) -> bool:
    return network.version == of.version and network[0] in of and network[-1] in of


@lru_cache(_REMEMBERED)
def address_groups(address: str) -> tuple[str, str]:
    """Who shares a counter with this address, from near and from farther.

    An IPv4 address stands alone and in its /24. An IPv6 address is one of 2^64 that a single host may take, so it
    counts by its /64, and in the /48 that a site is given. An IPv4 address inside IPv6 counts as IPv4.
    """
    # A zone belongs to this machine and is no part of who the client is.
    parsed = read_address(address.partition("%")[0])
    if parsed is None:
        return address, address
    parsed = unmapped(parsed)
    near, far = (str(ip_network((parsed, length), strict=False)) for length in _GROUP_LENGTHS[parsed.version])
    return near, far
