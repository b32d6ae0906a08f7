"""Reading requests: odd JSON, forms and addresses end as InvalidRequest, never as another exception."""

import asyncio
import gc
import sys
import weakref
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Receive

from service.api.http.bodies import decode
from service.api.http.call import Call, convert_query, parse_pairs
from service.api.http.problems import respond
from service.errors import InvalidRequest
from tests.asgi import receiving
from tests.builders import until


class Body(msgspec.Struct, forbid_unknown_fields=True):
    token: str
    count: int = 0
    scopes: tuple[str, ...] = ()
    data: msgspec.Raw = msgspec.Raw()
    more: dict[str, Any] = {}
    labels: dict[Annotated[str, msgspec.Meta(max_length=4)], Annotated[str, msgspec.Meta(max_length=4)]] = {}


NOT_JSON = [
    b"",
    b" ",
    b"token",
    b"{",
    b"[",
    b'{"token"',
    b'{"token":',
    b'{"token":"a"',
    b'{"token":"a",}',
    b"{'token':'a'}",
    b'{"token":"a"}}',
    b'{"token":"a"} x',
    b'{"token":"a"}\x00',
    b'\xef\xbb\xbf{"token":"a"}',
    b'{token:"a"}',
    b'{"token":"\xff"}',
    b'{"token":"\xc3"}',
    b'{"\xff":1}',
    b'{"token":"\xed\xa0\x80"}',
    b'{"token":"\xc0\xaf"}',
    b'{"token":"a\nb"}',
    b'{"token":"\x01"}',
    b'{"token":"\\x41"}',
    b'{"token":"\\u12"}',
    b'{"token":"\\ud800"}',
    b'{"token":"\\udc00\\ud800"}',
    b'{"\\ud800":1,"token":"a"}',
    b'{"token":"a","count":01}',
    b'{"token":"a","count":+1}',
    b'{"token":"a","count":.5}',
    b'{"token":"a","count":1.}',
    b'{"token":"a","count":NaN}',
    b'{"token":"a","count":Infinity}',
    b'{"token":"a","count":-}',
    b'{"token":"a","count":0x10}',
    b'{"token":"a" /* why */}',
    b'{"token":"a"}//',
    b'"token":"a"',
    b"nul",
    b"True",
    b"\x00",
    b"\xff\xfe{\x00}\x00",
    '{"token":"a"}'.encode("utf-16"),
    '{"token":"a"}'.encode("utf-32"),
    b"[" * 16000,
    b'{"a":' * 3000,
    b"[" * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"token":"a","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"token":"a","more":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
]
WRONG = [
    (b"null", ""),
    (b"[]", ""),
    (b'"token"', ""),
    (b"1", ""),
    (b"{}", "token"),
    (b'{"Token":"a"}', "Token"),
    (b'{"token":null}', "token"),
    (b'{"token":1}', "token"),
    (b'{"token":["a"]}', "token"),
    (b'{"token":"a","count":"1"}', "count"),
    (b'{"token":"a","count":1.5}', "count"),
    (b'{"token":"a","count":true}', "count"),
    (b'{"token":"a","count":1e400}', "count"),
    (b'{"token":"a","scopes":"a"}', "scopes"),
    (b'{"token":"a","scopes":["a",1]}', "scopes[1]"),
    (b'{"token":"a","labels":{"a":"too long"}}', "labels[...]"),
    (b'{"token":"a","labels":{"too long":"a"}}', "labels"),
    (b'{"token":"a","extra":1}', "extra"),
    (b'{"token":"a","__class__":1}', "__class__"),
    (b'{"token":"a","":1}', ""),
]
TWICE = [
    b'{"token":"a","token":"b"}',
    b'{"token":"a","tok\\u0065n":"a"}',
    b'{"token":"a","data":{"x":1,"x":1}}',
    b'{"token":"a","more":{"deep":[{"x":1,"x":2}]}}',
    b'{"token":"a","\\ud800":1,"\\ud800":2}',
]


