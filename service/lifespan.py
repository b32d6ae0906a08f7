"""A process from its first check of Redis to its last flush, and its background work between these."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from service.api.metrics_port import MetricsPort
from service.errors import StartRefused, StoreUnavailable
from service.metrics import Metrics
from service.store.driver.replies import NotPrimary, WrongType
from service.store.monitoring.monitor import Monitor

log = logging.getLogger(__name__)
# Almost nothing here becomes cyclic garbage, and a collection stops every request: one over this many new objects for
# 0.2 to 1.1 ms, over twice as many for up to 2.3 ms.
_OBJECTS_BEFORE_COLLECTION = 5_000
# The event loop waits at most this long for a computing thread; Python's own 5 ms would be noticed.
_THREAD_TURN_SECONDS = 0.0005
_BEGUN_AGAIN_AFTER_SECONDS = 1.0
Work = Callable[[], Coroutine[Any, Any, object]]


class Background(msgspec.Struct, frozen=True):
    """The work of a process besides answering requests.

    `prepare` runs before traffic comes. `begin` runs once in the background, as soon as Redis answers. `repeated` has
    name, interval in seconds and work. `follow` runs all the time. `reload` runs on SIGHUP. `flush` runs once more at
    the end, in order. `close` runs last, in order, also when the start was refused.
    """

    prepare: Work
    begin: Work
    repeated: tuple[tuple[str, float, Work], ...]
    flush: tuple[Work, ...]
    reload: tuple[Work, ...]
    follow: Callable[[], Coroutine[Any, Any, None]] | None
    close: tuple[Work, ...]


@dataclass(eq=False, repr=False)
class Lifespan:
    _monitor: Monitor
    _metrics: Metrics
    # The state of every connection, under the names that the edge uses.
    _edge: dict[str, Any]
    _background: Background
    _metrics_port: MetricsPort | None

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[dict[str, Any]]:
        """Yields the state that every connection gets. Raises StartRefused if this Redis must not be used."""
        try:
            await self._first_check()
            # Before the first request, because it reads by which rules secrets of other systems were imported.
            await _once(self._background.prepare, "prepare")
            if self._metrics_port is not None:
                # Before any traffic, so that a port in use refuses the start.
                self._metrics_port.start()
        except StartRefused:
            await self._close()
            raise
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(_every(seconds, work, name), name=name)
            for name, seconds, work in self._background.repeated
        ]
        tasks.append(asyncio.create_task(_until_done(self._background.begin, "begin"), name="begin"))
        tasks.append(asyncio.create_task(_always(self._monitor.watch, "watch"), name="watch"))
        if self._background.follow is not None:
            tasks.append(asyncio.create_task(_always(self._background.follow, "follow"), name="follow"))
        collect_rarely()
        sys.setswitchinterval(_THREAD_TURN_SECONDS)
        loop = asyncio.get_running_loop()
        # Kept in the list, because the event loop itself holds tasks only by weak references.
        loop.add_signal_handler(
            signal.SIGHUP,
            lambda: tasks.extend(loop.create_task(_once(work, "reload")) for work in self._background.reload),
        )
        # `serve` blocks SIGHUP until this handler exists, and it is blocked again when the handler goes.
        held = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        try:
            yield self._edge
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
            # In the reverse order of the start: work that writes to Redis ends before the connections do.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for work in self._background.flush:
                await _once(work, "flush")
            if self._metrics_port is not None:
                await self._metrics_port.stop()
            self._metrics.close()
            await self._close()

    async def _close(self) -> None:
        for work in self._background.close:
            await work()

    async def _first_check(self) -> None:
        try:
            await self._monitor.check()
        except NotPrimary as fault:
            raise StartRefused(fault.detail) from None
        except StoreUnavailable as error:
            # After a restart of both, the order must not matter; readiness says what is missing.
            log.warning("starting without Redis: %s", error.cause)
            return
        if faults := self._monitor.faults:
            raise StartRefused(faults)


def collect_rarely() -> None:
    """Exclude the objects of the start from garbage collection, and let it run less often."""
    # Off since the process began: see `make_without_collecting` in cli/serve/listener.py. A collection at this point
    # would free a few hundred of 100,000 objects, and take a seventh of the whole start.
    if gc.isenabled():
        gc.collect()
    # Everything alive now stays alive, so later collections leave it out.
    gc.freeze()
    gc.enable()
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION, 20, 20)


async def _every(seconds: float, work: Work, name: str) -> None:
    told = ""
    while True:
        await asyncio.sleep(seconds)
        told = await _once(work, name, told) or ""


async def _until_done(work: Work, name: str) -> None:
    """Run the work until it succeeds once, because this process may have started before its Redis."""
    told = ""
    while (standing := await _once(work, name, told)) is not None:
        told = standing
        await asyncio.sleep(_BEGUN_AGAIN_AFTER_SECONDS)


async def _always(work: Work, name: str) -> None:
    """Restart work that ends only by a failure; otherwise readiness and the map of servers would go stale."""
    told = ""
    while True:
        told = await _once(work, name, told) or ""
        await asyncio.sleep(_BEGUN_AGAIN_AFTER_SECONDS)


async def _once(work: Work, name: str, told: str = "") -> str | None:
    """Run the work. A failure is logged and left for the next run, because nobody else would restart the task.

    Returns None if the work succeeded. Otherwise the cause that somebody has to remove, empty if nobody has to; a cause
    is logged unless it is `told`, the cause of the run before.
    """
    try:
        await work()
        return None
    except WrongType as fault:
        if fault.cause != told:
            log.error("background work stands still: %s", fault.cause, extra={"facts": {"work": name}})
        return fault.cause
    except StoreUnavailable as error:
        log.debug("%s waits: %s", name, error.detail)
        return told
    except Exception:
        log.exception("background work failed", extra={"facts": {"work": name}})
    return ""
