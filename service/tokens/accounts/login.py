"""Sign-in: the only place where a password is checked, with limits on guessing.

Wrong passwords are limited per account, address, network and in total. Each attempt is reserved before its
check, so that concurrent guesses cannot exceed a limit, and given back if the password was right. A reservation expires
by itself if its process or Redis goes away. Wrong attempts count for a quarter of an hour.
"""

import asyncio
import math
from dataclasses import dataclass

import msgspec

from service.addresses import address_groups
from service.errors import RateLimited, Unauthorized
from service.identifiers import random_id
from service.keyring import Keyring
from service.model import Origin
from service.store.attempts import AttemptStore
from service.tokens.accounts.accounts import Account, Accounts, normalise
from service.tokens.accounts.passwords import Busy, PasswordChecker, decoy_hash
from service.tokens.audit.log import AuditLog
from service.tokens.audit.refusals import Refusals

WINDOW_SECONDS = 15 * 60
HOLD_SECONDS = 5
PER_ACCOUNT = 5
PER_ADDRESS = 20
PER_NETWORK = 100
GLOBAL_LIMIT = 1000
_KNOWN_MILLISECONDS = 90 * 86400 * 1000
_RETRIES = 20
_PAUSE_SECONDS = 0.1
# Per process, for all accounts together.
_MOST_WAITING = 64


class Throttled(RateLimited):
    """Too many wrong passwords."""


class Bound(msgspec.Struct, frozen=True):
    """What an attempt counts under, and how many wrong ones are allowed."""

    digest: bytes
    allowed: int


class Attempt(msgspec.Struct, frozen=True):
    """A reserved attempt, with the account's own bounds first. `pairs`: this account from this address.

    Each bound is there once, or while the server key changes once per key, so that all processes count alike.
    """

    attempt_id: str
    bounds: tuple[Bound, ...]
    pairs: list[bytes]


class Attempts:
    """Admits attempts at passwords.

    An address from which an account has signed in before has a count of its own there and no other bound: guesses from
    elsewhere, or from its own network, cannot lock out its owner.
    """

    def __init__(self, store: AttemptStore, keyring: Keyring) -> None:
        self._store = store
        self._keyring = keyring
        self._waiting = 0

    async def reserve(self, name: str, address: str) -> Attempt:
        """Reserve an attempt at an account. Two round trips, more while others are being checked.

        Raises Throttled, or Busy if no other attempt ends within two seconds or too many wait for that.
        """
        attempt = await self._attempt(name, address)
        if await self._reserved(attempt):
            return attempt
        # Each waiting attempt keeps a request open.
        if self._waiting >= _MOST_WAITING:
            raise Busy
        self._waiting += 1
        try:
            for _ in range(_RETRIES):
                await asyncio.sleep(_PAUSE_SECONDS)
                if await self._reserved(attempt):
                    return attempt
        finally:
            self._waiting -= 1
        raise Busy

    async def wrong(self, attempt: Attempt) -> int:
        """Count a wrong password. Returns how many attempts are left."""
        counted = await asyncio.gather(
            *[
                self._store.count(bound.digest, attempt.attempt_id, window_milliseconds=WINDOW_SECONDS * 1000)
                for bound in attempt.bounds
            ]
        )
        # Only of the account: a caller must not learn what an address or a network has left.
        return max(0, attempt.bounds[0].allowed - max(counted[: len(attempt.pairs)]))

    async def right(self, attempt: Attempt) -> None:
        """The password was right: the attempt is not counted. Earlier wrong ones, maybe somebody else's, still are."""
        known = [self._store.remember(pair, _KNOWN_MILLISECONDS) for pair in attempt.pairs]
        await asyncio.gather(*known, self.give_back(attempt))

    async def give_back(self, attempt: Attempt) -> None:
        """The password was not checked: give the attempt back."""
        await asyncio.gather(*[self._store.give_back(bound.digest, attempt.attempt_id) for bound in attempt.bounds])

    async def _attempt(self, name: str, address: str) -> Attempt:
        # An IPv6 host can use a whole /64.
        near, far = address_groups(address)
        digests = self._keyring.pseudonyms
        pairs = digests("login-known", name, near)
        # Guesses from elsewhere must not lock out the owner: an address that has signed in to this account before has a
        # count of its own.
        if any(await asyncio.gather(*map(self._store.is_known, pairs))):
            counted = [(digests("login-own", name, near), PER_ACCOUNT)]
        else:
            counted = [
                (digests("login-account", name), PER_ACCOUNT),
                (digests("login-address", near), PER_ADDRESS),
                (digests("login-network", far), PER_NETWORK),
                (digests("login-global"), GLOBAL_LIMIT),
            ]
        bounds = tuple(Bound(digest, allowed) for found, allowed in counted for digest in found)
        return Attempt(random_id(), bounds, pairs)

    async def _reserved(self, attempt: Attempt) -> bool:
        """Reserve under all bounds. True if all admit it; otherwise it is reserved under none."""
        # Concurrently, because the bounds lie in several shards.
        waits = await asyncio.gather(
            *[
                self._store.reserve(
                    bound.digest, attempt.attempt_id, allowed=bound.allowed, hold_milliseconds=HOLD_SECONDS * 1000
                )
                for bound in attempt.bounds
            ]
        )
        if not any(waits):
            return True
        await self.give_back(attempt)
        seconds = math.ceil(max(waits) / 1000)
        # A shorter wait is for an attempt that is being checked now, and gives its place back when it ends.
        if seconds > HOLD_SECONDS:
            raise Throttled("Too many tries. Wait before the next one.", retry_after=seconds)
        return False


class InvalidCredentials(Unauthorized):
    """The name and password do not match. `tries_left` before a pause, the same for names that do not exist."""

    def __init__(self, tries_left: int) -> None:
        super().__init__("That name and password do not match.", presented=True, code="invalid_credentials")
        self.tries_left = tries_left


@dataclass(eq=False, repr=False)
class Login:
    """Checks names and passwords."""

    _accounts: Accounts
    _attempts: Attempts
    _passwords: PasswordChecker
    _audit_log: AuditLog
    _refusals: Refusals

    async def check_password(self, username: str, password: str, origin: Origin) -> Account:
        """The account of a name and password, under the same rate limits as a sign-in, but without a session.

        Takes the same steps for a name that does not exist.
        """
        attempt = await self._reserve(username, origin)
        account = self._accounts.get(username)
        # The decoy takes as long to check as a real hash, so the time of the answer does not show which names exist.
        password_hash = account.password_hash if account else decoy_hash(self._accounts.any_hash())
        try:
            right = await self._passwords.matches(password_hash, password)
        except Busy:
            await self._attempts.give_back(attempt)
            raise
        if account is None or not right:
            tries_left = await self._attempts.wrong(attempt)
            await self._audit_log.write("login.failed", origin, self._accounts.shown(username))
            raise InvalidCredentials(tries_left)
        await self._attempts.right(attempt)
        return account

    async def _reserve(self, username: str, origin: Origin) -> Attempt:
        try:
            return await self._attempts.reserve(normalise(username), origin.address)
        except Throttled:
            await self._refusals.add(origin, self._accounts.shown(username))
            raise
