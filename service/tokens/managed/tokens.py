"""Managed tokens: created, edited and revoked by administrators, each change written to the audit log.

Rotation is in `rotation.py`, changes of many tokens in `bulk.py`, finding and counting them in `queries.py`.
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
    """What a token is created with; `expires_at` in epoch seconds, 0 for never. Checked by whoever decodes it.

    `subject` is whom it speaks for; empty for nobody, never for its creator.
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
        """The token with these terms; `more` are further fields of it."""
        # By place: by name so many fields take eight times as long.
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
    """A token and its secret, which is shown this once; `repeated` if an earlier try of the request made it."""

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

        Raises Conflict (`name_taken`, `idempotency_mismatch`, `token_revoked` for a repeat after the end of what the
        first try made), InvalidRequest for a lifetime that policy forbids, Forbidden for what the caller does not hold.
        """
        check_held(origin, new)
        check_life(origin, new.expires_at)
        self._lifetime.check(new.expires_at)
        shard = self._shards.of_name(new.name)
        minted = await self._repeats.mint(shard, request, origin.actor, "create")
        token = new.made(minted.token_id, minted.secret[-8:], minted.digest, origin.actor, self._lifetime.begin())
        if await self._managed_records.add(token, origin):
            return Created(token, minted.secret)
        # The name is taken: by this very token, if an earlier try of the same request made it.
        earlier = await self._store.get(minted.token_id) if request else None
        if earlier is None:
            raise await self._taken(new.name, origin)
        # It may have been given more since.
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
        """Change a token: fields of ManagedToken to new values, `active` among them. Returns it as it is then.

        `rate_limits` may be a function of the present ones; `ahead` is the record, as it was asked for before;
        `version` the one that the token must have unless it is as it is to be, 0 for any.
        An old secret in its overlap goes on with the new terms. What is refused changes nothing.
        Raises NotFound, Conflict (`name_taken`, `token_changed`, `token_revoked`, `token_expired`), InvalidRequest,
        and Forbidden for what the caller does not hold, before the change or after it.
        """
        # By `end`, which works on a full server, too.
        if changes == {"active": False} and not version:
            return (await self._managed_records.end(token_id, "inactive", origin, ahead=ahead))[1]
        for _ in range(TRIES):
            old = await self._managed_records.read_to_change(token_id, ahead)
            new = self._changed(old, changes, origin)
            # Whatever its version: an earlier try may have done it, whose answer was lost.
            if new == old:
                await self._store.confirm_changed(token_id)
                return new
            if version and old.version != version:
                raise Conflict("The token was changed since it was read: read it again.", code="token_changed")
            if written := await self._write(old, new, origin):
                return written
        raise keeps_changing()

    async def activate(self, known: Sequence[Record], origin: Origin) -> list[str]:
        """Activate tokens as `update` does, step by step, where their records were read just now.

        Of each the code that it is refused with, empty where it is active. Raises StoreUnavailable.
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
        # Of the new record: an expired token may be given a later date.
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
        # Held before the record says it, so that two records never bear one name, whatever is cut off between.
        if not await self._store.names.reserve(new):
            raise await self._taken(new.name, origin)
        # Not given up where the write is refused: a renaming to the same name may have come first, and who wants a name
        # that nobody bears takes it.
        return await self._managed_records.write(old, new, action, origin)

    async def _taken(self, name: str, origin: Origin) -> Conflict:
        holder = await self._name_holders.told(name, origin)
        refusal = (
            f"{holder}, or choose another." if holder else f"A token called {name} already exists. Choose another name."
        )
        return Conflict(refusal, code="name_taken")

    async def revoke(self, token_id: str, origin: Origin, ahead: Ahead | None = None) -> bool:
        """End a token for good; False if it was over already. It is refused from the moment this returns.

        `ahead`: its record, as it was asked for before.

        Raises NotFound for an id that never was, Forbidden for one that is not the caller's to end.
        """
        return (await self._managed_records.end(token_id, "revoked", origin, ahead=ahead))[0]
