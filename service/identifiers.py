"""Identifiers: the forms of those that come from outside, and a new one for what is neither a token nor a secret."""

import re
import secrets
from typing import NamedTuple

TOKEN_ID = re.compile(r"[0-9a-f]{16}")
# What a client calls a request that it may repeat: printable characters.
REQUEST_KEY = re.compile(r"[!-~]{1,64}")
# A `traceparent` (W3C Trace Context). Versions after 00 may say more behind the flags.
_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})(-.*)?")
_NO_ID = b"0" * 32
_SAMPLED = 1


def random_id() -> str:
    """Sixteen hex digits for what is neither a token nor a secret."""
    return secrets.token_hex(8)


class Trace(NamedTuple):
    """A trace's id, and whether its spans are kept, so that somebody who follows the id finds something."""

    trace_id: str
    sampled: bool


def trace_of(traceparent: bytes | None) -> Trace | None:
    """The trace of a `traceparent` field; None where there is none, or none that can be read."""
    found = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if found is None:
        return None
    version, trace_id, flags, more = found.groups()
    # Version ff is forbidden and an id of zeros invalid (Trace Context, 3.2.2).
    if version == b"ff" or (version == b"00" and more) or trace_id == _NO_ID:
        return None
    return Trace(trace_id.decode(), bool(int(flags, 16) & _SAMPLED))
