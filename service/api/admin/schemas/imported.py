"""Import lines that bring a token of another system, and how each becomes a token of this service."""

from datetime import tzinfo
from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.api.admin.schemas.creation import Duration, Terms, expiry, new_token
from service.api.http.timestamps import parse_instant
from service.errors import wrong
from service.tokens.imported.digest_forms import digest_of, refuse_digest
from service.tokens.imported.rules import Rule, rule_of
from service.tokens.managed.import_admission import ImportedSecret, last_eight_of

Creator = Annotated[str, Meta(min_length=1, max_length=128)]
AnyInstant = Annotated[str | int, Meta(description="RFC 3339, a time of the zone named, or epoch seconds")]


class Reading(msgspec.Struct, frozen=True):
    """How lines are read: the time now, the latest end of a token (0 for none), the zone of times without one."""

    now: float
    latest_end: int
    zone: tzinfo | None


class ImportedToken(Terms, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A token of another system: its secret in clear or a digest of it, its state and terms.

    `of` says which part of what a client presents was hashed. `secretIsClear` says that a secret which has the form
    of a digest is not a digest. `expiresAt` null, 0 or -1 means never, or the longest life allowed here.
    """

    secret: Annotated[str, Meta(pattern=r"^[!-~]{16,1024}\Z")] | None = None
    secret_is_clear: bool = False
    sha256: Annotated[str, Meta(max_length=200)] | None = None
    sha512: Annotated[str, Meta(max_length=200)] | None = None
    of: Annotated[str, Meta(max_length=40)] = "whole"
    duration: Duration | None = None
    expires_at: AnyInstant | UnsetType | None = UNSET
    is_active: bool = True
    created_at: AnyInstant | None = None
    last_used_at: AnyInstant | None = None
    created_by: Creator | None = None


def imported_secret(line: ImportedToken, reading: Reading) -> ImportedSecret:
    """A line in the form the rules take. Raises InvalidRequest."""
    kept, rule, last_eight = _kept(line)
    expires_at = _end(line, reading)
    return ImportedSecret(
        new_token(line, expires_at or reading.latest_end),
        kept,
        rule,
        last_eight,
        line.created_by or "",
        line.is_active,
        _past(line.created_at, "createdAt", reading),
        _past(line.last_used_at, "lastUsedAt", reading),
        expires_at == 0 and reading.latest_end > 0,
        (line.secret or "").encode(),
    )


def _kept(line: ImportedToken) -> tuple[bytes, Rule, str]:
    """What is kept of the secret: its digest, the digest's rule, and the last characters."""
    if (line.secret, line.sha256, line.sha512).count(None) != 2:
        raise wrong("secret", "give one of the secret, its sha256 and its sha512")
    if (secret := line.secret) is not None:
        refuse_digest(secret, is_clear=line.secret_is_clear)
        return sha256(secret.encode()).digest(), rule_of("sha256", line.of, is_clear=True), last_eight_of(secret)
    field, text = ("sha512", line.sha512) if line.sha256 is None else ("sha256", line.sha256)
    return digest_of(field, text or ""), rule_of(field, line.of, is_clear=False), ""


def _end(line: ImportedToken, reading: Reading) -> int:
    """Epoch seconds, 0 for never."""
    if line.expires_at is UNSET or line.duration is not None:
        # A number counts as well: a row that gives two ends is refused, not imported with one of them.
        text = str(line.expires_at) if isinstance(line.expires_at, str | int) else None
        return expiry(line.duration, text, reading.now)
    return 0 if line.expires_at is None else parse_instant(line.expires_at, "expiresAt", reading.zone)


def _past(instant: str | int | None, field: str, reading: Reading) -> int:
    seconds = 0 if instant is None else parse_instant(instant, field, reading.zone)
    if seconds > reading.now:
        raise wrong(field, "this lies ahead")
    return seconds
