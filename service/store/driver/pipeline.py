"""One pipelined connection to one Redis: all commands of one turn of the event loop are sent in one write.

redis-py opens the connection (TLS, AUTH, unix sockets); then its transport is handed to `Replies`, which feeds
hiredis and calls back, in order. Knows nothing of tokens; errors leave it as `ServiceError`s, or as `NoScriptError`
for `scripts.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from copy import copy

from redis.asyncio.connection import AbstractConnection

from service.errors import StoreUnavailable
from service.store.driver.causes import Outage, cause_of, place_of, placed
from service.store.driver.reconnection import Reconnection
from service.store.driver.replies import OnReply, Redirect, Refused, Replies, Reply, Waiting, fail, packed, unavailable
from service.store.driver.role_check import RoleCheck

_TICK_SECONDS = 0.02
# So many commands are sent before the turn ends, so that Redis begins with them while the rest is still being made.
# Lookups of the fast path wait for the end: each costs Redis less than a separate write would cost here.
_ENOUGH = 16
_REPRIEVE_SECONDS = 0.005


class Pipeline:
    """The connection to one Redis node, kept open, with a deadline for every command and a bound on the queue.

    `connect` opens a redis-py connection. A command not answered within `timeout_seconds` fails with
    StoreUnavailable and the connection is closed, because a late reply must never meet another request. Commands
    marked `retry` (idempotent ones) are sent once more on the next connection if theirs is lost. While the node cannot
    be reached every command fails at once. Only a primary is asked: `connect` refuses others, `RoleCheck` checks again.
    """

    sent_elsewhere = 0
    # The address, for operators; empty while it is not known, and for a socket.
    place = ""

    def __init__(
        self,
        connect: Callable[[], Awaitable[AbstractConnection]],
        *,
        timeout_seconds: float = 0.25,
        limit: int = 20_000,
        check: Callable[..., RoleCheck] = RoleCheck,
        on_error: Callable[[str], None] = lambda _: None,
        on_seconds: Callable[[str, float], None] = lambda _name, _seconds: None,
        redirected: Callable[[Redirect, Waiting], None] | None = None,
    ) -> None:
        """`on_error` gets an error's name, `on_seconds` an operation's time, `redirected` commands of another node."""
        self._redirected = redirected
        self._on_seconds = on_seconds
        self._connect = connect
        self._timeout, self._limit = timeout_seconds, limit
        self._role = check(self._refuse)
        self._refusal: StoreUnavailable | None = None
        self._outage = Outage()
        self._on_error = on_error
        self._replies: Replies | None = None
        # Held because a writer closes its transport when it is garbage collected.
        self._writer: asyncio.StreamWriter | None = None
        # The commands that will be sent together; a new list once they are sent.
        self.turn: list[Waiting] = []
        self._asked_at = 0.0
        self._reachable, self._closed = True, False
        self._reconnection = Reconnection(self._try_to_open)
        self._watch: asyncio.TimerHandle | None = None

    @property
    def up(self) -> bool:
        """True while there is a connection."""
        return self._replies is not None

    @property
    def replication_id(self) -> bytes:
        """See `RoleCheck`."""
        return self._role.replication_id

    @property
    def idle(self) -> bool:
        """True when no command is queued or awaits its reply."""
        return not self.turn and not (self._replies is not None and self._replies.waiting)

    def submit(self, command: bytes, answer: OnReply, *, retry: bool = False) -> None:
        """Send a packed command; `answer` is called once, later, with the reply or an exception."""
        queue = self.turn
        if len(queue) >= self._limit if queue else self._refuses():
            asyncio.get_running_loop().call_soon(answer, self._unavailable())
            return
        if not queue:
            self._begin_turn()
        queue.append((command, answer, retry, self._asked_at))

    def _begin_turn(self) -> None:
        """Read the clock once and flush once for all commands of this turn of the event loop."""
        # Not always asked for: Python 3.11 makes a system call to find the running loop.
        loop = self._replies.loop if self._replies is not None else asyncio.get_running_loop()
        self._asked_at = loop.time()
        loop.call_soon(self._flush)

    def resume(self, *waiting: Waiting) -> None:
        """Send commands that another node did not execute, next to each other, with their old deadlines."""
        if self._refuses():
            self._fail(list(waiting))
            return
        if not self.turn:
            self._begin_turn()
        self.turn += waiting

    def find_again(self) -> None:
        """Leave the present server for the one that `connect` finds now; an attempt under way is restarted."""
        if self._replies is not None:
            self._give_up(self._replies, "Moved")
        else:
            self._reconnection.begin_anew()
        self.place = ""

    def _refuses(self) -> bool:
        replies = self._replies
        return self._closed or not self._reachable or (replies is not None and len(replies.waiting) >= self._limit)

    def execute(
        self, *args: bytes | str | int | float, retry: bool = False, operation: str = ""
    ) -> asyncio.Future[Reply]:
        """Send a command at once; its future can be awaited later, and gathering many futures makes no tasks.

        `operation` is the name under which its time is counted, by default the command's. The future raises
        StoreUnavailable, StoreFull or NoScriptError.
        """
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def answer(reply: Reply) -> None:
            if future.done():
                return
            if isinstance(reply, Exception):
                future.set_exception(reply)
                return
            self._on_seconds(operation or str(args[0]), future.get_loop().time() - asked_at)
            future.set_result(reply)

        self.submit(packed(*args), answer, retry=retry)
        if len(self.turn) >= _ENOUGH:
            self._flush()
        asked_at = self._asked_at
        return future

    def _flush(self) -> None:
        if not self.turn:
            return
        self._arm()
        replies = self._replies
        if replies is None:
            self._start_connecting()
            return
        queue = self._take_turn()
        if queue[0][3] >= self._role.due:
            self._role.put_before(queue, replies)
        replies.waiting.extend(queue)
        replies.transport.write(queue[0][0] if len(queue) == 1 else b"".join([waiting[0] for waiting in queue]))

    def _refuse(self, replies: Replies, fault: Refused) -> None:
        """Give the connection up before another reply is read from it; waiting commands fail at once."""
        if replies is not self._replies:
            return  # This connection was lost, so its waiting commands fail in `_lost`.
        self._outage.tell(f"Redis must not be asked: {fault.detail}")
        self._refusal = fault
        self._give_up(replies, type(fault).__name__)

    def _start_connecting(self) -> None:
        if not self._closed:
            self._reconnection.start()

    async def _try_to_open(self) -> bool:
        """True once no further attempt is needed."""
        if self._closed:
            return True
        try:
            await self._open()
        # Any exception: otherwise no further attempt would be made.
        except Exception as error:  # noqa: BLE001
            self._cannot_connect(error)
            return False
        return True

    def _cannot_connect(self, error: Exception) -> None:
        """Fail the commands that wait."""
        refusal = error if isinstance(error, Refused) else unavailable(cause_of(error))
        self._outage.tell(f"Redis must not be asked: {refusal.cause}" if refusal is error else refusal.cause, error)
        self._reachable, self._refusal = False, refusal
        self._on_error(type(error).__name__)
        self._fail(self._take_turn())

    async def _open(self) -> None:
        asked_at = asyncio.get_running_loop().time()
        connection = await self._connect()
        self.place = place_of(connection)
        if connection._writer is None:
            raise ConnectionResetError("the connection was closed while it was being made")
        await self._role.begin(connection, asked_at)
        # Private names of redis-py; a contract test names them. The connection gives its writer and reader away.
        writer, connection._writer, connection._reader = connection._writer, None, None
        reader = Replies(writer.transport, self._lost, self._on_error, self._on_seconds, self._refuse, self._redirected)
        writer.transport.set_protocol(reader)
        self._writer, self._replies = writer, reader
        self._outage.ends(self.place)
        self._reachable, self._refusal = True, None
        self._flush()

    def _lost(self, replies: Replies) -> None:
        """A connection ended by itself: idempotent commands are sent once more, before those that wait."""
        if replies is self._replies:
            self._replies = self._writer = None
            self._outage.forget_end()
        lost = list(replies.waiting)
        replies.waiting.clear()
        if lost:
            self._on_error("ConnectionLost")
        # Only once more: a command that crashes a server must not be sent to each of its successors.
        again = [(command, answer, False, at) for command, answer, retry, at in lost if retry and not self._closed]
        self._fail([waiting for waiting in lost if self._closed or not waiting[2]], was_sent=True)
        self.turn = again + self._take_turn()
        if self.turn:
            self._start_connecting()

    def _fail(self, waiting: list[Waiting], *, was_sent: bool = False) -> None:
        fault = self._unavailable()
        fault.was_sent = was_sent
        fail(waiting, fault)

    def _unavailable(self) -> StoreUnavailable:
        return copy(self._refusal) if self._refusal else unavailable()

    def _take_turn(self) -> list[Waiting]:
        turn, self.turn = self.turn, []
        taken = turn.copy()
        # An object that still refers to this list must not keep the callbacks of its commands alive.
        turn.clear()
        return taken

    def _arm(self, seconds: float = _TICK_SECONDS) -> None:
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_later(seconds, self._check_deadlines)

    def _check_deadlines(self) -> None:
        """Give up on overdue commands. One timer for all: the oldest command is always due first."""
        self._watch = None
        replies = self._replies
        overdue = asyncio.get_running_loop().time() - self._timeout
        if replies is None:
            # With a connection the turn is sent at once: only a stall of our own process could delay it.
            if self.turn and self.turn[0][3] <= overdue:
                self._is_late()
                self._fail(self._take_turn())
        elif replies.waiting and replies.waiting[0][3] <= overdue:
            if not replies.reprieved:
                # After a stall of our own process the replies may be in the socket: let the event loop read once more.
                replies.reprieved = True
                self._arm(_REPRIEVE_SECONDS)
                return
            self._is_late()
            self._give_up(replies, "TimeoutError")
        if self.turn or (self._replies is not None and self._replies.waiting):
            self._arm()

    def _is_late(self) -> None:
        if self._refusal is None:
            self._refusal = unavailable(placed("it does not answer in time", self.place))
            self._outage.tell(self._refusal.cause)

    def _give_up(self, replies: Replies, error: str) -> None:
        self._on_error(error)
        overdue = list(replies.waiting)
        replies.waiting.clear()
        # First, because a writer that is freed while its connection is open logs a warning.
        replies.transport.abort()
        self._replies = self._writer = None
        self._reachable = False
        self._fail(overdue, was_sent=True)
        self._start_connecting()

    async def aclose(self) -> None:
        """Fail all waiting commands and close the connection."""
        self._closed = True
        self._reconnection.stop()
        self._outage.forget_end()
        self._fail(self._take_turn())
        if self._replies is not None:
            self._replies.transport.abort()
        self._replies = self._writer = None
