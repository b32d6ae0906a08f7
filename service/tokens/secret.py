"""Secrets and the keys that guard them: minting, parsing, digests and seals. The only source of randomness. No I/O."""

from __future__ import annotations

import hmac
import re
import secrets
import string
from hashlib import sha256
from typing import TYPE_CHECKING
from zlib import crc32

from service.model import Kind
from service.store.keys import encode_digest, shard_of_digest

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

_SESSION = re.compile(rb"[a-zA-Z0-9]{64}")
_ONE_TIME = re.compile(rb"[0-9a-f]{32}")
_FOREIGN = re.compile(rb"[!-~]{16,256}")
_ALPHANUMERIC = (string.ascii_letters + string.digits).encode()
# Maps random bytes evenly onto the 62 characters; the last 8 of 256 values would favour some, so they are dropped.
_EVENLY = bytes(_ALPHANUMERIC[value % 62] for value in range(256))
_UNEVEN = bytes(range(248, 256))
_HEX = b"0123456789abcdef"
SEAL_BYTES = 16


def parse(secret: bytes) -> Kind | None:
    """The kind that a secret's form says it is; None for what this service cannot have issued.

    A managed secret ends in the CRC32 of the rest, so a mistyped or invented one is refused without asking Redis.
    """
    size = len(secret)
    if size == 68:
        # Deleting all digits and looking whether anything is left takes a third of a pattern's time.
        digits = secret[4:]
        if secret[:4] != b"rtk_" or digits.translate(None, _HEX):
            return None
        return Kind.MANAGED if b"%08x" % crc32(secret[:60]) == digits[56:] else None
    if size == 64:
        return Kind.SESSION if _SESSION.fullmatch(secret) else None
    return Kind.ONE_TIME if size == 32 and _ONE_TIME.fullmatch(secret) else None


def is_foreign(secret: bytes) -> bool:
    """May this be a secret of another system: 16 to 256 printable characters? It may look like one of ours."""
    return _FOREIGN.fullmatch(secret) is not None


def mint(kind: Kind) -> str:
    """A fresh secret of 128 random bits (one-time), about 380 (session) or 224 with a checksum (managed)."""
    if kind is Kind.ONE_TIME:
        return secrets.token_hex(16)
    if kind is Kind.SESSION:
        return _alphanumeric(64)
    return with_checksum(secrets.token_hex(28))


def _alphanumeric(size: int) -> str:
    characters = b""
    while len(characters) < size:
        characters += secrets.token_bytes(size + 16).translate(_EVENLY, _UNEVEN)
    return characters[:size].decode()


def with_checksum(random_part: str) -> str:
    """The managed secret around 56 hex characters."""
    body = "rtk_" + random_part
    return f"{body}{crc32(body.encode()):08x}"


def random_id() -> str:
    """Sixteen hex digits for what is neither a token nor a secret."""
    return secrets.token_hex(8)


def mint_id(shard: int) -> str:
    """A public token id: two hex digits of the shard, fourteen random ones."""
    return f"{shard:02x}{secrets.token_hex(7)}"


class Keyring:
    """All keys derived (HKDF, RFC 5869) from one server key, by label, so that none can stand in for another."""

    def __init__(self, server_key: str) -> None:
        extracted = hmac.digest(b"token-service", server_key.encode(), "sha256")
        self._extracted = extracted
        key = self.derive(b"digest")
        self._inner = {kind: _prepare(key, kind.value.encode() + b"\x00")[0] for kind in Kind}
        self._outer = _prepare(key, b"")[1]
        self._seal_inner, self._seal_outer = _prepare(self.derive(b"seal"), b"")
        self._lookup_key = self.derive(b"lookup")
        self._foreign_key = self.derive(b"foreign")

    def derive(self, label: bytes) -> bytes:
        """32 bytes for one purpose: one block of HKDF-Expand."""
        return hmac.digest(self._extracted, label + b"\x01", "sha256")

    def digest(self, kind: Kind, secret: bytes) -> bytes:
        """What is stored of a secret: HMAC-SHA256 over kind, NUL and secret, 32 bytes."""
        inner, outer = self._inner[kind].copy(), self._outer.copy()
        inner.update(secret)
        outer.update(inner.digest())
        return outer.digest()

    def foreign_digest(self, sha256_hex: bytes) -> bytes:
        """What is stored of a secret that another system made: over its SHA-256, for some give no more than that."""
        return hmac.digest(self._foreign_key, sha256_hex, "sha256")

    def seal(self, digest: bytes, body: bytes) -> bytes:
        """The body with a MAC before it that binds it to its digest; see `unseal`."""
        return self._sealed(digest + body) + body

    def unseal(self, digest: bytes, sealed: bytes) -> bytes | None:
        """The body of a sealed record, or None if it was changed or belongs to another digest."""
        body = sealed[SEAL_BYTES:]
        return body if hmac.compare_digest(self._sealed(digest + body), sealed[:SEAL_BYTES]) else None

    def mac(self, label: str, body: bytes) -> str:
        """A MAC over something that is no credential (metadata, an audit entry), 32 hex characters."""
        return self._sealed(label.encode() + b"\x00" + body).hex()

    def _sealed(self, body: bytes) -> bytes:
        inner, outer = self._seal_inner.copy(), self._seal_outer.copy()
        inner.update(body)
        outer.update(inner.digest())
        return outer.digest()[:SEAL_BYTES]

    def pseudonym(self, *parts: str) -> bytes:
        """A keyed digest of names and addresses, 32 bytes: a counter's key tells nobody whom it counts."""
        return hmac.digest(self._lookup_key, b"\x00".join(part.encode() for part in parts), "sha256")

    def mark(self, namespace: str) -> bytes:
        """What tells this key from any other in a namespace, and says nothing else of it; text."""
        return encode_digest(self.pseudonym("server key", namespace))


def mint_into(keyring: Keyring, kind: Kind, shard: int, shards: int) -> tuple[str, bytes]:
    """A fresh secret whose digest falls into the wanted shard, and that digest; as many draws as there are shards."""
    while True:
        secret = mint(kind)
        digest = keyring.digest(kind, secret.encode())
        if shard_of_digest(digest, shards) == shard:
            return secret, digest


def _prepare(key: bytes, opening: bytes) -> tuple[Hash, Hash]:
    """The two hash states of HMAC-SHA256 (RFC 2104) under a key, the inner one behind the opening of every message.

    Going on from them takes half the time of `hmac.digest`, on every validation.
    """
    block = key.ljust(64, b"\x00")
    return sha256(bytes(byte ^ 0x36 for byte in block) + opening), sha256(bytes(byte ^ 0x5C for byte in block))
