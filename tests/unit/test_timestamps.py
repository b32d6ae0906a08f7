"""Instants on the wire, there and back."""

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.http.timestamps import parse_instant, parse_rfc3339, rfc3339, rfc3339_or_none
from service.errors import InvalidRequest


@given(st.integers(min_value=0, max_value=253402300799))
def test_an_instant_comes_back_as_it_was(epoch_seconds: int) -> None:
    assert parse_rfc3339(rfc3339(epoch_seconds), "at") == epoch_seconds


def test_an_instant_is_written_in_utc_with_z_and_none_for_never() -> None:
    assert rfc3339(1795214400) == "2026-11-20T22:40:00Z"
    assert rfc3339_or_none(1795214400) == "2026-11-20T22:40:00Z"
    assert rfc3339_or_none(0) is None


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20T23:40:00+01:00",
        "2026-11-20t22:40:00z",
        "2026-11-20T22:40:00.999999Z",
        "2026-11-20 22:40:00Z",
    ],
)
def test_the_forms_of_rfc_3339_are_read(text: str) -> None:
    assert parse_rfc3339(text, "at") == 1795214400


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2026-11-20",
        "2026-11-20T22:40:00",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "1795214400",
        "2026-11-20T22:40:00Zjunk",
        "2026-W48-1T12:00:00Z",
        "2026W481T120000Z",
        "20261120T224000Z",
        "2026-11-20T22:40Z",
        "2026-11-20T22Z",
        "2026-11-20T22:40:00,5Z",
        "2026-11-20T22:40:00+01",
        "2026-11-20T22:40:00+0100",
        "2026-11-20T22:40:00+01:00:30",
        "2026-11-20x22:40:00Z",
    ],
)
def test_what_is_no_instant_is_refused_with_its_field(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_rfc3339(text, "expiresAt")
    ((field, reason),) = caught.value.fields
    assert field == "expiresAt"
    assert "2027-01-31T12:00:00Z" in reason


@pytest.mark.parametrize("text", ["2026-W48-1", "2026-W48-1T12:00:00Z", "20261130", "2026W481"])
def test_of_what_other_systems_write_a_date_has_year_month_and_day(text: str) -> None:
    assert parse_instant("2026-11-30", "createdAt", UTC) == 1795996800
    with pytest.raises(InvalidRequest):
        parse_instant(text, "createdAt", UTC)
