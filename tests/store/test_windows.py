"""Windows of a calendar: on days with a clock change, at the ends of months, and where a zone is not known."""

import zoneinfo
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from service.model import Calendar
from service.store.limits.windows import NoSuchZone, window_of, zone_of

BERLIN = "Europe/Berlin"


def epoch(text: str, zone: str) -> int:
    """Of a time on the wall, `fold` behind a `*`."""
    local = datetime.fromisoformat(text.removesuffix("*")).replace(tzinfo=ZoneInfo(zone), fold=int(text.endswith("*")))
    return int(local.timestamp())


@pytest.mark.parametrize(
    ("unit", "day", "zone", "now", "start", "end", "hours"),
    [
        ("hour", 1, "UTC", "2026-11-28T23:59:59", "2026-11-28T23:00", "2026-11-29T00:00", 1),
        ("hour", 1, "Asia/Kathmandu", "2026-01-01T10:30", "2026-01-01T10:00", "2026-01-01T11:00", 1),
        # 2:00 to 3:00 comes twice, and is two hours.
        ("hour", 1, BERLIN, "2026-10-25T02:30", "2026-10-25T02:00", "2026-10-25T02:00*", 1),
        ("hour", 1, BERLIN, "2026-10-25T02:30*", "2026-10-25T02:00*", "2026-10-25T03:00", 1),
        ("hour", 1, BERLIN, "2026-03-29T01:30", "2026-03-29T01:00", "2026-03-29T03:00", 1),
        ("day", 1, BERLIN, "2026-03-29T12:00", "2026-03-29T00:00", "2026-03-30T00:00", 23),
        ("day", 1, BERLIN, "2026-10-25T02:30*", "2026-10-25T00:00", "2026-10-26T00:00", 25),
        # Midnight comes twice in Havana, and not at all in Beirut.
        ("day", 1, "America/Havana", "2026-11-01T00:30*", "2026-11-01T00:00", "2026-11-02T00:00", 25),
        ("day", 1, "Asia/Beirut", "2026-03-29T01:00", "2026-03-29T01:00", "2026-03-30T00:00", 23),
        ("day", 1, "Asia/Beirut", "2026-03-28T23:59", "2026-03-28T00:00", "2026-03-29T01:00", 24),
        ("month", 1, "UTC", "2026-12-31T23:59:59", "2026-12-01T00:00", "2027-01-01T00:00", 31 * 24),
        ("month", 15, BERLIN, "2026-01-14T23:59", "2025-12-15T00:00", "2026-01-15T00:00", 31 * 24),
        ("month", 15, BERLIN, "2026-03-15T00:00", "2026-03-15T00:00", "2026-04-15T00:00", 31 * 24 - 1),
        # The last day of a month that has no such day, a leap day among them.
        ("month", 31, "UTC", "2026-02-27T23:59", "2026-01-31T00:00", "2026-02-28T00:00", 28 * 24),
        ("month", 31, "UTC", "2026-02-28T00:00", "2026-02-28T00:00", "2026-03-31T00:00", 31 * 24),
        ("month", 30, "UTC", "2028-02-29T00:00", "2028-02-29T00:00", "2028-03-30T00:00", 30 * 24),
        ("month", 29, "UTC", "2028-02-29T12:00", "2028-02-29T00:00", "2028-03-29T00:00", 29 * 24),
        ("month", 31, "UTC", "2026-04-30T10:00", "2026-04-30T00:00", "2026-05-31T00:00", 31 * 24),
        ("month", 31, "UTC", "2026-12-31T10:00", "2026-12-31T00:00", "2027-01-31T00:00", 31 * 24),
    ],
)
def test_a_window_is_that_of_the_calendar(
    unit: str, day: int, zone: str, now: str, start: str, end: str, hours: int
) -> None:
    found = window_of(Calendar(unit, day, zone), epoch(now, zone))
    assert found == (epoch(start, zone), epoch(end, zone))
    assert found[1] - found[0] == hours * 3600


@pytest.mark.parametrize("zone", ["UTC", BERLIN, "America/Havana", "Asia/Beirut", "Australia/Lord_Howe"])
@pytest.mark.parametrize("unit", ["hour", "day", "month"])
def test_windows_follow_each_other_without_a_gap(unit: str, zone: str) -> None:
    """Whoever asks at any time of a window finds the same end, by which it is counted."""
    at = datetime(2026, 1, 1, tzinfo=ZoneInfo(zone)).timestamp()
    _, end = window_of(Calendar(unit, 31, zone), at)
    while at < 1_799_000_000:
        start, found = window_of(Calendar(unit, 31, zone), at)
        assert start <= at < found
        assert found == end or (at == end and found > end)
        end = found
        # The last second, then the first of the next.
        at = end if at == end - 1 else min(end - 1, at + timedelta(days=11).total_seconds())


@pytest.mark.parametrize("name", ["Mars/Olympus", "Europe", "../etc/passwd", "europe berlin", "\0"])
def test_a_zone_that_is_none_is_named_as_such(name: str) -> None:
    with pytest.raises(NoSuchZone, match="such as Europe/Berlin"):
        zone_of(name)


def test_a_server_without_time_zones_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise zoneinfo.ZoneInfoNotFoundError(name)

    monkeypatch.setattr(zoneinfo, "ZoneInfo", absent)
    zone_of.cache_clear()
    with pytest.raises(NoSuchZone, match="install tzdata"):
        zone_of("Asia/Tokyo")
    assert window_of(Calendar("day"), 86400 * 3 + 5) == (86400 * 3, 86400 * 4)
