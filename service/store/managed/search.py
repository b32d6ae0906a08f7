"""Searching names: blocks of folded names, kept by the scripts that change a token and searched by one of their own.

A block holds the rows of all tokens with the same few digits in their id. A new row is appended, one that goes is made
blank in its place, so that a change writes, replicates and logs its own row alone, however many there are; and a
search of a million names asks for about three hundred slices. Where somebody else keeps something in the place of a
block, changes go on without it, and searches fail and say so.
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

# Of all shards together; at a million tokens one block has about fifty kilobytes.
_BLOCKS = 1024
# What a slice reads. Validations wait behind it, so it takes a sixth of a millisecond of Redis' time.
_SLICE_BYTES = 200_000
# So many slices are asked for at once: Redis is at one while what another has found is being read.
_UNDER_WAY = 2
# How many blocks a slice is offered at most; it says how many of them it has read.
_OFFERED = 256
# No token is created later than this: what a row of a block has room for.
_LAST = 10**16 - 1
# How many finds are decoded before others get a turn.
_AT_ONCE = 250
# After so many finds the blocks that were read tell how many there are in all, to a twentieth: ids fill them evenly.
_TELLING = 400
# A block with more finds than this, five times its share of all that are put in order at once, tells it by itself.
_TELLING_OF_BLOCK = 100
# Of a find its id and its creation, of hundreds of them in one go.
_FIND = re.compile(r"^([0-9a-f]{16})([0-9]{16})$", re.MULTILINE)


# The blocks that a slice was offered, and what it finds.
_Asked = deque[tuple[tuple[bytes, ...], asyncio.Future[list[Any]]]]


class TooMany(Exception):
    """A search finds more than it was asked for at most, or will by what its first blocks tell."""


class Blocks:
    """Which block of its shard a token's row is in: told by the digits of its id behind those of its shard."""

    def __init__(self, shards: int) -> None:
        self._count = _BLOCKS // shards

    def key(self, shard: Shard, token_id: str) -> bytes:
        """The key of a token's block."""
        return shard.keys.name_block(int(token_id[2:6], 16) % self._count)

    def keys(self, shard: Shard) -> tuple[bytes, ...]:
        """The keys of all blocks that a shard may have."""
        return tuple(map(shard.keys.name_block, range(self._count)))


def fold(text: str) -> str:
    """What two texts have in common that people take for the same: any case, any composition."""
    # Composed afterwards, because folding may take a sign apart.
    return unicodedata.normalize("NFC", text.casefold())


def name_row(token: ManagedToken) -> bytes:
    """The row of a token in its block: name and last characters folded, then id and creation at a fixed length."""
    return f"{fold(token.name)}\x00{fold(token.last_eight)}{token.token_id}{token.created_micros:016}\n".encode()


class NameSearch:
    """Finds tokens by part of their name, or the last characters of their secret."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._blocks = Blocks(len(shards))
        self._find = Script("find_names", retry=True)

    async def find(self, text: str, *, most: float = inf, patient: bool = False) -> AsyncGenerator[list[Member]]:
        """What has this text, in any case, with its creation in epoch microseconds.

        Each once and in no order: some at a time. `patient`: as `listing_slices.merged` is. Raises TooMany where that
        is more than `most`.
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
        """The first creation from this one on, that included, of a token that has this text; None without one."""
        wanted, moved = ("newest", 0) if descending else ("oldest", 1)
        bounds = [0, created] if descending else [created, _LAST]
        is_found = False
        async for finds, _ in self._slices(text, bounds, wanted):
            for _, found in _FIND.findall(b"\n".join(finds).decode("latin-1")):
                # The slices that follow search for nearer ones.
                bounds[moved], is_found = int(found), True
        return bounds[moved] if is_found else None

    async def _slices(
        self, text: str, bounds: list[int], wanted: str, enough: int = _LAST, *, patient: bool = False
    ) -> AsyncGenerator[tuple[list[bytes], int]]:
        """Finds, and in how many blocks they are. Raises TooMany where one block has more than enough."""
        folded = fold(text)
        if "\x00" in folded or "\n" in folded:
            return  # no name has such a sign, and rows are kept apart by them
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
                    # Blocks are about as long as each other, and to name one that is not read costs Redis time as well.
                    offered = min(_OFFERED, 2 * read)
                    # The bounds of the nearest one are told by the slice before.
                    most = _UNDER_WAY if wanted == "all" else 1
            finally:
                for _, unread in asked:
                    unread.cancel()
                await asyncio.gather(*[unread for _, unread in asked], return_exceptions=True)
