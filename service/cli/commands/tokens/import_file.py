"""A file of tokens in parts that fit a request: lines of NDJSON, or rows of CSV under a heading."""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from typing import Any, BinaryIO, NamedTuple

from service.cli.failure import Failure
from service.cli.terminal.output import printable

# The limit of the service for one request: BULK_BYTES in api/http/bodies.py.
MOST_BYTES = 1024 * 1024
# And for one line: LINE_BYTES in api/admin/import_export.py.
LINE_BYTES = 40 * 1024
# Fewer than most requests could hold, so that progress is shown often and Ctrl-C leaves little in doubt.
MOST_LINES = 1000
# As databases export booleans: PostgreSQL writes t and f, databases without that type 1 and 0.
_SWITCH = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


class Part(NamedTuple):
    """Lines for one request, and each one's number in the file, from 1; no `body` for a line too long for any."""

    numbers: list[int]
    body: bytes


def parts(lines: Iterable[tuple[int, bytes | None]]) -> Iterator[Part]:
    numbers: list[int] = []
    body = bytearray()
    for number, line in lines:
        if numbers and (line is None or len(numbers) == MOST_LINES or len(body) + len(line) > MOST_BYTES):
            yield Part(numbers, bytes(body))
            numbers, body = [], bytearray()
        if line is None:
            yield Part([number], b"")
            continue
        numbers.append(number)
        body += line
    if numbers:
        yield Part(numbers, bytes(body))


def lines_of(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Each non-blank line with its line end and its number; None for a line that is too long, which is skipped."""
    number = 0
    while line := file.readline(LINE_BYTES):
        number += 1
        if line.endswith(b"\n"):
            if line.strip():
                yield number, line
        elif len(line) < LINE_BYTES:
            # The last line of a file may have no line end.
            yield number, line + b"\n"
        else:
            while (rest := file.readline(LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield number, None


def rows_of(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Rows as JSON lines; the heading names the members. Raises Failure for a file that is not UTF-8 or not CSV."""
    # Spreadsheets put a byte order mark before the first heading.
    text = TextIOWrapper(file, encoding="utf-8-sig", newline="")
    # `restkey` is a name that the service refuses, so that a row with too many fields is reported and not cut short.
    # `strict`: an unclosed quote would make one field of everything after it.
    reader = csv.DictReader(text, restkey="more columns than the heading has", restval="", strict=True)
    try:
        named = [name for name in reader.fieldnames or () if name]
        if twice := next((name for name in named if named.count(name) > 1), ""):
            raise Failure(f"two columns are called {printable(twice)}: which one is meant?")
        for row in reader:
            members = {name: _value(name, field) for name, field in row.items() if field or name == "expiresAt"}
            line = json.dumps(members).encode() + b"\n"
            yield reader.line_num, line if len(line) <= LINE_BYTES else None
    except UnicodeDecodeError:
        raise Failure("the file is not UTF-8: if it is UTF-16, iconv -f UTF-16 -t UTF-8 makes it so") from None
    except csv.Error as error:
        # The reader's own count, because DictReader's is the previous row's.
        raise Failure(f"line {reader.reader.line_num} is no CSV: {error}") from None
    finally:
        # The caller closes the file.
        text.detach()


def _value(name: str, field: Any) -> Any:
    """A field as JSON; a value that does not fit is left for the service to refuse."""
    # An empty `expiresAt` means never; any other empty field is left out.
    if name == "expiresAt" and not field:
        return None
    if name in ("scopes", "allowedNetworks"):
        return field.split()
    if name in ("isActive", "secretIsClear"):
        return _SWITCH.get(field.lower(), field)
    # With a sign, because some systems write -1 for never.
    if name in ("maxUses", "expiresAt", "createdAt", "lastUsedAt") and re.fullmatch(r"-?[0-9]{1,19}", field):
        return int(field)
    return field
