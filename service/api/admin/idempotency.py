"""The Idempotency-Key header: a client that gives one may send its request again and gets the same secret."""

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
# Declares an operation that shows a new secret, and takes the header.
issues = partial(Operation, "POST", status=201, header_names=(HEADER,))


def key_of(call: Call) -> str | None:
    """What the header says, None without it. Raises InvalidRequest unless it is 1 to 64 printable characters."""
    # An empty one is refused like any other wrong one: whoever sends it means to be safe, and would not be.
    if call.header(b"idempotency-key") is None:
        return None
    key = call.text_header(b"idempotency-key")
    if not REQUEST_KEY.fullmatch(key):
        raise InvalidRequest("Idempotency-Key must be 1 to 64 printable characters.")
    return key


def repeatable(call: Call, wanted: object) -> Repeatable | None:
    """The request as one that may be repeated, None without the header; `wanted` is its body, decoded.

    Raises InvalidRequest as `key_of`.
    """
    key = key_of(call)
    return None if key is None else Repeatable(key, _encode(wanted))
