"""Long work that lets others go first: a share of each turn of the loop, and pauses as long as others kept the loop."""

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

# What nobody feels, and the longest pause, so that the work goes on however busy the process is.
_UNFELT_SECONDS = 0.0005
_LONGEST_SECONDS = 0.02
# When a work of many pieces gives way, of which one may be twenty times as long as another: with a piece more it is
# less than a millisecond. An ordinary page is done by then: where many ask for one at once, to give way for a part of
# each took a third more than the pages.
_FELT_SECONDS = 0.0007
# Of one turn of the loop all long work has so much together, and what was begun by then: several that are ready at once
# would make a turn of two milliseconds out of steps of a half.
_SHARE_SECONDS = 0.00025
# A server that was busy for a moment answers again within half a second; one that stays away ends the work, which has a
# cursor to go on from.
_TRIED_AGAIN_AFTER = (0.1, 0.4)
# Steps that are under way at once: Redis is at one, the answer of another is being read or its next part made, and a
# third is on its way, so that whoever validates waits behind two at most.
UNDER_WAY = 3
# So many changes are asked of Redis at once: half a millisecond of its time, for validations wait behind them.
STEP = 16


class _Computed:
    """How long the parts of long works have computed: that is no turn of others. And is one of them at it now?"""

    seconds = 0.0
    by_part = False


class _Turn:
    """The turn of the loop in which long work was last at it: when it began there, and who waits for another turn."""

    began = -inf
    waiting: ClassVar[deque[object]] = deque()

    @classmethod
    def end(cls) -> None:
        cls.began = -inf

    @classmethod
    def is_used_up(cls) -> bool:
        """Has this turn had its share? Asked by long work that goes on now if it has not: with the first it begins."""
        now = time.monotonic()
        # None takes so long: the loop that was to end that turn is gone.
        if now - cls.began > _LONGEST_SECONDS:
            cls.began = now
            asyncio.get_running_loop().call_soon(cls.end)
        return now > cls.began + _SHARE_SECONDS


@types.coroutine
def _turn() -> Generator[None, None, None]:
    """Go on in a turn of the loop of which long work has not had its share; whoever has waited for longest is first."""
    place = object()
    _Turn.waiting.append(place)
    try:
        while _Turn.waiting[0] is not place or _Turn.is_used_up():
            yield
    finally:
        _Turn.waiting.remove(place)


