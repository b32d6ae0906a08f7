"""Long work that lets others go first: a pause between two steps, as long as others kept the loop meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

T = TypeVar("T")

# What nobody feels, and the longest pause, so that the work goes on however busy the process is.
_UNFELT_SECONDS = 0.0005
_LONGEST_SECONDS = 0.02


async def give_way() -> None:
    """Let everyone who waits have a turn; if that took a while, leave them the loop for as long again."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(0)
    taken = loop.time() - began
    if taken > _UNFELT_SECONDS:
        await asyncio.sleep(min(taken, _LONGEST_SECONDS))


async def ahead(items: AsyncIterator[T]) -> AsyncIterator[T]:
    """The same items, the next one on its way while whoever asks is at work with this one."""
    coming = asyncio.ensure_future(anext(items, None))
    try:
        while (item := await coming) is not None:
            coming = asyncio.ensure_future(anext(items, None))
            yield item
    finally:
        coming.cancel()
