"""A credential whose MAC was checked: decoded once and evaluated again while Redis returns the same bytes."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from service.model import Credential, Outcome, Verdict


class DecodedCredential:
    """One record as Redis returned it, decoded. `answer` is the gateway's prepared answer, kept beside it.

    `seal` tells this record from any other that may take its place.
    `allowed`, `denied`, `used_at`, `address` and `agent` gather its use until the next flush.
    """

    __slots__ = (
        "_networks",
        "_prefixes",
        "_scopes",
        "active",
        "address",
        "agent",
        "allowed",
        "answer",
        "credential",
        "denied",
        "digest",
        "limited",
        "seal",
        "used_at",
    )

    def __init__(self, digest: bytes, credential: Credential, seal: bytes = b"") -> None:
        self.digest = digest
        self.seal = seal
        self.credential = credential
        self.limited = credential.rate_limit is not None or credential.max_uses > 0
        self.active = Verdict(Outcome.ACTIVE, credential)
        self.answer: bytes | None = None
        self.allowed = self.denied = 0
        self.used_at = 0.0
        self.address = ""
        self.agent = b""
        self._scopes = frozenset(credential.scopes)
        self._prefixes = tuple(scope[:-1] for scope in credential.scopes if scope.endswith("*"))
        self._networks: tuple[IPv4Network | IPv6Network, ...] = tuple(map(ip_network, credential.networks))

    def missing(self, required: tuple[str, ...]) -> tuple[str, ...]:
        """The required scopes that are not covered; `orders:*` covers `orders:read`."""
        return tuple(scope for scope in required if scope not in self._scopes and not scope.startswith(self._prefixes))

    def admits(self, address: str) -> bool:
        """May the token be used from this address? An unknown address is outside every network."""
        if not self._networks:
            return True
        try:
            client = ip_address(address)
        except ValueError:
            return False
        if client.version == 6 and client.ipv4_mapped is not None:
            client = client.ipv4_mapped
        return any(client.version == network.version and client in network for network in self._networks)

    @property
    def is_plain(self) -> bool:
        """Nothing but time can refuse it: no limit, no networks."""
        return not self.limited and not self._networks
