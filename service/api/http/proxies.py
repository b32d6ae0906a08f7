"""The proxies between clients and the service: which peers are trusted, and which client they speak for."""

from collections.abc import Iterable
from functools import lru_cache

from service.addresses import is_in, read_address, read_networks, unmapped

_REMEMBERED = 4096
# A client may make the X-Forwarded-For line, or one entry of it, as long as a head may be. A long line is parsed each
# time and not cached, and a long entry is no address.
_LONGEST_REMEMBERED = 128


class TrustedProxies:
    """Networks of trusted proxies, which may report a client's address; false if there are none.

    The results for an address and for a short line never change, so recent ones are cached.
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """`networks`: CIDR or single addresses. Raises ValueError for anything else."""
        self._networks = read_networks(networks)
        # Not decorators: those would share one cache among all instances, and keep the instances alive.
        self.trusts = lru_cache(_REMEMBERED)(self._trusts)
        self.recent = lru_cache(_REMEMBERED)(self._client)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def _trusts(self, address: str) -> bool:
        """True if the address is trusted. A unix socket's peer, which has none, is trusted if there is any network."""
        if not address:
            return bool(self._networks)
        parsed = read_address(address)
        return parsed is not None and is_in(unmapped(parsed), self._networks)

    def client_of(self, peer: tuple[str, int] | None, forwarded: bytes | None) -> str:
        """The client's address: the right-most untrusted one in X-Forwarded-For, else the peer's own.

        `peer` is None for a unix socket. Empty if the address cannot be known.
        """
        address = peer[0] if peer else ""
        if not forwarded or not self.trusts(address):
            return address
        return self.forwarded(forwarded)

    def forwarded(self, hops: bytes) -> str:
        """The client's address in an X-Forwarded-For line that a trusted proxy sent."""
        return (self.recent if len(hops) <= _LONGEST_REMEMBERED else self._client)(hops)

    def _client(self, forwarded: bytes) -> str:
        hops = forwarded.decode("latin-1").split(",")
        address = ""
        # From the right: each proxy appends its entry there, and the client may have made up everything before.
        for hop in reversed(hops):
            address = _without_port(hop.strip())
            if len(address) > _LONGEST_REMEMBERED or not self.trusts(address):
                break
        return address


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    # One colon precedes a port: an IPv6 address has at least two.
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
