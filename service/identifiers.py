"""Identifiers: the forms of those that clients send, and new ones for things that are neither tokens nor secrets."""

import re
import secrets
import string
from typing import NamedTuple


def only(signs: bytes) -> bytes:
    """A table for `translate`, which leaves a text of only these characters unchanged; 3 times as fast as `re`."""
    return bytes(byte if byte in signs else (byte + 1) % 256 for byte in range(256))


TOKEN_ID = re.compile(r"[0-9a-f]{16}")
# The subject of a token, in the form that header fields allow; there `-` alone means nobody.
SUBJECT = r"[!-,.-~][!-~]{0,127}|-[!-~]{1,127}"
# A client's key for a repeatable request: printable characters. A field value has no space at either end.
REQUEST_KEY = re.compile(r"[!-~]([ -~]{0,62}[!-~])?")
# Request ids go into the log and back to the client: a short one of these characters is passed on, others replaced.
REQUEST_ID_SIGNS = only((string.ascii_letters + string.digits + "._-").encode())
REQUEST_ID_LENGTH = 64
# A `traceparent` (W3C Trace Context). Versions after 00 may have more fields after the flags.
_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})(-.*)?")
_NO_ID = b"0" * 32
_SAMPLED = 1


def is_request_id(given: bytes) -> bool:
    """True if a request may keep this id."""
    return 0 < len(given) <= REQUEST_ID_LENGTH and given.translate(REQUEST_ID_SIGNS) == given


def random_id() -> str:
    """Sixteen random hex digits, for things that are neither tokens nor secrets."""
    return secrets.token_hex(8)


class Trace(NamedTuple):
    """A trace's id, and whether its spans are recorded, so that following the id finds something."""

    trace_id: str
    sampled: bool


def trace_of(traceparent: bytes | None) -> Trace | None:
    """The trace of a `traceparent` field; None without one, or for an invalid one."""
    found = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if found is None:
        return None
    version, trace_id, flags, more = found.groups()
    # Version ff is forbidden and an id of zeros invalid (Trace Context, 3.2.2).
    if version == b"ff" or (version == b"00" and more) or trace_id == _NO_ID:
        return None
    return Trace(trace_id.decode(), bool(int(flags, 16) & _SAMPLED))
