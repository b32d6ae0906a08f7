"""The metadata hash of a managed token, encoded from and decoded to its record in Python."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec.structs import astuple

from service.model import ManagedToken, RateLimit
from service.store.driver.replies import Argument, Reply
from service.store.driver.scripts import LETTERS

G = TypeVar("G")
M = TypeVar("M")
# With one longer value a hash permanently takes twice the memory. So a value is written in pieces of this size, the
# first under its letter, the others with a number behind the letter, until one is shorter.
PIECE = 64
# So many characters never have more bytes than one piece.
_FEW = PIECE // 4
# A longer value would be too many pieces, and is written whole.
_LONGEST_IN_PIECES = 16 * PIECE
# Fields that scripts write without the server key. The seal covers all other fields.
COUNTED = {"uses_left", "last_used_at", "last_address", "last_agent", "last_hour", "predecessor_used_at", "contests"}
_DIGEST_BYTES = 32
# The end of the year 9999: later instants cannot be formatted.
LAST_SECOND = 253_402_300_799
# The sweep writes the reason of an expiry so many seconds before it. So there may be no sweep for so long, as on a full
# server, and an expired secret still differs from an unknown one, and can be found to be revoked.
REASON_AHEAD_SECONDS = 86400
# If the expiry is nearer than this, the reason is written at once, because a sweep might come too late.
_NEAR = 2 * REASON_AHEAD_SECONDS
_json = msgspec.json.Encoder().encode
_TEXT_OF: dict[type, Callable[[Any], bytes]] = {
    str: str.encode,
    bytes: bytes,
    int: lambda value: b"%d" % value,
    bool: lambda value: b"%d" % value,
    tuple: lambda value: _json(value) if value[:1] and isinstance(value[0], RateLimit) else " ".join(value).encode(),
    dict: _json,
}
# The value of a field that is not in the hash.
_DEFAULTS = {field.name: field.default for field in msgspec.structs.fields(ManagedToken)}
_DEFAULTS["metadata"] = {}
# Fields whose values are always shorter than a piece.
_SHORT = frozenset(field.name for field in msgspec.structs.fields(ManagedToken) if field.type in (int, bool))
_limits = msgspec.json.Decoder(tuple[RateLimit, ...]).decode

_VALUE_OF: dict[Any, Callable[[bytes], Any]] = {
    str: bytes.decode,
    bool: lambda text: text == b"1",
    tuple[str, ...]: lambda text: tuple(text.decode().split()),
    dict[str, str]: msgspec.json.Decoder(dict[str, str]).decode,
    tuple[RateLimit, ...]: lambda text: _limits(text) if text else (),
}


def _digest_of(stored: bytes) -> bytes:
    if len(stored) != _DIGEST_BYTES:
        raise ValueError("no digest has this length")
    return stored


def _whole(greatest: int) -> Callable[[bytes], int]:
    """A decoder of whole numbers up to the greatest one that answers can show."""
    # By the JSON decoder, one call in C: Python takes twice as long, for several fields of thousands of records.
    return msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=0, le=greatest)]).decode


def _reader(name: str, kind: Any) -> Callable[[bytes], Any]:
    if kind is bytes:
        return _digest_of
    if kind is not int:
        return _VALUE_OF[kind]
    return _whole(LAST_SECOND * 1_000_000 + 999_999 if name == "created_micros" else LAST_SECOND)


# Tokens in the cache: some pages, which are requested again and again.
_REMEMBERED = 256
_PLACES = {name: place for place, name in enumerate(ManagedToken.__struct_fields__)}
# Each stored field: its name, its letter and how it is read.
_STORED = tuple(
    (field.name, LETTERS[field.name].encode(), _reader(field.name, field.type))
    for field in msgspec.structs.fields(ManagedToken)
    if field.name in LETTERS
)
_BY_LETTER = {letter: (_PLACES[name], read) for name, letter, read in _STORED}
_LETTERS = tuple(letter for _, letter, _ in _STORED)
_SEAL, _DIGEST = LETTERS["seal"].encode(), LETTERS["digest"].encode()
_Sealed = msgspec.defstruct(
    "_Sealed",
    [
        (field.name, field.type) if field.required else (field.name, field.type, _DEFAULTS[field.name])
        for field in msgspec.structs.fields(ManagedToken)
        if field.name not in COUNTED
    ],
    omit_defaults=True,
    gc=False,
)
_sealed_values = attrgetter(*_Sealed.__struct_fields__)
_pack = msgspec.msgpack.Encoder().encode
# Values for the fields that every record has, if they are not requested or not readable; this digest fits no secret.
_BLANK: dict[str, Any] = dict.fromkeys(("name", "last_eight", "created_by"), "") | {
    "digest": bytes(_DIGEST_BYTES),
    "created_micros": 0,
}
# The values of all fields in order: making a token by position takes three quarters of the time that names take.
_BLANK_VALUES = [_BLANK.get(name, default) for name, default in _DEFAULTS.items()]
# The values that need not be stored. The first field is the id, which is never stored.
_STORED_DEFAULTS = tuple(_BLANK_VALUES[1:])


class Record(msgspec.Struct, frozen=True, gc=False):
    """A managed token's metadata, and the seal with which it was written."""

    token: ManagedToken
    seal: str


