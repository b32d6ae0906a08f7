"""Files as answers: files of any length, sent piece by piece until the client leaves, and compressed package files."""

import re
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress
from time import monotonic
from typing import Self

from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from service.api.http.bodies import in_pieces
from service.api.http.call import Call
from service.store.pacing import give_way

# How long a download may continue after the caller's token has ended.
_ASKED_EVERY_SECONDS = 1.0
# A step of decompression takes a third of a millisecond. _GZIP tells zlib to read the gzip format.
_PACKED_BYTES, _GZIP = 16 * 1024, 31
# With or without a weight; a weight of 0 refuses it (RFC 9110, 12.4.2).
_TAKES_GZIP = r"(?i)(?:^|[, \t])gzip[ \t]*(?:$|,|;[ \t]*q=(?!0(?:\.0*)?[ \t]*(?:$|,)))"


# The header fields of an operation that answers with a file.
NAMED = {200: ("Content-Disposition",)}
NDJSON = "application/x-ndjson"


class Download(StreamingResponse):
    """An answer to be saved as a file. HEAD reads nothing of it. If Redis fails half-way, or the caller's token ends,
    the connection is cut. `begun` reads the first piece, so that an immediate failure is answered as a refusal.

    Starlette's own response watches the client in an anyio task group, whose first import blocks the loop for
    thirty milliseconds.
    """

    def __init__(self, call: Call, lines: AsyncIterator[list[bytes]], media_type: str, name: str) -> None:
        headers = {"cache-control": "no-store", "content-disposition": f'attachment; filename="{name}"'}
        super().__init__(self._pieces(), headers=headers, media_type=media_type)
        self._call = call
        self._first = b""
        self._rest = _nothing() if call.head_only else self._allowed(in_pieces(lines))

    async def begun(self) -> Self:
        """This answer, with its first piece read. Raises what reading raises."""
        self._first = await self._call.unless_gone(self._next())
        return self

    async def _next(self) -> bytes:
        return await anext(self._rest, b"")

    async def _pieces(self) -> AsyncIterator[bytes]:
        if self._first:
            yield self._first
        async for piece in self._rest:
            yield piece

    async def _allowed(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        asked_at = monotonic()
        async for piece in pieces:
            # Checked repeatedly, because a slow reader may take hours.
            if self._call.ask_again is not None and monotonic() >= asked_at + _ASKED_EVERY_SECONDS:
                await self._call.ask_again()
                asked_at = monotonic()
            yield piece
            # Sending a piece takes as long as making some lines of the next.
            await give_way()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The answer has begun, so no error can be sent.
        with suppress(ClientDisconnect):
            await self._call.unless_gone(self.stream_response(send))


async def _nothing() -> AsyncIterator[bytes]:
    # Not a list, because Starlette would iterate that in a thread.
    for piece in list[bytes]():
        yield piece


def static_file(call: Call, packed: bytes, media_type: bytes, *headers: tuple[bytes, bytes]) -> Response:
    """A compressed file, decompressed for the rare client that does not accept gzip."""
    length, encoding = len(packed), [(b"content-encoding", b"gzip")]
    response: Response
    if re.search(_TAKES_GZIP, call.text_header(b"accept-encoding")):
        response = Response()
        response.body = packed
    else:
        response = _Unpacked(_unpacked(packed))
        # gzip stores the length at its end.
        length, encoding = int.from_bytes(packed[-4:], "little"), []
    response.raw_headers = [
        (b"content-type", media_type),
        (b"content-length", b"%d" % length),
        (b"vary", b"accept-encoding"),
        *encoding,
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        *headers,
    ]
    return response


class _Unpacked(StreamingResponse):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # As in `Download`, without the anyio task group.
        await self.stream_response(send)


async def _unpacked(packed: bytes) -> AsyncIterator[bytes]:
    """Decompressed as it is read: anyone may ask, and a slow reader would otherwise keep the whole file in memory."""
    unpacking = zlib.decompressobj(_GZIP)
    for start in range(0, len(packed), _PACKED_BYTES):
        yield unpacking.decompress(packed[start : start + _PACKED_BYTES])
        await give_way()
