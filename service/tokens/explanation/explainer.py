"""Finds the record of a secret or an id and makes every check in order. It only reads: nothing is spent or counted."""

from dataclasses import dataclass

import msgspec

from service.keyring import Keyring
from service.model import Kind, Outcome, Scopes, Verdict
from service.store.credentials import CredentialStore, Reason
from service.store.fence import VOID
from service.store.managed.tokens import ManagedStore
from service.tokens.audit.entries import AuditEntry
from service.tokens.audit.reader import AuditFilter, AuditReader
from service.tokens.authority import MALFORMED, UNKNOWN, VOIDED, Authority
from service.tokens.explanation import checks
from service.tokens.explanation.checks import ORDER, Check, skipped
from service.tokens.managed.records import not_found
from service.tokens.secret import parse

_ENDING = frozenset({"token.revoked", "token.deactivated", "token.rotated"})
# Changes of these fields do not end derived tokens.
_NO_TERMS = frozenset({"name", "description", "metadata"})
_MOST_ENTRIES = 100
# The action that led to each state of an ended token.
_DONE = {"inactive": "token.deactivated", "revoked": "token.revoked"}


class Question(msgspec.Struct, frozen=True):
    """What a gateway would ask about: `secret`, or `token_id` for the present secret of a managed token.

    `kinds`: the kinds that this form of /validate takes. `at`: the instant in epoch seconds, applied to the present
    record. `cost`: the cost of the request in rate limits and quotas.
    """

    secret: bytes
    token_id: str
    kinds: tuple[Kind, ...]
    required: Scopes
    address: str
    at: float
    cost: int


class Explanation(msgspec.Struct, frozen=True):
    """The verdict on the question, and every check's answer in the order of a validation."""

    verdict: Verdict
    checks: list[Check]


class _Found(msgspec.Struct, frozen=True):
    """What Redis holds for a secret: its sealed record, or the reason why that is gone."""

    digest: bytes
    sealed: bytes | None
    reason: Reason | None


