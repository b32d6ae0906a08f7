"""Long work that lets requests go first: it has a share of each turn of the event loop, and pauses when others work."""

from __future__ import annotations

import asyncio
import time
import types
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterable
from math import inf
from typing import Any, ClassVar, Generic, TypeVar

from service.errors import StoreFull, StoreUnavailable

T = TypeVar("T")

# A delay that no request notices, and the longest pause, so that the work goes on however busy the process is.
_UNFELT_SECONDS = 0.0005
_LONGEST_SECONDS = 0.02
# After so long, work of many pieces gives way; a piece may be twenty times as long as another, but with one more it
# stays below a millisecond. An ordinary page is finished by then: when many pages were requested at once, giving way
# within each took a third longer than the pages themselves.
_FELT_SECONDS = 0.0007
# The share of all long work together in one turn of the event loop; a step that has begun is finished. Otherwise
# several steps of half a millisecond that are ready at once would make a turn of two.
_SHARE_SECONDS = 0.00025
# A server that was busy for a moment answers again within half a second. If it stays away the work ends; it has a
# cursor to go on from.
_TRIED_AGAIN_AFTER = (0.1, 0.4)
# Steps under way at once: Redis executes one, the reply of another is being processed, and a third is on its way. So a
# validation waits behind two at most.
UNDER_WAY = 3
# Changes in one command: half a millisecond of Redis' time, because validations wait behind it.
STEP = 16


class _Computed:
    """How long all parts of long work have computed, which is not time of others; and whether one is running now."""

    seconds = 0.0
    by_part = False


class _Turn:
    """The last turn of the event loop with long work: when that work began, and who waits for a later turn."""

    began = -inf
    waiting: ClassVar[deque[object]] = deque()

    @classmethod
    def end(cls) -> None:
        cls.began = -inf

    @classmethod
    def is_used_up(cls) -> bool:
        """True if long work has used up its share of this turn. The first call in a turn begins the share."""
        now = time.monotonic()
        # No turn takes so long: the event loop that should have ended it is gone.
        if now - cls.began > _LONGEST_SECONDS:
            cls.began = now
            asyncio.get_running_loop().call_soon(cls.end)
        return now > cls.began + _SHARE_SECONDS


@types.coroutine
def _turn() -> Generator[None, None, None]:
    """Wait for a turn of the event loop with some of the share left; whoever has waited longest is first."""
    place = object()
    _Turn.waiting.append(place)
    try:
        while _Turn.waiting[0] is not place or _Turn.is_used_up():
            yield
    finally:
        _Turn.waiting.remove(place)


