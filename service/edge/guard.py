"""What a request's head may look like: its size, its fields, and what two readers could understand differently."""

from __future__ import annotations

from typing import NamedTuple

from service.api.verdicts import Headers

HEAD_BYTES = 16 * 1024
HEAD_FIELDS = 64
# What is read of a body that nobody wants before its connection is closed.
UNWANTED_BYTES = 64 * 1024
_ONCE = (b"host", b"content-length", b"transfer-encoding")


class Refusal(NamedTuple):
    """Why a connection is answered and closed before any operation sees its request."""

    status: int
    code: str
    detail: str


class Refused(Exception):
    """Raised inside the parser's callbacks to stop it."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


TOO_LARGE = Refusal(431, "head_too_large", "The request's head is larger than 16 KiB or 64 fields.")


class Trailer(list[tuple[bytes, bytes]]):
    """Stands where the parser leaves fields once a head is complete: counts what comes then, with it, and keeps none.

    A trailer field is no header field: a proxy in front has looked at the head alone.
    """

    def __init__(self, url: bytes, head: Headers) -> None:
        super().__init__()
        self._bytes = size_of(url, head)
        self._fields = len(head)

    def append(self, field: tuple[bytes, bytes]) -> None:
        """Drop a field. Raises Refused for one too many."""
        self._fields += 1
        self._bytes += size_of(b"", [field])
        if self._fields > HEAD_FIELDS or self._bytes > HEAD_BYTES:
            raise Refused(TOO_LARGE)


def size_of(url: bytes, headers: Headers) -> int:
    """The bytes of a head, but for the method and version."""
    return len(url) + sum([len(name) + len(value) + 4 for name, value in headers])


def check(method: bytes, version: str, url: bytes, headers: Headers, named: dict[bytes, bytes]) -> None:
    """Judge a complete head whose size is within bounds. Raises Refused."""
    if len(headers) > HEAD_FIELDS:
        raise Refused(Refusal(431, "head_too_large", "The request's head has more than 64 fields."))
    if version not in ("1.1", "1.0"):
        raise _bad("Use HTTP/1.1.")
    if method == b"CONNECT":
        raise _bad("No tunnels are opened here.")
    if version == "1.1" and b"host" not in named:
        raise _bad("The Host field is missing.")
    if len(named) != len(headers):
        names = [name for name, _ in headers]
        for name in _ONCE:
            if names.count(name) > 1:
                raise _bad(f"The {name.decode().title()} field is given twice.")
    if b"transfer-encoding" in named and (b"content-length" in named or version == "1.0"):
        raise _bad("Transfer-Encoding does not go with Content-Length or HTTP/1.0.")
    if not url.startswith(b"/") and url != b"*" and _authority(url) != named.get(b"host", b"").lower():
        raise _bad("The target names another host than the Host field.")


def _bad(detail: str) -> Refused:
    return Refused(Refusal(400, "invalid_request", detail))


def _authority(url: bytes) -> bytes | None:
    scheme, separator, rest = url.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        return None
    for end in (b"/", b"?", b"#"):
        rest = rest.partition(end)[0]
    return rest.lower()
