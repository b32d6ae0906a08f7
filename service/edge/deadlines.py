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

# A client that sends byte by byte to use up the connections (slowloris) keeps each for no longer than this.
HEAD_SECONDS = 5.0
BODY_SECONDS = 10.0
# How long an answer may wait here while its client takes none of it.
READ_SECONDS = 10.0
# Most bytes that wait here for all clients together.
HELD_BYTES = 64 * 1024 * 1024
_TICKS_A_SECOND = 4
_TICK = 1 / _TICKS_A_SECOND
_DRAIN_IDLE_SECONDS = 1.0
# How long a TLS client may take to confirm the end of a connection once it has every byte; a client with a pool does
# that only when it next wants a connection. Only Linux tells whether it has every byte.
_CONFIRM_SECONDS = 1.0 if sys.platform == "linux" else READ_SECONDS
# Connections that are checked in one turn of the event loop: half a millisecond.
_CHECKED_AT_ONCE = 256


class Watched(Protocol):
    """A connection as its deadlines see it. Instants are of the clock of `Deadlines`, None while no time-out runs."""

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
        """`on_second` is called each second and after the last connection, `on_drain` when a graceful stop begins."""
        self._on_second = on_second
        self._ticks = 0
        self._clock = clock
        self._on_drain = on_drain
        self.now = clock()
        # All fast cycles share it, where uvicorn's cycles have one each; nothing waits for it.
        self.event = asyncio.Event()
        self._keep_alive = 0.0
        self._connections: Set[Any] = frozenset()
        self._timer: asyncio.TimerHandle | None = None
        self.draining = False
        self._waiting: list[tuple[float, Watched]] | None = None
        # The connections whose client has not taken all of an answer, and the bytes taken since the last sweep.
        self._reading: list[tuple[float, Watched]] = []

    def watch(self, connections: Set[Any], keep_alive_seconds: float) -> None:
        """Start the timer at the first connection. The set is uvicorn's own and changes as connections come and go."""
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
        # Measured up to the tick before: a process that was stopped since then has not read what arrived meanwhile.
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
                # Nothing more is read before these requests are answered, so the client cannot be late.
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
        """Keep what waits for slow clients within HELD_BYTES: abort first whoever took least since the last sweep."""
        held = sum([connection.transport.get_write_buffer_size() for _, connection in self._reading])
        for taken, connection in sorted(self._reading, key=itemgetter(0)) if held > HELD_BYTES else ():
            # An infinite number marks a new answer, which its client has had no time to take.
            if held <= HELD_BYTES or taken == inf:
                break
            held -= connection.transport.get_write_buffer_size()
            connection.transport.abort()

    def _is_read(self, connection: Watched) -> bool:
        untaken = _untaken(connection.transport)
        if untaken:
            # More bytes than before are a new answer: none is written before nearly all of the one before is taken.
            is_new = untaken > connection.unread_bytes
            self._reading.append((inf if is_new else connection.unread_bytes - untaken, connection))
        # A closed connection is still here with TLS, where the client has to confirm the end.
        unread = untaken or int(connection.transport.is_closing())
        # Since the first sweep that finds any, because the clock stops while there are no connections.
        if not connection.unread_bytes or unread < connection.unread_bytes:
            connection.unread_since = self.now
        connection.unread_bytes = unread
        return connection.unread_since >= self.now - (READ_SECONDS if untaken else _CONFIRM_SECONDS)

    def close_idlest(self) -> bool:
        """Abort the connection that has waited longest for its client, trusted proxies' last. False if none waits.

        The connections are sorted once per sweep: in a flood, not each new connection may cost a pass through all.
        """
        if self._waiting is None:
            listed = [(since, each) for each in self._connections if (since := each.waiting_since) is not None]
            # In reverse, because to remove the last item of a list is cheap.
            self._waiting = sorted(listed, key=lambda each: (not each[1].origin, each[0]), reverse=True)
        while self._waiting:
            since, connection = self._waiting.pop()
            # It may have begun a request since it was listed.
            if connection.waiting_since == since and not connection.transport.is_closing():
                connection.transport.abort()
                return True
        return False


def _untaken(transport: asyncio.Transport) -> int:
    """The bytes of answers that the client has not taken. Those in the kernel count while more wait here or at a close.

    A slow client takes bytes from the kernel for a long time before the kernel has room for more.
    """
    untaken = transport.get_write_buffer_size()
    # The buffer of the transport below TLS cannot be read; it holds bytes only while the kernel's does.
    asks = sys.platform == "linux" and (untaken or transport.is_closing())
    # A TLS connection has no socket in the last turn of the event loop before `connection_lost`.
    if asks and (socket := transport.get_extra_info("socket")) is not None:
        untaken += struct.unpack("i", ioctl(socket.fileno(), TIOCOUTQ, bytes(4)))[0]
    return untaken
