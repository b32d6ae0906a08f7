"""Tokens that come from elsewhere, and all of them on their way there: import and export.

What goes out are digests, never secrets: they open a service that has the same server key. What comes in are such
records, exactly as they were, or secrets of other systems, in clear or as SHA-256.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from hashlib import sha256

import msgspec

from service.errors import Forbidden, InvalidRequest, StoreFull, StoreUnavailable
from service.keyring import Keyring
from service.model import ManagedToken, Origin, Status
from service.store.driver.keys import shard_of_digest
from service.store.driver.shards import Shards
from service.store.managed import records
from service.store.managed.imports import ImportStore, Incoming, Refused
from service.store.managed.listing import Listing
from service.store.managed.query import Query
from service.store.managed.tokens import Record
from service.tokens.audit.log import AuditLog
from service.tokens.authority import Authority
from service.tokens.lifetime import Lifetime
from service.tokens.managed.records import facts
from service.tokens.managed.seals import Seals
from service.tokens.managed.tokens import NewToken
from service.tokens.rights import check_creator, check_held, check_life
from service.tokens.secret import mint_id

# So many rows keep the loop for a millisecond, and Redis for half of one: requests go on between.
SLICE = 10
_PAUSES = (0.1, 0.4)
_SAID = {
    Refused.EXISTS: "This token is here already.",
    Refused.SECRET_TAKEN: "This secret belongs to a token that is here already.",
    Refused.NAME_TAKEN: "A token of this name exists.",
}


class Exported(msgspec.Struct, frozen=True):
    """A record as an export gave it, with its seal and the number of shards it was made for."""

    token: ManagedToken
    seal: str
    shards: int


class ImportedSecret(msgspec.Struct, frozen=True):
    """A token of another system: its terms, the SHA-256 of its secret in hex and what may be shown of it."""

    new: NewToken
    sha256_hex: str
    last_eight: str = ""
    created_by: str = ""


class Skipped(msgspec.Struct, frozen=True):
    """Why a row was not taken in: a stable word, and a sentence for people."""

    code: str
    message: str


class DryRun:
    """What the earlier rows of an import that writes nothing would have left no room for."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._digests: set[str] = set()

    def conflict(self, token: ManagedToken) -> Refused | None:
        """Why this row would be refused after those before; else it is one of them from now on."""
        if token.digest in self._digests:
            return Refused.SECRET_TAKEN
        if not token.revoked_at and token.name in self._names:
            return Refused.NAME_TAKEN
        self._digests.add(token.digest)
        if not token.revoked_at:
            self._names.add(token.name)
        return None


