"""What one of the doctor's checks found."""

from typing import NamedTuple

OK, WARNING, FAILED = "ok", "warning", "failed"


class Finding(NamedTuple):
    """A check, its result (ok, warning, failed), and what is so or what to do."""

    check: str
    result: str
    detail: str
