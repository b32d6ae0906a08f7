"""A credential whose MAC was checked: decoded once and evaluated again while Redis returns the same bytes."""

from functools import lru_cache

import msgspec

from service.addresses import is_in, read_address, read_networks, unmapped
from service.model import KIND_MANAGED, OUTCOME_ACTIVE, Credential, RateLimit, Scopes, Verdict
from service.store.credentials import Terms
from service.store.limits.subjects import Shared

_REMEMBERED = 1024
_NOTHING_SHARED = Shared()


# Worked out once for all tokens that hold the same: a batch asks it of a hundred.
@lru_cache(_REMEMBERED)
def missing_scopes(held: Scopes, required: Scopes) -> Scopes:
    """The required scopes that those held do not cover; `orders:*` covers `orders:read`."""
    whole = frozenset(held)
    if whole.issuperset(required):
        return ()
    prefixes = tuple(scope[:-1] for scope in held if scope.endswith("*"))
    # Without a wildcard the prefixes are an empty tuple, with which no scope begins; an empty text begins all.
    return tuple(scope for scope in required if scope not in whole and not scope.startswith(prefixes))


_networks_of = lru_cache(_REMEMBERED)(read_networks)


# What only few requests need is worked out by them: an object like this is made for every token of a second. The
# garbage collector leaves it out: a pass through the sixteen thousand that are remembered would take six milliseconds.
class DecodedCredential(msgspec.Struct, eq=False, gc=False):
    """One record as Redis returned it, decoded. `seal` tells it from any other that may take its place.

    `lines` are those of the answer that allows it, kept here by whoever writes it: they go when the record goes.
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
        """Whose shared limits it draws from; a session is a person's and draws from none."""
        credential = self.credential
        return (credential.charged_as or credential.subject) if credential.kind is KIND_MANAGED else ""

    def share(self, shared: Shared | None) -> None:
        """Take in the limits that its subject's tokens share; None for not known yet, which may be a limit."""
        self.shared = shared
        self.lines = b""
        credential = self.credential
        self.limited = shared is None or bool(credential.rate_limits or shared.limits) or credential.max_uses > 0

    @property
    def limits(self) -> tuple[RateLimit, ...]:
        """Its own, then those that it shares."""
        return self.credential.rate_limits + (self.shared or _NOTHING_SHARED).limits

    @property
    def terms(self) -> Terms:
        """What a request is charged."""
        credential = self.credential
        charged, shared = credential.pool or credential.token_id, self.shared or _NOTHING_SHARED
        spends = credential.max_uses > 0
        return Terms(charged, self.seal, credential.rate_limits, spends, self.subject, shared.limits)

    def admits(self, address: str) -> bool:
        """May the token be used from this address? An unknown address is outside every network."""
        networks = self.credential.networks
        if not networks:
            return True
        client = read_address(address)
        return client is not None and is_in(unmapped(client), _networks_of(networks))

    def missing(self, required: tuple[str, ...]) -> tuple[str, ...]:
        """The required scopes that it does not cover."""
        return missing_scopes(self.credential.scopes, required)