def refused(body: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        decode(body, Body)
    assert respond(caught.value, "r1").status_code == 400
    return caught.value


@pytest.mark.parametrize("body", NOT_JSON, ids=lambda body: repr(body[:24]))
def test_what_is_not_json_is_refused(body: bytes) -> None:
    assert refused(body).code == "invalid_request"


@pytest.mark.parametrize(("body", "field"), WRONG)
def test_a_wrong_or_unknown_field_is_named_by_its_path(body: bytes, field: str) -> None:
    ((path, reason),) = refused(body).fields
    assert path == field
    assert reason


@pytest.mark.parametrize("body", TWICE)
def test_a_member_given_twice_is_refused_at_any_depth(body: bytes) -> None:
    error = refused(body)
    assert "given twice" in error.detail


@pytest.mark.parametrize("digits", [4301, 10_000])
def test_a_number_of_thousands_of_digits_is_refused(digits: int) -> None:
    assert refused(b'{"token":"a","count":' + b"9" * digits + b"}").code == "invalid_request"
    assert refused(b'{"token":"a","more":{"x":' + b"9" * digits + b"}}").code == "invalid_request"


def test_what_is_json_is_read() -> None:
    body = decode(b' {"token":"a\\u0000b","count":-3,"scopes":["a"],"data":{"x":[1]},"more":{"\\u00e9":1}} \n', Body)
    assert (body.token, body.count, body.scopes, bytes(body.data), body.more) == (
        "a\x00b",
        -3,
        ("a",),
        b'{"x":[1]}',
        {"é": 1},
    )


@given(st.binary(max_size=200))
def test_no_bytes_raise_another_exception(body: bytes) -> None:
    try:
        decode(body, Body)
    except InvalidRequest as error:
        respond(error, "r1")


def test_decoding_does_not_raise_the_recursion_limit() -> None:
    before = sys.getrecursionlimit()
    refused(b"[" * 100_000)
    assert sys.getrecursionlimit() == before


@pytest.mark.parametrize(
    ("raw", "pairs"),
    [
        (b"a=1&b=&c", [("a", "1"), ("b", ""), ("c", "")]),
        (b"a=%C3%A9+x", [("a", "é x")]),
        (b"a=1;b=2", [("a", "1;b=2")]),
        (b"a=%00", [("a", "\x00")]),
    ],
)
def test_pairs_are_read_in_order(raw: bytes, pairs: list[tuple[str, str]]) -> None:
    assert parse_pairs(raw) == pairs


@pytest.mark.parametrize("raw", [b"a=\xff", b"a=%FF", b"a=%ED%A0%80"])
def test_pairs_that_are_not_utf8_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest, match="not valid UTF-8"):
        parse_pairs(raw)


def test_pairs_beyond_two_hundred_are_refused_as_too_many() -> None:
    assert len(parse_pairs(b"&".join([b"a=1"] * 200))) == 200
    with pytest.raises(InvalidRequest, match="more than 200 fields"):
        parse_pairs(b"&".join([b"a=1"] * 201))


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    limit: int = 50
    q: str = ""
    days: int | None = None


async def no_body() -> Any:
    raise AssertionError("no body is read")


def call(query: bytes, receive: Receive = no_body) -> Call:
    return Call(
        {"type": "http", "method": "GET", "path": "/", "query_string": query, "headers": []}, receive, {}, "r", ""
    )


def test_a_query_is_converted_and_its_wrong_parameter_named() -> None:
    assert convert_query(call(b"limit=7&q=x"), Asked) == Asked(7, "x")
    wrong = ((b"limit=x", "limit"), (b"limits=1", "limits"), (b"days=null", "days"), (b"q=a&limit=1&limit=2", "limit"))
    # Not every way to write a number: another reader of the same address may take it for none.
    wrong += tuple((b"limit=" + text, "limit") for text in (b"1e1", b"7.0", b"%2B7", b"%207", b"1_0"))
    for query, field in wrong:
        with pytest.raises(InvalidRequest) as caught:
            convert_query(call(query), Asked)
        assert caught.value.fields[0][0] == field


async def test_who_searches_twice_is_there_all_the_time() -> None:
    """As the tests over ASGI have it: the first search stops waiting for the client to leave."""
    asked = call(b"", receiving(b"", None))
    for _ in range(2):
        assert await asked.unless_gone(asyncio.sleep(0.001, "found")) == "found"


async def test_a_search_that_failed_leaves_the_collector_nothing() -> None:
    class Found:
        """What it had found."""

    async def search() -> None:
        found = Found()
        kept.append(weakref.ref(found))
        await asyncio.sleep(0)
        raise RuntimeError(f"as it was told of {found}")

    async def receive() -> Any:
        await asyncio.Event().wait()

    kept: list[weakref.ref[object]] = []
    gc.disable()
    try:
        with pytest.raises(RuntimeError, match="as it was told"):
            await call(b"", receive).unless_gone(search())
        await until(lambda: kept[0]() is None)
    finally:
        gc.enable()
