"""The forms in which other systems store a secret: digests that a lookup can find, and hashes that none can."""

import re
from base64 import b64decode, b64encode

from service.errors import wrong

SIZES = {"sha256": 32, "sha512": 64}
# PostgreSQL prints bytes with `\x`; the other prefixes name the algorithm before the digest.
_BEGINNING = r"\\x|sha256\$\$?|sha512\$\$?"
# The forms of salted hashes in crypt(3), Django, Werkzeug and passlib, and LDAP (RFC 2307).
_SALTED = (
    r"(?i)\$(2[abxy]?|argon2(id?|d)|pbkdf2(-sha(256|512))?|scrypt|apr1|y|[156])\$"
    r"|(bcrypt|bcrypt_sha256|argon2|pbkdf2|pbkdf2_sha(1|256|512)|scrypt)[$:]"
    r"|\{(SSHA|SSHA256|SSHA512|BCRYPT|PBKDF2[A-Z0-9-]*|ARGON2|CRYPT)\}"
)
# The alphabets of base64 and base64url differ only in these two characters.
_STANDARD = str.maketrans("-_", "+/")
_NEVER_FOUND = (
    "this is a salted hash (bcrypt, PBKDF2, argon2 or the like), by which no presented token can be found: "
    "its holder needs a new token"
)


def digest_of(field: str, text: str) -> bytes:
    """The bytes of a digest in hex, base64 or base64url, perhaps after `sha256$`, `sha512$$` or `\\x`.

    `field` names the algorithm. Raises InvalidRequest that says what the text is instead.
    """
    if re.match(_SALTED, text):
        raise wrong(field, _NEVER_FOUND)
    beginning = _beginning_of(text)
    other = "sha512" if field == "sha256" else "sha256"
    found = None if beginning.startswith(other) else _decoded(text[len(beginning) :], SIZES[field])
    if found is None:
        raise wrong(field, f"give the {SIZES[field]} bytes of the digest in hex, base64 or base64url")
    return found


def refuse_digest(secret: str, *, is_clear: bool) -> None:
    """Raises InvalidRequest for a secret in the form of a digest: anyone who has seen it could then use it as a token.

    `is_clear` says that it is a secret all the same; ignored for a beginning that only digests have.
    """
    if re.match(_SALTED, secret):
        raise wrong("secret", _NEVER_FOUND)
    beginning = _beginning_of(secret)
    for algorithm, size in SIZES.items():
        if _decoded(secret[len(beginning) :], size) is None:
            continue
        if beginning:
            raise wrong(
                "secret", f"this is a digest, with which anyone who has seen it would come in: give {algorithm}"
            )
        if not is_clear:
            raise wrong(
                "secret",
                f"this has the form of a digest, with which anyone who has seen it would come in: give {algorithm}, or "
                "with it secretIsClear true if clients present this very string",
            )


def _beginning_of(text: str) -> str:
    found = re.match(_BEGINNING, text)
    return found[0] if found else ""


def _decoded(text: str, size: int) -> bytes | None:
    """The bytes that hex or base64 of exactly this size encodes, None for anything else."""
    bare = text.rstrip("=") if len(text) % 4 == 0 else text
    try:
        if len(text) == 2 * size:
            return bytes.fromhex(text)
        if len(bare) != -(-size * 4 // 3):
            return None
        found = b64decode(bare.translate(_STANDARD) + "=" * (-len(bare) % 4), validate=True)
    # The error of base64 is a ValueError too.
    except ValueError:
        return None
    # The last character has unused bits, which encoders leave empty.
    return found if b64encode(found).decode().rstrip("=") == bare.translate(_STANDARD) else None
