"""How much the holder of a managed token may hand on or take away: nothing that it does not hold itself.

`service.api.http.access` decides which operations it may call. Administrators hold everything: their origin has no
`bound`.
"""

from typing import Protocol

from service.addresses import is_within, read_networks
from service.errors import Forbidden
from service.model import Credential, Origin, RateLimit
from service.tokens.credential import missing_scopes

# With this scope any token may be ended, as in bulk revocation.
_ENDS_ANY = ("tokens:admin",)
_READS = ("tokens:read",)


class Terms(Protocol):
    """What decides how much an existing or new token may do. An empty tuple of networks means anywhere; all limits
    apply.
    """

    @property
    def scopes(self) -> tuple[str, ...]: ...

    @property
    def subject(self) -> str: ...

    @property
    def networks(self) -> tuple[str, ...]: ...

    @property
    def rate_limits(self) -> tuple[RateLimit, ...]: ...


def check_held(origin: Origin, terms: Terms) -> None:
    """Check that this caller may make a token with these terms, see its secret, edit or activate it. See `check_life`.

    Raises Forbidden: `insufficient_scope` with the scopes that the caller's own token lacks, else with the reason.
    """
    bound = origin.bound
    if bound is None:
        return
    # What it makes would outlive its own uses, or the token it is derived from.
    if bound.max_uses or bound.ancestors:
        raise Forbidden("A token that is derived, or whose own uses are counted, cannot make, edit or rotate others.")
    check_within(bound, terms)


def check_within(bound: Credential, terms: Terms) -> None:
    """Check that these terms are no wider than those of this token. Raises Forbidden as `check_held`."""
    _check_scopes_and_subject(bound, terms)
    if not is_within(read_networks(terms.networks), read_networks(bound.networks)):
        raise Forbidden("Your token cannot act for one that may be used from other networks.")
    if not all(any(_is_slower(limit, held) for limit in terms.rate_limits) for held in bound.rate_limits):
        raise Forbidden("Your token cannot act for one with a wider rate limit.")


def check_life(origin: Origin, expires_at: int) -> None:
    """Check that this caller may let a token live until then (epoch seconds, 0 for forever). Raises Forbidden."""
    end = origin.bound.expires_at if origin.bound else 0
    if end and not 0 < expires_at <= end:
        raise Forbidden("Your token cannot hand on a longer life than its own.")


def check_end(origin: Origin, terms: Terms) -> None:
    """Check that this caller may deactivate or revoke a token with these terms. Raises Forbidden as `check_held`."""
    if origin.bound is not None and missing_scopes(origin.bound.scopes, _ENDS_ANY):
        _check_scopes_and_subject(origin.bound, terms)


def may_read(origin: Origin) -> bool:
    """True if this caller, who may change tokens, may also learn of one that it did not name."""
    return origin.bound is None or not missing_scopes(origin.bound.scopes, _READS)


def check_creator(origin: Origin, created_by: str) -> None:
    """Check that this caller may import a token with this creator. Raises Forbidden."""
    if origin.bound is not None and created_by != origin.actor:
        raise Forbidden("Your token cannot name another creator than itself.")


def cut_life(origin: Origin, expires_at: int, now: float) -> int:
    """The expiry for a requested duration: at most the expiry of the caller's own token.

    A duration longer than that token's whole life is not cut; `check_life` refuses it.
    """
    bound = origin.bound
    if bound is None or not bound.expires_at or not expires_at:
        return expires_at
    is_longer = expires_at - int(now) > bound.expires_at - bound.issued_at
    return expires_at if is_longer else min(expires_at, bound.expires_at)


def _check_scopes_and_subject(bound: Credential, terms: Terms) -> None:
    if missing := missing_scopes(bound.scopes, terms.scopes):
        scope = " ".join(missing)
        raise Forbidden(f"Your token lacks what this one holds: the scope {scope}.", scope=scope)
    if terms.subject not in ("", bound.subject):
        raise Forbidden("Your token cannot act for a token that speaks for another subject.")


def _is_slower(limit: RateLimit, held: RateLimit) -> bool:
    if limit.calendar is not None or held.calendar is not None:
        # Two different calendars, or a quota and a rate, cannot be compared.
        return limit.calendar == held.calendar and limit.limit <= held.limit
    # Multiplied crosswise, because quotients of equal rates may differ in their last digit.
    return limit.limit * held.period_seconds <= held.limit * limit.period_seconds and limit.at_once <= held.at_once
