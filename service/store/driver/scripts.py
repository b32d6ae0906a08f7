"""The Lua scripts: one file each in lua/, called by their digest, sent whole if Redis does not know them.

In a script `'@name'` stands for a field of a record, which is stored under one letter (see `LETTERS`), and `'@name1'`
for the second piece of a long value.
"""

import re
from collections.abc import Awaitable, Coroutine
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

from service.store.driver.connection import Asked
from service.store.driver.replies import Argument, Reply, packed

# One letter for each field of a record's hash, because every record would repeat the full names. The id is in the key.
LETTERS = {
    "name": "n",
    "last_eight": "t",
    "digest": "d",
    "created_by": "b",
    "created_micros": "c",
    "expires_at": "e",
    "description": "o",
    "subject": "s",
    "scopes": "p",
    "rate_limits": "l",
    "networks": "w",
    "max_uses": "m",
    "uses_left": "u",
    "metadata": "j",
    "active": "a",
    "revoked_at": "r",
    "last_used_at": "i",
    "last_address": "f",
    "last_agent": "g",
    "last_hour": "+",
    "rotated_at": "k",
    "rotations": "h",
    "predecessor": "y",
    "predecessor_until": "z",
    "predecessor_used_at": "x",
    "imported": "q",
    "version": "v",
    "contests": "?",
    "seal": "=",
}

_LUA = files("service.store").joinpath("lua")
_FIELD = re.compile(r"'@([a-z_]+)(\d?)'")


# Not the functions of Redis 7: the service runs on 6.2, and a new primary of a cluster would not have them.
class Script:
    """One script: its source, and the SHA-1 by which Redis knows it. `retry`: running it twice is harmless."""

    def __init__(self, name: str, *, retry: bool = False) -> None:
        self.name = name
        self.source, self._sha = _read(name)
        self._retry = retry

    def packed(self, keys: tuple[bytes, ...], *args: Argument) -> bytes:
        """The call as bytes for `Link.submit`. After a NoScriptError the caller has to use `run`."""
        return packed("EVALSHA", self._sha, len(keys), *keys, *args)

    def run(self, link: Asked, keys: tuple[bytes, ...], *args: Argument) -> Coroutine[Any, Any, Reply]:
        """Run the script in one round trip, or in two if the server does not know it. The call is sent at once.

        Raises StoreUnavailable or StoreFull. After a lost reply it is sent again only with `retry`.
        """
        call = (len(keys), *keys, *args)
        asked = link.execute("EVALSHA", self._sha, *call, retry=self._retry, operation=self.name)
        return self._reply(link, call, asked)

    async def _reply(self, link: Asked, call: tuple[Argument, ...], asked: Awaitable[Reply]) -> Reply:
        try:
            return await asked
        # Possible for a script that was known, too: servers keep a few hundred and drop the least used.
        except NoScriptError:
            # After EVAL this server knows the script by its digest.
            return await link.execute("EVAL", self.source, *call, retry=self._retry, operation=self.name)


@cache
def source_of(sha: str) -> str:
    """The source of one of our scripts by its digest."""
    names = [file.name.removesuffix(".lua") for file in _LUA.iterdir()]
    return next(source for source, digest in map(_read, names) if digest == sha)


@cache
def _read(name: str) -> tuple[str, str]:
    """A script's source and SHA-1, read once for all stores."""
    source = _LUA.joinpath(f"{name}.lua").read_text(encoding="utf-8")
    source = _FIELD.sub(lambda field: f"'{LETTERS[field[1]]}{field[2]}'", source)
    # SHA-1 because Redis names scripts by it; it protects nothing here.
    return source, sha1(source.encode(), usedforsecurity=False).hexdigest()
