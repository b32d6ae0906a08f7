"""Logging in: the one place where a password is checked, within the limits on guessing."""

from service.errors import Unauthorized
from service.keyring import Keyring
from service.model import Origin, Role
from service.tokens.accounts.accounts import Account, Accounts, normalise
from service.tokens.accounts.attempts import Attempt, Attempts, Throttled
from service.tokens.accounts.passwords import Busy, PasswordChecker, decoy_hash
from service.tokens.audit.log import AuditLog
from service.tokens.audit.refusals import Refusals


class InvalidCredentials(Unauthorized):
    """The name and password do not match; `tries_left` before a pause, the same for names that do not exist."""

    def __init__(self, tries_left: int) -> None:
        super().__init__("That name and password do not match.", presented=True)
        self.code = "invalid_credentials"
        self.tries_left = tries_left


class Login:
    """Checks names and passwords."""

    def __init__(
        self,
        accounts: Accounts,
        attempts: Attempts,
        passwords: PasswordChecker,
        audit_log: AuditLog,
        refusals: Refusals,
        keyring: Keyring,
    ) -> None:
        self._accounts = accounts
        self._attempts = attempts
        self._passwords = passwords
        self._audit_log = audit_log
        self._refusals = refusals
        self._keyring = keyring

    async def check_password(self, username: str, password: str, origin: Origin) -> Account:
        """The account of a name and password, under the same rate limits as signing in, without a session.

        The same steps are taken for a name that does not exist.
        """
        attempt = await self._reserve(username, origin)
        account = self._accounts.get(username)
        # The decoy takes as long to check as a real hash, so the time of the answer does not tell which names exist.
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
            await self._refusals.add(origin, self._shown(username))
            raise

    def _shown(self, username: str) -> str:
        """An account's name; any other name by a digest: it may be anything, a secret in the wrong field too."""
        normal = normalise(username)
        known = self._accounts.spelling(normal)
        return known or f"unknown:{self._keyring.pseudonym('unknown', normal)[:6].hex()}"
