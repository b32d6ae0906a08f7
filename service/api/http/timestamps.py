"""Instants on the wire: RFC 3339 in UTC with `Z`, and back."""

import time
from datetime import datetime
from functools import lru_cache
from typing import Annotated

from msgspec import Meta

from service.errors import wrong

Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
_LAST = 253_402_300_799  # the last second of the year 9999


@lru_cache(4096)
def rfc3339(epoch_seconds: int) -> str:
    """2026-11-20T22:40:00Z, remembered: what is asked for together often shares its seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch_seconds))


def rfc3339_or_none(epoch_seconds: int) -> str | None:
    """The same, None for 0, which stands for never or not yet."""
    return rfc3339(epoch_seconds) if epoch_seconds else None


def parse_rfc3339(text: str, field: str) -> int:
    """Epoch seconds. Raises InvalidRequest, also without an offset or outside 1970 to 9999."""
    try:
        instant = datetime.fromisoformat(text.upper())
    except ValueError:
        instant = None
    seconds = -1 if instant is None or instant.tzinfo is None else int(instant.timestamp())
    if not 0 <= seconds <= _LAST:
        raise wrong(field, "write an instant like 2027-01-31T12:00:00Z")
    return seconds
