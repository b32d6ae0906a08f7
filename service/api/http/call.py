"""What every operation shares about HTTP: the call, its body and its query.

How an operation is declared is in `operation.py`. Failures become answers in `problems.py`.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine
from functools import cache
from time import perf_counter
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from service.api.http.access import ANYONE
from service.api.http.bodies import BODY_BYTES, decode, decode_long, wrong_field
from service.errors import InvalidRequest, wrong
from service.store.driver.many_tokens import Ahead
from service.tokens.credential import DecodedCredential

Headers = list[tuple[bytes, bytes]]

MOST_PAIRS = 200
# The size of a page in every list: the default, and the largest.
PAGE, LARGEST_PAGE = 50, 200
PageSize = Annotated[int, Meta(ge=1, le=LARGEST_PAGE, description=f"how many at most; {PAGE} unless given")]
Cursor = Annotated[str, Meta(description="`nextCursor` of the previous page")]
T = TypeVar("T")


class Call:
    """One request as a handler sees it."""

    def __init__(
        self, scope: Scope, receive: Receive, headers: dict[bytes, bytes], request_id: str, address: str
    ) -> None:
        """`headers`: by lower-case name, the first of each. The operation sets `access` and `template`."""
        self.started = perf_counter()
        self.scope = scope
        self.method: str = scope["method"]
        self.template = "unknown"
        self.access = ANYONE
        self.request_id = request_id
        self.address = address
        self.outcome = self.token_id = ""
        # The record of the presented secret, if it was found valid before the handler is called.
        self.admitted: DecodedCredential | None = None
        # The record of the named token, if it was requested before the caller was known.
        self.ahead: Ahead | None = None
        # True if the whole body was here before the caller was checked; else `ask_again` checks the caller again.
        self.is_whole = False
        self.ask_again: Callable[[], Awaitable[object]] | None = None
        self._receive = receive
        self._headers = headers
        self._query: list[tuple[str, str]] | None = None

    @property
    def head_only(self) -> bool:
        """True for HEAD, which the endpoint of GET also answers."""
        return self.method == "HEAD"

    @property
    def path_parameters(self) -> dict[str, str]:
        parameters: dict[str, str] = self.scope.get("path_params", {})
        return parameters

    def header(self, name: bytes) -> bytes | None:
        """The first header of this lower-case name."""
        return self._headers.get(name)

    def text_header(self, name: bytes) -> str:
        """A header as text, empty without it."""
        return (self.header(name) or b"").decode("latin-1")

    @property
    def media_type(self) -> bytes | None:
        """The body's media type in lower case, without parameters; None if the client gives none."""
        given = self.header(b"content-type")
        return None if given is None else given.partition(b";")[0].strip().lower()

    def refuse_two_authorizations(self) -> None:
        """Raises InvalidRequest for a second Authorization field: two readers may take different ones."""
        if len(self._headers) == len(self.scope["headers"]):
            return
        if sum(name == b"authorization" for name, _ in self.scope["headers"]) > 1:
            raise InvalidRequest("The Authorization field is given twice.")

    @property
    def query(self) -> list[tuple[str, str]]:
        """The query's pairs in order. Raises InvalidRequest if it is not UTF-8."""
        if self._query is None:
            raw = self.scope["query_string"]
            self._query = parse_pairs(raw) if raw else []
        return self._query

    def parameter(self, name: str) -> str | None:
        """The first query parameter of this name."""
        return next((value for key, value in self.query if key == name), None)

    @property
    def declares_body(self) -> bool:
        """True if the client announced a body; some gateways announce one and never send it."""
        return (self.header(b"content-length") or b"0") != b"0" or self.header(b"transfer-encoding") is not None

    async def body(self, limit: int = BODY_BYTES) -> bytes:
        """The whole body. Raises InvalidRequest `payload_too_large` as soon as it is known to be too large, and the
        errors of `ask_again` when the caller's credential ended while the body was on its way.
        """
        declared = self.header(b"content-length")
        # First by the announced length, before anything is read; a body longer than announced is caught below.
        # `int` cannot fail, because the parser refuses a length that is not a number.
        if declared is not None and int(declared) > limit:
            raise too_large(limit)
        parts, size = [], 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            part = message.get("body", b"")
            parts.append(part)
            size += len(part)
            if size > limit:
                raise too_large(limit)
            if not message.get("more_body", False):
                break
        # A client may take ten seconds to send a body, and a revocation that returned meanwhile must hold.
        if self.ask_again is not None and not self.is_whole:
            await self.ask_again()
        return b"".join(parts) if len(parts) > 1 else part

    async def unless_gone(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a search that may take long. Raises ClientDisconnect as soon as the client leaves.

        Only for work that changes nothing, after the body has been read.
        """
        searching, leaving = asyncio.ensure_future(work), asyncio.ensure_future(self._leaving())
        try:
            await asyncio.wait((searching, leaving), return_when=asyncio.FIRST_COMPLETED)
            if searching.done():
                return searching.result()
            raise ClientDisconnect
        finally:
            # Both: no search may continue without its client, and no task may wait for a message that never comes.
            searching.cancel()
            leaving.cancel()
            # Awaited, so that neither runs on after the answer. A cancellation here is no fault.
            await asyncio.gather(searching, leaving, return_exceptions=True)
            # The error of a failed search refers to this frame. Without the deletion, that cycle would keep all that
            # the search found until the next garbage collection.
            del searching, leaving

    async def _leaving(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def json(self, kind: type[T]) -> T:
        """The body as this type. Raises InvalidRequest: wrong media type, not JSON, a wrong or unknown field."""
        return await self.decode(await self.body(), kind)

    async def decode(self, body: bytes, kind: type[T]) -> T:
        """A body that was already read, as this type. Raises InvalidRequest."""
        if self.media_type not in (None, b"application/json"):
            raise InvalidRequest("Send the body as application/json.", code="unsupported_media_type")
        return decode(body, kind) if len(body) <= BODY_BYTES else await decode_long(body, kind)

    async def form(self) -> dict[str, str]:
        """The fields of an application/x-www-form-urlencoded body; a repeated field is refused (RFC 6749, 3.1)."""
        if self.media_type != b"application/x-www-form-urlencoded":
            raise InvalidRequest("Send the body as application/x-www-form-urlencoded.", code="unsupported_media_type")
        pairs = parse_pairs(await self.body())
        if len({name for name, _ in pairs}) != len(pairs):
            raise InvalidRequest("A field is given twice.")
        return dict(pairs)


def too_large(limit: int) -> InvalidRequest:
    """The refusal of a body over its limit."""
    return InvalidRequest(f"The body is larger than {limit} bytes.", code="payload_too_large")


def parse_pairs(raw: bytes) -> list[tuple[str, str]]:
    """The pairs of a query or form. Raises InvalidRequest."""
    # Counted before they are parsed, because thousands of empty fields fit into a body.
    if raw.count(b"&") >= MOST_PAIRS:
        raise InvalidRequest(f"The query or form has more than {MOST_PAIRS} fields.")
    try:
        text = raw.decode("ascii")
        # Mostly nothing is encoded, and then this takes a third of the time.
        if "%" not in text and "+" not in text:
            return [(name, value) for name, _, value in [pair.partition("=") for pair in text.split("&") if pair]]
        # Empty values are kept: they must be refused, and not count as left out.
        return parse_qsl(text, keep_blank_values=True, errors="strict")
    except (UnicodeDecodeError, ValueError):
        raise InvalidRequest("The query or form is not valid UTF-8 percent-encoding.") from None


_WHOLE = re.compile(r"-?[0-9]+")
# Reading the types of a class takes as long as all other work on a query.
_fields = cache(msgspec.structs.fields)


def convert_query(call: Call, kind: type[T]) -> T:
    """The query parameters as this type; numbers and booleans are read from text. Raises InvalidRequest."""
    pairs: dict[str, str] = {}
    for name, value in call.query:
        if name in pairs:
            raise wrong(name, "given twice")
        pairs[name] = value
    try:
        query = msgspec.convert(pairs, kind, strict=False)
    except msgspec.ValidationError as error:
        raise wrong_field(error, kind) from None
    for field in _fields(kind):  # type: ignore[arg-type]
        text, value = pairs.get(field.encode_name), getattr(query, field.name)
        if text is not None and value is None:  # it says "null"
            raise wrong(field.encode_name, "give a value, or leave it out")
        # msgspec reads 1e1 as ten, and a gateway before this service may not.
        if text is not None and type(value) is int and not _WHOLE.fullmatch(text):
            raise wrong(field.encode_name, "write a whole number in digits alone")
    return query
