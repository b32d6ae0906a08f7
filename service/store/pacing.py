"""Long work that lets others go first: a pause between two steps, as long as others kept the loop meanwhile."""

from __future__ import annotations

import asyncio

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
