"""When a managed token begins, and how long it may live."""

from collections.abc import Callable

from service.errors import InvalidRequest
from service.store.managed.records import LAST_SECOND

DURATIONS = {"7days": 7, "1month": 30, "6months": 180, "1year": 365}
_DAY = 86400


class Lifetime:
    """The policy of this service; `max_days` 0 means that a token may live forever."""

    def __init__(self, max_days: int, clock: Callable[[], float]) -> None:
        self.max_days = max_days
        self._clock = clock
        # Nothing begins before 1970-01-03: smaller numbers of microseconds would be taken as the seconds of an expiry.
        self._last_micros = LAST_SECOND

    def begin(self) -> int:
        """Now in epoch microseconds, always later than the last result, so that lists have one order."""
        self._last_micros = max(int(self._clock() * 1_000_000), self._last_micros + 1)
        return self._last_micros

    def latest_end(self) -> int:
        """The latest end of a token that begins now, in epoch seconds; 0 if it may live forever."""
        return int(self._clock()) + self.max_days * _DAY if self.max_days else 0

    def check(self, expires_at: int) -> None:
        """Raises InvalidRequest for an expiry (epoch seconds, 0 for never) in the past or beyond the policy."""
        now = self._clock()
        if expires_at and expires_at <= now:
            raise _refuse("Choose a date in the future.")
        if self.max_days and not 0 < expires_at <= now + self.max_days * _DAY + 60:
            raise _refuse(f"Tokens here must expire within {self.max_days} days.")


def _refuse(message: str) -> InvalidRequest:
    return InvalidRequest(message, fields=(("expiresAt", message),))
