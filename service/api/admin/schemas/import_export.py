"""The lines of an export and an import, and how they become records."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from service.api.admin.schemas.creation import Description, Id, MaxUses, Metadata, Name, Networks, Scopes, Subject
from service.api.admin.schemas.imported import ImportedToken, Reading, imported_secret
from service.api.admin.schemas.limits import Limits, from_limits, to_limits
from service.api.http.bodies import decode
from service.api.http.timestamps import Instant, instant_or_none, parse_rfc3339, rfc3339, rfc3339_or_none
from service.errors import InvalidRequest
from service.keyring import decode_digest, encode_digest
from service.model import ManagedToken
from service.store.managed.records import Record
from service.tokens.managed.import_admission import Exported, ImportedSecret

# 32 bytes in base64url without padding.
Digest = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}\Z")]
OldDigest = Annotated[str, Meta(pattern=r"^([A-Za-z0-9_-]{43})?\Z")]


class ExportedToken(msgspec.Struct, forbid_unknown_fields=True, rename="camel", gc=False):
    """A managed token without its secret; instants are RFC 3339, null for none."""

    id: Id
    name: Name
    digest: Digest
    last_eight: Annotated[str, Meta(max_length=8)]
    seal: Annotated[str, Meta(max_length=64)]
    created_at: Instant
    created_by: Annotated[str, Meta(max_length=256)]
    expires_at: Instant | None
    is_active: bool
    revoked_at: Instant | None
    description: Description
    subject: Subject
    scopes: Scopes
    limits: Limits
    metadata: Metadata
    allowed_networks: Networks
    max_uses: MaxUses | None
    uses_left: Annotated[int, Meta(ge=0)]
    last_used_at: Instant | None
    last_address: str
    last_user_agent: str
    rotated_at: Instant | None
    rotations: Annotated[int, Meta(ge=0)]
    old_digest: OldDigest
    old_secret_valid_until: Instant | None
    old_secret_last_used_at: Instant | None
    imported: Annotated[str, Meta(max_length=64)]
    version: Annotated[int, Meta(ge=1)]


class _Peek(msgspec.Struct):
    """What an import reads first: which of the two forms a line has, and its name in case it is refused."""

    # Of any type: a line whose digest is a number is refused for that, not for an unknown field.
    digest: object = None
    name: object = None


_peek = msgspec.json.Decoder(_Peek).decode
_decode = msgspec.json.Decoder(ExportedToken).decode
_encoder = msgspec.json.Encoder()
# Lines written in one step. The longest ones take a tenth of a millisecond.
_AT_ONCE = 8


def export_lines(records: list[Record]) -> Iterator[bytes]:
    """Lines of an export, some at a time.

    Removes the records from their list, because freeing megabytes in one step takes as long as writing them.
    """
    while records:
        some = [_exported_token(record) for record in records[:_AT_ONCE]]
        del records[:_AT_ONCE]
        yield _encoder.encode_lines(some)


def _exported_token(record: Record) -> ExportedToken:
    token = record.token
    # Positional: keyword arguments take nine times as long here, and an export has 100,000 of these.
    return ExportedToken(
        token.token_id,
        token.name,
        encode_digest(token.digest),
        token.last_eight,
        record.seal,
        # The seal covers the microseconds: cut to seconds, the record would be refused as changed.
        _with_micros(token.created_micros),
        token.created_by,
        rfc3339_or_none(token.expires_at),
        token.active,
        rfc3339_or_none(token.revoked_at),
        token.description,
        token.subject,
        token.scopes,
        from_limits(token.rate_limits),
        token.metadata,
        token.networks,
        token.max_uses or None,
        token.uses_left,
        rfc3339_or_none(token.last_used_at),
        token.last_address,
        token.last_agent,
        rfc3339_or_none(token.rotated_at),
        token.rotations,
        encode_digest(token.predecessor),
        rfc3339_or_none(token.predecessor_until),
        rfc3339_or_none(token.predecessor_used_at),
        token.imported,
        token.version,
    )


def import_line(line: bytes, reading: Reading) -> Exported | ImportedSecret:
    """A line of an import. Raises InvalidRequest for a line that has neither of the two forms."""
    if _is_exported(line):
        return _exported(_as_written(line) or decode(line, ExportedToken))
    return imported_secret(decode(line, ImportedToken), reading)


def _as_written(line: bytes) -> ExportedToken | None:
    """The token of a line exactly as an export writes it, else None. Encoding it again is the quickest test."""
    try:
        read = _decode(line)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return read if _encoder.encode(read) == line else None


def _is_exported(line: bytes) -> bool:
    """True for the form of an export. A line of neither form is refused when it is read as the other one."""
    try:
        return _peek(line).digest is not None
    # Invalid UTF-8 raises msgspec's UnicodeDecodeError, deeply nested brackets a RecursionError.
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False


def name_of(line: bytes) -> str:
    """The name of a token whose line is refused, empty when that cannot be read."""
    try:
        name = decode(line, _Peek).name
    except InvalidRequest:
        return ""
    # Cut to the longest name allowed, because a refused line may hold any text.
    return name[:80] if isinstance(name, str) else ""


def _exported(line: ExportedToken) -> Exported:
    token = ManagedToken(
        line.id,
        line.name,
        line.last_eight,
        decode_digest(line.digest),
        line.created_by,
        _micros(line.created_at),
        instant_or_none(line.expires_at, "expiresAt"),
        line.description,
        line.subject,
        line.scopes,
        to_limits(line.limits),
        line.allowed_networks,
        line.max_uses or 0,
        line.uses_left,
        line.metadata,
        line.is_active,
        instant_or_none(line.revoked_at, "revokedAt"),
        instant_or_none(line.last_used_at, "lastUsedAt"),
        line.last_address,
        line.last_user_agent,
        instant_or_none(line.rotated_at, "rotatedAt"),
        line.rotations,
        decode_digest(line.old_digest),
        instant_or_none(line.old_secret_valid_until, "oldSecretValidUntil"),
        instant_or_none(line.old_secret_last_used_at, "oldSecretLastUsedAt"),
        line.imported,
        line.version,
    )
    return Exported(token, line.seal)


def _with_micros(epoch_micros: int) -> str:
    seconds, micros = divmod(epoch_micros, 1_000_000)
    return f"{rfc3339(seconds)[:-1]}.{micros:06}Z"


def _micros(text: str) -> int:
    """Epoch microseconds, exactly as `_with_micros` was given them. Raises InvalidRequest."""
    seconds = parse_rfc3339(text, "createdAt")
    return seconds * 1_000_000 + datetime.fromisoformat(text).microsecond