@dataclass(eq=False, repr=False)
class Explainer:
    _authority: Authority
    _credentials: CredentialStore
    _managed: ManagedStore
    _audit: AuditReader
    _keyring: Keyring

    async def explain(self, question: Question) -> Explanation:
        """Make every check. A few round trips; for an ended token also a search in the audit log.

        Raises NotFound for an id that never existed.
        """
        first, candidates = await self._candidates(question)
        if not candidates:
            outcome = MALFORMED if question.secret or question.token_id else Verdict(Outcome.ABSENT)
            return _complete(outcome, [first])
        found = await self._find(candidates)
        if found.sealed is None and found.reason is not None:
            return await self._gone(question, found, found.reason, first)
        if found.sealed is None:
            detail = "No token has this secret: it was never issued, is spent, or ended long ago."
            return _complete(UNKNOWN, [first, checks.answered("known", False, detail)])
        if found.sealed == VOID:
            detail = "It is void: Redis failed over, restarted or moved its slot since it was issued."
            return _complete(VOIDED, [first, checks.answered("known", False, detail)])
        return await self._walk(question, found.digest, found.sealed, first)

    async def _candidates(self, question: Question) -> tuple[Check, list[tuple[Kind, bytes]]]:
        if question.token_id:
            record = await self._managed.get(question.token_id)
            if record is None:
                raise not_found()
            # An id belongs to a managed token, which the forms for one-time tokens do not take.
            if Kind.MANAGED not in question.kinds:
                return checks.answered("form", False, "A managed token, where only one-time tokens are taken."), []
            return skipped("form", "Asked by id."), [(Kind.MANAGED, record.token.digest)]
        candidates = self._authority.candidates(question.secret, question.kinds)
        kind = parse(question.secret)
        return checks.form(question.secret, kind, question.kinds, accepted=bool(candidates)), candidates

    async def _find(self, candidates: list[tuple[Kind, bytes]]) -> _Found:
        """The record of the first digest that has one, else of the first with a reason why it is gone."""
        for kind, digest in candidates:
            found = _Found(digest, *await self._credentials.find_any(kind, digest))
            if found.sealed is not None or found.reason is not None:
                return found
        return _Found(candidates[0][1], None, None)

    async def _walk(self, question: Question, digest: bytes, sealed: bytes, first: Check) -> Explanation:
        """Every check of an existing record."""
        keys = self._keyring.sealed_by(digest, sealed)
        known = checks.answered("known", True, "There is a record of it.")
        # Not cached, because the authority's cache is for what gateways ask.
        if keys is None or (decoded := self._authority.open_once(digest, sealed)) is None:
            detail = "No server key of ours sealed this record: it was changed outside the service, or a key is gone."
            return _complete(UNKNOWN, [first, known, checks.answered("server_key", False, detail)])
        # A record under the previous key is valid as long as that key is set.
        which = "present" if keys is self._keyring.present else "previous"
        by_key = checks.answered("server_key", True, f"It was sealed with the {which} server key.")
        verdict = self._authority.evaluate(decoded, question.required, question.address, question.at)
        verdict, left = await self._authority.charging.forecast(verdict, decoded, question.at, question.cost)
        credential = decoded.credential
        said = [first, known, by_key, checks.active(None, None, None, replaced=False)]
        said.append(checks.expired(credential.expires_at, question.at))
        said.append(checks.parent(credential.ancestors))
        said.append(checks.account(decoded, self._authority.accounts.password_mark(credential.subject)))
        said.append(checks.scopes(decoded, question.required))
        said.append(checks.network(decoded, question.address))
        said.append(checks.uses(decoded, left))
        if verdict.quotas or not decoded.limits:
            said.append(checks.limit(verdict, question.at, question.cost))
        return _complete(verdict, said, "It is not asked: a check before it fails.")

    async def _gone(self, question: Question, found: _Found, reason: Reason, first: Check) -> Explanation:
        """A managed token whose credential is gone: why, since when, and by whom."""
        record = await self._managed.get(reason.token_id)
        token = record.token if record else None
        replaced = token is not None and not token.revoked_at and token.digest != found.digest
        done = None if replaced else _DONE.get(reason.state)
        entry = await self._newest(reason.token_id, done) if done else None
        derived = await self._newest(reason.token_id, "token.derived") if token is None else None
        if entry is None and derived is not None:
            entry = await self._ended_above(derived)
        known = f"called {token.name}" if token else "whose record is gone"
        said = [
            first,
            checks.answered("known", True, f"It was the token {reason.token_id}, {known}."),
            skipped("server_key", "Its credential is gone."),
            checks.active(reason, token, entry, replaced=replaced),
        ]
        outcome = reason.outcome(question.at)
        if outcome is Outcome.EXPIRED and not replaced:
            expires_at = token.expires_at if token else 0
            said.append(
                checks.expired(expires_at, question.at) if expires_at else checks.answered("expired", False, "It has.")
            )
        if derived is not None:
            said.append(checks.parent_gone(reason.token_id, _parent_of(derived), entry))
        return _complete(Verdict(outcome), said, "Its credential is gone.")

    async def _ended_above(self, derived: AuditEntry) -> AuditEntry | None:
        """The first end of an ancestor after this token was derived from it."""
        above: AuditEntry | None = derived
        while above is not None:
            wanted = AuditFilter(target=_parent_of(above), since=derived.at)
            events, _ = await self._audit.page(wanted, _MOST_ENTRIES, None)
            ends = [event.entry for event in events if _takes_derived_away(event.entry)]
            if ends:
                # Pages are newest first, so the last of these is the earliest end.
                return ends[-1]
            above = await self._newest(_parent_of(above), "token.derived")
        return None

    async def _newest(self, token_id: str, action: str) -> AuditEntry | None:
        wanted = AuditFilter(target=token_id, action=action)
        events, _ = await self._audit.page(wanted, 1, None)
        return events[0].entry if events else None


def _parent_of(derived: AuditEntry) -> str:
    return str((derived.after or {}).get("parent", ""))


def _takes_derived_away(entry: AuditEntry) -> bool:
    changed = set(entry.after or {}) - _NO_TERMS
    return entry.action in _ENDING or (entry.action == "token.updated" and bool(changed))


def _complete(verdict: Verdict, said: list[Check], detail: str = "A check before it fails.") -> Explanation:
    """The checks in order, completed with skipped ones."""
    by_name = {one.check: one for one in said}
    return Explanation(verdict, [by_name.get(name) or skipped(name, detail) for name in ORDER])
