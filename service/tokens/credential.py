"""A credential whose MAC was checked: decoded once and evaluated again while Redis returns the same bytes."""

from service.addresses import is_in, read_address, read_networks, unmapped
from service.model import Credential, Outcome, Verdict
from service.store.credentials import Terms


class GrantedScopes:
    """Which scopes a token permits; `orders:*` covers `orders:read`."""

    __slots__ = ("_prefixes", "_whole")

    def __init__(self, scopes: tuple[str, ...]) -> None:
        self._whole = frozenset(scopes)
        self._prefixes = tuple(scope[:-1] for scope in scopes if scope.endswith("*"))

    def missing(self, required: tuple[str, ...]) -> tuple[str, ...]:
        """The required scopes that are not covered."""
        if self._whole.issuperset(required):
            return ()
        return tuple(scope for scope in required if scope not in self._whole and not scope.startswith(self._prefixes))


class DecodedCredential:
    """One record as Redis returned it, decoded. `seal` tells it from any other that may take its place.

    Equal only to itself: its use is gathered, and its answer kept, under this very object.
    """

    __slots__ = ("_networks", "active", "credential", "digest", "limited", "missing", "seal")

    def __init__(self, digest: bytes, credential: Credential, seal: bytes = b"") -> None:
        self.digest = digest
        self.seal = seal
        self.credential = credential
        self.limited = bool(credential.rate_limits) or credential.max_uses > 0
        self.active = Verdict(Outcome.ACTIVE, credential)
        # The required scopes that are not covered.
        self.missing = GrantedScopes(credential.scopes).missing
        self._networks = read_networks(credential.networks)

    @property
    def terms(self) -> Terms:
        """What a request is charged."""
        credential = self.credential
        charged = credential.pool or credential.token_id
        return Terms(charged, self.seal, credential.rate_limits, credential.max_uses > 0)

    def admits(self, address: str) -> bool:
        """May the token be used from this address? An unknown address is outside every network."""
        if not self._networks:
            return True
        client = read_address(address)
        return client is not None and is_in(unmapped(client), self._networks)
