"""The metadata hash of a managed token and its record in Python, each way."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any

import msgspec

from service.model import ManagedToken, RateLimit
from service.store import keys
from service.store.replies import Reply

# The order in which a record is read; `seal` comes last.
FIELDS = (*ManagedToken.__struct_fields__, "seal")
FIELD_NAMES = tuple(field.encode() for field in FIELDS)
# What a seal covers: all that decides who a token speaks for, what it may do and until when.
_SEALED = (
    "token_id", "name", "digest", "created_by", "created_micros", "expires_at", "subject", "scopes", "rate_limit",
    "networks", "max_uses", "predecessor", "predecessor_until",
)  # fmt: skip
_INTEGERS = frozenset(
    {"created_micros", "expires_at", "max_uses", "uses_left", "revoked_at", "last_used_at", "rotated_at", "rotations",
     "predecessor_until", "predecessor_used_at", "version"}
)  # fmt: skip
_json = msgspec.json.Encoder().encode
_TEXT_OF: dict[type, Callable[[Any], bytes]] = {
    str: str.encode,
    int: lambda value: b"%d" % value,
    bool: lambda value: b"%d" % value,
    tuple: lambda value: " ".join(value).encode(),
    dict: _json,
    RateLimit: _json,
    type(None): lambda _: b"",
}
# What a field that is not in the hash stands for.
_DEFAULTS = {field.name: field.default for field in msgspec.structs.fields(ManagedToken)}
_DEFAULTS["metadata"] = {}
_UNSAID = object()
# What scripts read or count up, and so is always written: `version`, and why a token may not be usable.
_ALWAYS = frozenset({"version", "active", "revoked_at", "expires_at"})
_LISTS = frozenset({"scopes", "networks"})
_BOOLEANS = frozenset({"active", "foreign"})


def encode_digest(digest: bytes) -> str:
    """A digest as the metadata holds it: the same text as in its key."""
    return keys.encode_digest(digest).decode()


def decode_digest(text: str) -> bytes:
    """The digest behind that text."""
    return urlsafe_b64decode(text + "=")


def encode(token: ManagedToken, *, only: frozenset[str] | None = None) -> dict[str, bytes]:
    """Field to text, as the hash holds it; `only` picks some fields, without it those that say something."""
    if only is not None:
        return {name: _to_text(getattr(token, name)) for name in only}
    return {
        name: _to_text(value)
        for name, value in msgspec.structs.asdict(token).items()
        if name in _ALWAYS or value != _DEFAULTS.get(name, _UNSAID)
    }


def flat(fields: dict[str, bytes]) -> list[bytes]:
    """Fields and values in turn, as HSET wants them."""
    return [part for name, value in fields.items() for part in (name.encode(), value)]


def sealed_part(token: ManagedToken) -> bytes:
    """The bytes that a record's seal is made over."""
    return b"\n".join(_to_text(getattr(token, name)) for name in _SEALED)


def decode(reply: list[Reply]) -> tuple[ManagedToken, str] | None:
    """The record and its seal from the values of FIELDS; None if there is no such token."""
    if reply[0] is None:
        return None
    texts = {name: text.decode() for name, text in zip(FIELDS, reply, strict=True) if text is not None}
    seal = texts.pop("seal", "")
    values: dict[str, Any] = {name: _from_text(name, text) for name, text in texts.items()}
    return ManagedToken(**values), seal


def _to_text(value: Any) -> bytes:
    return _TEXT_OF[value.__class__](value)


def _from_text(name: str, text: str) -> object:
    if name in _INTEGERS:
        return int(text)
    if name in _LISTS:
        return tuple(text.split())
    if name in _BOOLEANS:
        return text == "1"
    if name == "rate_limit":
        return msgspec.json.decode(text, type=RateLimit) if text else None
    if name == "metadata":
        return msgspec.json.decode(text, type=dict[str, str])
    return text
