"""The form of a request's head: its size, its fields, and what two parsers could read differently."""

import re
from ipaddress import IPv6Address

import httptools
import msgspec

from service.api.gateway.answers import lines_of
from service.api.http.call import Headers

HEAD_BYTES = 16 * 1024
HEAD_FIELDS = 64
# How many bytes of an unwanted body are read before the connection is closed.
UNWANTED_BYTES = 64 * 1024
# A name or an IPv4 address, or what may be an IPv6 address, and a port.
_HOST = re.compile(rb"(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,252}|\[([0-9A-Fa-f:.]{2,45})\])(?::([0-9]{0,5}))?")
_HOSTS_REMEMBERED = 256
_REQUEST_LINE = re.compile(rb"([A-Za-z0-9!#$%&'*+.^_`|~-]+) /[!-~]* HTTP/1\.[01]\r\n")
_NO_METHOD = b"TRACE"
# Fields that only the ordinary way handles: bodies, expectations, other protocols, a request that costs more.
UNUSUAL = frozenset((b"transfer-encoding", b"expect", b"upgrade", b"x-token-cost"))
# If one of these fields occurs twice, two parsers may use different ones: request smuggling (RFC 9112, 11.2).
_ONCE = (b"host", b"content-length", b"transfer-encoding")


class Refusal(msgspec.Struct, frozen=True):
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
    """Receives the fields that the parser reads after a complete head: counts them with the head and keeps none.

    A trailer field must not act as a header field, because a proxy before us has checked only the head.
    """

    def __init__(self, url: bytes, head: Headers) -> None:
        super().__init__()
        self._bytes = size_of(url, head)
        self._fields = len(head)

    def append(self, field: tuple[bytes, bytes]) -> None:
        """Count a field and drop it. Raises Refused beyond the limits of a head."""
        self._fields += 1
        self._bytes += size_of(b"", [field])
        if self._fields > HEAD_FIELDS or self._bytes > HEAD_BYTES:
            raise Refused(TOO_LARGE)


def size_of(url: bytes, headers: Headers) -> int:
    """The bytes of a head, without the method and version."""
    return len(url) + sum([len(name) + len(value) + 4 for name, value in headers])


def is_host(value: bytes) -> bool:
    """True if this value of a Host field is a host, with or without a port."""
    found = _HOST.fullmatch(value)
    if found is None:
        return False
    address, port = found.groups()
    try:
        return int(port or 0) <= 65535 and (address is None or bool(IPv6Address(address.decode())))
    except ValueError:
        return False


class _Hosts(dict[bytes, bool]):
    """A cache of `is_host`: a gateway sends the same value with every request."""

    def __missing__(self, value: bytes) -> bool:
        if len(self) >= _HOSTS_REMEMBERED:
            # A client that invents hosts takes no more memory; it only causes a gateway's value to be checked again.
            self.clear()
        self[value] = is_host(value)
        return self[value]


# One for all connections of the process.
HOSTS = _Hosts()


def new_parser(protocol: object) -> httptools.HttpRequestParser:
    """A parser set up like uvicorn's, which calls the protocol's callbacks."""
    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def head_of(parser: httptools.HttpRequestParser, url: bytes, headers: Headers) -> bytes:
    """The head that a parser has read, as it comes on the wire."""
    version = parser.get_http_version().encode()
    return b"%b %b HTTP/%b\r\n%b\r\n" % (parser.get_method(), url, version, lines_of(headers))


def renamed(packet: bytes) -> bytes | None:
    """The packet with its method, which the parser does not know, replaced by one that it knows and no route accepts.

    None if something else is wrong with the first line. /validate answers any method, and elsewhere an unknown method
    is answered like any wrong one (RFC 9110, 15.5.6).
    """
    line = _REQUEST_LINE.match(packet)
    if line is None:
        return None
    try:
        httptools.HttpRequestParser(object()).feed_data(line[0])
    except httptools.HttpParserError:
        return _NO_METHOD + packet[line.end(1) :]
    return None


def check(method: bytes, version: str, url: bytes, headers: Headers, named: dict[bytes, bytes]) -> None:
    """Check a complete head whose size is within bounds. Raises Refused."""
    if len(headers) > HEAD_FIELDS:
        raise Refused(Refusal(431, "head_too_large", "The request's head has more than 64 fields."))
    if version not in ("1.1", "1.0"):
        raise _bad("Use HTTP/1.1.")
    if method == b"CONNECT":
        raise _bad("No tunnels are made here.")
    if len(named) != len(headers):
        names = [name for name, _ in headers]
        for name in _ONCE:
            if names.count(name) > 1:
                raise _bad(f"The {name.decode().title()} field is given twice.")
    # A proxy that uses the other one of the two finds the end of the body elsewhere (RFC 9112, 6.1).
    if b"transfer-encoding" in named and (b"content-length" in named or version == "1.0"):
        raise _bad("Transfer-Encoding does not go with Content-Length or HTTP/1.0.")
    _check_host(named.get(b"host"), version, url)


def _check_host(host: bytes | None, version: str, url: bytes) -> None:
    if host is None and version == "1.1":
        raise _bad("The Host field is missing.")
    if host is not None and not is_host(host):
        raise _bad("The Host field names no host.")
    # The target overrides the field (RFC 9112, 3.2.2), and a proxy before us may have decided by the field.
    if not url.startswith(b"/") and url != b"*" and _authority(url) != (host or b"").lower():
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
