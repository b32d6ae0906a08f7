"""Passwords: argon2id, checked in threads so that the loop goes on, at most two at once and few waiting.

Its library comes with the first password: many processes never check one, and it is half a MiB of each.
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
    return _hasher().hash(_composed(password))


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
    found = _ENCODED.fullmatch(password_hash or "")
    memory, passes, lanes = found.groups()[:3] if found else (_MEMORY_KIB, _PASSES, _LANES)
    # Of the sizes that `hash_password` makes.
    salt, digest = (base64.b64encode(os.urandom(size)).decode().rstrip("=") for size in (16, 32))
    return f"$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${digest}"


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
    """One form (NFC) for what reads the same: keyboards and systems write an accent in one sign or in two."""
    return unicodedata.normalize("NFC", password)


def _size(text: str) -> int:
    """How many bytes a text in base64 without padding stands for, -1 if none or in another way than ours."""
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return -1
    return len(decoded) if base64.b64encode(decoded).decode().rstrip("=") == text else -1
