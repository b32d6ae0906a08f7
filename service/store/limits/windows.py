"""Calendar windows: when the current hour, day or month of a time zone began, and when it ends."""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache

from service.model import Calendar

_HOUR, _REMEMBERED = 3600, 256


class NoSuchZone(Exception):
    """The server has no data of a time zone. The text says what to do."""


@lru_cache(_REMEMBERED)
def zone_of(name: str) -> tzinfo:
    """The zone of an IANA name; UTC needs no data. Raises NoSuchZone."""
    if name == "UTC":
        return UTC
    # Imported here because most processes need only UTC, and this import also loads Python's build configuration.
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    try:
        # A zone that certainly exists: if it is unknown as well, the time zone data is missing.
        ZoneInfo("Europe/Berlin")
    except (ZoneInfoNotFoundError, OSError):
        raise NoSuchZone("the server has no time zone data: install tzdata there, or use UTC") from None
    raise NoSuchZone("write an IANA time zone such as Europe/Berlin or UTC")


def window_of(calendar: Calendar, now: float) -> tuple[int, int]:
    """The window that contains `now`: its first second and that of the next window, both epoch seconds.

    A day begins at the first second that has its date, so a day with a clock change has 23 or 25 hours. A monthly
    window begins on the calendar's day, or on the last day of a shorter month. Hours are those of local time.
    Raises NoSuchZone.
    """
    zone = zone_of(calendar.time_zone)
    local = datetime.fromtimestamp(now, zone)
    if calendar.unit == "hour":
        # By the local minute: some zones are not whole hours apart from UTC.
        start = int(now) - local.minute * 60 - local.second
        return start, start + _HOUR
    today = local.date()
    if calendar.unit == "day":
        return _beginning(today, zone), _beginning(today + timedelta(days=1), zone)
    this = _on_day(today.year, today.month, calendar.day)
    if this > today:
        last = today.replace(day=1) - timedelta(days=1)
        return _beginning(_on_day(last.year, last.month, calendar.day), zone), _beginning(this, zone)
    # From the first, 31 days lead into the next month, whatever its length.
    following = today.replace(day=1) + timedelta(days=31)
    return _beginning(this, zone), _beginning(_on_day(following.year, following.month, calendar.day), zone)


def _on_day(year: int, month: int, day: int) -> date:
    """This day of a month, or the last day of a shorter month."""
    _, last = monthrange(year, month)
    return date(year, month, min(day, last))


def _beginning(day: date, zone: tzinfo) -> int:
    """The first second of this date: of two midnights the first; without a midnight, the instant that replaces it."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