def encode(token: ManagedToken, *, seal: str) -> list[Argument]:
    """Fields and values in turn, as arguments for HSET: those that differ from their defaults, and the seal."""
    said: list[Argument] = [_SEAL, bytes.fromhex(seal)]
    for letter, default, value in zip(_LETTERS, _STORED_DEFAULTS, astuple(token)[1:], strict=True):
        # Most values are defaults, and most of these are the same object.
        if value is not default and value != default:
            # Not `isinstance`: in Python a bool is an int, and hiredis cannot pack a bool.
            said += (letter, value) if value.__class__ is int else _written(letter, value)
    return said


def encode_changes(old: ManagedToken, new: ManagedToken, *, seal: str) -> list[Argument]:
    """The same for the fields in which two records differ; leftover pieces of a longer old value are emptied."""
    said: list[Argument] = [_SEAL, bytes.fromhex(seal)]
    for letter, before, value in zip(_LETTERS, astuple(old)[1:], astuple(new)[1:], strict=True):
        if value is before or value == before:
            continue
        written = _written(letter, value)
        said += written
        # A number or bool always has one piece.
        if not isinstance(value, int):
            fields = written[::2]
            said += [part for field in _written(letter, before)[::2] if field not in fields for part in (field, b"")]
    return said


def _written(letter: bytes, value: Any) -> list[Argument]:
    """A field and its value, or the pieces of it."""
    kind = value.__class__
    if kind is int:
        return [letter, value]
    if kind is str:
        # Whatever its characters are, it is not longer than one piece.
        if len(value) <= _FEW:
            return [letter, value]
        text = value.encode()
    else:
        text = _TEXT_OF[kind](value)
    if len(text) <= PIECE or len(text) > _LONGEST_IN_PIECES:
        return [letter, text]
    pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
    fields = [letter, *(letter + b"%d" % number for number in range(1, len(pieces)))]
    return [part for pair in zip(fields, pieces, strict=True) for part in pair]


def sealed_part(token: ManagedToken) -> bytes:
    """The bytes that a record's seal covers: values that differ from defaults, so that a new field breaks no seal."""
    return _pack(_Sealed(*_sealed_values(token)))


class Remembered(Generic[G, M]):
    """A cache of objects made of tokens, each beside all that it was made of, so that it cannot be out of date."""

    def __init__(self, make: Callable[[str, G], M]) -> None:
        self._make = make
        self._made: dict[str, tuple[G, M]] = {}
        self._forgotten: dict[str, tuple[G, M]] = {}

    def of(self, token_id: str, given: G) -> M:
        """The object made of `given`, from the cache by the token's id if `given` is the same."""
        known = self._made.get(token_id)
        if known is not None and known[0] == given:
            return known[1]
        made = self._make(token_id, given)
        if self._forgotten:
            # One by one: freeing megabytes at once blocks the event loop for milliseconds.
            self._forgotten.popitem()
        if len(self._made) >= _REMEMBERED:
            # All at once, because finding the oldest one takes longer than making another.
            self._made, self._forgotten = {}, self._made
        self._made[token_id] = given, made
        return made


