"""What options may hold."""

import time
from datetime import datetime

import pytest

from service.cli.terminal.options import lifetime, pair, rate, span


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("7days", "7days"),
        ("1month", "1month"),
        ("30d", "1month"),
        ("1year", "1year"),
        ("365d", "1year"),
        ("never", "never"),
        ("90d", ""),
        ("2027-01-31", ""),
    ],
)
def test_a_lifetime_has_the_word_of_the_api_where_there_is_one(text: str, word: str) -> None:
    assert lifetime(text).word == word


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("never", None),
        ("2027-01-31", "2027-01-31T00:00:00Z"),
        ("2027-01-31T12:30", "2027-01-31T12:30:00Z"),
        ("2027-01-31T12:30:00+02:00", "2027-01-31T10:30:00Z"),
    ],
)
def test_a_lifetime_ends_at_an_instant_or_never(text: str, instant: str | None) -> None:
    assert lifetime(text).expires_at == instant


@pytest.mark.parametrize(
    ("text", "seconds"), [("1month", 30 * 86400), ("90d", 90 * 86400), ("12h", 43200), ("2w", 14 * 86400), ("90s", 90)]
)
def test_a_span_is_counted_from_now(text: str, seconds: int) -> None:
    before = int(time.time())
    instant = datetime.fromisoformat(lifetime(text).expires_at or "").timestamp()
    assert before + seconds <= instant <= int(time.time()) + seconds


@pytest.mark.parametrize("text", ["", "90", "90x", "tomorrow", "2027-13-01", "-5d", "99999999999d", "999999999w"])
def test_no_lifetime_is_a_usage_error(text: str) -> None:
    with pytest.raises(ValueError, match="write it like 90d"):
        lifetime(text)


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("100/60s", {"limit": 100, "periodSeconds": 60}),
        ("100/60", {"limit": 100, "periodSeconds": 60}),
        ("100/m:20", {"limit": 100, "periodSeconds": 60, "burst": 20}),
        ("5/2h", {"limit": 5, "periodSeconds": 7200}),
        ("1000/d", {"limit": 1000, "periodSeconds": 86400}),
        ("1000/day", {"limit": 1000, "calendar": {"unit": "day"}}),
        (
            "m=9/month@15@America/Port-au-Prince",
            {"name": "m", "limit": 9, "calendar": {"unit": "month", "day": 15, "timeZone": "America/Port-au-Prince"}},
        ),
    ],
)
def test_a_rate_has_a_limit_a_period_and_perhaps_a_burst(text: str, taken: dict[str, object]) -> None:
    assert rate(text) == taken


@pytest.mark.parametrize("text", ["100", "100/", "/60s", "100/60w", "100/60s:", "a/b"])
def test_no_rate_is_a_usage_error(text: str) -> None:
    with pytest.raises(ValueError, match="write it like 100/60s"):
        rate(text)


def test_spans_of_time_are_seconds() -> None:
    assert [span(text) for text in ("24h", "7d", "0", "3600", "90s", "5m")] == [
        86400,
        604800,
        0,
        3600,
        90,
        300,
    ]
    with pytest.raises(ValueError, match="write it like 24h"):
        span("soon")


def test_a_pair_is_split_at_its_first_equals_sign() -> None:
    assert pair("team=pay=ments") == ("team", "pay=ments")
    for text in ("team", "=payments"):
        with pytest.raises(ValueError, match="write it like team=payments"):
            pair(text)
