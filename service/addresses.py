"""Addresses and networks: parse, compare, and group those of one client. No I/O.

`api/http/proxies.py` decides where a request comes from, `tokens/webhooks/ssrf.py` where a webhook may go.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_REMEMBERED = 4096
# By IP version: the prefix that surely is one client, and the prefix that one site is given.
_GROUP_LENGTHS = {4: (32, 24), 6: (64, 48)}


def read_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """The networks of these texts (CIDR or single addresses); IPv4 inside IPv6 as IPv4. Raises ValueError."""
    return tuple(_read_network(text.strip()) for text in texts)


def as_written(text: str) -> str | None:
    """The normal form of a network or address whose address already is in its normal form; None if it must be parsed.

    Ten times as fast as parsing and writing it: a line of an import may have fifty of them.
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
    """The address, None for any other text: a proxy may forward anything."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def read_hosts(text: str) -> list[str]:
    """The hosts of a comma-separated list, ready to be resolved: IPv6 addresses without the brackets of a URL."""
    parts = [part for part in map(str.strip, text.split(",")) if part]
    return [part[1:-1] if part.startswith("[") and part.endswith("]") else part for part in parts]


def is_host(text: str) -> bool:
    """True if this can be a host. Resolving a name with an empty or too long label would not raise OSError."""
    # A colon means an IPv6 address, or a port, which does not belong to a host.
    return bool(resolved_by(text)) and (":" not in text or read_address(text) is not None)


def resolved_by(host: str) -> bytes:
    """The bytes to resolve a host by; empty if it cannot be a host."""
    if host.isascii():
        # The rule of IDNA (RFC 3490, 4.1). Python's codec loads tables of 0.3 MiB even for ASCII.
        return host.encode() if all(0 < len(label) < 64 for label in host.removesuffix(".").split(".")) else b""
    try:
        return host.encode("idna")
    except UnicodeError:
        return b""


def bracketed(host: str) -> str:
    """The host in the form it has in a URL."""
    return f"[{host}]" if ":" in host else host


def unmapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 one embeds (::ffff:192.0.2.1), else the address itself."""
    if address.version == 6 and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def is_within(networks: tuple[Network, ...], allowed: tuple[Network, ...]) -> bool:
    """True if every network lies in one of the allowed ones. An empty tuple means anywhere, on either side."""
    if not allowed:
        return True
    # An empty `networks` means anywhere, which lies within no network.
    return bool(networks) and all(any(_is_part(network, of) for of in allowed) for network in networks)


def _is_part(network: Network, of: Network) -> bool:
    return network.version == of.version and network[0] in of and network[-1] in of


@lru_cache(_REMEMBERED)
def address_groups(address: str) -> tuple[str, str]:
    """The near and the wider group of addresses that share a counter with this address.

    An IPv4 address is alone in the near group and shares its /24. A host may use any of the 2^64 addresses of an IPv6
    /64, so the groups are the /64 and the /48 that a site is given. An IPv4 address inside IPv6 counts as IPv4.
    """
    # A zone has a meaning only on this machine and does not identify a client.
    parsed = read_address(address.partition("%")[0])
    if parsed is None:
        return address, address
    parsed = unmapped(parsed)
    near, far = (str(ip_network((parsed, length), strict=False)) for length in _GROUP_LENGTHS[parsed.version])
    return near, far
