"""Rows of CSV for people, who open them in a spreadsheet."""

import csv
import io
from collections.abc import Iterable

# The characters with which a formula begins in a spreadsheet (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_rows(rows: Iterable[Iterable[str]]) -> str:
    """CSV lines of RFC 4180. Names and user agents are untrusted, so a cell that begins like a formula is escaped."""
    text = io.StringIO()
    guarded = ([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in row] for row in rows)
    csv.writer(text, lineterminator="\r\n").writerows(guarded)
    return text.getvalue()
