"""Long work that lets others go first: a pause between two steps, as long as others kept the loop meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from service.errors import StoreUnavailable

T = TypeVar("T")

# What nobody feels, and the longest pause, so that the work goes on however busy the process is.
_UNFELT_SECONDS = 0.0005
_LONGEST_SECONDS = 0.02
_TRIED_AGAIN_AFTER = (0.1, 0.4)


async def give_way() -> None:
    """Let everyone who waits have a turn; if that took a while, leave them the loop for as long again."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(0)
    taken = loop.time() - began
    if taken > _UNFELT_SECONDS:
        await asyncio.sleep(min(taken, _LONGEST_SECONDS))


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """The answer to one of thousands of questions, asked again where Redis was busy for a moment.

    For what does no harm twice. Raises StoreUnavailable when Redis stays away.
    """
    for seconds in _TRIED_AGAIN_AFTER:
        try:
            return await ask()
        except StoreUnavailable:
            await asyncio.sleep(seconds)
    return await ask()


async def ahead(items: AsyncIterator[T]) -> AsyncIterator[T]:
    """The same items, the next one on its way while whoever asks is at work with this one."""
    coming = asyncio.ensure_future(anext(items, None))
    try:
        while (item := await coming) is not None:
            coming = asyncio.ensure_future(anext(items, None))
            yield item
    finally:
        coming.cancel()