class ImportExport:
    """Takes tokens in and gives them out."""

    def __init__(
        self,
        store: ImportStore,
        listing: Listing,
        shards: Shards,
        seals: Seals,
        authority: Authority,
        keyring: Keyring,
        audit_log: AuditLog,
        lifetime: Lifetime,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._listing = listing
        self._shards = shards
        self._seals = seals
        self._authority = authority
        self._keyring = keyring
        self._audit_log = audit_log
        self._lifetime = lifetime
        self._clock = clock
        self._asked = False

    def everything(self, query: Query) -> AsyncIterator[Record]:
        """All records of a query in bounded memory."""
        return self._listing.records(msgspec.structs.replace(query, limit=500), self._clock())

    async def take(
        self, rows: list[Exported | ImportedSecret], origin: Origin, dry_run: DryRun | None = None
    ) -> list[Skipped | None]:
        """Take a slice of rows in, at most SLICE; for each None, or why it was skipped.

        With a `dry_run` nothing is written. A row is taken in whole or not at all. Raises StoreUnavailable
        when Redis stays away; the rows may be sent again then, and those that were taken in are skipped.
        """
        taken = await asyncio.gather(*[self._take(row, origin, dry_run) for row in rows])
        if dry_run is None and any(isinstance(row, ImportedSecret) for row in rows):
            self._authority.accepts_imported = True
        return taken

    async def _take(self, row: Exported | ImportedSecret, origin: Origin, dry_run: DryRun | None) -> Skipped | None:
        token = row.token if isinstance(row, Exported) else self._born(row, origin)
        if refused := self._refuse(row, token, origin):
            return refused
        if dry_run is not None:
            return _skipped(await self._store.conflict(token) or dry_run.conflict(token))
        return _skipped(await self._put(self._incoming(token, origin), born_here=isinstance(row, ImportedSecret)))

    async def _put(self, incoming: Incoming, *, born_here: bool) -> Refused | None:
        """Write a token; of thousands of rows one may meet a Redis that is busy for a moment, so it is tried again."""
        now, pauses = int(self._clock()), list(_PAUSES)
        while True:
            try:
                refused = await self._store.put(incoming, now)
            except StoreUnavailable as error:
                if isinstance(error, StoreFull) or not pauses:
                    raise
                await asyncio.sleep(pauses.pop(0))
            else:
                # An id drawn here is known only if an earlier try did its work and the answer was lost.
                lost = born_here and len(pauses) < len(_PAUSES)
                return None if lost and refused is Refused.EXISTS else refused

    def _refuse(self, row: Exported | ImportedSecret, token: ManagedToken, origin: Origin) -> Skipped | None:
        if isinstance(row, Exported):
            if row.shards != len(self._shards) or not self._at_home(token):
                message = f"Exported from {row.shards} shards, while there are {len(self._shards)} here."
                return Skipped("wrong_shards", message)
            if not self._seals.is_ours(Record(token, row.seal)):
                return Skipped("not_ours", "Exported under another server key, or changed since.")
        try:
            check_held(origin, token)
            check_life(origin, token.expires_at)
            if isinstance(row, ImportedSecret):
                # That of an exported one is sealed, and so is true.
                check_creator(origin, token.created_by)
            if token.status(self._clock()) is Status.ACTIVE or isinstance(row, ImportedSecret):
                self._lifetime.check(token.expires_at)
        except (Forbidden, InvalidRequest) as refused:
            return Skipped(refused.code, refused.detail)
        return None

    def _at_home(self, token: ManagedToken) -> bool:
        shard = self._shards.of_id(token.token_id)
        return shard is not None and shard is self._shards.of_digest(records.decode_digest(token.digest))

    def _born(self, row: ImportedSecret, origin: Origin) -> ManagedToken:
        """A token of its own for a secret that another system made; the digest decides where it lives."""
        digest = self._keyring.imported_digest(row.sha256_hex.encode())
        return ManagedToken(
            token_id=mint_id(shard_of_digest(digest, len(self._shards))),
            last_eight=row.last_eight,
            digest=records.encode_digest(digest),
            created_by=row.created_by or origin.actor,
            created_micros=self._lifetime.begin(),
            uses_left=row.new.max_uses,
            imported=True,
            **msgspec.structs.asdict(row.new),
        )

    def _incoming(self, token: ManagedToken, origin: Origin) -> Incoming:
        now = self._clock()
        credential = predecessor = b""
        if token.status(now) is Status.ACTIVE:
            credential = self._seals.credential(token, records.decode_digest(token.digest), token.expires_at)
            if token.predecessor and token.predecessor_until > now:
                older = records.decode_digest(token.predecessor)
                predecessor = self._seals.credential(token, older, token.predecessor_until)
        # Sealed anew, because the credentials beside it are sealed by the present key.
        seal = self._seals.of(token)
        entry = self._audit_log.entry("token.imported", origin, token.token_id, after=facts(token))
        return Incoming(token, seal, credential, predecessor, entry)

    async def look_for_imported(self) -> None:
        """Learn whether secrets of other systems are to be looked up; asked every second.

        Until it is known they are: not knowing must never refuse one. Raises StoreUnavailable.
        """
        try:
            self._authority.accepts_imported = await self._store.holds_imported()
        except StoreUnavailable:
            self._authority.accepts_imported = self._authority.accepts_imported or not self._asked
            raise
        self._asked = True


def sha256_of(secret: str) -> str:
    """What another system may have kept of its secret."""
    return sha256(secret.encode()).hexdigest()


def last_eight_of(secret: str) -> str:
    """What may be shown of a secret of any length: its end, at most a quarter and eight characters of it."""
    return secret[-min(8, len(secret) // 4) :]


def _skipped(refused: Refused | None) -> Skipped | None:
    return None if refused is None else Skipped(refused.value, _SAID[refused])
