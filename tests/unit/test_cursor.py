"""A list's cursor goes to the client and comes back: whatever comes back in its place is a bad request."""

from base64 import urlsafe_b64encode

import msgspec
import pytest

from service.api.admin.schemas.cursors import read_cursor, write_cursor
from service.errors import InvalidRequest


@pytest.mark.parametrize(
    ("sort", "after"),
    [
        ("-createdAt", ("1795214400000000", "00ab")),
        ("name", ("CI déploiement\x00~00ab", "00ab")),
        ("expiresAt", ("0", "x")),
    ],
)
def test_a_cursor_comes_back_as_it_was(sort: str, after: tuple[str, str]) -> None:
    cursor = write_cursor(after, sort)
    assert cursor is not None
    assert cursor.isascii()
    assert read_cursor(cursor, sort) == after


def test_no_cursor_is_the_beginning_and_the_end() -> None:
    assert write_cursor(None, "name") is None
    assert read_cursor(None, "name") is None
    assert read_cursor("", "name") is None


@pytest.mark.parametrize(
    "position", ["", "x", "-5", "+5", "1_0", " 1", "1.5", "inf", "nan", "٣", "1" * 20, "9" * 5000, "(1", "[a"]
)
def test_a_position_that_is_no_instant_is_refused(position: str) -> None:
    cursor = urlsafe_b64encode(msgspec.json.encode(["-createdAt", position, "00ab"])).decode()
    with pytest.raises(InvalidRequest) as caught:
        read_cursor(cursor, "-createdAt")
    assert caught.value.fields[0][0] == "cursor"


@pytest.mark.parametrize("cursor", ["x", "!!!!", "é", "W10", "bnVsbA", "\x00", "e30", "WyJuYW1lIiwiYSJd", "A" * 10_000])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequest):
        read_cursor(cursor, "name")


def test_a_cursor_of_another_order_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        read_cursor(write_cursor(("5", "x"), "-createdAt"), "createdAt")
