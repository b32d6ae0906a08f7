"""The audit log as a file: CSV or lines of JSON, piece by piece."""

import csv
import io
from collections.abc import AsyncIterator, Iterable

import msgspec

from service.api.admin.schemas.audit import AuditShown, shown
from service.tokens.audit.reader import Event

_LINES = 100
# What spreadsheets take for the beginning of a formula, by OWASP's page on CSV injection.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_encode = msgspec.json.Encoder().encode


async def ndjson_lines(events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    """One JSON object a line."""
    async for some in _grouped(events):
        yield b"".join(_encode(entry) + b"\n" for entry in some)


async def csv_lines(events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    """CSV (RFC 4180) with a line of headings."""
    yield _rows([[field.encode_name for field in msgspec.structs.fields(AuditShown)]])
    async for some in _grouped(events):
        yield _rows([_cell(value) for value in msgspec.structs.astuple(entry)] for entry in some)


async def _grouped(events: AsyncIterator[Event]) -> AsyncIterator[list[AuditShown]]:
    some: list[AuditShown] = []
    async for event in events:
        some.append(shown(event))
        if len(some) == _LINES:
            yield some
            some = []
    if some:
        yield some


def _rows(rows: Iterable[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _cell(value: object) -> str:
    """A cell that no spreadsheet takes for a formula."""
    text = "" if value is None else value if isinstance(value, str) else _encode(value).decode()
    # Names and user agents are other people's text, and a spreadsheet runs what begins so.
    return f"'{text}" if text.startswith(_FORMULA) else text
