"""Managed tokens: created, edited and revoked by administrators, each change written to the audit log.

`rotation.py` rotates, `bulk.py` changes many tokens, `queries.py` finds and counts them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from service.errors import Conflict, Forbidden
from service.model import ManagedToken, Origin, RateLimit
from service.store.driver.many_tokens import Ahead
from service.store.driver.shards import Shards
from service.store.managed.records import Record
from service.store.managed.tokens import ManagedStore
from service.store.pacing import STEP, share_turn
from service.tokens.audit.entries import Action
from service.tokens.idempotency import Repeatable, Repeats, refuse_if_secret_ended
from service.tokens.lifetime import Lifetime
from service.tokens.managed.name_holders import NameHolders
from service.tokens.managed.records import TRIES, ManagedRecords, keeps_changing, refuse_if_ended, told
from service.tokens.rights import check_held, check_life

_ACTIVE = {"active": True}
_ACTIVATED: Action = "token.activated"


class NewToken(msgspec.Struct, frozen=True):
    """What a token is created with; `expires_at` in epoch seconds, 0 for never. Whoever decodes it has checked it.

    `subject` is whom it speaks for; empty for nobody, which is not its creator.
    """

    name: str
    expires_at: int
    description: str = ""
    subject: str = ""
    scopes: tuple[str, ...] = ()
    rate_limits: tuple[RateLimit, ...] = ()
    networks: tuple[str, ...] = ()
    max_uses: int = 0
    metadata: dict[str, str] = {}

    def made(
        self, token_id: str, last_eight: str, digest: bytes, created_by: str, created_micros: int, **more: Any
    ) -> ManagedToken:
        """The token with these terms; `more` are further fields."""
        # Positional: keyword arguments for so many fields take eight times as long.
        return ManagedToken(
            token_id,
            self.name,
            last_eight,
            digest,
            created_by,
            created_micros,
            self.expires_at,
            self.description,
            self.subject,
            self.scopes,
            self.rate_limits,
            self.networks,
            self.max_uses,
            self.max_uses,
            self.metadata,
            **more,
        )


class Created(msgspec.Struct, frozen=True):
    """A token and its secret, shown only this once; `repeated` if an earlier try of the request made it."""

    token: ManagedToken
    secret: str
    repeated: bool = False


@dataclass(eq=False, repr=False)
class ManagedTokens:
    _store: ManagedStore
    _managed_records: ManagedRecords
    _shards: Shards
    _repeats: Repeats
    _lifetime: Lifetime
    _name_holders: NameHolders
    _clock: Callable[[], float]

    async def create(self, new: NewToken, origin: Origin, request: Repeatable | None = None) -> Created:
        """Create a token and mint its secret. One round trip, two for a `request` that may be repeated.

        Raises Conflict (`name_taken`, `idempotency_mismatch`, `token_revoked` for a repeat after the token of the first
        try has ended), InvalidRequest for a lifetime that policy forbids, Forbidden for rights that the caller lacks.
        """
        check_held(origin, new)
        check_life(origin, new.expires_at)
        self._lifetime.check(new.expires_at)
        shard = self._shards.of_name(new.name)
        minted = await self._repeats.mint(shard, request, origin.actor, "create")
        token = new.made(minted.token_id, minted.secret[-8:], minted.digest, origin.actor, self._lifetime.begin())
        if await self._managed_records.add(token, origin):
            return Created(token, minted.secret)
        # The name is taken: by this same token, if an earlier try of the request made it.
        earlier = await self._store.get(minted.token_id) if request else None
        if earlier is None:
            raise await self._taken(new.name, origin)
        # It may have been given more rights since.
        check_held(origin, earlier.token)
        refuse_if_secret_ended(earlier.token, minted, self._clock())
        return Created(earlier.token, minted.secret, repeated=True)

    async def get(self, token_id: str) -> ManagedToken:
        """The token of an id. Raises NotFound."""
        return (await self._managed_records.record(token_id)).token

    async def update(
        self,
        token_id: str,
        changes: dict[str, Any],
        origin: Origin,
        ahead: Ahead | None = None,
        *,
        version: int = 0,
    ) -> ManagedToken:
        """Change a token: fields of ManagedToken to new values, `active` among them. Returns the changed token.

        `rate_limits` may be a function of the present limits; `ahead` is the record, if it was requested earlier;
        `version` is the version that the token must have unless it already is as wanted, 0 for any.
        An old secret in its overlap gets the new terms too. A refused change changes nothing.
        Raises NotFound, Conflict (`name_taken`, `token_changed`, `token_revoked`, `token_expired`), InvalidRequest, and
        Forbidden for rights that the caller lacks, before or after the change.
        """
        # By `end`, because that also works on a full server.
        if changes == {"active": False} and not version:
            return (await self._managed_records.end(token_id, "inactive", origin, ahead=ahead))[1]
        for _ in range(TRIES):
            old = await self._managed_records.read_to_change(token_id, ahead)
            new = self._changed(old, changes, origin)
            # In any version: an earlier try may have made the change, and its answer was lost.
            if new == old:
                await self._store.confirm_changed(token_id)
                return new
            if version and old.version != version:
                raise Conflict("The token was changed since it was read: read it again.", code="token_changed")
            if written := await self._write(old, new, origin):
                return written
        raise keeps_changing()

    async def activate(self, known: Sequence[Record], origin: Origin) -> list[str]:
        """Activate tokens as `update` does, step by step, where their records were just read.

        Returns for each the code of its refusal, empty if it is active. Raises StoreUnavailable.
        """
        codes: dict[str, str] = {}
        pairs = []
        for old in await self._managed_records.genuine(known):
            try:
                new = self._changed(old, _ACTIVE, origin)
            except (Conflict, Forbidden) as refused:
                codes[old.token_id] = refused.code
                continue
            if new == old:
                await self._store.confirm_changed(old.token_id)
                codes[old.token_id] = ""
            else:
                pairs.append((old, new))
        written: list[ManagedToken | None] = []
        for start in range(0, len(pairs), STEP):
            await share_turn()
            written += await self._managed_records.write_all(pairs[start : start + STEP], _ACTIVATED, origin)
        codes |= {token.token_id: "" for token in written if token is not None}
        return await told(known, codes, lambda token_id: self.update(token_id, _ACTIVE, origin))

    def _changed(self, old: ManagedToken, changes: dict[str, Any], origin: Origin) -> ManagedToken:
        check_held(origin, old)
        now = self._clock()
        if "expires_at" in changes and not old.revoked_at and changes["expires_at"] != old.expires_at:
            self._lifetime.check(changes["expires_at"])
        if callable(limits := changes.get("rate_limits")):
            changes = {**changes, "rate_limits": limits(old.rate_limits)}
        if "max_uses" in changes:
            # A new number of uses counts from now on.
            changes = {**changes, "uses_left": changes["max_uses"]}
        new = msgspec.structs.replace(old, **changes)
        # The new record is checked, because an expired token may be given a later expiry.
        refuse_if_ended(new, now)
        check_held(origin, new)
        if new.expires_at != old.expires_at:
            check_life(origin, new.expires_at)
        return new

    async def _write(self, old: ManagedToken, new: ManagedToken, origin: Origin) -> ManagedToken | None:
        action: Action = "token.updated"
        if new.active != old.active:
            action = _ACTIVATED if new.active else "token.deactivated"
        if old.name == new.name:
            return await self._managed_records.write(old, new, action, origin)
        # Reserved before the record has it, so that two records never have one name, even if this is interrupted.
        if not await self._store.names.reserve(new):
            raise await self._taken(new.name, origin)
        # Not released if the write is refused: another rename to the same name may have come first, and a name that no
        # record has can be taken by anyone who wants it.
        return await self._managed_records.write(old, new, action, origin)

    async def _taken(self, name: str, origin: Origin) -> Conflict:
        holder = await self._name_holders.told(name, origin)
        refusal = (
            f"{holder}, or choose another." if holder else f"A token called {name} already exists. Choose another name."
        )
        return Conflict(refusal, code="name_taken")

    async def revoke(self, token_id: str, origin: Origin, ahead: Ahead | None = None) -> bool:
        """End a token for good; False if it was over already. It is refused from the moment this returns.

        `ahead`: its record, if it was requested earlier.

        Raises NotFound for an id that never existed, Forbidden if the caller may not end it.
        """
        return (await self._managed_records.end(token_id, "revoked", origin, ahead=ahead))[0]
