"""Revocation by the secret alone: whatever it stands for, and in whatever state that is, ends for good."""

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
    """Finds what a secret stands for and ends it. It need not be usable now: whoever holds it may give it up."""

    _credentials: CredentialStore
    _managed_records: ManagedRecords
    _authority: Authority
    _sessions: Sessions
    _one_time: OneTimeTokens
    # Called before a digest is taken for unknown: see `Sweeper.catch_up`.
    _catch_up: Callable[[bytes], Awaitable[None]]
    # Called before a secret is tried as another system's: see `Imports.detect_imported`.
    _learn_imported: Callable[[], Awaitable[None]]

    async def revoke(self, secret: bytes, origin: Origin) -> bool:
        """End what this secret stands for; False if nothing was left to end.

        From the moment this returns the secret is refused, and no later edit changes that. A managed token ends
        whole, by its present secret or by an old one in its overlap; an old one after that is over already.
        Raises StoreUnavailable.
        """
        kind = parse(secret)
        if kind is Kind.SESSION and await self._sessions.end(secret, origin):
            return True
        if kind is Kind.ONE_TIME and await self._one_time.revoke(secret):
            return True
        # A secret that another system made may have the form of any kind, and be taken in a moment ago.
        await self._learn_imported()
        digests = [digest for _, digest in self._authority.candidates(secret, (Kind.MANAGED,))]
        # A list: `any` over a generator would stop at the first, and another digest may lead to a token, too.
        ended = [await self._end(digest, origin) for digest in digests]
        return any(ended)

    async def _end(self, digest: bytes, origin: Origin) -> bool:
        """End the managed token of a digest, with or without its record."""
        sealed, reason = await self._credentials.find_with_reason(digest)
        if sealed is None and reason is None:
            # Its date may have come while no process swept: it is to be ended for good all the same.
            await self._catch_up(digest)
            sealed, reason = await self._credentials.find_with_reason(digest)
        if sealed is None and reason is None:
            await self._credentials.confirm_gone(digest)
            return False
        decoded = None if sealed is None else self._authority.open(digest, sealed)
        credential = None if decoded is None else decoded.credential
        # A credential is sealed and a reason is not, but nobody gains a right by what is taken away here.
        token_id = credential.token_id if credential is not None else reason.token_id if reason is not None else ""
        if origin.actor == "anonymous":
            origin = msgspec.structs.replace(origin, actor=f"token:{token_id}")
        if sealed is None and reason is not None and reason.state == "revoked":
            # What is left to do where an earlier try was cut off takes no right.
            origin = msgspec.structs.replace(origin, bound=None)
        try:
            return (await self._managed_records.end(token_id, "revoked", origin, digest=digest))[0]
        # Of a derived token there is no record, and that of another may be gone.
        except NotFound:
            if sealed is not None:
                return await self._managed_records.drop(digest, token_id, credential, origin)
            await self._credentials.confirm_gone(digest)
            return False
