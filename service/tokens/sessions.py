"""Session tokens: a username and password traded for a day's access."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from service.errors import Unauthorized
from service.keyring import Keyring, encode_digest
from service.model import Credential, Kind, Origin, Role, Verdict
from service.store.driver.shards import Shards
from service.store.sessions import SessionStore
from service.tokens.accounts.accounts import Account, Accounts, normalise
from service.tokens.accounts.attempts import Attempt, Attempts, Throttled
from service.tokens.accounts.passwords import Busy, PasswordChecker, decoy_hash
from service.tokens.audit.log import AuditLog
from service.tokens.authority import Authority
from service.tokens.secret import mint_into


class InvalidCredentials(Unauthorized):
    """The name and password do not match; `tries_left` before a pause, the same for names that do not exist."""

    def __init__(self, tries_left: int) -> None:
        super().__init__("That name and password do not match.", presented=True)
        self.code = "invalid_credentials"
        self.tries_left = tries_left


class SignedIn(msgspec.Struct, frozen=True):
    """A session just made: its secret, shown this once, and when it expires in epoch seconds."""

    secret: str
    expires_at: int
    account: Account


class Sessions:
    """Signs accounts in and ends their sessions."""

    def __init__(
        self,
        store: SessionStore,
        shards: Shards,
        authority: Authority,
        keyring: Keyring,
        accounts: Accounts,
        attempts: Attempts,
        passwords: PasswordChecker,
        audit_log: AuditLog,
        clock: Callable[[], float],
        *,
        ttl_seconds: int,
        idle_seconds: int,
    ) -> None:
        self._store = store
        self._shards = shards
        self._authority = authority
        self._keyring = keyring
        self._accounts = accounts
        self._attempts = attempts
        self._passwords = passwords
        self._audit_log = audit_log
        self._clock = clock
        self._ttl_seconds = ttl_seconds
        self._idle_seconds = idle_seconds

    async def sign_in(self, username: str, password: str, origin: Origin) -> SignedIn:
        """Trade a password for a session. Five round trips and one password check.

        Raises InvalidCredentials; Throttled after too many wrong passwords, see `Attempts`; Busy for a moment.
        """
        generation = await self._store.generation(self._user(username))
        account = await self.check_password(username, password, origin)
        return await self._create(username, account, generation, origin)

    async def check_password(self, username: str, password: str, origin: Origin) -> Account:
        """The account of a name and password, under the same rate limits as signing in, without a session.

        The same steps are taken for a name that does not exist.
        """
        attempt = await self._reserve(username, origin)
        account = self._accounts.get(username)
        password_hash = account.password_hash if account else decoy_hash(next(iter(self._accounts.hashes()), None))
        try:
            right = await self._passwords.matches(password_hash, password)
        except Busy:
            await self._attempts.give_back(attempt)
            raise
        if account is None or not right:
            tries_left = await self._attempts.wrong(attempt)
            await self._audit_log.write("login.failed", origin, self._shown(username))
            raise InvalidCredentials(tries_left)
        await self._attempts.right(attempt)
        return account

    def role(self, username: str) -> Role | None:
        """The present role of an account, None if there is none that may sign in."""
        account = self._accounts.get(username)
        return account.role if account else None

    async def _reserve(self, username: str, origin: Origin) -> Attempt:
        try:
            return await self._attempts.reserve(normalise(username), origin.address)
        except Throttled:
            if await self._attempts.is_news(origin.address):
                await self._audit_log.write("login.throttled", origin, self._shown(username))
            raise

    async def _create(self, username: str, account: Account, generation: bytes, origin: Origin) -> SignedIn:
        user = self._user(username)
        now = int(self._clock())
        expires_at = now + self._ttl_seconds
        secret, digest = mint_into(self._keyring, Kind.SESSION, self._shards.of_digest(user).index, len(self._shards))
        token_id = encode_digest(digest[:12]).decode()
        credential = Credential(
            Kind.SESSION,
            token_id,
            username,
            (),
            now,
            expires_at,
            password_mark=self._accounts.password_mark(username) or "",
        )
        created = await self._store.create(
            user,
            digest,
            self._authority.seal(digest, credential),
            expires_at=expires_at,
            idle_seconds=min(self._idle_seconds, self._ttl_seconds),
            generation=generation,
            entry=self._audit_log.entry("session.created", msgspec.structs.replace(origin, actor=username), token_id),
        )
        if not created:
            raise InvalidCredentials(0)
        return SignedIn(secret, expires_at, account)

    async def check(self, secret: bytes) -> Verdict:
        """Is this session token valid now? Counts as use, so an idle time starts anew."""
        return await self._authority.verify(secret, (Kind.SESSION,))

    async def end(self, secret: bytes, origin: Origin) -> bool:
        """End the session of this secret, usable or not; False if there is none. Two round trips."""
        ended = False
        for digest in self._authority.digests(Kind.SESSION, secret):
            decoded = await self._authority.read(digest)
            if decoded is not None:
                subject = decoded.credential.subject
                session_origin = msgspec.structs.replace(origin, actor=subject)
                entry = self._audit_log.entry("session.revoked", session_origin, decoded.credential.token_id)
                ended = await self._store.end(self._user(subject), digest, entry) or ended
        return ended

    async def end_all(self, username: str, origin: Origin) -> int:
        """Log a user out everywhere, also where signing in is under way; how many sessions were ended."""
        entry = self._audit_log.entry("session.revoked", origin, username, after={"sessions": "all"})
        return await self._store.end_all(self._user(username), entry)

    def _user(self, username: str) -> bytes:
        return self._keyring.pseudonym("user", normalise(username))

    def _shown(self, username: str) -> str:
        """An account's name; any other name by a digest: it may be anything, a secret in the wrong field too."""
        normal = normalise(username)
        known = self._accounts.spelling(normal)
        return known or f"unknown:{self._keyring.pseudonym('unknown', normal)[:6].hex()}"
