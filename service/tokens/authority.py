"""The authority: decides whether a secret may be used now. Every decision asks Redis."""

import math
from collections.abc import Callable, Iterable
from functools import lru_cache

import msgspec
from msgspec.structs import astuple

from service.keyring import SEAL_BYTES, Keyring
from service.model import KIND_MANAGED, KIND_SESSION, Credential, Kind, Outcome, Scopes, Verdict
from service.store.credentials import CredentialStore
from service.store.driver.replies import unavailable
from service.store.fence import VOID
from service.tokens.accounts.accounts import Accounts
from service.tokens.charging import Charging
from service.tokens.credential import DecodedCredential, missing_scopes
from service.tokens.imported.rules import ImportedSecrets
from service.tokens.limits import KnownSubjects
from service.tokens.secret import parse
from service.tokens.usage import Usage

_REMEMBERED = 16_384
_decode = msgspec.msgpack.Decoder(Credential).decode
_encode = msgspec.msgpack.Encoder().encode
_DEFAULTS = tuple(field.default for field in msgspec.structs.fields(Credential))

MALFORMED = Verdict(Outcome.MALFORMED)
UNKNOWN = Verdict(Outcome.UNKNOWN)
EXPIRED = Verdict(Outcome.EXPIRED)
VOIDED = Verdict(Outcome.VOIDED)
NETWORK_DENIED = Verdict(Outcome.NETWORK_DENIED)


