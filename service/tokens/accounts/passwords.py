"""Passwords: argon2id, checked in threads so that the loop goes on, at most two at once and few waiting."""

import asyncio
import base64
import binascii
import os
import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

from service.errors import RateLimited

# OWASP's second choice: 19 MiB and two passes, about 50 ms here.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
# Each takes 19 MiB and a core as long as it lasts.
_AT_ONCE = 2
_WAITING = 32
SHORTEST = 12
_ENCODED = re.compile(
    r"\$argon2id(?:\$v=(?:16|19))?\$m=([1-9][0-9]{0,6}),t=([1-9][0-9]{0,3}),p=([1-9][0-9]{0,2})"
    r"\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)"
)
_SALT_BYTES, _DIGEST_BYTES = 8, 16


class Busy(RateLimited):
    """Too many passwords are being checked: a second later there may be room."""

    def __init__(self) -> None:
        super().__init__("Too many sign-ins at once. Try again in a moment.", retry_after=1)


def is_short(password: str) -> bool:
    """Has it fewer characters than an account's password needs?"""
    return len(_composed(password)) < SHORTEST


def hash_password(password: str) -> str:
    """The argon2id hash of a password, as an accounts file holds it."""
    return _HASHER.hash(_composed(password))


def is_verifiable(password_hash: str) -> bool:
    """Can a password be checked against this? One with a blank behind it or its parts in another order never fits."""
    found = _ENCODED.fullmatch(password_hash)
    if found is None:
        return False
    memory, _, lanes, salt, digest = found.groups()
    # RFC 9106, 3.1: 8 KiB for each lane at least.
    return int(memory) >= 8 * int(lanes) and _size(salt) >= _SALT_BYTES and _size(digest) >= _DIGEST_BYTES


def decoy_hash(password_hash: str | None) -> str:
    """A hash that no password matches and that costs as much to check as the given one."""
    cost = extract_parameters(password_hash) if password_hash else _HASHER
    # Of the sizes that `hash_password` makes.
    salt, digest = (base64.b64encode(os.urandom(size)).decode().rstrip("=") for size in (16, 32))
    return f"$argon2id$v=19$m={cost.memory_cost},t={cost.time_cost},p={cost.parallelism}${salt}${digest}"


class PasswordChecker:
    """Checks passwords off the loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="argon2")
        self._waiting = 0

    async def matches(self, password_hash: str, password: str) -> bool:
        """Is this the password? Raises Busy when too many checks wait already."""
        if self._waiting >= _AT_ONCE + _WAITING:
            raise Busy
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, _verify, password_hash, password)
        finally:
            self._waiting -= 1

    async def aclose(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _verify(password_hash: str, password: str) -> bool:
    """Composed, as `hash_password` does it, as it came and decomposed: a hash from elsewhere may be of any form."""
    # Each form once: a check takes tens of milliseconds, and of most passwords all three are the same.
    forms = dict.fromkeys((_composed(password), password, unicodedata.normalize("NFD", password)))
    return any(_fits(password_hash, form) for form in forms)


def _fits(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def _composed(password: str) -> str:
    """One form (NFC) for what reads the same: keyboards and systems write an accent in one sign or in two."""
    return unicodedata.normalize("NFC", password)


def _size(text: str) -> int:
    """How many bytes a text in base64 without padding stands for, -1 if none or in another way than ours."""
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return -1
    return len(decoded) if base64.b64encode(decoded).decode().rstrip("=") == text else -1
