"""Passwords: argon2id, checked in threads so that the event loop runs on; at most two at once, and few waiting.

Its library is loaded with the first password, because many processes never check one, and it takes half a MiB.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING

from service.errors import RateLimited

if TYPE_CHECKING:
    from argon2 import PasswordHasher

# OWASP's second choice: 19 MiB and two passes, about 50 ms here.
_MEMORY_KIB, _PASSES, _LANES = 19456, 2, 1
# Each check takes 19 MiB and a core.
_AT_ONCE = 2
_WAITING = 32
SHORTEST = 12
_ENCODED = re.compile(
    r"\$argon2id(?:\$v=(?:16|19))?\$m=([1-9][0-9]{0,6}),t=([1-9][0-9]{0,3}),p=([1-9][0-9]{0,2})"
    r"\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)"
)
_SALT_BYTES, _DIGEST_BYTES = 8, 16


class Busy(RateLimited):
    """Too many passwords are being checked; a second later there may be room."""

    def __init__(self) -> None:
        super().__init__("Too many sign-ins at once. Try again in a moment.", retry_after=1)


def is_short(password: str) -> bool:
    """True if it has fewer characters than an account's password needs."""
    return len(_composed(password)) < SHORTEST


def hash_password(password: str) -> str:
    """The argon2id hash of a password, as an accounts file holds it."""
    return _hasher().hash(_composed(password))


def is_verifiable(password_hash: str) -> bool:
    """True if a password can match this hash. None matches with a blank at its end, or parts in another order."""
    found = _ENCODED.fullmatch(password_hash)
    if found is None:
        return False
    memory, _, lanes, salt, digest = found.groups()
    # RFC 9106, 3.1: at least 8 KiB for each lane.
    return int(memory) >= 8 * int(lanes) and _size(salt) >= _SALT_BYTES and _size(digest) >= _DIGEST_BYTES


def decoy_hash(password_hash: str | None) -> str:
    """A hash that no password matches and that costs as much to check as the given one."""
    found = _ENCODED.fullmatch(password_hash or "")
    memory, passes, lanes = found.groups()[:3] if found else (_MEMORY_KIB, _PASSES, _LANES)
    # The sizes that `hash_password` makes.
    salt, digest = (base64.b64encode(os.urandom(size)).decode().rstrip("=") for size in (16, 32))
    return f"$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${digest}"


class PasswordChecker:
    """Checks passwords in threads."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="argon2")
        self._waiting = 0

    async def matches(self, password_hash: str, password: str) -> bool:
        """True if this is the password. Raises Busy if too many checks wait already."""
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
    """Tries the password composed (as `hash_password` does), as given, and decomposed, for hashes made elsewhere."""
    # Each form once: a check takes tens of milliseconds, and for most passwords all three are the same.
    forms = dict.fromkeys((_composed(password), password, unicodedata.normalize("NFD", password)))
    return any(_fits(password_hash, form) for form in forms)


@cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher  # noqa: PLC0415

    return PasswordHasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES)


def _fits(password_hash: str, password: str) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError  # noqa: PLC0415

    try:
        return _hasher().verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def _composed(password: str) -> str:
    """One form (NFC) for texts that read the same: an accent may be typed as one character or as two."""
    return unicodedata.normalize("NFC", password)


def _size(text: str) -> int:
    """How many bytes a base64 text without padding encodes; -1 if it is invalid or not in canonical form."""
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return -1
    return len(decoded) if base64.b64encode(decoded).decode().rstrip("=") == text else -1