def decode(token_id: str, row: Sequence[bytes]) -> Record | None:
    letters = row[::2]
    if _DIGEST not in letters:
        return None
    values, seal = _BLANK_VALUES.copy(), b""
    # Each token has its own empty dictionary.
    values[0], values[_PLACES["metadata"]] = token_id, {}
    for letter, text in zip(letters, row[1::2], strict=True):
        if (field := _BY_LETTER.get(letter)) is not None:
            place, read = field
            try:
                values[place] = read(text if len(text) != PIECE else _whole_value(row, letter, text))
            except ValueError:
                continue  # It counts as absent. If it was changed by others, the seal does not fit.
        elif letter == _SEAL:
            seal = text
    return Record(ManagedToken(*values), seal.hex())


class Excerpt:
    """Some fields of a record, for reading many records: the other fields of the token are blank."""

    def __init__(self, names: tuple[str, ...]) -> None:
        # The digest shows that there is a record.
        self.fields = (_DIGEST, *(LETTERS[name].encode() for name in names))
        readers = {name: read for name, _, read in _STORED}
        self._readers = tuple((name, readers[name]) for name in names)
        self._may_be_cut = not _SHORT.issuperset(names)

    def is_cut(self, reply: Sequence[Reply]) -> bool:
        """True if a value may continue in further fields."""
        return self._may_be_cut and any(text is not None and len(text) == PIECE for text in reply)

    def read(self, token_id: str, reply: Sequence[Reply]) -> ManagedToken | None:
        """The token, from the values of `fields` in order; None if there is no such record."""
        if reply[0] is None:
            return None
        values = _BLANK | {"token_id": token_id}
        for (name, read), text in zip(self._readers, reply[1:], strict=True):
            if text is not None:
                try:
                    values[name] = read(text)
                except ValueError:
                    continue
        return ManagedToken(**values)


def _whole_value(row: Sequence[bytes], letter: bytes, first: bytes) -> bytes:
    fields, pieces = dict(zip(row[::2], row[1::2], strict=True)), [first]
    while len(pieces[-1]) == PIECE:
        pieces.append(fields.get(letter + b"%d" % len(pieces), b""))
    return b"".join(pieces)


# The terms that bounded a derived token when it was made, and the secret that it was derived from.
_terms = attrgetter("digest", "expires_at", "subject", "scopes", "rate_limits", "networks", "max_uses", "active")


class Retention(msgspec.Struct, frozen=True):
    """How long an ended token stays listed, and its reason stays stored.

    An active token that expires much later has no reason, which would be a sixth of the token's memory.
    """

    seconds: int

    def reason_until(self, expires_at: int) -> int:
        """When the reason vanishes, epoch milliseconds, 0 for never."""
        return (expires_at + self.seconds) * 1000 if expires_at else 0

    def is_told(self, token: ManagedToken, now: int) -> bool:
        """True if the reason is written with this record; else the sweep, or what ends the token, writes it."""
        return not token.active or bool(token.revoked_at) or 0 < token.expires_at < now + _NEAR

    def reason_goes(self, token: ManagedToken) -> int:
        """The same for a token; that of a revoked token stays as long as an earlier export could bring it back."""
        return self.reason_until(token.expires_at and max(token.expires_at, token.revoked_at))


def ends_derived(old: ManagedToken, new: ManagedToken, now: int) -> bool:
    """True if all that is derived from a token ends with this change, because the terms that bounded it change."""
    return _terms(old) != _terms(new) or (old.predecessor != new.predecessor and old.predecessor_until > now)
