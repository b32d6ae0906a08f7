"""All keys of the service, derived from the server keys: for digests, seals and MACs. No I/O."""

import hmac
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from hashlib import sha256
from hmac import compare_digest

from service.model import Kind

_URL_SAFE = bytes.maketrans(b"+/", b"-_")
# 128 bits, to which RFC 2104, 5 lets an HMAC be cut; every record has one.
SEAL_BYTES = 16


def encode_digest(digest: bytes) -> str:
    """The text form of a digest: base64url without padding."""
    # Takes 60 % of the time of `urlsafe_b64encode`; each line of an export has one or two digests.
    return b2a_base64(digest, newline=False).translate(_URL_SAFE, b"=").decode()


def decode_digest(text: str) -> bytes:
    return a2b_base64(text.replace("-", "+").replace("_", "/") + "=")


def id_of(digest: bytes) -> str:
    """The public id of a token without a stored record: a part of its digest, which does not lead to the secret."""
    return encode_digest(digest[:12])


class DerivedKeys:
    """All keys derived (HKDF, RFC 5869) from one server key, each by its own label, so that no key replaces another."""

    def __init__(self, server_key: str) -> None:
        # HKDF-Extract; the salt names this service.
        extracted = hmac.digest(b"token-service", server_key.encode(), "sha256")
        self._extracted = extracted
        key = self.derive(b"digest")
        # The digest covers the kind, so that a secret of one kind is never found as another kind.
        self._digests = {kind: _hmac(key, kind.value.encode() + b"\x00") for kind in Kind}
        self._seal = _hmac(self.derive(b"seal"))
        self._lookup_key = self.derive(b"lookup")
        # The stored digest of a secret of another system covers a rule and the digest made by that rule.
        self.imported_digest = _hmac(self.derive(b"imported"))

    def derive(self, label: bytes) -> bytes:
        """A key of 32 bytes for one purpose: one block of HKDF-Expand."""
        # The byte 1 is the number of the block: no key here needs a second one (RFC 5869, 2.3).
        return hmac.digest(self._extracted, label + b"\x01", "sha256")

    def digest(self, kind: Kind, secret: bytes) -> bytes:
        """The stored form of a secret: HMAC-SHA256 over kind, NUL and secret, 32 bytes."""
        return self._digests[kind](secret)

    def seal(self, digest: bytes, body: bytes) -> bytes:
        """The body after a MAC that binds it to its digest; see `unseal`."""
        return self._seal(digest + body)[:SEAL_BYTES] + body

    def unseal(self, digest: bytes, sealed: bytes) -> bytes | None:
        """The body of a sealed record, or None if it was changed or belongs to another digest."""
        # The body of a too short record is empty, and no MAC fits.
        body = sealed[SEAL_BYTES:]
        return body if compare_digest(self._seal(digest + body)[:SEAL_BYTES], sealed[:SEAL_BYTES]) else None

    def mac(self, label: str, body: bytes) -> str:
        """A MAC over something that is not a credential (metadata, an audit entry), 32 hex characters."""
        return self._seal(label.encode() + b"\x00" + body)[:SEAL_BYTES].hex()

    def pseudonym(self, *parts: str) -> bytes:
        """A keyed digest of names and addresses, 32 bytes: the key of a counter does not show whom it counts."""
        return hmac.digest(self._lookup_key, b"\x00".join(part.encode() for part in parts), "sha256")


class Keyring:
    """The present server key and, while it is set, the previous one.

    Everything new is made with the present key; both keys are accepted. `each` has both, the present one first.
    `import_suffix` is text that another system appends to its tokens before it makes their digests.
    """

    def __init__(self, server_key: str, previous: str = "", *, import_suffix: str = "") -> None:
        self.import_suffix = import_suffix.encode()
        self.present = present = DerivedKeys(server_key)
        self.previous = DerivedKeys(previous) if previous else None
        self.each = (present, self.previous) if self.previous else (present,)
        # The present key's own method, which saves every validation a call.
        self.digest = present.digest
        self.imported_digest = present.imported_digest
        self.seal = present.seal
        # Tries both keys, if there are two.
        self.unseal = self._unseal_by_each if self.previous else present.unseal
        self.mac = present.mac
        self.pseudonym = present.pseudonym
        self.derive = present.derive

    def pseudonyms(self, *parts: str) -> list[bytes]:
        """The pseudonyms of names and addresses, by each key."""
        return [keys.pseudonym(*parts) for keys in self.each]

    def _unseal_by_each(self, digest: bytes, sealed: bytes) -> bytes | None:
        return None if self.sealed_by(digest, sealed) is None else sealed[SEAL_BYTES:]

    def sealed_by(self, digest: bytes, sealed: bytes) -> DerivedKeys | None:
        """The keys that sealed a record, None if it was changed or belongs to another digest."""
        return next((keys for keys in self.each if keys.unseal(digest, sealed) is not None), None)

    def signer(self, label: str, body: bytes, mac: str) -> DerivedKeys | None:
        """The keys that made a MAC over this body, None if none did."""
        # `compare_digest` accepts only ASCII text, and a stored MAC may be anything.
        if mac.isascii():
            for keys in self.each:
                if compare_digest(keys.mac(label, body), mac):
                    return keys
        return None

    def marks(self, namespace: str) -> tuple[bytes, ...]:
        """Marks that identify these keys in a namespace and reveal nothing else, the present key's first; as text."""
        return tuple(encode_digest(keys.pseudonym("server key", namespace)).encode() for keys in self.each)


def _hmac(key: bytes, opening: bytes = b"") -> Callable[[bytes], bytes]:
    """A function for HMAC-SHA256 (RFC 2104) under a key, over `opening` and a message.

    It copies hash states prepared in advance, which takes half the time of `hmac.digest` on every validation.
    """
    block = key.ljust(64, b"\x00")
    inner_begun = sha256(bytes(byte ^ 0x36 for byte in block) + opening)
    outer_begun = sha256(bytes(byte ^ 0x5C for byte in block))

    def mac(message: bytes) -> bytes:
        inner, outer = inner_begun.copy(), outer_begun.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()

    return mac
