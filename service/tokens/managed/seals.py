"""What the server key protects: seals on records, the credentials that belong to them, and whether both agree."""

from collections.abc import Iterable, Sequence

from service.keyring import Keyring
from service.model import Credential, ManagedToken
from service.store.credentials import CredentialStore, Found, Reason
from service.store.managed import records
from service.store.managed.records import Record
from service.store.pacing import share_turn
from service.tokens.authority import Authority


class Seals:
    """Seals what this service writes, and detects what somebody else wrote or put back."""

    def __init__(self, authority: Authority, credentials: CredentialStore, keyring: Keyring) -> None:
        self._authority = authority
        self._credentials = credentials
        self._keyring = keyring

    def of(self, token: ManagedToken) -> str:
        """The seal for a record of this token."""
        return self._keyring.mac("metadata", records.sealed_part(token))

    def again(self, record: Record, token: ManagedToken) -> str:
        """The seal of a token whose record is ours; unchanged if neither the token nor the server key is."""
        return record.seal if token is record.token and self._keyring.previous is None else self.of(token)

    def is_ours(self, record: Record) -> bool:
        """True if a service with our server key wrote this record."""
        return self._keyring.signer("metadata", records.sealed_part(record.token), record.seal) is not None

    def credential(self, token: ManagedToken, digest: bytes, expires_at: int) -> bytes:
        """The bytes that make a secret of this token valid, until its end in epoch seconds."""
        return self._authority.seal(digest, _credential(token, expires_at))

    def ids_of(self, found: Iterable[tuple[bytes, bytes]]) -> list[str]:
        """The ids of the tokens of these credentials (digest and sealed record), without any not sealed by our key."""
        genuine = [self._authority.unsealed(*one) for one in found]
        return [one.token_id for one in genuine if one is not None]

    async def is_in_use(self, token: ManagedToken) -> bool:
        """True if the secret that a record names is the one in use. If the record is not ours, False is uncertain."""
        decoded = await self._authority.read(token.digest)
        return decoded is not None and decoded.credential.token_id == token.token_id

    async def agree(self, tokens: Sequence[ManagedToken]) -> list[bool]:
        """For each genuine record, whether its credentials agree with it. They do not if an old record was put back.

        One round trip; one more for each record whose credential is gone.
        """
        named = [digest for token in tokens for digest in (token.digest, token.predecessor) if digest]
        found = await self._credentials.find_all_with_reasons(named)
        return [await self._agrees(token, found) for token in tokens]

    async def _agrees(self, token: ManagedToken, found: dict[bytes, Found]) -> bool:
        await share_turn()
        sealed, reason = found[token.digest]
        if not token.active:
            return sealed is None and reason == Reason.of(token)
        # The record says that it is not revoked, so it is an older one that was put back.
        if reason is not None and reason.state == "revoked":
            return False
        if not await self._stands(token, token.digest, sealed, token.expires_at):
            return False
        if not token.predecessor:
            return True
        older, _ = found[token.predecessor]
        return await self._stands(token, token.predecessor, older, token.predecessor_until)

    async def _stands(self, token: ManagedToken, digest: bytes, sealed: bytes | None, expires_at: int) -> bool:
        """True if this is the credential that belongs to the record, or if that credential has expired."""
        if sealed is None:
            # By the clock of Redis, because Redis removes the credentials.
            return 0 < expires_at <= await self._credentials.time(digest)
        return self._authority.is_sealed(digest, _credential(token, expires_at), sealed)


def _credential(token: ManagedToken, expires_at: int) -> Credential:
    return Credential(
        token.token_id,
        token.subject,
        token.scopes,
        token.created_at,
        expires_at,
        token.name,
        token.created_by,
        rate_limits=token.rate_limits,
        networks=token.networks,
        max_uses=token.max_uses,
    )
