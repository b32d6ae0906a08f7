"""Searching names: blocks of folded names, kept by the scripts that change a token and searched by one of their own.

A block holds the rows of all tokens with the same few digits in their id. A new row is appended, and a removed row is
blanked in its place, so that a change writes, replicates and logs only its own row, however many there are. A search of
a million names reads about three hundred slices. If somebody else keeps something in the place of a block, changes go
on without the block, and searches fail with an error that says so.
"""

import asyncio
import re
import unicodedata
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from math import inf
from typing import Any

from service.model import ManagedToken
from service.store.decoding import Member
from service.store.driver.scripts import Script
from service.store.driver.shards import Shard, Shards
from service.store.pacing import patiently

# In all shards together; with a million tokens one block has about fifty kilobytes.
_BLOCKS = 1024
# Bytes that a slice reads: a sixth of a millisecond of Redis' time, because validations wait behind it.
_SLICE_BYTES = 200_000
# Slices requested at once: Redis reads one while the finds of another are being processed.
_UNDER_WAY = 2
# Most blocks named to a slice, which returns how many of them it has read.
_OFFERED = 256
# The latest creation that a row of a block has room for.
_LAST = 10**16 - 1
# Finds that are decoded before giving way.
_AT_ONCE = 250
# After so many finds, the blocks read so far predict the total to a twentieth, because ids fill the blocks evenly.
_TELLING = 400
# More finds than this in one block predict too many: five times its share of all that are sorted at once.
_TELLING_OF_BLOCK = 100
# The id and the creation of a find, for hundreds of finds in one call.
_FIND = re.compile(r"^([0-9a-f]{16})([0-9]{16})$", re.MULTILINE)


# The blocks named to a slice, and its coming reply.
_Asked = deque[tuple[tuple[bytes, ...], asyncio.Future[list[Any]]]]


class TooMany(Exception):
    """A search finds more than its maximum, or will by the prediction of its first blocks."""


class Blocks:
    """The block of a token's row in its shard, by the digits of the id that follow those of the shard."""

    def __init__(self, shards: int) -> None:
        self._count = _BLOCKS // shards

    def key(self, shard: Shard, token_id: str) -> bytes:
        """The key of a token's block."""
        return shard.keys.name_block(int(token_id[2:6], 16) % self._count)

    def keys(self, shard: Shard) -> tuple[bytes, ...]:
        """The keys of all blocks that a shard may have."""
        return tuple(map(shard.keys.name_block, range(self._count)))


def fold(text: str) -> str:
    """The same text for all texts that differ only in case or in Unicode composition."""
    # Composed afterwards, because case folding may decompose a character.
    return unicodedata.normalize("NFC", text.casefold())


def name_row(token: ManagedToken) -> bytes:
    """The row of a token in its block: folded name and last characters, then id and creation of fixed lengths."""
    return f"{fold(token.name)}\x00{fold(token.last_eight)}{token.token_id}{token.created_micros:016}\n".encode()


class NameSearch:
    """Finds tokens by part of their name, or the last characters of their secret."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._blocks = Blocks(len(shards))
        self._find = Script("find_names", retry=True)

    async def find(self, text: str, *, most: float = inf, patient: bool = False) -> AsyncGenerator[list[Member]]:
        """The tokens that have this text, in any case, with their creation in epoch microseconds.

        Each token once, in no order, some at a time. `patient`: as in `listing_slices.merged`. Raises TooMany if there
        are more than `most`.
        """
        count = searched = 0
        enough = _LAST if most == inf else _TELLING_OF_BLOCK
        async with aclosing(self._slices(text, [0, _LAST], "all", enough, patient=patient)) as slices:
            async for finds, blocks in slices:
                count, searched = count + len(finds), searched + blocks
                if count > most or (count > _TELLING and count * _BLOCKS > 1.25 * most * searched):
                    raise TooMany
                for start in range(0, len(finds), _AT_ONCE):
                    found = _FIND.findall(b"\n".join(finds[start : start + _AT_ONCE]).decode("latin-1"))
                    yield [Member(token_id, number) for token_id, created in found if (number := int(created))]

    async def nearest(self, text: str, created: int, *, descending: bool) -> int | None:
        """The first creation, from `created` on and including it, of a token that has this text; None without one."""
        wanted, moved = ("newest", 0) if descending else ("oldest", 1)
        bounds = [0, created] if descending else [created, _LAST]
        is_found = False
        async for finds, _ in self._slices(text, bounds, wanted):
            for _, found in _FIND.findall(b"\n".join(finds).decode("latin-1")):
                # The next slices search only for nearer ones.
                bounds[moved], is_found = int(found), True
        return bounds[moved] if is_found else None

    async def _slices(
        self, text: str, bounds: list[int], wanted: str, enough: int = _LAST, *, patient: bool = False
    ) -> AsyncGenerator[tuple[list[bytes], int]]:
        """Finds, and the number of blocks that were read. Raises TooMany if one block has more than `enough`."""
        folded = fold(text)
        if "\x00" in folded or "\n" in folded:
            return  # no name has these characters, which separate rows and their parts
        for shard in self._shards:
            left, offered, most, asked = self._blocks.keys(shard), _OFFERED, 1, _Asked()
            try:
                while left or asked:
                    while left and len(asked) < most:
                        keys, left = left[:offered], left[offered:]
                        span = [f"{bound:016}" for bound in bounds]
                        ask = partial(self._find.run, shard.link, keys, folded, _SLICE_BYTES, *span, wanted, enough)
                        asked.append((keys, asyncio.ensure_future(patiently(ask, patient=patient))))
                    keys, coming = asked.popleft()
                    read, *finds = await coming
                    if read < 0:
                        raise TooMany
                    yield finds, read
                    left = keys[read:] + left
                    # Blocks have similar lengths, and naming a block that is not read costs Redis time, too.
                    offered = min(_OFFERED, 2 * read)
                    # A search for the nearest one takes its bounds from the slice before.
                    most = _UNDER_WAY if wanted == "all" else 1
            finally:
                for _, unread in asked:
                    unread.cancel()
                await asyncio.gather(*[unread for _, unread in asked], return_exceptions=True)
