"""Secrets: minted and parsed, with their checksums. All their randomness comes from here. No I/O."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Sequence
from typing import TYPE_CHECKING
from zlib import crc32

from service.model import KIND_MANAGED, Kind

if TYPE_CHECKING:
    # The parent of the workers mints a first password here, and needs nothing that uses Redis.
    from service.keyring import Keyring
    from service.store.driver.shards import Shard, Shards

MANAGED_LENGTH = 68
_SESSION = re.compile(rb"[a-zA-Z0-9]{64}")
_ONE_TIME = re.compile(rb"[0-9a-f]{32}")
_ALPHANUMERIC = (string.ascii_letters + string.digits).encode()
# Maps random bytes evenly to 62 characters; the last 8 of 256 values would favour some, so they are dropped.
_EVENLY = bytes(_ALPHANUMERIC[value % 62] for value in range(256))
_UNEVEN = bytes(range(248, 256))
_HEX = b"0123456789abcdef"


def parse(secret: bytes) -> Kind | None:
    """The kind that a secret's form shows; None if this service cannot have issued it.

    A managed secret ends in the CRC32 of the rest, so a mistyped or invented one is refused without asking Redis.
    """
    size = len(secret)
    if size == MANAGED_LENGTH:
        # Deleting all digits and checking for a rest takes a third of the time of a pattern.
        digits = secret[4:]
        if secret[:4] != b"rtk_" or digits.translate(None, _HEX):
            return None
        return KIND_MANAGED if crc32(secret[:60]) == int(digits[56:], 16) else None
    if size == 64:
        return Kind.SESSION if _SESSION.fullmatch(secret) else None
    return Kind.ONE_TIME if _ONE_TIME.fullmatch(secret) else None


def mint(kind: Kind) -> str:
    """A fresh secret of 128 random bits (one-time), about 380 (session) or 224 with a checksum (managed)."""
    if kind is Kind.ONE_TIME:
        return secrets.token_hex(16)
    if kind is Kind.SESSION:
        characters = b""
        while len(characters) < 64:
            # A few more than needed, because one of 32 values is dropped: one draw is nearly always enough.
            characters += secrets.token_bytes(80).translate(_EVENLY, _UNEVEN)
        return characters[:64].decode()
    return with_checksum(secrets.token_hex(28))


def with_checksum(random_part: str) -> str:
    """The managed secret around 56 hex characters."""
    body = "rtk_" + random_part
    return f"{body}{crc32(body.encode()):08x}"


def mint_id(shard: int) -> str:
    """A public token id: two hex digits of the shard, fourteen random ones."""
    return f"{shard:02x}{secrets.token_hex(7)}"


def mint_ids(shards: Sequence[int]) -> list[str]:
    """One id in each of these shards, from a single draw, because each draw is a system call."""
    drawn = secrets.token_hex(7 * len(shards))
    return [f"{shard:02x}{drawn[14 * place : 14 * place + 14]}" for place, shard in enumerate(shards)]


class Minter:
    """Mints secrets whose digests belong to a given shard, so that one script reaches all that belongs together."""

    def __init__(self, keyring: Keyring, shards: Shards) -> None:
        self._keyring = keyring
        self._shards = shards

    def mint(self, kind: Kind, shard: Shard) -> tuple[str, bytes]:
        """A new secret and its digest; on average as many draws as there are shards."""
        while True:
            secret = mint(kind)
            digest = self._keyring.digest(kind, secret.encode())
            if self._shards.of_digest(digest) is shard:
                return secret, digest

    def mint_beside(self, kind: Kind, digest: bytes) -> tuple[str, bytes]:
        """A new secret in the shard of another digest."""
        return self.mint(kind, self._shards.of_digest(digest))

    def mint_one_time(self, beside: bytes, count: int) -> dict[bytes, str]:
        """`count` new one-time secrets by their digests, all in the shard of another digest, from few draws."""
        shard, minted = self._shards.of_digest(beside), dict[bytes, str]()
        while missing := count - len(minted):
            drawn = secrets.token_hex(16 * missing)
            for start in range(0, len(drawn), 32):
                secret = drawn[start : start + 32]
                digest = self._keyring.digest(Kind.ONE_TIME, secret.encode())
                if self._shards.of_digest(digest) is shard:
                    minted[digest] = secret
        return minted
