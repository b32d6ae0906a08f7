"""JSON bodies: decoded as types, refusing invalid JSON, wrong fields and members given twice; and encoded."""

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, TypeVar

import msgspec
from starlette.responses import Response

from service.errors import InvalidRequest, place_and_reason
from service.store.pacing import give_way, paced

# Room for the largest body of an operation, and small enough that many connections cannot fill the memory.
BODY_BYTES = 16 * 1024
BULK_BYTES = 1024 * 1024
# Longer bodies mostly have nested members, so counting colons would not help.
_LONGEST_FLAT = 1024
# Bounds that no acceptable body exceeds: one with a thousand ids and all terms of a token has 2,500 quotation marks,
# and 35,000 escapes when every character is escaped.
_MOST_MARKS = 2 * 1500
_MOST_ESCAPES = 65_536
# RecursionError: a body of nested brackets can go deeper than the stack allows.
_UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError)
# Rows of a list encoded in one step: so many at first (one may have 50 kB), at most, and by bytes, which takes 0.1 ms.
# The last is the number of bytes sent at once.
_ROWS, _MOST_ROWS, _WRITTEN_BYTES, _PIECE_BYTES = 4, 16, 32 * 1024, 128 * 1024
T = TypeVar("T")
_encode = msgspec.json.Encoder().encode
_JSON = (b"content-type", b"application/json")
NO_STORE = (b"cache-control", b"no-store")


def decode(body: bytes, kind: type[T]) -> T:
    """JSON bytes as this type. A member given twice is refused, because two readers may take different values.

    Raises InvalidRequest with the field's path.
    """
    if len(body) <= BODY_BYTES:
        _refuse_repeated(body)
        return _typed(body, kind)
    if _is_overfull(body):
        raise _overfull(body, kind)
    # Typed first: decoding a long body stops at its first fault.
    read = _typed(body, kind)
    _refuse_repeated(body)
    return read


async def decode_long(body: bytes, kind: type[T]) -> T:
    """As `decode`, for up to BULK_BYTES: in steps of about a millisecond, between which other tasks have a turn."""
    is_overfull = _is_overfull(body)
    await give_way()
    if is_overfull:
        raise _overfull(body, kind)
    # Whitespace at the ends is read at half the speed. Python also strips two characters that JSON does not allow.
    if b"\v" not in body and b"\f" not in body:
        body = body.strip()
        await give_way()
    read = _typed(body, kind)
    await give_way()
    _refuse_repeated(body)
    return read


def wrong_field(error: msgspec.ValidationError, kind: type) -> InvalidRequest:
    """The refusal of a body or query that does not fit this type, with the field's path."""
    field, reason = place_and_reason(error, kind)
    return InvalidRequest(f"{field or 'body'}: {reason}.", fields=((field, reason),))


