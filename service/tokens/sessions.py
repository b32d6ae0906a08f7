"""Session tokens: a day's access for a username and password; a changed accounts file may end them."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from service.counters import Decisions
from service.errors import NotFound, StoreUnavailable
from service.keyring import id_of
from service.model import Credential, Kind, Origin, Verdict
from service.store.sessions import SessionStore
from service.tokens.accounts.accounts import Account, AccountsError, lack_of, read_accounts
from service.tokens.accounts.login import InvalidCredentials, Login, Throttled
from service.tokens.audit.log import AuditLog
from service.tokens.authority import Authority
from service.tokens.secret import Minter
from service.tokens.usage import idle_end

log = logging.getLogger(__name__)
_BY_SIGNAL = Origin(actor="operator", address="", channel="signal", request_id="")
_AT_START = Origin(actor="operator", address="", channel="start", request_id="")


class SignedIn(msgspec.Struct, frozen=True):
    """A new session: its secret, shown only this once, when it expires in epoch seconds, and its id."""

    secret: str
    expires_at: int
    account: Account
    token_id: str


class SessionLifetime(msgspec.Struct, frozen=True):
    """How long a session lasts by this clock: in total, and without use."""

    ttl_seconds: int
    idle_seconds: int
    clock: Callable[[], float]


@dataclass(eq=False, repr=False)
class Sessions:
    """Signs accounts in and ends their sessions."""

    _store: SessionStore
    _minter: Minter
    _authority: Authority
    _login: Login
    _audit_log: AuditLog
    _lifetime: SessionLifetime
    _decisions: Decisions

    async def sign_in(self, username: str, password: str, origin: Origin) -> SignedIn:
        """Exchange a password for a session. Five round trips and one password check.

        Raises InvalidCredentials; Throttled after too many wrong passwords, see `Attempts`; Busy for a moment.
        """
        # Read before the password is checked: if all the user's sessions are ended meanwhile, none is created.
        generation = await self._store.generation(self._authority.accounts.pseudonym(username))
        try:
            account = await self._login.check_password(username, password, origin)
            signed_in = await self._create(username, account, generation, origin)
        except (InvalidCredentials, Throttled) as refused:
            self._decisions.logins.inc("failed" if isinstance(refused, InvalidCredentials) else "throttled")
            raise
        self._decisions.logins.inc("succeeded")
        self._decisions.issued.inc(Kind.SESSION)
        return signed_in

    async def _create(self, username: str, account: Account, generation: bytes, origin: Origin) -> SignedIn:
        user = self._authority.accounts.pseudonym(username)
        now = int(self._lifetime.clock())
        expires_at = now + self._lifetime.ttl_seconds
        secret, digest = self._minter.mint_beside(Kind.SESSION, user)
        token_id = id_of(digest)
        credential = Credential(
            token_id,
            username,
            (),
            now,
            expires_at,
            kind=Kind.SESSION,
            # The mark of the given password, because another one may be in force by now.
            password_mark=self._authority.accounts.mark_of(username, account),
        )
        created = await self._store.create(
            user,
            digest,
            self._authority.seal(digest, credential),
            issued_at=now,
            expires_at=expires_at,
            ends_at=idle_end(now, self._lifetime.idle_seconds, expires_at),
            generation=generation,
            entry=self._audit_log.entry("session.created", msgspec.structs.replace(origin, actor=username), token_id),
        )
        # All sessions were ended meanwhile. The client gets the answer for a wrong password.
        if not created:
            raise InvalidCredentials(0)
        return SignedIn(secret, expires_at, account, token_id)

    async def check(self, secret: bytes) -> Verdict:
        """The verdict on a session token. Counts as use, so the idle time starts again."""
        return await self._authority.verify(secret, (Kind.SESSION,))

    async def end(self, secret: bytes, origin: Origin) -> bool:
        """End the session of this secret, usable or not; False if there is none. Two round trips."""
        ended = False
        for place, digest in enumerate(self._authority.digests(Kind.SESSION, secret)):
            decoded = await self._authority.read(digest)
            if decoded is not None:
                subject = decoded.credential.subject
                session_origin = msgspec.structs.replace(origin, actor=subject)
                entry = self._audit_log.entry("session.revoked", session_origin, decoded.credential.token_id)
                # By the same server key as the digest, with which it was made.
                user = self._authority.accounts.pseudonyms(subject)[place]
                ended |= await self._store.end(user, digest, entry)
            else:
                await self._store.confirm_gone(digest)
        self._decisions.revoked.inc(Kind.SESSION, by=ended)
        return ended

    async def listed(self, username: str, limit: int) -> list[tuple[Credential, int]]:
        """Valid sessions of one user or of everybody (""), the latest sign-in first, each with its last use in epoch
        seconds, 0 for not used yet.
        """
        user = self._authority.accounts.pseudonym(username) if username else None
        now, found = self._lifetime.clock(), []
        async for stored in self._store.listed(user, int(now), limit):
            found += self._good_of(stored, now)
        last = sorted(found, key=lambda one: one[1].issued_at, reverse=True)[:limit]
        return list(zip([session for _, session in last], await self._store.last_uses(last), strict=True))

    async def last_sign_ins(self, names: Sequence[str]) -> list[int]:
        """When each of these accounts last signed in, in epoch seconds, 0 if that is not known."""
        # While the server key changes, a process with the other key uses other pseudonyms.
        known = [self._authority.accounts.pseudonyms(name) for name in names]
        each = [await self._store.last_sign_ins(users) for users in zip(*known, strict=True)]
        return [max(found) for found in zip(*each, strict=True)]

    def _good_of(self, stored: list[tuple[bytes, bytes]], now: float) -> list[tuple[bytes, Credential]]:
        decoded = [self._authority.open_once(digest, sealed) for digest, sealed in stored]
        verdicts = [(one, self._authority.evaluate(one, (), "", now)) for one in decoded if one is not None]
        return [(one.digest, one.credential) for one, verdict in verdicts if verdict.active]

    async def end_one(self, username: str, token_id: str, origin: Origin) -> None:
        """End a user's session by its id. Three round trips. Raises NotFound."""
        user = self._authority.accounts.pseudonym(username)
        digest = await self._digest_of(user, token_id)
        entry = self._audit_log.entry("session.revoked", origin, token_id, after={"username": username})
        if digest is None or not await self._store.end(user, digest, entry):
            # An earlier try of the same request may have ended it.
            await self._store.confirm_gone(user)
            raise NotFound("This user has no session with this ID now.")
        self._decisions.revoked.inc(Kind.SESSION)

    async def _digest_of(self, user: bytes, token_id: str) -> bytes | None:
        now = self._lifetime.clock()
        async for stored in self._store.in_slices(user):
            for digest, known in self._good_of(stored, now):
                if known.token_id == token_id:
                    return digest
        return None

    async def end_all(self, username: str, origin: Origin) -> int:
        """End all sessions of a user, also those being created. Returns how many were ended."""
        entry = self._audit_log.entry("session.revoked", origin, username, after={"sessions": "all"})
        ended = 0
        for user in self._authority.accounts.pseudonyms(username):
            ended += await self._store.end_all(user, entry._replace(body=b"") if ended else entry)
        self._decisions.revoked.inc(Kind.SESSION, by=ended)
        return ended

    async def end_outdated(self) -> None:
        """End sessions from an earlier accounts file whose account is gone or has another password.

        They are refused anyway, but would be counted until they expire. Three round trips a user, then one each.
        """
        # A process without accounts may run beside others that have them.
        if not len(self._authority.accounts):
            return
        ended = 0
        for user in await self._store.users():
            async for stored in self._store.in_slices(user):
                for digest, sealed in stored:
                    decoded = self._authority.open_once(digest, sealed)
                    if decoded is None:
                        continue
                    subject, mark = decoded.credential.subject, decoded.credential.password_mark
                    if mark != self._authority.accounts.password_mark(subject):
                        told, token_id = {"username": subject}, decoded.credential.token_id
                        entry = self._audit_log.entry("session.revoked", _AT_START, token_id, after=told)
                        ended += await self._store.end(user, digest, entry)
        self._decisions.revoked.inc(Kind.SESSION, by=ended)

    async def reload_accounts(self, path: Path | None) -> None:
        """Put a changed accounts file in force; a file that cannot be read changes nothing.

        Sessions of removed or changed accounts end at once, also those whose sign-in is under way.
        """
        try:
            found = read_accounts(path) if path else {}
        except AccountsError as error:
            # A mistake in the file must not lock everybody out: the previous accounts stay in force.
            log.error("accounts were not reloaded, those read before stay in force: %s", error)
            return
        ended = self._authority.accounts.replace(found)
        log.info("accounts reloaded", extra={"facts": {"accounts": len(found), "ended": len(ended)}})
        if path and (lack := lack_of(path, found)):
            log.warning(lack)
        try:
            # Before the entry, which a full server may refuse.
            for name in ended:
                await self.end_all(name, _BY_SIGNAL)
            await self._audit_log.write("account.reloaded", _BY_SIGNAL, "accounts", after={"accounts": len(found)})
        except StoreUnavailable:
            # They are refused already, because their password mark is wrong; only the count of sessions is too high.
            log.warning("ended sessions will be counted until they expire")
