"""Long bodies: read in steps, and refused for their beginning where they have more in them than any that is taken."""

import asyncio
import json
from typing import Any

import pytest

from service.api.admin.schemas.tokens import ChangeToken
from service.api.http.bodies import BODY_BYTES, BULK_BYTES, decode, decode_long
from service.errors import InvalidRequest

# Each text as long as it may be, of signs that JSON has to escape, and of all members that there are.
SIGN = "\U0001f511"
LIMIT = {
    "limit": 1_000_000_000,
    "name": "a" * 32,
    "calendar": {"unit": "month", "day": 31, "timeZone": "America/Argentina/ComodRivadavia"},
}
FULLEST = {
    "id": "0" * 16,
    "ids": [f"{number:016x}" for number in range(1000)],
    "filter": {
        "status": "active,inactive,expired,revoked",
        "q": SIGN * 80,
        "createdBy": SIGN * 256,
        "scope": "s" * 64,
        "subject": "s" * 128,
        "lastAddress": SIGN * 45,
        "expiresBefore": "2027-01-31T12:00:00Z",
        "unusedForDays": 3650,
        "neverUsed": False,
    },
    "expected": 1_000_000,
    "limit": 1_000_000,
    "cursor": SIGN * 200,
    "isActive": False,
    "name": SIGN * 80,
    "description": '"' * 500,
    "subject": "s" * 128,
    "scopes": [f"{number:060}" for number in range(50)],
    "limits": [LIMIT] * 4,
    "metadata": {SIGN * 62 + f"{number:02}": '"\\' * 128 for number in range(20)},
    "expiresAt": "2027-01-31T12:00:00Z",
    "allowedNetworks": [SIGN * 49] * 50,
    "maxUses": 1_000_000_000,
}


def escaped(value: object) -> str:
    """As JSON, each sign of each text as an escape."""
    if isinstance(value, str):
        units = value.encode("utf-16-be").hex()
        return '"' + "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4)) + '"'
    if isinstance(value, list):
        return f"[{','.join(map(escaped, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{escaped(name)}:{escaped(one)}' for name, one in value.items())}}}"
    return json.dumps(value)


def filled(start: str, item: str, end: str, size: int = BULK_BYTES) -> bytes:
    """A body of about this size."""
    return (start + item * ((size - len(start) - len(end)) // len(item)) + end).encode()


OVERFULL = {
    '{"ids":["': ('0123456789abcdef","', 'no id"]}', "ids", "write a list of at most 1000"),
    '{"ids": [ "': ('0123456789abcdef" ,\n "', 'no id" ] }', "ids", "write a list of at most 1000"),
    '{"metadata":{': ('"a":"",', '"b":1}}', "", ""),
    '{"filter":{"q":"a"},"x":["': ('a","', 'a"]}', "x", "is not known"),
    '{"isActive":true,': ('"isActive":true,', '"isActive":1}', "", ""),
    '{"description":"': ("\\\\", '"}', "", ""),
    '{"description":"a': ('\\"', '"}', "", ""),
}


async def refused(body: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        await decode_long(body, ChangeToken)
    with pytest.raises(InvalidRequest) as at_once:
        decode(body, ChangeToken)
    assert (at_once.value.detail, at_once.value.fields) == (caught.value.detail, caught.value.fields)
    return caught.value


@pytest.mark.parametrize("write", [json.dumps, escaped, lambda value: json.dumps(value, indent=90)])
async def test_the_fullest_body_that_there_is_is_read(write: Any) -> None:
    body = write(FULLEST).encode()
    assert BODY_BYTES < len(body) < BULK_BYTES
    for padded in (body, b" \n\t\r" * 9 + body, body + b" " * (BULK_BYTES - len(body))):
        read = await decode_long(padded, ChangeToken)
        assert (read.ids, read.metadata) == (FULLEST["ids"], FULLEST["metadata"])
        assert decode(padded, ChangeToken) == read


@pytest.mark.parametrize("start", OVERFULL)
async def test_what_has_more_in_it_than_any_that_is_taken_is_refused_for_its_beginning(start: str) -> None:
    item, end, field, reason = OVERFULL[start]
    error = await refused(filled(start, item, end))
    if field:
        assert error.fields == ((field, reason),)
    else:
        assert error.detail == "The body has more texts or escapes in it than any that is taken."


async def test_metadata_of_many_names_is_refused_without_reading_all_of_them() -> None:
    members = ",".join(f'"{number}":""' for number in range(90_000))
    for before in ("", '"id":"0123456789abcdef",', '"isActive":true,'):
        error = await refused(f'{{{before}"metadata":{{{members},"no text":1}}}}'.encode())
        assert error.fields == (("metadata", "write an object of at most 20"),)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (filled('{"ids":[', "{},", "{}]}"), "ids[0]: write text."),
        (filled('{"id":"0123456789abcdef","id":"0123456789abcdef"', " ", "}"), "The member 'id' is given twice."),
        (filled('{"metadata":{"a":"","a":""}', "\n", "}"), "The member 'a' is given twice."),
        (filled('{"isActive":true', " ", ""), "The body is not valid JSON."),
        (filled("\v", " ", '{"isActive":true}'), "The body is not valid JSON."),
        (filled('{"isActive":true}', " ", "\f"), "The body is not valid JSON."),
        (filled("", " ", ""), "The body is empty: write JSON."),
        (filled("", "[", ""), "body: write an object."),
        (filled('{"description":"', "a", '"}'), "description: write text of at most 500 characters."),
    ],
)
async def test_a_long_body_is_refused_as_a_short_one(body: bytes, detail: str) -> None:
    assert (await refused(body)).detail == detail


async def test_others_have_a_turn_between_the_steps() -> None:
    turns, over = 0, False

    async def count() -> None:
        nonlocal turns
        while not over:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count())
    await decode_long(filled('{"isActive":true', " ", "}"), ChangeToken)
    over = True
    await counting
    assert turns >= 3