def _typed(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise wrong_field(error, kind) from None
    except _UNREADABLE:
        raise _no_json(body) from None


def _no_json(body: bytes) -> InvalidRequest:
    return InvalidRequest(f"The body is {'not valid JSON' if body.strip() else 'empty: write JSON'}.")


def _is_overfull(body: bytes) -> bool:
    """True for more marks or escapes than any acceptable body has; decoding that could take 90 ms."""
    escapes, marks = body.count(b"\\"), body.count(b'"')
    if escapes > _MOST_ESCAPES or marks <= _MOST_MARKS:
        return escapes > _MOST_ESCAPES
    # Two counts: a mark inside a text is always escaped, but the mark that ends one may follow an escaped backslash.
    return marks - escapes > _MOST_MARKS or marks - body.count(b'\\"') > _MOST_MARKS


def _overfull(body: bytes, kind: type) -> InvalidRequest:
    """The refusal of an overfull body: what is wrong with its beginning, if that is known."""
    *texts, rest = body.split(b'"', _MOST_MARKS)
    if len(texts) == _MOST_MARKS:
        # Cut after a value: after a name the beginning would be no valid JSON.
        beginning = b'"'.join(texts[:-2] if rest.lstrip().startswith(b":") else texts) + b'"'
        for end in (b"]}", b"}}"):
            try:
                msgspec.json.decode(beginning + end, type=kind)
            except msgspec.ValidationError as error:
                return wrong_field(error, kind)
            except _UNREADABLE:
                continue
    return InvalidRequest("The body has more texts or escapes in it than any that is taken.")


def _refuse_repeated(body: bytes) -> None:
    try:
        colons = body.count(b":")
        # Each member has a colon: as many different members as colons means that none is given twice.
        if colons > 1 and (len(body) > _LONGEST_FLAT or _members_of(body) != colons):
            _seek_repeated(body)
    except _UNREADABLE:
        raise _no_json(body) from None


def _members_of(body: bytes) -> int:
    """How many members a body has; 0 unless it is one object that can be decoded."""
    try:
        told = msgspec.json.decode(body)
    except _UNREADABLE:
        return 0
    return len(told) if isinstance(told, dict) else 0


def _seek_repeated(body: bytes) -> None:
    # The members of each object, inner objects first. Collected without a Python call for each object, because an
    # ordinary body may have five thousand.
    objects: list[list[tuple[str, Any]]] = []
    json.JSONDecoder(object_pairs_hook=objects.append).decode(body.decode())
    for members in objects:
        if len(members) > 1 and len(dict(members)) < len(members):
            last = {name: place for place, (name, _) in enumerate(members)}
            twice = next(name for place, (name, _) in enumerate(members) if last[name] != place)
            twice = twice.encode("utf-8", "replace").decode()  # json lets half a surrogate pair through
            raise InvalidRequest(f"The member {twice!r} is given twice.", fields=((twice, "given twice"),))


class Json(Response):
    """A JSON answer, never cached: most carry a secret or a verdict."""

    def __init__(self, content: object, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        # Replaces Starlette's constructor, which takes fields as text and encodes them for every answer.
        self.status_code = status
        self.background = None
        self.body = content if isinstance(content, bytes) else _encode(content)
        self.raw_headers = [_JSON, (b"content-length", b"%d" % len(self.body)), NO_STORE, *headers]


class LongJson(Response):
    """A JSON answer in encoded pieces. Its sender takes them out one by one."""

    def __init__(self, pieces: list[bytes], status: int) -> None:
        self.status_code = status
        self.background = None
        self.raw_headers = [_JSON, (b"content-length", b"%d" % sum(map(len, pieces))), NO_STORE]
        self.pieces = pieces

    @property
    def body(self) -> bytes:  # type: ignore[override]
        """The whole body, in one piece. A sender may need that, or may add to it."""
        return b"".join(self.pieces)


async def json_of(told: Any, status: int) -> Json | LongJson:
    """An answer as JSON. If its first member is a long list, other tasks have turns while it is encoded.

    Removes the rows from that list, because freeing megabytes in one step takes as long as encoding them.
    """
    listed = getattr(told, told.__struct_fields__[0]) if isinstance(told, msgspec.Struct) else None
    if not isinstance(listed, list) or len(listed) <= _ROWS:
        return Json(told, status)
    before, _, end = _encode(msgspec.structs.replace(told, **{told.__struct_fields__[0]: []})).partition(b"]")
    pieces = [piece async for piece in in_pieces(paced(_written(before, listed, b"]" + end)))]
    return LongJson(pieces, status) if len(pieces) > 1 else Json(pieces[0], status)


def _written(before: bytes, rows: list[Any], behind: bytes) -> Iterator[tuple[bytes, ...]]:
    """Rows of a list, some at a time; `before` and `behind` are the JSON around the list."""
    count = _ROWS
    while rows:
        # Without the brackets of this part.
        text = _encode(rows[:count])[1:-1]
        del rows[:count]
        yield before, text, behind if not rows else b""
        before = b","
        # Adapts to the size of the rows; most have some hundred bytes.
        count = max(1, min(2 * count, _MOST_ROWS, count * _WRITTEN_BYTES // len(text)))


async def in_pieces(texts: AsyncIterator[Iterable[bytes]]) -> AsyncIterator[bytes]:
    """Joins texts into pieces of the size that is sent at once."""
    waiting, size = list[bytes](), 0
    async for some in texts:
        for text in some:
            waiting.append(text)
            size += len(text)
            if size >= _PIECE_BYTES:
                yield b"".join(waiting)
                waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
