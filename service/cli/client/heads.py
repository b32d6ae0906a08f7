"""Heads of answers that came to their end."""

import http.client
from typing import Any, BinaryIO, cast


class _Lines:
    """A file of which the line read last is known."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.close = file.close
        self.last = b""

    def readline(self, limit: int) -> bytes:
        self.last = self._file.readline(limit)
        return self.last


class WholeHead(http.client.HTTPResponse):
    """A response whose head is whole: the library takes a connection that ends amid a head for the end of that, and so
    an export that broke off there for one of nothing.
    """

    def begin(self) -> None:
        """Read the head. Raises HTTPException for one that breaks off."""
        file: Any = self.fp
        self.fp = lines = cast(Any, _Lines(file))
        try:
            super().begin()
        finally:
            # The library closes and forgets that of an answer that it cannot read.
            if self.fp is lines:
                self.fp = file
        if lines.last not in (b"\r\n", b"\n"):
            raise http.client.IncompleteRead(b"")
