"""Managed tokens: created, changed and revoked by administrators, each change written to the audit trail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from service.errors import Conflict, NotFound, StoreUnavailable
from service.model import Credential, Kind, ManagedToken, Origin, RateLimit, Statistics, Status
from service.store import records
from service.store.census import Census
from service.store.listing import Listing, Query
from service.store.managed_store import ManagedStore, Record
from service.store.shards import Shards
from service.tokens.authority import Authority
from service.tokens.lifetime import Lifetime
from service.tokens.secret import Keyring, mint_id, mint_into
from service.tokens.trail import Trail

_TRIES = 5
SLICE = 100


class NewToken(msgspec.Struct, frozen=True):
    """What a token is created with; `expires_at` in epoch seconds, 0 for never. Checked by whoever decodes it."""

    name: str
    expires_at: int
    description: str = ""
    subject: str = ""
    scopes: tuple[str, ...] = ()
    rate_limit: RateLimit | None = None
    networks: tuple[str, ...] = ()
    max_uses: int = 0
    metadata: dict[str, str] = {}


class Created(msgspec.Struct, frozen=True):
    """A token and its secret, which is shown this once."""

    token: ManagedToken
    secret: str


class BulkResult(msgspec.Struct, frozen=True):
    """What a change of several tokens did: the ids changed, and those left with why."""

    updated: list[str]
    skipped: list[tuple[str, str]]


class ManagedTokens:
    """The rules for managed tokens."""

    def __init__(
        self, store: ManagedStore, listing: Listing, census: Census, shards: Shards, authority: Authority,
        keyrings: tuple[Keyring, ...], trail: Trail, lifetime: Lifetime, clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._store = store
        self._listing = listing
        self._census = census
        self._shards = shards
        self._authority = authority
        self._keyrings = keyrings
        self._trail = trail
        self._lifetime = lifetime
        self._clock = clock
        self._last_micros = 0

    async def create(self, new: NewToken, origin: Origin) -> Created:
        """Create a token and mint its secret. One round trip.

        Raises Conflict `name_taken`, InvalidRequest for a lifetime that policy forbids.
        """
        self._lifetime.check(new.expires_at, self._clock())
        shard = self._shards.of_name(new.name)
        secret, digest = mint_into(self._keyrings[0], Kind.MANAGED, shard.index, len(self._shards))
        fields = msgspec.structs.asdict(new)
        fields["subject"] = new.subject or origin.actor
        token = ManagedToken(
            token_id=mint_id(shard.index), tail=secret[-8:], digest=records.encode_digest(digest),
            created_by=origin.actor, created_micros=self._birth(), uses_left=new.max_uses, **fields,
        )  # fmt: skip
        entry = self._trail.entry("token.created", origin, token.token_id, after=_facts(token))
        created = await self._store.create(
            token, digest, seal=self._seal(token), sealed=self._credential(token, digest), entry=entry
        )
        if not created:
            raise _taken(new.name)
        return Created(token, secret)

    async def get(self, token_id: str) -> ManagedToken:
        """The token of an id. Raises NotFound."""
        return (await self._record(token_id)).token

    async def page(self, query: Query) -> tuple[list[ManagedToken], tuple[str, str] | None, int | None]:
        """One page of a list, where to go on, and how many there are (None where counting would read them all)."""
        now = self._clock()
        page = self._listing.page(query, now)
        if not query.by_status_alone:
            tokens, after = await page
            return tokens, after, None
        (tokens, after), statistics = await asyncio.gather(page, self._census.take(int(now)))
        return tokens, after, sum(getattr(statistics, status) for status in query.wanted)

    async def statistics(self) -> Statistics:
        """How many tokens there are now."""
        return await self._census.take(int(self._clock()))

    async def update(self, token_id: str, changes: dict[str, Any], origin: Origin) -> ManagedToken:
        """Change a token: fields of ManagedToken to new values, `active` among them. Returns it as it is then.

        Raises NotFound, Conflict (`name_taken`, `token_revoked`, `token_expired`), InvalidRequest.
        """
        if changes.get("active") is False:
            await self._withdraw(token_id, "inactive", origin)
            changes = {name: value for name, value in changes.items() if name != "active"}
            if not changes:
                return await self.get(token_id)
        for _ in range(_TRIES):
            record = await self._record(token_id)
            new = self._changed(record, changes)
            if new == record.token:
                return new
            if await self._write(record.token, new, origin, _action(record.token, new)):
                return new
        raise StoreUnavailable("The token keeps changing. Try again.")

    def _changed(self, record: Record, changes: dict[str, Any]) -> ManagedToken:
        old, now = record.token, self._clock()
        if old.revoked_at:
            raise Conflict("A revoked token cannot be changed.", code="token_revoked")
        if changes.get("active") and not self._is_ours(record):
            raise Conflict("This record was changed outside the service. Revoke the token.", code="record_tampered")
        if "expires_at" in changes and changes["expires_at"] != old.expires_at:
            self._lifetime.check(changes["expires_at"], now)
        if "max_uses" in changes:
            changes = {**changes, "uses_left": changes["max_uses"]}
        new = msgspec.structs.replace(old, **changes)
        if changes.get("active") and new.status(now) is Status.EXPIRED:
            raise Conflict("This token has expired. Change its date first.", code="token_expired")
        return new if new == old else msgspec.structs.replace(new, version=old.version + 1)

    async def _write(self, old: ManagedToken, new: ManagedToken, origin: Origin, action: str) -> bool:
        renamed = old.name != new.name
        if renamed and not await self._store.reserve(new):
            raise _taken(new.name)
        digest = records.decode_digest(new.digest)
        predecessor = records.decode_digest(new.predecessor) if new.predecessor else digest
        usable = new.active and new.status(self._clock()) is Status.ACTIVE
        entry = self._trail.entry(action, origin, new.token_id, before=_facts(old, new), after=_facts(new, old))
        written = await self._store.update(
            old, new, digests=(digest, digest, predecessor), seal=self._seal(new),
            sealed=self._credential(new, digest) if usable else b"", old_until=0, entry=entry,
        )  # fmt: skip
        if renamed and not written:
            await self._store.release(new)
        return written

    async def revoke(self, token_id: str, origin: Origin) -> None:
        """End a token for good; harmless when repeated. It is refused from the moment this returns.

        Raises NotFound for an id that never was.
        """
        await self._withdraw(token_id, "revoked", origin)

    async def _withdraw(self, token_id: str, state: str, origin: Origin) -> int:
        action = "token.revoked" if state == "revoked" else "token.deactivated"
        for _ in range(_TRIES):
            token = (await self._record(token_id)).token
            if state == "inactive":
                self._refuse_if_ended(token)
            digest = records.decode_digest(token.digest)
            predecessor = records.decode_digest(token.predecessor) if token.predecessor else digest
            entry = self._trail.entry(
                action, origin, token_id, before={"status": token.status(self._clock())}, after={"status": state}
            )
            done = await self._store.withdraw(
                token, (digest, predecessor), state=state, now=int(self._clock()), entry=entry
            )
            if done >= 0:
                return done
        raise StoreUnavailable("The token keeps changing. Try again.")

    def _refuse_if_ended(self, token: ManagedToken) -> None:
        status = token.status(self._clock())
        if status is Status.REVOKED:
            raise Conflict("A revoked token cannot be changed.", code="token_revoked")
        if status is Status.EXPIRED:
            raise Conflict("This token has expired already.", code="token_expired")

    async def set_active(self, token_ids: list[str], active: bool, origin: Origin) -> BulkResult:
        """Activate or deactivate several tokens; what cannot be changed is skipped with its code."""
        result = BulkResult([], [])
        for start in range(0, len(token_ids), SLICE):
            part = token_ids[start : start + SLICE]
            outcomes = await asyncio.gather(*[self._set_one(token_id, active, origin) for token_id in part])
            for token_id, code in zip(part, outcomes, strict=True):
                if code:
                    result.skipped.append((token_id, code))
                else:
                    result.updated.append(token_id)
        return result

    async def _set_one(self, token_id: str, active: bool, origin: Origin) -> str:
        try:
            await self.update(token_id, {"active": active}, origin)
        except (Conflict, NotFound) as refused:
            return refused.code
        return ""

    async def revoke_many(self, token_ids: list[str], origin: Origin) -> BulkResult:
        """Revoke several tokens; ids that never were are skipped."""
        result = BulkResult([], [])
        for start in range(0, len(token_ids), SLICE):
            part = token_ids[start : start + SLICE]
            outcomes = await asyncio.gather(*[self._revoke_one(token_id, origin) for token_id in part])
            for token_id, code in zip(part, outcomes, strict=True):
                if code:
                    result.skipped.append((token_id, code))
                else:
                    result.updated.append(token_id)
        return result

    async def _revoke_one(self, token_id: str, origin: Origin) -> str:
        try:
            await self.revoke(token_id, origin)
        except NotFound as missing:
            return missing.code
        return ""

    async def matching(self, query: Query, expected: int | None) -> list[str]:
        """The ids that a query finds. Raises Conflict `count_changed` if they are not as many as expected."""
        query = msgspec.structs.replace(query, limit=1000, after=None)
        ids = [token.token_id async for token in self._listing.every(query, self._clock())]
        if expected is not None and len(ids) != expected:
            raise Conflict(f"The filter matches {len(ids)} tokens now, not {expected}.", code="count_changed")
        return ids

    async def _record(self, token_id: str) -> Record:
        record = await self._store.get(token_id)
        if record is None:
            raise NotFound("No token with this ID. It may have been removed after its retention time.")
        return record

    def _birth(self) -> int:
        """Now in microseconds, later than the last one, so that lists have one order."""
        self._last_micros = max(int(self._clock() * 1_000_000), self._last_micros + 1)
        return self._last_micros

    def _seal(self, token: ManagedToken) -> str:
        return self._keyrings[0].mac("metadata", records.sealed_part(token))

    def _is_ours(self, record: Record) -> bool:
        part = records.sealed_part(record.token)
        return any(keyring.mac("metadata", part) == record.seal for keyring in self._keyrings)

    def _credential(self, token: ManagedToken, digest: bytes) -> bytes:
        limit = token.rate_limit
        return self._authority.seal(
            digest,
            Credential(
                Kind.MANAGED, token.token_id, token.subject, token.scopes, token.created_at, token.expires_at,
                name=token.name, client=token.created_by, networks=token.networks, max_uses=token.max_uses,
                rate_limit=(limit.limit, limit.period_seconds, limit.burst or limit.limit) if limit else None,
            ),
        )  # fmt: skip


def _taken(name: str) -> Conflict:
    return Conflict(f"A token called {name} already exists. Choose another name.", code="name_taken")


def _action(old: ManagedToken, new: ManagedToken) -> str:
    return "token.activated" if new.active and not old.active else "token.updated"


_SHOWN = ("name", "description", "subject", "scopes", "rate_limit", "networks", "max_uses", "metadata", "expires_at", "active")


def _facts(token: ManagedToken, other: ManagedToken | None = None) -> dict[str, Any]:
    """What an audit entry says of a token; beside another version of it only what differs."""
    return {
        name: getattr(token, name)
        for name in _SHOWN
        if (getattr(token, name) if other is None else getattr(token, name) != getattr(other, name))
    }
