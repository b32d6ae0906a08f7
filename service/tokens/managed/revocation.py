"""Revocation by the secret alone: whatever it belongs to, in any state, ends for good."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from service.errors import NotFound
from service.model import Kind, Origin
from service.store.credentials import CredentialStore
from service.tokens.authority import Authority
from service.tokens.managed.records import ManagedRecords
from service.tokens.one_time import OneTimeTokens
from service.tokens.secret import parse
from service.tokens.sessions import Sessions


@dataclass(eq=False, repr=False)
class Revocation:
    """Finds what a secret belongs to and ends it, usable or not, because a holder may always give it up."""

    _credentials: CredentialStore
    _managed_records: ManagedRecords
    _authority: Authority
    _sessions: Sessions
    _one_time: OneTimeTokens
    # Called before a digest is treated as unknown: see `Sweeper.catch_up`.
    _catch_up: Callable[[bytes], Awaitable[None]]
    # Called before a secret is tried as an imported one: see `Imports.detect_imported`.
    _learn_imported: Callable[[], Awaitable[None]]

    async def revoke(self, secret: bytes, origin: Origin) -> bool:
        """End what this secret belongs to; False if nothing was left to end.

        From the moment this returns the secret is refused, and no later edit changes that. A managed token ends whole,
        by its present secret or by an old one in its overlap; an old secret after its overlap has ended already.
        Raises StoreUnavailable.
        """
        kind = parse(secret)
        if kind is Kind.SESSION and await self._sessions.end(secret, origin):
            return True
        if kind is Kind.ONE_TIME and await self._one_time.revoke(secret):
            return True
        # An imported secret may have the form of any kind, and may have been imported a moment ago.
        await self._learn_imported()
        digests = [digest for _, digest in self._authority.candidates(secret, (Kind.MANAGED,))]
        # A list: `any` over a generator would stop at the first, but another digest may lead to a token too.
        ended = [await self._end(digest, origin) for digest in digests]
        return any(ended)

    async def _end(self, digest: bytes, origin: Origin) -> bool:
        """End the managed token of a digest, with or without a record."""
        sealed, reason = await self._credentials.find_with_reason(digest)
        if sealed is None and reason is None:
            # It may have expired while no process swept; it must still be ended for good.
            await self._catch_up(digest)
            sealed, reason = await self._credentials.find_with_reason(digest)
        if sealed is None and reason is None:
            await self._credentials.confirm_gone(digest)
            return False
        decoded = None if sealed is None else self._authority.open(digest, sealed)
        credential = None if decoded is None else decoded.credential
        # A credential is sealed and a reason is not, but a removal gives nobody a right.
        token_id = credential.token_id if credential is not None else reason.token_id if reason is not None else ""
        if origin.actor == "anonymous":
            origin = msgspec.structs.replace(origin, actor=f"token:{token_id}")
        if sealed is None and reason is not None and reason.state == "revoked":
            # It ended before. To finish what an earlier attempt left undone needs no permission.
            origin = msgspec.structs.replace(origin, bound=None)
        try:
            return (await self._managed_records.end(token_id, "revoked", origin, digest=digest))[0]
        # A derived token has no record, and the record of another token may be gone.
        except NotFound:
            if sealed is not None:
                return await self._managed_records.drop(digest, token_id, credential, origin)
            await self._credentials.confirm_gone(digest)
            return False
