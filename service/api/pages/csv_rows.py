"""Rows of CSV for people, who open them in a spreadsheet."""

import csv
import io
from collections.abc import Iterable

# What spreadsheets take for the beginning of a formula, by OWASP's page on CSV injection.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_rows(rows: Iterable[Iterable[str]]) -> str:
    """The lines of RFC 4180. Names and user agents are other people's text: no spreadsheet takes one for a formula."""
    text = io.StringIO()
    guarded = ([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in row] for row in rows)
    csv.writer(text, lineterminator="\r\n").writerows(guarded)
    return text.getvalue()
