"""A process from its first check of Redis to its last flush, and what it does in the background between."""

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
# Next to nothing here is garbage in a cycle, and a pass through all objects stops every request meanwhile: one through
# so many new ones for 0.2 to 1.1 ms, where twice as many take up to 2.3.
_OBJECTS_BEFORE_COLLECTION = 5_000
# So long the loop waits for a thread that computes: Python's own five milliseconds would be felt.
_THREAD_TURN_SECONDS = 0.0005
_BEGUN_AGAIN_AFTER_SECONDS = 1.0
Work = Callable[[], Coroutine[Any, Any, object]]


class Background(msgspec.Struct, frozen=True):
    """What a process does beside answering.

    `prepare` is done before traffic comes; `begin` beside it, once and as soon as Redis answers; `flush` once more at
    the end, in order; and `reload` on SIGHUP. `repeated` pairs a name with what is done every so many seconds; `follow`
    runs all the while. `close` is done last, in its order, also where the start was refused.
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
    # What every connection gets, by the names that the edge has for it.
    _edge: dict[str, Any]
    _background: Background
    _metrics_port: MetricsPort | None

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[dict[str, Any]]:
        """Yields the state that every connection gets. Raises StartRefused for a Redis that must not be used."""
        try:
            await self._first_check()
            # Before the first request: which secrets of other systems there may be is read here.
            await _once(self._background.prepare, "prepare")
            if self._metrics_port is not None:
                # Here already, so that a port which somebody else has refuses the start.
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
        # Kept in the list, because the loop itself holds its tasks by weak references.
        loop.add_signal_handler(
            signal.SIGHUP,
            lambda: tasks.extend(loop.create_task(_once(work, "reload")) for work in self._background.reload),
        )
        # `serve` holds it back until somebody obeys it, and again from when nobody does.
        held = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        try:
            yield self._edge
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
            # In the reverse order of the start: whatever writes to Redis ends before the connections to it do.
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
            # A restart of both at once must not depend on which one is up first; readiness says what is missing.
            log.warning("starting without Redis: %s", error.cause)
            return
        if faults := self._monitor.faults:
            raise StartRefused(faults)


def collect_rarely() -> None:
    """Leave what was made at the start out of the garbage collector's reach, and let it run less often."""
    # Off since the process began: see `make_without_collecting` in cli/serve/listener.py. Then a pass finds some
    # hundreds of a hundred thousand objects to let go, and takes a seventh of the whole start.
    if gc.isenabled():
        gc.collect()
    # What is alive now stays so: later passes leave it out.
    gc.freeze()
    gc.enable()
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION, 20, 20)


async def _every(seconds: float, work: Work, name: str) -> None:
    told = ""
    while True:
        await asyncio.sleep(seconds)
        told = await _once(work, name, told) or ""


async def _until_done(work: Work, name: str) -> None:
    """Once: this process may have begun before its Redis."""
    told = ""
    while (standing := await _once(work, name, told)) is not None:
        told = standing
        await asyncio.sleep(_BEGUN_AGAIN_AFTER_SECONDS)


async def _always(work: Work, name: str) -> None:
    """What ends by a fault alone, begun again: else readiness and the map of servers would stay as they were."""
    told = ""
    while True:
        told = await _once(work, name, told) or ""
        await asyncio.sleep(_BEGUN_AGAIN_AFTER_SECONDS)


async def _once(work: Work, name: str, told: str = "") -> str | None:
    """Run it; a failure is logged and left for the next time: nobody would start this task again.

    Returns None when it is done; else why it stands still until somebody mends that, which is logged unless it was
    `told` the time before, and is empty where nobody need.
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
