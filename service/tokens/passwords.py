"""Passwords: argon2id, checked in threads so that the loop goes on, at most two at once and few waiting."""

from __future__ import annotations

import asyncio
import base64
import os
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

from service.tokens.attempts import Busy

# OWASP's second choice: 19 MiB and two passes, about 50 ms here.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
_AT_ONCE = 2
_WAITING = 32


def hash_password(password: str) -> str:
    """The argon2id hash of a password, as an accounts file holds it."""
    return _HASHER.hash(password)


def look_alike(password_hash: str | None) -> str:
    """A hash that no password matches and that costs as much to check as the given one."""
    parameters = extract_parameters(password_hash) if password_hash else None
    memory, passes, lanes = (
        (parameters.memory_cost, parameters.time_cost, parameters.parallelism) if parameters else (19456, 2, 1)
    )
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
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
