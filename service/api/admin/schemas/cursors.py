"""Cursors: where a list, or a change of many tokens, continues, as a client sends it back."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TypeVar

import msgspec

from service.errors import wrong

T = TypeVar("T")


def cursor_of(place: object) -> str:
    """A place as JSON in base64url without padding."""
    return urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def place_of(cursor: str, kind: type[T]) -> T | None:
    """The place in a cursor that `cursor_of` made; None for any other text."""
    try:
        return msgspec.json.decode(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=kind)
    except (ValueError, msgspec.DecodeError):
        return None


def write_cursor(after: tuple[str, str] | None, sort: str) -> str | None:
    """The cursor for what follows this place of a list in this order; None at the end of the list."""
    # It holds the order, so that a list in another order refuses it instead of skipping tokens.
    return None if after is None else cursor_of([sort, *after])


def read_cursor(cursor: str | None, sort: str) -> tuple[str, str] | None:
    """The place that a cursor leads to. Raises InvalidRequest for a cursor of another list."""
    if not cursor:
        return None
    for_sort, position, token_id = place_of(cursor, tuple[str, str, str]) or ("", "", "")
    # The greatest position, 2^62 or an instant in microseconds, has 19 digits. Python reads longer numbers than Redis
    # does, and a refusal by Redis would count as our own failure.
    is_number = position.isascii() and position.isdecimal() and len(position) < 20
    if for_sort != sort or not (is_number or sort.removeprefix("-") == "name"):
        raise wrong("cursor", "this cursor belongs to another list: start again without it")
    return position, token_id
