"""How many connections may be open: in all, so that descriptors are left for everything else, and from one address."""

import os
import resource

from service.addresses import address_groups
from service.api.http.proxies import TrustedProxies
from service.edge.head import Refusal

# An eighth of all descriptors, but at least so many, are left for Redis, webhooks, files and closing connections.
_SPARE = 16
TOO_MANY = Refusal(503, "too_many_connections", "Too many connections from this address are open. Use fewer.")
ALL_BUSY = Refusal(503, "overloaded", "As many connections as this server can have are busy. Try again.")


class ConnectionLimits:
    """Counts the open connections of a process by the address they come from."""

    def __init__(self, trusted: TrustedProxies, *, per_address: int, in_all: int | None = None) -> None:
        """`per_address` 0 is no limit; `in_all` is what the descriptors allow unless it is given."""
        self._trusted = trusted
        self._per_address = per_address
        self._in_all = in_all
        self._open: dict[str, int] = {}

    def room_for(self, connections: int) -> bool:
        """True if so many connections may be open at once."""
        if self._in_all is None:
            # Measured at the first connection, when all other long-lived descriptors are in use.
            self._in_all = _descriptors_left()
        return connections <= self._in_all

    def origin_of(self, address: str) -> str:
        """The name under which a connection from this address is counted: for IPv6 the /64, one customer's network.

        Empty for trusted proxies and unix sockets, which are not limited.
        """
        if not address or self._trusted.trusts(address):
            return ""
        return address_groups(address)[0]

    def enter(self, origin: str) -> bool:
        """Count a connection; False if there are too many. The caller must call `leave` in both cases."""
        if not origin:
            return True
        # Counted beyond the limit, too, because `leave` is called for every connection that was made.
        self._open[origin] = count = self._open.get(origin, 0) + 1
        return not self._per_address or count <= self._per_address

    def leave(self, origin: str) -> None:
        """A connection has ended."""
        if origin:
            self._open[origin] -= 1
            if not self._open[origin]:
                del self._open[origin]


def _descriptors_left() -> int:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    # /dev/fd and not /proc, which Linux alone has.
    return max(1, most - len(os.listdir("/dev/fd")) - max(_SPARE, most // 8))
