"""The Idempotency-Key header: a client that sends one may repeat its request and gets the same secret."""

from functools import partial

import msgspec

from service.api.http.call import Call
from service.api.http.operation import Operation
from service.errors import InvalidRequest
from service.identifiers import REQUEST_KEY
from service.tokens.idempotency import Repeatable

HEADER = "Idempotency-Key"
# Sorted, because a repeat may send the members of `metadata` in another order.
_encode = msgspec.json.Encoder(order="sorted").encode
# Declares an operation that shows a new secret and accepts the header.
issues = partial(Operation, "POST", status=201, header_names=(HEADER,))


def key_of(call: Call) -> str | None:
    """The value of the header, None without it. Raises InvalidRequest unless it has 1 to 64 printable characters."""
    # An empty value is refused too: its sender expects a safe retry, and would not get one.
    if call.header(b"idempotency-key") is None:
        return None
    key = call.text_header(b"idempotency-key")
    if not REQUEST_KEY.fullmatch(key):
        raise InvalidRequest("Idempotency-Key must be 1 to 64 printable characters.")
    return key


def repeatable(call: Call, wanted: object) -> Repeatable | None:
    """The request as a repeatable one, None without the header. `wanted` is its decoded body.

    Raises InvalidRequest, as `key_of` does.
    """
    key = key_of(call)
    return None if key is None else Repeatable(key, _encode(wanted))
