"""Values of options: lifetimes, spans of time, rates and pairs. Options for a request have the API's names.

The types are functions: click names the option of a ValueError, and shows the function's name in `--help`.
"""

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import reduce
from typing import Any, NamedTuple, TypeVar

import click
from click.core import ParameterSource

F = TypeVar("F", bound=Callable[..., Any])
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
# The words that the API takes as a `duration`, in seconds.
_WORDS = {"7days": 7 * 86400, "1month": 30 * 86400, "6months": 180 * 86400, "1year": 365 * 86400}
_SPAN = r"(\d{1,9})([smhdw]?)"
_QUOTA = r"(?:([A-Za-z0-9._-]{1,32})=)?(\d{1,10})/(hour|day|month)(?:@(\d{1,2}))?(?:@([A-Za-z0-9_+/-]{1,64}))?"
_RATE = r"(?:([A-Za-z0-9._-]{1,32})=)?(\d{1,9})/(\d{0,9})([smhd]?)(?::(\d{1,9}))?"


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator; `--help` lists them in this order."""
    # Reversed, because click lists decorators from the last applied to the first.
    return lambda command: reduce(lambda decorated, option: option(decorated), reversed(options), command)


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The given options of a command, as members of a request."""
    # Compared by identity, because 0 is a value too, as in `--unused-for 0`.
    return {name: value for name, value in options.items() if value is not None and value is not False}


def was_given(name: str) -> bool:
    """True if the command line gave this option of the running command, so that its value is not the default."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def several(*names: str, **more: Any) -> Callable[[F], F]:
    """An option that may repeat: a list of its values, None without any."""
    return click.option(*names, multiple=True, callback=lambda _, __, values: list(values) or None, **more)


def words(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> list[str] | None:
    """The words of an option that may repeat, with commas or blanks between words; None without any.

    Raises BadParameter for a value without a word.
    """
    texts = [filled(context, option, value.replace(",", " ")) or "" for value in values]
    return [word for text in texts for word in text.split()] or None


def filled(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """The given value. Raises BadParameter for an empty one, which comes from an unset variable of a script."""
    if value is not None and not value.strip():
        # Ignoring it would make a command do more: to all instead of one, with every scope instead of some.
        raise click.BadParameter("it is empty: give a value, or leave it out.")
    return value


class Number(click.IntRange):
    """A whole number within bounds; `--help` and errors call it so."""

    name = "number"


# For lists of at most one page.
page_option = click.option("--limit", type=Number(1, 200), default=50, show_default=True, help="How many.")


def span(value: str) -> int:
    """A span of time like 24h, 90d or 3600 (seconds), as seconds. Raises ValueError."""
    found = re.fullmatch(_SPAN, value)
    if found is None:
        raise ValueError(f"{value!r}: write it like 24h, 7d or 90s.")
    return int(found[1]) * _UNITS[found[2] or "s"]


def overlap(value: str) -> int:
    """A span in which an old secret works beside its successor, as seconds. Raises ValueError."""
    seconds = span(value)
    if seconds > _WORDS["7days"]:
        # The service would say it of its own member, in seconds.
        raise ValueError(f"{value!r}: an old secret stays valid for 7d at most.")
    return seconds


class Lifetime(NamedTuple):
    """How long a token may live: the API's word for it, if there is one, and when it ends, None for never."""

    word: str
    expires_at: str | None


def lifetime(value: str) -> Lifetime:
    """90d, 12h, 7days, 1month, 6months, 1year, 2027-01-31, an instant, or never."""
    if value == "never":
        return Lifetime(value, None)
    found = re.fullmatch(_SPAN, value)
    # Only with a unit, because eight digits may be a date.
    seconds = int(found[1]) * _UNITS[found[2]] if found and found[2] else _WORDS.get(value)
    try:
        # An end beyond the calendar is reported here, as a wrong option.
        end = (
            datetime.fromtimestamp(time.time() + seconds, UTC) if seconds is not None else datetime.fromisoformat(value)
        )
        end = end.astimezone(UTC) if end.tzinfo else end.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{value!r}: write it like 90d, 12h, 1month, 2027-01-31 or never.") from None
    word = next((word for word, length in _WORDS.items() if length == seconds), "")
    return Lifetime(word, end.strftime("%Y-%m-%dT%H:%M:%SZ"))


def rate(value: str) -> dict[str, Any]:
    """100/60s, 100/m, 100/60s:20 (at most 20 at once) or day=10000/d, as a limit of the API.

    10000/hour, 10000/day@Europe/Berlin and 10000/month@15@Europe/Berlin are quotas that a calendar refills.
    """
    quota, found = re.fullmatch(_QUOTA, value), re.fullmatch(_RATE, value)
    if quota is not None:
        name, limit, period, day, zone = quota.groups()
        calendar = {"unit": period} | ({"day": int(day)} if day else {}) | ({"timeZone": zone} if zone else {})
        return {"limit": int(limit), "calendar": calendar} | ({"name": name} if name else {})
    if found is None or not (found[3] or found[4]):
        raise ValueError(f"{value!r}: write it like 100/60s, 100/m:20 or day=10000/day@Europe/Berlin.")
    name, limit, count, unit, burst = found.groups()
    taken = {"limit": int(limit), "periodSeconds": int(count or 1) * _UNITS[unit or "s"]}
    return taken | ({"name": name} if name else {}) | ({"burst": int(burst)} if burst else {})


def pair(value: str) -> tuple[str, str]:
    """key=value. Raises ValueError, as the other types do."""
    key, equals, content = value.partition("=")
    if not key or not equals:
        raise ValueError(f"{value!r}: write it like team=payments.")
    return key, content
