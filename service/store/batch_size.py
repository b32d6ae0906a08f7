"""How many records are asked for at once."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from service.store.pacing import paced_list

T = TypeVar("T")

# How much is asked of Redis at once, and every which one of many records is measured for that.
_BATCH_BYTES, _MEASURED = 256 * 1024, 16


class BatchSize:
    """How many records to ask for at once: as many as Redis and we are done with in half a millisecond.

    By how long those were that came last: most have four hundred bytes, one of a token with all the metadata that there
    may be has 25,000, and its audit entry twice as many.
    """

    def __init__(self, most: int, first: int = 32) -> None:
        self._most = most
        self.count = min(most, first)

    def note(self, sizes: Sequence[int]) -> None:
        """Make the next batch by the bytes of those that came, or of some of them."""
        if sizes:
            wanted = _BATCH_BYTES * len(sizes) // max(1, sum(sizes))
            self.count = max(1, min(self._most, 2 * self.count, wanted))

    async def made_of(
        self,
        keys: Sequence[str],
        read: Callable[[Sequence[str]], Awaitable[list[Sequence[bytes]]]],
        make: Callable[[str, Sequence[bytes]], T],
    ) -> list[T]:
        """What is made of each key and what is read of it, in order. One read; more where the records are long."""
        made: list[T] = []
        while len(made) < len(keys):
            some = keys[len(made) : len(made) + self.count]
            rows = await read(some)
            # A few of them tell: to measure each takes a twentieth of all the time.
            self.note([sum(map(len, row)) for row in rows[::_MEASURED]])
            made += await paced_list(map(make, some, rows))
        return made
