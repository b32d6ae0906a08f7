"""HTTP Basic (RFC 7617): the pair that an Authorization field carries, and the token in it."""

from base64 import b64decode

from service.tokens.secret import parse

# What stands for a password where the token is the user.
_NO_PASSWORD = (b"", b"x-oauth-basic")


def pair_of(field: bytes) -> tuple[bytes, bytes] | None:
    """User and password; None for another scheme. Raises ValueError for Basic that cannot be read."""
    scheme, _, encoded = field.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    if not encoded.strip():
        return b"", b""
    # Validated, or what is no base64 would be passed over, and another reader may not do that. A password may hold
    # colons, a user none (RFC 7617, 2).
    user, colon, password = b64decode(encoded.strip(), validate=True).partition(b":")
    if not colon:
        raise ValueError("Basic credentials without a colon")
    return user, password


def tokens_in(field: bytes) -> list[bytes]:
    """What Basic credentials present as tokens; empty for another scheme.

    git, docker, npm and pip know nothing else and send the token as user or as password, beside a word of their own.
    Two tokens are two credentials.
    """
    try:
        pair = pair_of(field)
    except ValueError:
        return [field]  # Presented, and no token.
    if pair is None:
        return []
    user, password = pair
    # A secret that another system made may have any form: then only its place tells.
    return [part for part in pair if parse(part)] or [user if password in _NO_PASSWORD else password]
