"""The answer of each check of a validation, in words and facts. Instants in epoch seconds, 0 for none."""

import math
import time
from enum import StrEnum
from typing import Any

import msgspec

from service.model import Kind, ManagedToken, Outcome, Quota, Scopes, Verdict
from service.store.credentials import Reason
from service.tokens.audit.entries import AuditEntry
from service.tokens.credential import DecodedCredential
from service.tokens.explanation.form import WORDS, form_of_secret

# In the order of a validation.
ORDER = ("form", "known", "server_key", "active", "expired", "parent", "account", "scopes", "network", "uses", "limit")


class Result(StrEnum):
    """The result of a check; skipped if it does not apply or cannot be made."""

    PASSED = "pass"
    FAILED = "fail"
    SKIPPED = "skipped"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check's answer. `at`: when this state began, or when the limit is free again; `by`: who did it."""

    check: str
    result: Result
    detail: str
    at: int = 0
    by: str = ""
    asked: Scopes = ()
    held: tuple[str, ...] = ()


def answered(check: str, passed: bool, detail: str, **facts: Any) -> Check:
    """A check that passes or fails; `facts` are further fields of `Check`."""
    return Check(check=check, result=Result.PASSED if passed else Result.FAILED, detail=detail, **facts)


def skipped(check: str, detail: str) -> Check:
    """A check that does not apply."""
    return Check(check=check, result=Result.SKIPPED, detail=detail)


def form(secret: bytes, kind: Kind | None, wanted: tuple[Kind, ...], *, accepted: bool) -> Check:
    """The form of a secret, and whether this form of /validate takes it."""
    if not secret:
        return answered("form", False, "No token was presented: send Authorization: Bearer, X-API-Key or X-Token.")
    detail = form_of_secret(secret)
    if kind is not None and kind not in wanted:
        detail += f" This path takes {' or '.join(WORDS[one] for one in wanted)}."
    elif kind is None and accepted:
        detail = f"It has {len(secret)} characters, as a secret of another system may."
    return answered("form", accepted, detail)


def active(reason: Reason | None, token: ManagedToken | None, entry: AuditEntry | None, *, replaced: bool) -> Check:
    """Deactivated or revoked, when and by whom; or replaced by a rotation."""
    if replaced and token is not None:
        detail = f"This secret was replaced: the token was rotated{_on(token.rotated_at)}."
        return answered("active", False, detail, at=token.rotated_at)
    if reason is None or reason.state == "expired":
        return answered("active", True, "It is neither deactivated nor revoked.")
    word = "deactivated" if reason.state == "inactive" else "revoked"
    at = entry.at if entry else token.revoked_at if token else 0
    # Entries are kept only for a while, but the record keeps the time of a revocation.
    by = entry.actor if entry else ""
    who = f" by {by}" if by else "; the audit log no longer says by whom"
    return answered("active", False, f"It was {word}{_on(at)}{who}.", at=at, by=by)


def expired(expires_at: int, now: float) -> Check:
    """The token's expiry, and whether it is past."""
    if not expires_at:
        return answered("expired", True, "It never expires.")
    past = expires_at <= now
    return answered("expired", not past, f"It {'expired' if past else 'expires'}{_on(expires_at)}.", at=expires_at)


def parent(ancestors: tuple[str, ...]) -> Check:
    """The tokens it is derived from. When one of these ends, it can no longer be found."""
    if not ancestors:
        return skipped("parent", "It is derived from no other token.")
    return answered("parent", True, f"It is derived from {' and that from '.join(reversed(ancestors))}.")


def parent_gone(token_id: str, parent_id: str, entry: AuditEntry | None) -> Check:
    """For a derived token that was ended: `entry` says when and by whom, it or a token above it."""
    told = f"It was derived from {parent_id}"
    if entry is None:
        return answered("parent", False, f"{told}, and ended with that or with one above; the audit log forgot when.")
    if entry.target == token_id:
        return answered("parent", True, f"{told}, and ended by itself.")
    word = entry.action.removeprefix("token.")
    return answered("parent", False, f"{told}, and ended when {entry.target} was {word}.")


def account(decoded: DecodedCredential, password_mark: str | None) -> Check:
    """A session is valid only as long as its account and that account's password."""
    if decoded.credential.kind is not Kind.SESSION:
        return skipped("account", "It belongs to no account.")
    same = decoded.credential.password_mark == password_mark
    changed = "The account is gone or disabled." if password_mark is None else "The password has been changed since."
    return answered("account", same, "The account is as it was at the sign-in." if same else changed)


def scopes(decoded: DecodedCredential, asked: Scopes) -> Check:
    missing = decoded.missing(asked)
    detail = f"It lacks {' '.join(missing)}." if missing else "It holds every scope that is asked for."
    return answered("scopes", not missing, detail, asked=asked, held=decoded.credential.scopes)


def network(decoded: DecodedCredential, address: str) -> Check:
    """The client's address, as a trusted proxy reports it, and the networks that are allowed."""
    networks = decoded.credential.networks
    if not networks:
        return answered("network", True, "It may be used from anywhere.")
    inside = decoded.admits(address)
    detail = f"{address or 'An address that is not known'} is {'inside' if inside else 'outside'} its networks."
    return answered("network", inside, detail, asked=(address,), held=networks)


def uses(decoded: DecodedCredential, left: int) -> Check:
    if decoded.credential.kind is Kind.ONE_TIME:
        return answered("uses", True, "One use is left; this question does not spend it.")
    limit = decoded.credential.max_uses
    if not limit:
        return answered("uses", True, "Its uses are not limited.")
    return answered("uses", left > 0, f"{max(left, 0)} of {limit} uses are left.")


def limit(verdict: Verdict, now: float, cost: int) -> Check:
    """What each rate limit would answer now, and when all are free again, if they ever are for this cost."""
    if not verdict.quotas:
        return answered("limit", True, "It has no rate limit.")
    refused = verdict.outcome is Outcome.RATE_LIMITED
    detail, wait = " ".join(_told(quota, cost, refused=refused) for quota in verdict.quotas), verdict.retry_after
    return answered("limit", not refused, detail, at=math.ceil(now) + wait if wait else 0)


def _told(quota: Quota, cost: int, *, refused: bool) -> str:
    limit, calendar = quota.limit, quota.limit.calendar
    span = f"{limit.period_seconds} s" if calendar is None else f"each {calendar.unit} of {calendar.time_zone}"
    rate = f"{limit.name}: {limit.limit} requests in {span}"
    if cost > limit.at_once:
        return f"{rate} never admit one that costs {cost}: {limit.at_once} is the most at once."
    if quota.retry_after:
        return f"{rate} are used up; the next one is free in {quota.retry_after} s."
    return f"{rate}, {quota.remaining} left{'' if refused else ' after this one'}."


def _on(at: int) -> str:
    return time.strftime(" on %Y-%m-%d at %H:%M:%S UTC", time.gmtime(at)) if at else ""
