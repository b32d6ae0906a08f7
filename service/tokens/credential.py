"""A credential whose MAC was checked: decoded once, and evaluated again while Redis returns the same bytes."""

from functools import lru_cache

import msgspec

from service.addresses import is_in, read_address, read_networks, unmapped
from service.model import KIND_MANAGED, OUTCOME_ACTIVE, Credential, RateLimit, Scopes, Verdict
from service.store.credentials import Terms
from service.store.limits.subjects import Shared

_REMEMBERED = 1024
_NOTHING_SHARED = Shared()


# Cached for all tokens with the same scopes, because a batch asks this for a hundred tokens.
@lru_cache(_REMEMBERED)
def missing_scopes(held: Scopes, required: Scopes) -> Scopes:
    """The required scopes that the held ones do not cover; `orders:*` covers `orders:read`."""
    whole = frozenset(held)
    if whole.issuperset(required):
        return ()
    prefixes = tuple(scope[:-1] for scope in held if scope.endswith("*"))
    # Without a wildcard `prefixes` is an empty tuple, with which no scope starts; with an empty text every one does.
    return tuple(scope for scope in required if scope not in whole and not scope.startswith(prefixes))


_networks_of = lru_cache(_REMEMBERED)(read_networks)


# Rarely needed values are computed on demand: an object like this is made for every token in each second. Garbage
# collection leaves it out: a pass through the 16,000 cached objects would take six milliseconds.
class DecodedCredential(msgspec.Struct, eq=False, gc=False):
    """One record as Redis returned it, decoded. `seal` distinguishes it from any other record under the same digest.

    `lines` are cached header lines of the answer that allows it. Their writer keeps them here, so they go with it.
    """

    digest: bytes
    credential: Credential
    seal: bytes = b""
    active: Verdict = Verdict(OUTCOME_ACTIVE)
    shared: Shared | None = None
    lines: bytes = b""
    limited: bool = True

    def __post_init__(self) -> None:
        self.active = Verdict(OUTCOME_ACTIVE, self.credential)
        self.share(None if self.subject else _NOTHING_SHARED)

    @property
    def subject(self) -> str:
        """The subject whose shared limits it charges; empty for a session, which is a person's and charges none."""
        credential = self.credential
        return (credential.charged_as or credential.subject) if credential.kind is KIND_MANAGED else ""

    def share(self, shared: Shared | None) -> None:
        """Set the limits that tokens of its subject share; None if they are not known yet, and may exist."""
        self.shared = shared
        self.lines = b""
        credential = self.credential
        self.limited = shared is None or bool(credential.rate_limits or shared.limits) or credential.max_uses > 0

    @property
    def limits(self) -> tuple[RateLimit, ...]:
        """Its own limits, then the shared ones."""
        return self.credential.rate_limits + (self.shared or _NOTHING_SHARED).limits

    @property
    def terms(self) -> Terms:
        """What a request is charged to."""
        credential = self.credential
        charged, shared = credential.pool or credential.token_id, self.shared or _NOTHING_SHARED
        spends = credential.max_uses > 0
        return Terms(charged, self.seal, credential.rate_limits, spends, self.subject, shared.limits)

    def admits(self, address: str) -> bool:
        """True if the token may be used from this address. An unknown address is outside every network."""
        networks = self.credential.networks
        if not networks:
            return True
        client = read_address(address)
        return client is not None and is_in(unmapped(client), _networks_of(networks))

    def missing(self, required: tuple[str, ...]) -> tuple[str, ...]:
        """The required scopes that it does not cover."""
        return missing_scopes(self.credential.scopes, required)
