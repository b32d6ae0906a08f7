"""A file of lines, cut into what one import request may carry."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

MOST_BYTES = 1024 * 1024
MOST_LINES = 1000


class Part(NamedTuple):
    """Lines for one request, and the number of each in the file, from 1; no `body` for a line that fits in none."""

    numbers: list[int]
    body: bytes


def parts(file: BinaryIO) -> Iterator[Part]:
    """The whole file in order, without blank lines, in bounded memory."""
    numbers: list[int] = []
    body = bytearray()
    for number, line in _lines(file):
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


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Each line that is not blank, with its end and number; None for one that is too long, read past its end."""
    number = 0
    while line := file.readline(MOST_BYTES):
        number += 1
        if line.endswith(b"\n"):
            if line.strip():
                yield number, line
        elif len(line) < MOST_BYTES:
            # The last line of a file may lack its end.
            yield number, line + b"\n"
        else:
            while (rest := file.readline(MOST_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield number, None