class Part(Awaitable[T], Generic[T]):
    """A coroutine whose time counts as that of a long work which it is a part of."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine

    def __del__(self) -> None:
        # One that is cancelled before its first turn was never begun, of which Python warns in the log.
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
                # An error that ends the part has this frame in its traceback: held here, both would be a cycle, and all
                # that the part holds would stay until the collector ends it in one go.
                given = None
                _Computed.by_part = False
                _Computed.seconds += time.monotonic() - began
            try:
                given, proceed = (yield awaited), self._coroutine.send
            except BaseException as error:  # noqa: BLE001 - cancelled, too, the part itself is told
                given, proceed = error, self._coroutine.throw


class Overlapped:
    """Steps of one long work: the next is prepared while Redis is at those before.

    As a context manager: behind it none is under way, also where one has failed.
    """

    def __init__(self, most: int = UNDER_WAY) -> None:
        self._most = most
        self._under_way: deque[tuple[asyncio.Future[Any], Callable[[Any], object]]] = deque()

    async def begin(self, step: Coroutine[Any, Any, T], then: Callable[[T], object] = bool) -> None:
        """Let a step begin, and others have a turn. Raises what an earlier step did.

        `then` gets what the steps returned, one after the other in order; by default it is let go.
        """
        self._under_way.append((asyncio.ensure_future(Part(step)), then))
        await self.pause()
        await self.end(self._most - 1)

    async def end(self, left: int = 0) -> None:
        """Wait until no more than so many steps are under way. Raises what one of them did."""
        while len(self._under_way) > left:
            earlier, take = self._under_way.popleft()
            try:
                take(await earlier)
            finally:
                # As in `Part`: a step that failed has its error, and that this frame.
                del earlier

    async def pause(self) -> None:
        """Let others have a turn, with no step to begin."""
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
    """Let everyone who waits have a turn; if that took a while, leave them the loop for as long again."""
    began = time.monotonic() - _Computed.seconds
    await asyncio.sleep(0)
    taken = time.monotonic() - _Computed.seconds - began
    if taken > _UNFELT_SECONDS:
        await asyncio.sleep(min(taken, _LONGEST_SECONDS))
    # A part waits for its turn wherever it goes on.
    if not _Computed.by_part:
        await _turn()


class _Step:
    """When would be felt what a task makes in this turn of the loop: it may read, show and write a page in one."""

    ends: ClassVar[dict[object, float]] = {}

    @classmethod
    def end(cls) -> float:
        return cls.ends.get(asyncio.current_task()) or cls.begin()

    @classmethod
    def begin(cls) -> float:
        now, ends = time.monotonic(), cls.ends
        # As for `_Turn`: the loop that was to clear it may be gone.
        if not ends or now > next(iter(ends.values())) + _LONGEST_SECONDS:
            ends.clear()
            asyncio.get_running_loop().call_soon(ends.clear)
        ends[asyncio.current_task()] = end = now + _FELT_SECONDS
        return end


async def paced(items: Iterable[T]) -> AsyncIterator[T]:
    """The same items, of which one may have some hundred bytes or fifty thousand.

    Others have a turn where what was done since the last one would be felt: to make an item, and what its reader does.
    """
    now, until = time.monotonic, _Step.end()
    for item in items:
        yield item
        if now() > until:
            until = await _next_step()


async def paced_list(items: Iterable[T]) -> list[T]:
    """The same in a list, without a turn of a generator for each."""
    now, until, made = time.monotonic, _Step.end(), list[T]()
    for item in items:
        made.append(item)
        if now() > until:
            until = await _next_step()
    return made


async def _next_step() -> float:
    # Else others just had one, while its reader waited for something.
    if asyncio.current_task() in _Step.ends:
        await give_way()
    return _Step.begin()


async def share_turn() -> None:
    """Between two pieces of a part: go on at once, or in another turn of the loop if this one has had its share."""
    if _Computed.by_part and _Turn.is_used_up():
        await asyncio.sleep(0)


async def clear_in_steps(items: list[Any], at_once: int = 1000) -> None:
    """Empty a list, and give way as its items end: to free a hundred thousand at once takes ten milliseconds."""
    while items:
        del items[-at_once:]
        await give_way()


async def patiently(ask: Callable[[], Awaitable[T]], *, patient: bool = True) -> T:
    """The answer to one of thousands of questions, asked again where Redis was busy for a moment.

    For what does no harm twice. Asked once if not `patient`. Raises StoreUnavailable when Redis stays away.
    """
    for seconds in _TRIED_AGAIN_AFTER if patient else ():
        try:
            return await ask()
        except StoreFull:
            # A server that is full stays so for longer than these pauses.
            raise
        except StoreUnavailable:
            await asyncio.sleep(seconds)
    return await ask()


async def ahead(items: AsyncIterator[T]) -> AsyncIterator[T]:
    """The same items, the next one on its way while this one is worked on; others have a turn between."""

    def following() -> asyncio.Future[T | None]:
        return asyncio.ensure_future(Part(_next(items)))

    coming = following()
    try:
        while (item := await coming) is not None:
            coming = following()
            # In one turn of the loop the next is asked for, and in another that leaves: Redis is at it meanwhile.
            await asyncio.sleep(0)
            await give_way()
            yield item
    finally:
        coming.cancel()
        del coming  # as in `Overlapped.end`


async def _next(items: AsyncIterator[T]) -> T | None:
    return await anext(items, None)
