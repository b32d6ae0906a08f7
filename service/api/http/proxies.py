"""The proxies between clients and the service: which peers are believed, and which client they speak for."""

from collections.abc import Iterable
from functools import lru_cache

from service.addresses import is_in, read_address, read_networks, unmapped

_REMEMBERED = 4096
# A client may make the line its proxy adds to, and an entry of it, as long as a head may be. Such a line is worked out
# each time, and such an entry is no address.
_LONGEST_REMEMBERED = 128


class TrustedProxies:
    """Networks whose word on a client's address is believed; false where there are none.

    What an address is, and what a short line says, never changes, so recent answers are kept.
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """CIDR or single addresses. Raises ValueError for what is neither."""
        self._networks = read_networks(networks)
        # Not as decorators: one cache would serve all instances, and keep them alive.
        self.trusts = lru_cache(_REMEMBERED)(self._trusts)
        self.recent = lru_cache(_REMEMBERED)(self._client)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def _trusts(self, address: str) -> bool:
        """Does this address belong to one of them? A unix socket's peer has none and counts as one."""
        if not address:
            return bool(self._networks)
        parsed = read_address(address)
        return parsed is not None and is_in(unmapped(parsed), self._networks)

    def client_of(self, peer: tuple[str, int] | None, forwarded: bytes | None) -> str:
        """The client's address: the right-most one in X-Forwarded-For that none of them has, else the peer's own.

        `peer` is the connection's other end, None for a unix socket's; empty is what cannot be told.
        """
        address = peer[0] if peer else ""
        if not forwarded or not self.trusts(address):
            return address
        return self.forwarded(forwarded)

    def forwarded(self, hops: bytes) -> str:
        """The same of what one of them said."""
        return (self.recent if len(hops) <= _LONGEST_REMEMBERED else self._client)(hops)

    def _client(self, forwarded: bytes) -> str:
        hops = forwarded.decode("latin-1").split(",")
        address = ""
        # From the right: each proxy adds its entry there, and what was there before is whatever the client claimed.
        for hop in reversed(hops):
            address = _without_port(hop.strip())
            if len(address) > _LONGEST_REMEMBERED or not self.trusts(address):
                break
        return address


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    # One colon is before a port: an IPv6 address has two at least.
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
