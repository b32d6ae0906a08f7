"""Instants on the wire: RFC 3339 in UTC with `Z`; written and read."""

import re
import time
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Annotated

from msgspec import Meta

from service.errors import wrong
from service.store.limits.windows import NoSuchZone, zone_of

Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
_LAST = 253_402_300_799  # the last second of the year 9999
# As seconds this is the year 5138, as milliseconds 1973. Smaller numbers are seconds.
_MILLISECONDS = 100_000_000_000
_RFC_3339 = r"(?a)\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)"
_BY_A_DATE = r"(?a)\d{4}-\d\d-\d\d(?:\D.*)?"
_FORM = "write an instant like 2027-01-31T12:00:00Z"


@lru_cache(4096)
def rfc3339(epoch_seconds: int) -> str:
    """An instant like 2026-11-20T22:40:00Z. Cached, because instants of one answer often share their second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch_seconds))


def rfc3339_or_none(epoch_seconds: int) -> str | None:
    """An instant as `rfc3339` writes it; None for 0, which means never or not yet."""
    return rfc3339(epoch_seconds) if epoch_seconds else None


def parse_rfc3339(text: str, field: str) -> int:
    """Epoch seconds. Raises InvalidRequest, also for an instant without an offset or outside 1970 to 9999."""
    return _within(int(_read(text, field, _RFC_3339).timestamp()), field)


def instant_or_none(text: str | None, field: str) -> int:
    """As `parse_rfc3339`, but None is 0, which means never or any time. An empty text is an error."""
    return 0 if text is None else parse_rfc3339(text, field)


def parse_instant(value: str | int, field: str, zone: tzinfo | None) -> int:
    """Epoch seconds from what other systems write: a time without an offset is in `zone`, a number is epoch seconds.

    Zero or a negative number is 0, which means never; a number too great for seconds is milliseconds.
    """
    if isinstance(value, int):
        return _within(value // 1000 if value >= _MILLISECONDS else max(0, value), field)
    instant = _read(value, field, _BY_A_DATE)
    if instant.tzinfo is None:
        if zone is None:
            raise wrong(field, "this time names no zone: say with zone which it is in, like UTC or Europe/Berlin")
        instant = instant.replace(tzinfo=zone)
    return _within(int(instant.timestamp()), field)


def parse_zone(name: str) -> tzinfo:
    """The query parameter `zone`: UTC, an offset like +02:00, or a name like Europe/Berlin. Raises InvalidRequest."""
    # UTC is handled separately, because it needs no time zone data, which a server may lack.
    if name.upper() == "UTC":
        return UTC
    with suppress(ValueError):
        # Python reads an offset only behind a time.
        if (zone := datetime.fromisoformat(f"2000-01-01T00:00:00{name}").tzinfo) is not None:
            return zone
    try:
        return zone_of(name)
    except NoSuchZone:
        raise wrong("zone", "give UTC, an offset like +02:00 or a name like Europe/Berlin") from None


def _read(text: str, field: str, form: str) -> datetime:
    try:
        # The pattern first, because Python accepts all of ISO 8601, weeks included, which few others do.
        if re.fullmatch(form, text):
            # RFC 3339 allows a small t and z, but Python reads no small z.
            return datetime.fromisoformat(text.upper())
    except ValueError:
        pass
    raise wrong(field, _FORM)


def _within(seconds: int, field: str) -> int:
    if not 0 <= seconds <= _LAST:
        raise wrong(field, _FORM)
    return seconds
