"""Heads of answers, checked to be complete."""

import http.client
from typing import Any, BinaryIO, cast


class _Lines:
    """A file that remembers the last line read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.close = file.close
        self.last = b""

    def readline(self, limit: int) -> bytes:
        self.last = self._file.readline(limit)
        return self.last


class WholeHead(http.client.HTTPResponse):
    """A response with a complete head. The library takes a connection that breaks off inside a head for the end of the
    head, and so would take an export that broke off there for an empty one.
    """

    def begin(self) -> None:
        """Read the head. Raises HTTPException if it breaks off."""
        file: Any = self.fp
        self.fp = lines = cast(Any, _Lines(file))
        try:
            super().begin()
        finally:
            # The library closes and forgets the file of an answer that it cannot read.
            if self.fp is lines:
                self.fp = file
        if lines.last not in (b"\r\n", b"\n"):
            raise http.client.IncompleteRead(b"")