class Part(Awaitable[T], Generic[T]):
    """A coroutine that is a part of long work: it runs within the share, and the time it computes is counted."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine

    def __del__(self) -> None:
        # Closed because Python warns in the log of a coroutine that was cancelled before its first turn.
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, T]:
        proceed: Callable[[Any], Any] = self._coroutine.send
        given: Any = None
        while True:
            try:
                yield from _turn()
            except BaseException as error:  # noqa: BLE001 - as below
                given, proceed = error, self._coroutine.throw
            began, _Computed.by_part = time.monotonic(), True
            try:
                awaited = proceed(given)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            finally:
                # An error that ends the part has this frame in its traceback. If the frame held the error, both would
                # form a cycle, and the garbage collector would free all objects of the part at one time.
                given = None
                _Computed.by_part = False
                _Computed.seconds += time.monotonic() - began
            try:
                given, proceed = (yield awaited), self._coroutine.send
            except BaseException as error:  # noqa: BLE001 - thrown into the part, a cancellation too
                given, proceed = error, self._coroutine.throw


class Overlapped:
    """Steps of long work: the next step is prepared while Redis executes those before.

    A context manager: after it no step is under way, even if one has failed.
    """

    def __init__(self, most: int = UNDER_WAY) -> None:
        self._most = most
        self._under_way: deque[tuple[asyncio.Future[Any], Callable[[Any], object]]] = deque()

    async def begin(self, step: Coroutine[Any, Any, T], then: Callable[[T], object] = bool) -> None:
        """Begin a step and give way. Raises the error of an earlier step.

        `then` gets the result of this step, in the order of the steps; by default the result is dropped.
        """
        self._under_way.append((asyncio.ensure_future(Part(step)), then))
        await self.pause()
        await self.end(self._most - 1)

    async def end(self, left: int = 0) -> None:
        """Wait until at most `left` steps are under way. Raises the error of one that failed."""
        while len(self._under_way) > left:
            earlier, take = self._under_way.popleft()
            try:
                take(await earlier)
            finally:
                # As in `Part`: a failed step holds its error, and the error's traceback holds this frame.
                del earlier

    async def pause(self) -> None:
        """Give way without beginning a step."""
        await give_way()

    async def __aenter__(self) -> Overlapped:
        return self

    async def __aexit__(self, kind: object, *_of: object) -> None:
        ended: list[Any] = await asyncio.gather(*[waiting[0] for waiting in self._under_way], return_exceptions=True)
        for (_, take), returned in zip(self._under_way, ended, strict=True) if kind is None else ():
            if isinstance(returned, BaseException):
                raise returned
            take(returned)


async def give_way() -> None:
    """Let other tasks have a turn; if they took a while, leave the event loop to them for as long again."""
    began = time.monotonic() - _Computed.seconds
    await asyncio.sleep(0)
    taken = time.monotonic() - _Computed.seconds - began
    if taken > _UNFELT_SECONDS:
        await asyncio.sleep(min(taken, _LONGEST_SECONDS))
    # A `Part` waits for its turn by itself whenever it goes on.
    if not _Computed.by_part:
        await _turn()


class _Step:
    """By task: the instant from which its work in this turn would be noticed. One turn may read and write a page."""

    ends: ClassVar[dict[object, float]] = {}

    @classmethod
    def end(cls) -> float:
        return cls.ends.get(asyncio.current_task()) or cls.begin()

    @classmethod
    def begin(cls) -> float:
        now, ends = time.monotonic(), cls.ends
        # As for `_Turn`: the event loop that should have cleared it may be gone.
        if not ends or now > next(iter(ends.values())) + _LONGEST_SECONDS:
            ends.clear()
            asyncio.get_running_loop().call_soon(ends.clear)
        ends[asyncio.current_task()] = end = now + _FELT_SECONDS
        return end


async def paced(items: Iterable[T]) -> AsyncIterator[T]:
    """The same items, of which one may have some hundred bytes or fifty thousand.

    Gives way once the work since the last time would be noticed: making the items, and what their reader does.
    """
    now, until = time.monotonic, _Step.end()
    for item in items:
        yield item
        if now() > until:
            until = await _next_step()


async def paced_list(items: Iterable[T]) -> list[T]:
    """The same as a list, without the cost of an asynchronous generator for each item."""
    now, until, made = time.monotonic, _Step.end(), list[T]()
    for item in items:
        made.append(item)
        if now() > until:
            until = await _next_step()
    return made


async def _next_step() -> float:
    # Otherwise others had a turn just now, while the reader waited for something.
    if asyncio.current_task() in _Step.ends:
        await give_way()
    return _Step.begin()


async def share_turn() -> None:
    """Called between two pieces of a `Part`: wait for a later turn if the share of this one is used up."""
    if _Computed.by_part and _Turn.is_used_up():
        await asyncio.sleep(0)


async def clear_in_steps(items: list[Any], at_once: int = 1000) -> None:
    """Empty a list in slices and give way between them: freeing a hundred thousand items at once takes 10 ms."""
    while items:
        del items[-at_once:]
        await give_way()


async def patiently(ask: Callable[[], Awaitable[T]], *, patient: bool = True) -> T:
    """The result of `ask`, one of thousands of calls, which is repeated if Redis was busy for a moment.

    For idempotent calls. Not repeated unless `patient`. Raises StoreUnavailable if Redis stays away.
    """
    for seconds in _TRIED_AGAIN_AFTER if patient else ():
        try:
            return await ask()
        except StoreFull:
            # A full server stays full for longer than these pauses.
            raise
        except StoreUnavailable:
            await asyncio.sleep(seconds)
    return await ask()


async def ahead(items: AsyncIterator[T]) -> AsyncIterator[T]:
    """The same items; the next one is requested while this one is processed. Gives way between two items."""

    def following() -> asyncio.Future[T | None]:
        return asyncio.ensure_future(Part(_next(items)))

    coming = following()
    try:
        while (item := await coming) is not None:
            coming = following()
            # The next item is requested in one turn of the event loop and sent in another; Redis works on it meanwhile.
            await asyncio.sleep(0)
            await give_way()
            yield item
    finally:
        coming.cancel()
        del coming  # as in `Overlapped.end`


async def _next(items: AsyncIterator[T]) -> T | None:
    return await anext(items, None)
