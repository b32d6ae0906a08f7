"""The metadata hash of a managed token and its record in Python, each way."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterable
from itertools import chain
from operator import attrgetter
from typing import Any

import msgspec

from service.model import ManagedToken, RateLimit
from service.store import keys
from service.store.replies import Argument, Reply

# What scripts count and note without the server key. A seal covers everything else.
COUNTED = frozenset({"uses_left", "last_used_at", "last_address", "last_agent", "predecessor_used_at", "contests"})
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
# What scripts read or count up, and so is always written: `version`, and why a token may not be usable.
_ALWAYS = frozenset({"version", "active", "revoked_at", "expires_at"})
# Each field and what need not be written of it, for which nothing stands where all must be.
_PLAN = tuple(
    (name.encode(), object() if name in _ALWAYS else _DEFAULTS[name]) for name in ManagedToken.__struct_fields__
)
_limit = msgspec.json.Decoder(RateLimit).decode
_VALUE_OF: dict[Any, Callable[[bytes], Any]] = {
    str: bytes.decode,
    int: int,
    bool: lambda text: text == b"1",
    tuple[str, ...]: lambda text: tuple(text.decode().split()),
    dict[str, str]: msgspec.json.Decoder(dict[str, str]).decode,
    RateLimit | None: lambda text: _limit(text) if text else None,
}
_READERS = tuple(
    (field.name.encode(), field.name, _VALUE_OF[field.type]) for field in msgspec.structs.fields(ManagedToken)
)
_SEAL = b"seal"
_SEALED = tuple((name, _DEFAULTS[name]) for name in ManagedToken.__struct_fields__ if name not in COUNTED)
_sealed_values = attrgetter(*(name for name, _ in _SEALED))
_pack = msgspec.msgpack.Encoder().encode
_BLANK: dict[str, Any] = dict.fromkeys(("name", "tail", "digest", "created_by"), "") | {"created_micros": 0}


def encode_digest(digest: bytes) -> str:
    """A digest as the metadata holds it: the same text as in its key."""
    return keys.encode_digest(digest).decode()


def decode_digest(text: str) -> bytes:
    """The digest behind that text."""
    return urlsafe_b64decode(text + "=")


def encode(token: ManagedToken, *, seal: str) -> Iterable[Argument]:
    """Fields and values in turn, as HSET wants them: those that say something, and the seal."""
    values = zip(_PLAN, msgspec.structs.astuple(token), strict=True)
    said = [(field, _to_argument(value)) for (field, default), value in values if value != default]
    return chain.from_iterable((*said, (_SEAL, seal)))


def encode_some(token: ManagedToken, names: Iterable[str], *, seal: str) -> Iterable[Argument]:
    """The same for some fields, whatever they say."""
    return chain.from_iterable((*((name, _to_argument(getattr(token, name))) for name in names), (_SEAL, seal)))


def sealed_part(token: ManagedToken) -> bytes:
    """The bytes that a record's seal is made over: what differs from its default, so that a new field breaks none."""
    values = zip(_SEALED, _sealed_values(token), strict=True)
    return _pack([(name, value) for (name, default), value in values if value != default])


def decode(fields: dict[bytes, bytes]) -> tuple[ManagedToken, str] | None:
    """The record and its seal from what is in the hash; None if there is no such token."""
    if b"token_id" not in fields:
        return None
    values = {name: read(fields[field]) for field, name, read in _READERS if field in fields}
    return ManagedToken(**values), fields.get(_SEAL, b"").decode()


class Excerpt:
    """Some fields of a record, for whoever looks at many: the rest of the token is blank."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.fields = tuple(name.encode() for name in names)
        self._readers = tuple((name, read) for _, name, read in _READERS if name in names)
        self._places = tuple(names.index(name) for name, _ in self._readers)

    def read(self, token_id: str, reply: list[Reply]) -> ManagedToken | None:
        """The token, from the values of `fields` in order; None if there is no such record."""
        values = dict(_BLANK)
        for (name, read), place in zip(self._readers, self._places, strict=True):
            text = reply[place]
            if text is not None:
                values[name] = read(text)
            elif name in _ALWAYS:
                return None
        values["token_id"] = token_id
        return ManagedToken(**values)


def _to_argument(value: Any) -> Argument:
    """Text and numbers go to Redis as they are."""
    kind = value.__class__
    argument: Argument = value if kind is str or kind is int else _TEXT_OF[kind](value)
    return argument
