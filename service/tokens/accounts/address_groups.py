"""Which addresses count as one client where guesses and issues are counted. No I/O."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

_PREFIXES = {4: (32, 24), 6: (64, 48)}


def address_groups(address: str) -> tuple[str, str]:
    """Who shares a counter with this address, from near and from farther.

    An IPv4 address stands alone and in its /24. An IPv6 address is one of 2^64 that a single host may take, so it
    counts by its /64, and in the /48 that a site is given. An IPv4 address inside IPv6 counts as IPv4.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address, address
    if parsed.version == 6 and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    near, far = (str(ip_network((parsed, length), strict=False)) for length in _PREFIXES[parsed.version])
    return near, far
