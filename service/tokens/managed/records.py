"""The records of managed tokens: read, authenticated, and written together with their credentials."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from service.counters import DERIVED, Decisions
from service.errors import Conflict, Forbidden, NotFound, StoreUnavailable
from service.model import Credential, Kind, ManagedToken, Origin, Status
from service.store.driver.many_tokens import Ahead
from service.store.managed.derived import DerivedStore
from service.store.managed.records import Record, ends_derived
from service.store.managed.tokens import Change, End, ManagedStore
from service.store.pacing import share_turn
from service.tokens.audit.entries import Action
from service.tokens.audit.log import AuditLog, changed_facts, facts
from service.tokens.credential import missing_scopes
from service.tokens.managed.seals import Seals
from service.tokens.rights import check_end

# How often a change is retried after a conflict with another change.
TRIES = 8
# At most so many ids of tokens that end with a token are named in its audit entry.
_MOST_IDS = 100
_DERIVES = ("self:derive",)
# The id of a token and its scopes.
Terms = tuple[str, tuple[str, ...]]


@dataclass(eq=False, repr=False)
class ManagedRecords:
    """What creating, editing, rotating and revoking have in common."""

    _store: ManagedStore
    _derived: DerivedStore
    _seals: Seals
    _audit_log: AuditLog
    _clock: Callable[[], float]
    _decisions: Decisions

    async def record(self, token_id: str, ahead: Ahead | None = None) -> Record:
        """The present record of an id. Raises NotFound."""
        record = await self._store.get(token_id, ahead)
        if record is None:
            raise not_found()
        return record

    async def read_to_change(self, token_id: str, ahead: Ahead | None = None) -> ManagedToken:
        """The token, before a change that may give rights. Two round trips, one with a record requested `ahead`.

        Raises NotFound, and Conflict `record_tampered` if somebody without the server key wrote the record, or put back
        an old one.
        """
        for _ in range(TRIES):
            record = await self.record(token_id, ahead)
            if await self.genuine([record]):
                return record.token
            # A change may have come between the two reads.
            if (await self.record(token_id)).seal == record.seal:
                raise Conflict("This record was changed outside the service. Revoke the token.", code="record_tampered")
        raise keeps_changing()

    async def genuine(self, known: Sequence[Record]) -> list[ManagedToken]:
        """The tokens of those records that a service with our server key wrote last. One round trip."""
        ours = list[ManagedToken]()
        for record in known:
            await share_turn()
            if self._seals.is_ours(record):
                ours.append(record.token)
        # A revoked token no longer has a credential that could agree with its record.
        living = [token for token in ours if not token.revoked_at]
        agreeing = dict(zip([token.token_id for token in living], await self._seals.agree(living), strict=True))
        return [token for token in ours if agreeing.get(token.token_id, True)]

    async def add(self, token: ManagedToken, origin: Origin) -> bool:
        """Record a token; False if its name is taken or it was recorded before. One round trip."""
        entry = self._audit_log.entry("token.created", origin, token.token_id, after=facts(token))
        sealed = self._seals.credential(token, token.digest, token.expires_at)
        added = await self._store.create(token, seal=self._seals.of(token), sealed=sealed, entry=entry)
        self._decisions.issued.inc(Kind.MANAGED, by=added)
        return added

    async def write(self, old: ManagedToken, new: ManagedToken, action: Action, origin: Origin) -> ManagedToken | None:
        """Write a changed token. Returns what was written, None if the token has changed since it was read."""
        return (await self.write_all([(old, new)], action, origin))[0]

    async def write_all(
        self, pairs: Sequence[tuple[ManagedToken, ManagedToken]], action: Action, origin: Origin
    ) -> list[ManagedToken | None]:
        """As `write`, for pairs of tokens as read and as wanted; one call per shard.

        The previous secret in its overlap gets the new terms too, but never beyond its own end or the token's. It ends
        if the token is no longer usable.
        """
        now = int(self._clock())
        ending = [(old.token_id, old.scopes if ends_derived(old, new, now) else ()) for old, new in pairs]
        changes = [
            await self._change(*pair, action, origin, below)
            for pair, below in zip(pairs, await self._below(ending), strict=True)
        ]
        written = await self._store.update(changes, now)
        return [change.new if done else None for change, done in zip(changes, written, strict=True)]

    async def _change(
        self, old: ManagedToken, new: ManagedToken, action: Action, origin: Origin, below: dict[str, Any]
    ) -> Change:
        await share_turn()
        now = self._clock()
        new = msgspec.structs.replace(_with_predecessor(old, new, now), version=old.version + 1)
        usable = new.active and new.status(now) is Status.ACTIVE
        sealed, predecessor = b"", b""
        if usable:
            sealed = self._seals.credential(new, new.digest, new.expires_at)
        if new.predecessor:
            predecessor = self._seals.credential(new, new.predecessor, new.predecessor_until)
        before, after = changed_facts(old, new)
        entry = self._audit_log.entry(action, origin, new.token_id, before=before, after=after | below)
        return Change(old, new, self._seals.of(new), sealed, predecessor, entry)

    async def end(
        self, token_id: str, state: str, origin: Origin, *, digest: bytes | None = None, ahead: Ahead | None = None
    ) -> tuple[bool, ManagedToken]:
        """Deactivate (`state` inactive) or revoke, with its old secret: False if it was so already; and the token.

        `digest`: of the secret that asks for this; `ahead`: the record, if it was requested earlier. Works on a full
        server. Raises NotFound, also if the record does not name that digest among its working secrets; Forbidden if
        the caller may not end it; Conflict if a token to deactivate has ended, and `record_tampered` if the record was
        changed outside the service and may name another secret than the one in use.
        """
        for number in range(TRIES):
            record = await self.record(token_id, ahead)
            token = record.token
            self._check_end(token, state, origin)
            is_old = digest == token.predecessor and token.in_overlap(self._clock())
            if digest and digest != token.digest and not is_old:
                raise not_found()
            is_ours = self._seals.is_ours(record)
            is_certain = digest is not None or is_ours or await self._seals.is_in_use(token)
            # A revocation must succeed however busy the token is; a deactivation may be refused and retried.
            insist = state == "revoked" and number >= TRIES // 2
            # A record that somebody else wrote is not sealed again.
            ((done, ended),) = await self._end([token], state, origin, insist=insist, vouch=is_ours)
            # The token is ended all the same, but the secret in use may differ from the one in the record.
            if done >= 0 and not is_certain:
                raise Conflict(
                    "This record was changed outside the service. Revoke the token by its secret.",
                    code="record_tampered",
                )
            if done > 0:
                return True, ended
            # As it was read, because it may have been activated again already.
            if done == 0:
                return False, token
        raise keeps_changing()

    async def end_all(self, known: Sequence[Record], state: str, origin: Origin) -> list[str]:
        """End tokens as `end` does, one call per shard, where their records were just read.

        Returns for each the code of its refusal, empty if it is ended. Raises StoreUnavailable.
        """
        codes: dict[str, str] = {}
        alike: list[ManagedToken] = []
        for record in known:
            await share_turn()
            try:
                self._check_end(record.token, state, origin)
            except (Conflict, Forbidden) as refused:
                codes[record.token.token_id] = refused.code
            else:
                if self._seals.is_ours(record):
                    alike.append(record.token)
        tried = await self._end(alike, state, origin, insist=False, vouch=True)
        codes |= {token.token_id: "" for done, token in tried if done >= 0}
        return await told(known, codes, lambda token_id: self.end(token_id, state, origin))

    def _check_end(self, token: ManagedToken, state: str, origin: Origin) -> None:
        check_end(origin, token)
        if state == "inactive":
            refuse_if_ended(token, self._clock())

    async def _end(
        self, tokens: Sequence[ManagedToken], state: str, origin: Origin, *, insist: bool, vouch: bool
    ) -> list[tuple[int, ManagedToken]]:
        """One try. Returns for each the store's answer, -1 to read it again, and the token as it is after a 1.

        `insist`: other changes must not delay this end for long; `vouch`: seal the new records.
        """
        now = int(self._clock())
        revoked_at = now if state == "revoked" else 0
        ends = []
        for token, below in zip(tokens, await self._below([(one.token_id, one.scopes) for one in tokens]), strict=True):
            await share_turn()
            ended = msgspec.structs.replace(token, active=False, revoked_at=revoked_at, version=token.version + 1)
            # With the name, by which people search for the entry even when the record is gone.
            entry = self._audit_log.entry(
                "token.revoked" if revoked_at else "token.deactivated",
                origin,
                token.token_id,
                before={"name": token.name, "status": token.status(now)},
                after={"name": token.name, "status": state, **below},
            )
            ends.append(End(token, ended, self._seals.of(ended) if vouch else "", entry))
        done = await self._store.end(ends, now, insist=insist)
        self._decisions.revoked.inc(Kind.MANAGED, by=done.count(1) if revoked_at else 0)
        return [
            # Active when it was read, but ended since, perhaps by a revocation: that needs another answer.
            (-1 if not reply and vouch and one.token.active and not revoked_at else reply, one.ended)
            for reply, one in zip(done, ends, strict=True)
        ]

    async def drop(self, digest: bytes, token_id: str, credential: Credential | None, origin: Origin) -> bool:
        """Remove a credential without a record, such as a derived token's, and all tokens derived from it.

        False if there is none. Works on a full server.
        """
        now = int(self._clock())
        ancestors = credential.ancestors if credential else ()
        after: dict[str, Any] = {"status": "revoked", **({"parent": ancestors[-1]} if ancestors else {})}
        after |= (await self._below([(token_id, credential.scopes if credential else ())]))[0]
        entry = self._audit_log.entry("token.revoked", origin, token_id, after=after)
        ended_at = credential.expires_at and max(credential.expires_at, now) if credential else now
        owner = credential.client if credential else ""
        dropped = await self._derived.drop(
            digest, token_id, owner=owner, ended_at=ended_at, ancestors=ancestors, entry=entry
        )
        self._decisions.revoked.inc(DERIVED if ancestors else Kind.MANAGED, by=dropped)
        return dropped

    async def _below(self, tokens: Sequence[Terms]) -> list[dict[str, Any]]:
        """For entries: how many tokens are derived directly from each and end with it; ids of these and those below."""
        told: list[dict[str, Any]] = [{"derived": count} if count else {} for count in await self.derived(tokens)]
        for (token_id, _), below in zip(tokens, told, strict=True):
            if below:
                below["derived_ids"] = self._seals.ids_of(await self._derived.below(token_id, _MOST_IDS))
        return told

    async def derived(self, tokens: Sequence[Terms]) -> list[int]:
        """How many living tokens are derived directly from each. One round trip, none if no token may derive.

        A change of scopes ends all derived tokens, so the present scopes decide.
        """
        parents = [token_id for token_id, scopes in tokens if not missing_scopes(scopes, _DERIVES)]
        if not parents:
            return [0] * len(tokens)
        counts = dict(zip(parents, await self._derived.count(parents, int(self._clock())), strict=True))
        return [counts.get(token_id, 0) for token_id, _ in tokens]


async def told(known: Sequence[Record], codes: dict[str, str], again: Callable[[str], Awaitable[object]]) -> list[str]:
    """For each record the code of its change's refusal, empty if it was changed.

    A record without a known code, because it changed meanwhile or is not ours, is read and changed once more.
    """
    for token_id in [record.token.token_id for record in known]:
        if token_id not in codes:
            codes[token_id] = ""
            try:
                await again(token_id)
            except (Conflict, Forbidden, NotFound) as refused:
                codes[token_id] = refused.code
    return [codes[record.token.token_id] for record in known]


def _with_predecessor(old: ManagedToken, new: ManagedToken, now: float) -> ManagedToken:
    """Limit the overlap of the previous secret to the token's expiry and its time of being active."""
    until = min(new.predecessor_until, new.expires_at or new.predecessor_until)
    if not (old.active and new.active and new.predecessor and until > now):
        return msgspec.structs.replace(new, predecessor=b"", predecessor_until=0)
    return msgspec.structs.replace(new, predecessor_until=until)


def not_found() -> NotFound:
    """The refusal of an id without a record; a derived token has no record."""
    return NotFound("No token with this ID. Its retention time may be over, or it is derived: the audit log says.")


def refuse_if_ended(token: ManagedToken, now: float) -> None:
    """Raises Conflict for a token that is revoked or expired."""
    status = token.status(now)
    if status is Status.REVOKED:
        raise Conflict("A revoked token cannot be changed.", code="token_revoked")
    if status is Status.EXPIRED:
        raise Conflict("This token has expired. Change its date first.", code="token_expired")


def keeps_changing() -> StoreUnavailable:
    """The refusal after the last retry."""
    return StoreUnavailable("The token keeps changing. Try again.")
