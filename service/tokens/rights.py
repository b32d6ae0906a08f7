"""How much the holder of a managed token may hand on or take away: nothing that it does not hold itself.

Which operations it may call at all is decided in `service.api.http.access`. Administrators hold everything: their
origin has no `bound`.
"""

from typing import Protocol

from service.addresses import is_within, read_networks
from service.errors import Forbidden
from service.model import Credential, Origin, RateLimit
from service.tokens.credential import missing_scopes

# With this scope any token may be ended, as by the kill switch.
_ENDS_ANY = ("tokens:admin",)
_READS = ("tokens:read",)


class Terms(Protocol):
    """What decides how much a token may do, of one that is there or of one to be made: no networks stand for anywhere,
    and of the limits all hold.
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
    """May this caller make a token with these terms, see its secret, edit or activate it? See `check_life`, too.

    Raises Forbidden: `insufficient_scope` with the scopes that the caller's own token lacks, else with the reason.
    """
    bound = origin.bound
    if bound is None:
        return
    # What it makes would go on when its own uses are spent, or what it is derived from is gone.
    if bound.max_uses or bound.ancestors:
        raise Forbidden("A token that is derived, or whose own uses are counted, cannot make, edit or rotate others.")
    check_within(bound, terms)


def check_within(bound: Credential, terms: Terms) -> None:
    """Are these terms no wider than those of this token? Raises Forbidden as `check_held`."""
    _check_scopes_and_subject(bound, terms)
    if not is_within(read_networks(terms.networks), read_networks(bound.networks)):
        raise Forbidden("Your token cannot act for one that may be used from other networks.")
    if not all(any(_is_slower(limit, held) for limit in terms.rate_limits) for held in bound.rate_limits):
        raise Forbidden("Your token cannot act for one with a wider rate limit.")


def check_life(origin: Origin, expires_at: int) -> None:
    """May this caller let a token live until then, in epoch seconds, 0 for ever? Raises Forbidden."""
    end = origin.bound.expires_at if origin.bound else 0
    if end and not 0 < expires_at <= end:
        raise Forbidden("Your token cannot hand on a longer life than its own.")


def check_end(origin: Origin, terms: Terms) -> None:
    """May this caller deactivate or revoke a token with these terms? Raises Forbidden as `check_held`."""
    if origin.bound is not None and missing_scopes(origin.bound.scopes, _ENDS_ANY):
        _check_scopes_and_subject(origin.bound, terms)


def may_read(origin: Origin) -> bool:
    """May this caller, who may change tokens, be told of one that it did not name?"""
    return origin.bound is None or not missing_scopes(origin.bound.scopes, _READS)


def check_creator(origin: Origin, created_by: str) -> None:
    """May this caller bring in a token that names this creator? Raises Forbidden."""
    if origin.bound is not None and created_by != origin.actor:
        raise Forbidden("Your token cannot name another creator than itself.")


def cut_life(origin: Origin, expires_at: int, now: float) -> int:
    """The end of a life that was asked for as a duration: at most that of the caller's own token.

    One longer than that token's whole life stays as it is, and `check_life` refuses it.
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
        # Of two calendars, or of a quota and a rate, none is slower for certain.
        return limit.calendar == held.calendar and limit.limit <= held.limit
    # Multiplied crosswise: quotients of equal rates may differ in their last digit.
    return limit.limit * held.period_seconds <= held.limit * limit.period_seconds and limit.at_once <= held.at_once
