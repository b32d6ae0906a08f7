"""How many records are read at once."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from service.store.pacing import paced_list

T = TypeVar("T")

# How many bytes are read from Redis at once; one of so many records is measured for that.
_BATCH_BYTES, _MEASURED = 256 * 1024, 16


class BatchSize:
    """How many records to read at once: as many as Redis and this process handle in half a millisecond.

    By the length of the last records: most have 400 bytes; one of a token with the most metadata that is allowed has
    25,000, and its audit entry twice as many.
    """

    def __init__(self, most: int, first: int = 32) -> None:
        self._most = most
        self.count = min(most, first)

    def note(self, sizes: Sequence[int]) -> None:
        """Set the size of the next batch by the bytes of the last records, or of some of them."""
        if sizes:
            wanted = _BATCH_BYTES * len(sizes) // max(1, sum(sizes))
            self.count = max(1, min(self._most, 2 * self.count, wanted))

    async def made_of(
        self,
        keys: Sequence[str],
        read: Callable[[Sequence[str]], Awaitable[list[Sequence[bytes]]]],
        make: Callable[[str, Sequence[bytes]], T],
    ) -> list[T]:
        """`make` of each key and of what `read` returns for it, in order. One read; more if the records are long."""
        made: list[T] = []
        while len(made) < len(keys):
            some = keys[len(made) : len(made) + self.count]
            rows = await read(some)
            # A sample is enough: measuring each record takes a twentieth of the whole time.
            self.note([sum(map(len, row)) for row in rows[::_MEASURED]])
            made += await paced_list(map(make, some, rows))
        return made
