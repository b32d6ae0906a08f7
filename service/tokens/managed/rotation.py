"""Rotation: a token gets a new secret under the same id; the old one may work for a while longer."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from service.errors import Conflict, Forbidden
from service.model import ManagedToken, Origin
from service.store.driver.shards import Shards
from service.store.managed.tokens import ManagedStore
from service.tokens.idempotency import Minted, Repeatable, Repeats, refuse_if_secret_ended
from service.tokens.managed.records import TRIES, ManagedRecords, keeps_changing, not_found, refuse_if_ended
from service.tokens.managed.tokens import Created
from service.tokens.rights import check_end, check_held

LONGEST_OVERLAP_SECONDS = 7 * 86400


@dataclass(eq=False, repr=False)
class Rotation:
    """Rotates secrets. At most two secrets of a token work: the present one and its predecessor."""

    _store: ManagedStore
    _managed_records: ManagedRecords
    _shards: Shards
    _repeats: Repeats
    _clock: Callable[[], float]

    async def rotate(
        self,
        token_id: str,
        origin: Origin,
        *,
        overlap_seconds: int = 0,
        request: Repeatable | None = None,
        holder: frozenset[bytes] | None = None,
    ) -> Created:
        """Give a token a new secret. The old one works for the overlap, but never past the token's expiry; an earlier
        one ends now. A token that is switched off keeps no old secret.

        `holder`: the digests, as the record may have them, of the secret that asks for its own rotation. Raises
        NotFound, Conflict (`token_revoked`, `token_expired`, `record_tampered`, `idempotency_mismatch`, and
        `rotated_already` if the holder's secret is not the present one), Forbidden for a token with more rights than
        the caller's own.
        """
        if origin.bound is not None and origin.bound.token_id == token_id:
            # That operation requires the present secret, and the scope.
            raise Forbidden("A token rotates itself at /api/tokens/self/rotate.", scope="self:rotate")
        minted = await self._mint(token_id, origin, overlap_seconds, request)
        for _ in range(TRIES):
            old = await self._managed_records.read_to_change(token_id)
            check_held(origin, old)
            # Checked after the record was read: if an earlier try comes in between, the write below is refused.
            if request and await self._store.was_issued(token_id, minted.digest):
                # Read again, because the earlier try may have come between the two.
                issued = await self._managed_records.read_to_change(token_id)
                check_held(origin, issued)
                refuse_if_secret_ended(issued, minted, self._clock())
                await self._store.confirm_changed(token_id)
                return Created(issued, minted.secret, repeated=True)
            refuse_if_ended(old, self._clock())
            if holder is not None and old.digest not in holder:
                raise Conflict("This secret was rotated already. Use the new one.", code="rotated_already")
            new = self._rotated(old, minted, overlap_seconds)
            if written := await self._managed_records.write(old, new, "token.rotated", origin):
                return Created(written, minted.secret)
        raise keeps_changing()

    async def _mint(self, token_id: str, origin: Origin, overlap_seconds: int, request: Repeatable | None) -> Minted:
        """A secret whose digest belongs to the token's shard."""
        shard = self._shards.of_id(token_id)
        if shard is None:
            raise not_found()
        return await self._repeats.mint(shard, request, origin.actor, f"rotate {token_id} {overlap_seconds}")

    def _rotated(self, old: ManagedToken, minted: Minted, overlap_seconds: int) -> ManagedToken:
        now = int(self._clock())
        return msgspec.structs.replace(
            old,
            digest=minted.digest,
            last_eight=minted.secret[-8:],
            rotated_at=now,
            rotations=old.rotations + 1,
            predecessor=old.digest,
            predecessor_until=now + overlap_seconds,
            # The recorded use was that of the earlier predecessor.
            predecessor_used_at=0,
        )

    async def end_overlap(self, token_id: str, origin: Origin) -> ManagedToken:
        """End the old secret now; harmless if there is none. Raises NotFound, Conflict as `rotate`."""
        for _ in range(TRIES):
            old = await self._managed_records.read_to_change(token_id)
            # Removing a secret gives nobody a right, so it needs only the right to end the token.
            check_end(origin, old)
            if not old.in_overlap(self._clock()):
                await self._store.confirm_changed(token_id)
                return old
            new = msgspec.structs.replace(old, predecessor=b"", predecessor_until=0)
            if written := await self._managed_records.write(old, new, "token.updated", origin):
                return written
        raise keeps_changing()
