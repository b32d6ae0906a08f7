"""Time-outs of all connections, checked four times a second by one timer: a timer per request costs too much."""

import asyncio
import struct
import sys
import time
from collections.abc import Callable, Collection, Set
from fcntl import ioctl
from math import inf
from operator import itemgetter
from termios import TIOCOUTQ
from typing import Any, Protocol

from service.edge.head import Refusal

# Whoever sends byte by byte to use the connections up (slowloris) has each for no longer than this.
HEAD_SECONDS = 5.0
BODY_SECONDS = 10.0
# How long an answer may lie here without its client's taking any of it.
READ_SECONDS = 10.0
# What all answers that clients have not taken may hold here together.
HELD_BYTES = 64 * 1024 * 1024
_TICKS_A_SECOND = 4
_TICK = 1 / _TICKS_A_SECOND
_DRAIN_IDLE_SECONDS = 1.0
# How long a client by TLS may take to confirm the end of a connection when it has every byte; who keeps connections in
# a pool does so when it wants the next. Only Linux tells whether it has them.
_CONFIRM_SECONDS = 1.0 if sys.platform == "linux" else READ_SECONDS
# So many connections are checked between two turns of others: half a millisecond.
_CHECKED_AT_ONCE = 256


class Watched(Protocol):
    """A connection as its deadlines see it; instants of their clock, None where no time-out runs."""

    transport: asyncio.Transport
    pipeline: Collection[Any]
    origin: str
    idle_since: float | None
    head_since: float | None
    body_since: float | None
    unread_bytes: int
    unread_since: float

    @property
    def waiting_since(self) -> float | None: ...

    def refuse(self, refusal: Refusal) -> None: ...


class Deadlines:
    """Closes what is idle for too long and refuses what comes too slowly. `now` is a clock as coarse as its tick."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        on_second: Callable[[], None] = lambda: None,
        on_drain: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_second` is called each second and behind the last connection, `on_drain` when a graceful stop begins."""
        self._on_second = on_second
        self._ticks = 0
        self._clock = clock
        self._on_drain = on_drain
        self.now = clock()
        # Stands where uvicorn's cycles have an event of their own; nobody waits for it.
        self.event = asyncio.Event()
        self._keep_alive = 0.0
        self._connections: Set[Any] = frozenset()
        self._timer: asyncio.TimerHandle | None = None
        self.draining = False
        self._waiting: list[tuple[float, Watched]] | None = None
        # Who has not taken all of an answer, with the bytes that it took since the sweep before.
        self._reading: list[tuple[float, Watched]] = []

    def watch(self, connections: Set[Any], keep_alive_seconds: float) -> None:
        """Begin with the first connection; the set is uvicorn's own and changes as they come and go."""
        if self._timer is None:
            self._connections = connections
            self._keep_alive = keep_alive_seconds
            self._tick()

    def drain(self) -> None:
        """From now on connections that have been idle for a second are closed."""
        if not self.draining:
            self.draining = True
            self._on_drain()

    def _tick(self) -> None:
        # Measured up to the tick before: a process that has stood still since then has not read what came meanwhile.
        read_until, self.now = self.now, self._clock()
        self._waiting = None
        self._ticks += 1
        if not self._connections or self._ticks % _TICKS_A_SECOND == 0:
            self._on_second()
        # A process without connections need not wake up; the next connection starts the clock again.
        self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick) if self._connections else None
        self._reading = []
        # A copy, because closing a connection changes the set.
        self._check(list(self._connections), read_until)

    def _check(self, connections: list[Watched], read_until: float) -> None:
        """Check some of them, and the rest in the next turn of the loop."""
        idle = read_until - (_DRAIN_IDLE_SECONDS if self.draining else self._keep_alive)
        some, rest = connections[:_CHECKED_AT_ONCE], connections[_CHECKED_AT_ONCE:]
        if rest:
            asyncio.get_running_loop().call_soon(self._check, rest, read_until)
        for connection in some:
            if connection not in self._connections:
                # It went since the check began.
                continue
            if not self._is_read(connection):
                # Not `close`: that waits until everything is written, and this client takes nothing.
                connection.transport.abort()
            elif connection.pipeline:
                # Nothing more is read of it before these are answered, so that its client is not late.
                continue
            elif connection.head_since is not None and connection.head_since < read_until - HEAD_SECONDS:
                connection.refuse(Refusal(408, "request_timeout", "The request's head took too long."))
            elif connection.body_since is not None and connection.body_since < read_until - BODY_SECONDS:
                connection.refuse(Refusal(408, "request_timeout", "The request's body took too long."))
            elif connection.idle_since is not None and connection.idle_since < idle:
                connection.transport.close()
        if not rest:
            self._abort_slowest()

    def _abort_slowest(self) -> None:
        """Keep what is held for slow clients within its bound: whoever took least since the sweep before goes first."""
        held = sum([connection.transport.get_write_buffer_size() for _, connection in self._reading])
        for taken, connection in sorted(self._reading, key=itemgetter(0)) if held > HELD_BYTES else ():
            # The latter has had no time yet.
            if held <= HELD_BYTES or taken == inf:
                break
            held -= connection.transport.get_write_buffer_size()
            connection.transport.abort()

    def _is_read(self, connection: Watched) -> bool:
        untaken = _untaken(connection.transport)
        if untaken:
            # No further answer follows before nearly all of one is taken.
            is_new = untaken > connection.unread_bytes
            self._reading.append((inf if is_new else connection.unread_bytes - untaken, connection))
        # Closed, and still here: by TLS its client has to say that it knows.
        unread = untaken or int(connection.transport.is_closing())
        # From the first sweep that finds any: this clock stood still before the first connection behind a pause.
        if not connection.unread_bytes or unread < connection.unread_bytes:
            connection.unread_since = self.now
        connection.unread_bytes = unread
        return connection.unread_since >= self.now - (READ_SECONDS if untaken else _CONFIRM_SECONDS)

    def close_idlest(self) -> bool:
        """End the connection that has waited for its client for longest, our proxies' last; False if none does.

        They are listed once between two sweeps: those who come in a flood do not each cost a walk through all.
        """
        if self._waiting is None:
            listed = [(since, each) for each in self._connections if (since := each.waiting_since) is not None]
            # Backwards, so that the next one is taken from the end, which moves no other.
            self._waiting = sorted(listed, key=lambda each: (not each[1].origin, each[0]), reverse=True)
        while self._waiting:
            since, connection = self._waiting.pop()
            # It may have begun a request since it was listed.
            if connection.waiting_since == since and not connection.transport.is_closing():
                connection.transport.abort()
                return True
        return False


def _untaken(transport: asyncio.Transport) -> int:
    """The bytes of answers that the client has not taken; those in the kernel count once there are more than it holds.

    A slow client takes from the kernel for a long time before there is room for more.
    """
    untaken = transport.get_write_buffer_size()
    # Below TLS lies a transport whose buffer nobody tells of; it holds something only while the kernel does.
    asks = sys.platform == "linux" and (untaken or transport.is_closing())
    # None is left of a connection by TLS in the turn before its protocol is told that it has ended.
    if asks and (socket := transport.get_extra_info("socket")) is not None:
        untaken += struct.unpack("i", ioctl(socket.fileno(), TIOCOUTQ, bytes(4)))[0]
    return untaken