class Authority:
    """Verifies secrets. The decoded record is cached under the exact bytes that Redis returned."""

    def __init__(
        self,
        store: CredentialStore,
        keyring: Keyring,
        accounts: Accounts,
        usage: Usage,
        subjects: KnownSubjects,
        *,
        on_tampered: Callable[[], None],
        on_paused: Callable[[], None],
    ) -> None:
        """`on_tampered` is called for a record that others wrote, `on_paused` when a limit could not be charged."""
        self.usage = usage
        self.count = usage.count
        self.clock = usage.clock
        self._store = store
        self._keyring = keyring
        self.digest = keyring.digest
        self.accounts = accounts
        self._on_tampered = on_tampered
        # Secrets of other systems, whose form `parse` does not know.
        self.imported = ImportedSecrets(keyring)
        # Not a decorator: that would share one cache among all instances, and keep them alive.
        self.open = lru_cache(_REMEMBERED)(self.open_once)
        # A token for the known state of subjects' limits. It is replaced as soon as any limit changes, and records
        # decoded before that are no longer used.
        self.known = object()
        self.charging = Charging(store, subjects, self.open, on_paused)
        self._subjects = subjects
        store.changes.heard = self._forget

    def _forget(self, subject: str | None) -> None:
        """Forget the limits of a subject, or of all subjects for None, and every record decoded with them."""
        self._subjects.forget(subject)
        self.open.cache_clear()
        self.known = object()
        self.charging.limited.clear()

    @property
    def may_lie_elsewhere(self) -> bool:
        """True if a secret not found by its first digest may be found by another one."""
        return bool(self.imported.rules) or self.imported.unread or self._keyring.previous is not None

    def seal(self, digest: bytes, credential: Credential) -> bytes:
        """The bytes that are stored for a credential."""
        return self._keyring.seal(digest, _written(credential))

    def is_sealed(self, digest: bytes, credential: Credential, sealed: bytes) -> bool:
        """True if the record has the seal of this credential, by either server key."""
        return self._keyring.unseal(digest, sealed[:SEAL_BYTES] + _written(credential)) is not None

    def unsealed(self, digest: bytes, sealed: bytes) -> Credential | None:
        """The credential in a record with a valid seal; None for any other record, which is counted."""
        body = self._keyring.unseal(digest, sealed)
        if body is None:
            self._on_tampered()
            return None
        return _decode(body)

    def open_once(self, digest: bytes, sealed: bytes) -> DecodedCredential | None:
        """The record, decoded and ready to be evaluated, None for an invalid seal. `open` also caches it."""
        credential = self.unsealed(digest, sealed)
        if credential is None:
            return None
        decoded = DecodedCredential(digest, credential, sealed[:SEAL_BYTES])
        # Done here, because otherwise each record that left the cache would be read a second time, in a task.
        if decoded.shared is None:
            decoded.share(self._subjects.known(decoded.subject))
        return decoded

    def digests(self, kind: Kind, secret: bytes) -> list[bytes]:
        """The digests a secret may be stored under: by the present key, then by the previous one.

        For managed tokens the digests of other systems' rules follow.
        """
        own = [keys.digest(kind, secret) for keys in self._keyring.each]
        return own + self.imported.digests(secret) if kind is Kind.MANAGED else own

    def first_digest(self, kind: Kind | None, secret: bytes) -> bytes | None:
        """The digest of a session or managed token, else by the first import rule; `kind` is that of its form."""
        if kind is KIND_MANAGED or kind is KIND_SESSION:
            return self.digest(kind, secret)
        return next(iter(self.imported.digests(secret)), None)

    def candidates(self, secret: bytes, kinds: Iterable[Kind]) -> list[tuple[Kind, bytes]]:
        """The kinds a secret may be of, each with a digest to find it by. An imported secret may have any form."""
        kind = parse(secret)
        if kind is not None and kind in kinds and not self.may_lie_elsewhere:
            return [(kind, self.digest(kind, secret))]
        found = [(kind, digest) for digest in self.digests(kind, secret)] if kind is not None and kind in kinds else []
        if kind is not Kind.MANAGED and Kind.MANAGED in kinds:
            found += [(Kind.MANAGED, digest) for digest in self.imported.digests(secret)]
        return found

    def _unfound(self) -> Verdict:
        if self.imported.unread:
            raise unavailable()
        return UNKNOWN

    def evaluate(self, decoded: DecodedCredential | None, required: Scopes, address: str, now: float) -> Verdict:
        """The verdict on this record, for these scopes, from this address. Does not consider limits."""
        if decoded is None:
            return UNKNOWN
        credential = decoded.credential
        # Redis drops it by then, but a server whose clock was set back may still have it; the expiry is sealed.
        if credential.expires_at and credential.expires_at <= now:
            return EXPIRED
        # A session ends with a change of the password, without a search for it.
        if (
            credential.kind is KIND_SESSION
            and self.accounts.password_mark(credential.subject) != credential.password_mark
        ):
            return UNKNOWN
        if required and (missing := missing_scopes(credential.scopes, required)):
            return Verdict(Outcome.INSUFFICIENT_SCOPE, credential, missing)
        # Most tokens have no networks, and for each token of a batch this call would take as long as all the rest.
        return decoded.active if not credential.networks or decoded.admits(address) else NETWORK_DENIED

    def lasts_until(self, decoded: DecodedCredential) -> float:
        """Until when an allowed record stays allowed for the same scopes, as long as Redis returns the same bytes and
        `known` is the same object; 0 if more than the record decides.
        """
        credential = decoded.credential
        if credential.networks or credential.kind is KIND_SESSION:
            return 0
        # Always a float, because Python compares two floats faster than a float and an int.
        return float(credential.expires_at) or math.inf

    async def verify(
        self,
        secret: bytes,
        kinds: Iterable[Kind],
        *,
        required: Scopes = (),
        address: str = "",
        agent: bytes = b"",
        cost: int = 1,
    ) -> Verdict:
        """Decide, count the use, and charge `cost` to each limit. One round trip, none for a malformed secret, and two
        for each further digest that a secret may be stored under.

        A secret of another kind is MALFORMED here. Never ask for one-time tokens: see `OneTimeTokens.consume`.
        Raises StoreUnavailable.
        """
        candidates = self.candidates(secret, kinds)
        if not candidates:
            return MALFORMED
        now = self.clock()
        for kind, digest in candidates:
            limited = self.charging.limited.get(digest)
            if limited is not None:
                verdict, decoded = await self._verify_limited(limited.decoded, required, address, now, cost)
            else:
                decoded = await self.read(digest)
                verdict = self.evaluate(decoded, required, address, now)
                if decoded is not None and decoded.shared is None:
                    await self.charging.learn(decoded)
                if decoded is not None and decoded.limited and verdict.active:
                    verdict, decoded = await self._verify_limited(decoded, required, address, now, cost)
            if decoded is not None:
                self.count(decoded, verdict, now, address, agent)
                return verdict
            # Asked only if another candidate follows, which could make an ended secret valid again.
            if kind is Kind.MANAGED and len(candidates) > 1 and await self._is_gone(digest):
                return UNKNOWN
        return self._unfound()

    async def _is_gone(self, digest: bytes) -> bool:
        """True if a token ended under this digest. An import of the same secret must then not make it valid again."""
        _, reason = await self._store.find_with_reason(digest)
        return reason is not None

    async def peek(self, secret: bytes, kinds: Iterable[Kind], *, required: Scopes = ()) -> Verdict:
        """Decide without using: nothing is spent, charged or counted. One round trip, two for a token with limits.

        A one-time token is not spent. For a managed token that is gone the verdict says why.
        """
        candidates = self.candidates(secret, kinds)
        if not candidates:
            return MALFORMED
        now = self.clock()
        for kind, digest in candidates:
            sealed, reason = await self._store.find_any(kind, digest)
            if sealed == VOID:
                return VOIDED
            if sealed is None and reason is not None:
                return Verdict(reason.outcome(now))
            if sealed is not None:
                decoded = self.open(digest, sealed)
                verdict = self.evaluate_anywhere(decoded, required, now)
                if decoded is None or not verdict.active:
                    return verdict
                return (await self.charging.forecast(verdict, decoded, now))[0]
        return self._unfound()

    def evaluate_anywhere(self, decoded: DecodedCredential | None, required: Scopes, now: float) -> Verdict:
        """The verdict for a third party, whose own address says nothing about the holder's."""
        verdict = self.evaluate(decoded, required, "", now)
        return decoded.active if decoded is not None and verdict is NETWORK_DENIED else verdict

    async def read(self, digest: bytes) -> DecodedCredential | None:
        """The record of a session or managed token in its present state, without evaluating it."""
        sealed = await self._store.find(digest)
        return None if sealed is None else self.open(digest, sealed)

    async def _verify_limited(
        self, remembered: DecodedCredential, required: Scopes, address: str, now: float, cost: int
    ) -> tuple[Verdict, DecodedCredential | None]:
        """Read and charge in one script, by the record last seen; again if another record has replaced it."""
        digest = remembered.digest
        while True:
            verdict = self.evaluate(remembered, required, address, now)
            if not verdict.active:
                # The new record forbids the use, so the use must not cost anything: only read the record.
                decoded = await self.read(digest)
                verdict = self.evaluate(decoded, required, address, now)
                if decoded is None or not verdict.active:
                    return verdict, decoded
                remembered = decoded
            charged, decoded = await self.charging.charge(remembered, verdict, cost, now)
            if charged is not None or decoded is None:
                return charged or UNKNOWN, decoded
            remembered = decoded


def _written(credential: Credential) -> bytes:
    """A credential encoded without the defaults at its end, which for most tokens are a fourth of it."""
    values = astuple(credential)
    count = len(values)
    while values[count - 1] == _DEFAULTS[count - 1]:
        count -= 1
    return _encode(values[:count])
