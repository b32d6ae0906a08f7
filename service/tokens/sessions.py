"""Session tokens: a username and password traded for a day's access."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable

import msgspec

from service.errors import RateLimited, Unauthorized
from service.model import Credential, Kind, Origin, Role, Verdict
from service.store.keys import encode_digest
from service.store.session_store import Counters, SessionStore
from service.store.shards import Shards
from service.tokens.accounts import Account, Accounts
from service.tokens.authority import Authority
from service.tokens.passwords import PasswordChecker, look_alike
from service.tokens.secret import Keyring, mint_into
from service.tokens.trail import Trail

# What may be the secret of a token: no name has as many letters and digits without a break.
_SECRET = re.compile(r"[0-9a-z]{32}")


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
        self, store: SessionStore, shards: Shards, authority: Authority, keyring: Keyring, accounts: Accounts,
        passwords: PasswordChecker, trail: Trail, clock: Callable[[], float], *, ttl_seconds: int, idle_seconds: int,
    ) -> None:  # fmt: skip
        self._store = store
        self._shards = shards
        self._authority = authority
        self._keyring = keyring
        self._accounts = accounts
        self._passwords = passwords
        self._trail = trail
        self._clock = clock
        self._ttl_seconds = ttl_seconds
        self._idle_seconds = idle_seconds

    async def sign_in(self, username: str, password: str, origin: Origin) -> SignedIn:
        """Trade a password for a session. Five round trips and one password check.

        Raises InvalidCredentials, or RateLimited after five wrong passwords for an account or twenty from an
        address in 15 minutes; an address that has signed in before has its own five.
        """
        account, generation = await self._admit(username, password, origin)
        signed_in = await self._create(username, account, generation, origin)
        await self._store.count_address(self._address(origin), step=-1)
        return signed_in

    async def check_password(self, username: str, password: str, origin: Origin) -> Account:
        """The account of a name and password, under the same brakes as signing in, without a session."""
        account, _ = await self._admit(username, password, origin)
        await self._store.take_attempt(normalise(username), self._counters(username, origin), step=-1)
        await self._store.count_address(self._address(origin), step=-1)
        return account

    def role(self, username: str) -> Role | None:
        """The present role of an account, None if there is none that may sign in."""
        account = self._accounts.get(username)
        return account.role if account else None

    async def _admit(self, username: str, password: str, origin: Origin) -> tuple[Account, bytes]:
        """Count the try, then look at the password: the same steps for a name that does not exist."""
        wait = await self._store.count_address(self._address(origin))
        attempt = None if wait else await self._store.take_attempt(
            normalise(username), self._counters(username, origin)
        )  # fmt: skip
        if attempt is None or attempt.wait:
            await self._trail.write("login.throttled", origin, _shown(username))
            seconds = math.ceil((wait or (attempt.wait if attempt else 0)) / 1000)
            raise RateLimited("Too many tries. Wait before the next one.", retry_after=max(1, seconds))
        account = self._accounts.get(username)
        password_hash = account.password_hash if account else look_alike(next(iter(self._accounts.hashes()), None))
        right = await self._passwords.matches(password_hash, password)
        if account is None or not right:
            await self._trail.write("login.failed", origin, _shown(username))
            raise InvalidCredentials(int(attempt.tries_left))
        return account, attempt.generation

    async def _create(self, username: str, account: Account, generation: bytes, origin: Origin) -> SignedIn:
        user = normalise(username)
        now = int(self._clock())
        expires_at = now + self._ttl_seconds
        secret, digest = mint_into(self._keyring, Kind.SESSION, self._shards.of_name(user).index, len(self._shards))
        token_id = encode_digest(digest[:12]).decode()
        credential = Credential(
            Kind.SESSION, token_id, username, (), now, expires_at, stamp=self._accounts.stamp(username) or ""
        )
        created = await self._store.create(
            user, digest, self._authority.seal(digest, credential), expires_at=expires_at,
            idle_seconds=min(self._idle_seconds, self._ttl_seconds), generation=generation,
            counters=self._counters(username, origin),
            entry=self._trail.entry("session.created", msgspec.structs.replace(origin, actor=username), token_id),
        )  # fmt: skip
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
            opened = await self._authority.read(digest)
            if opened is not None:
                subject = opened.credential.subject
                session_origin = msgspec.structs.replace(origin, actor=subject)
                entry = self._trail.entry("session.revoked", session_origin, opened.credential.token_id)
                ended = await self._store.end(normalise(subject), digest, entry) or ended
        return ended

    async def end_all(self, username: str, origin: Origin) -> int:
        """Log a user out everywhere, also where signing in is under way; how many sessions were ended."""
        entry = self._trail.entry("session.revoked", origin, username, after={"sessions": "all"})
        return await self._store.end_all(normalise(username), entry)

    def _address(self, origin: Origin) -> bytes:
        return self._keyring.pseudonym("login-address", origin.address)

    def _counters(self, username: str, origin: Origin) -> Counters:
        normal = normalise(username)
        return Counters(
            self._keyring.pseudonym("login-account", normal),
            self._keyring.pseudonym("login-known", normal, origin.address),
            self._keyring.pseudonym("login-own", normal, origin.address),
        )


def normalise(username: str) -> str:
    """The form under which a name is counted: case, width, spaces and invisible signs make no new name."""
    folded = unicodedata.normalize("NFKC", username).casefold()
    return "".join(sign for sign in folded if not sign.isspace() and unicodedata.category(sign)[0] != "C")[:128]


def _shown(username: str) -> str:
    """A name from outside as the audit trail shows it: it may be anything, a secret in the wrong field too."""
    name = normalise(username)
    return "-" if not name or _SECRET.search(name) else name
