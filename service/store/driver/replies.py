"""Replies of Redis: read from the wire in order, checked, and handed to their callers."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from time import monotonic
from typing import Any, TypeVar

import hiredis
import msgspec
from redis.exceptions import NoScriptError, ResponseError

from service.errors import NO_ANSWER, StoreFull, StoreUnavailable
from service.store.driver.causes import reason_of
from service.store.driver.keys import DIGEST_BYTES

log = logging.getLogger(__name__)

T = TypeVar("T")
_HANDLER_FAILED = "a reply handler failed"
# The longest time for handing over replies in one turn of the event loop; the rest wait for another turn. After a delay
# of the server there may be a reply for each connection, and each takes as long as writing an answer.
_STEP_SECONDS = 0.0007
Argument = bytes | str | int
Reply = Any  # bytes, int, list or None as RESP2 has them, or an exception
OnReply = Callable[[Reply], None]
# A command in flight: its bytes for a retry, the callback, whether it may be sent twice, when it was queued.
Waiting = tuple[bytes, OnReply, bool, float]


def packed(*words: Argument | float) -> bytes:
    """A command as bytes on the wire."""
    command: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub says one word
    return command


def packed_up_to(command: bytes, prefix: bytes) -> bytes:
    """A packed command up to the digest at the end of its only key; the digest and CR LF follow."""
    return b"*2\r\n$%d\r\n%b\r\n$%d\r\n%b" % (len(command), command, len(prefix) + DIGEST_BYTES, prefix)


def decoded(decode: Callable[[bytes], T], text: bytes) -> T | None:
    """A reply decoded by msgspec; None if it cannot be decoded, because somebody else wrote it."""
    try:
        return decode(text)
    # msgspec raises UnicodeDecodeError, not DecodeError, for invalid UTF-8.
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def translate(error: BaseException) -> Exception:
    """The exception for the layers above: StoreFull or StoreUnavailable, with its subclasses. NOSCRIPT is kept."""
    text = str(error)
    if isinstance(error, NoScriptError) or text.startswith("NOSCRIPT"):
        return NoScriptError(text)
    if isinstance(error, StoreUnavailable):
        return error
    # Anywhere in the text: a script's error may begin with the place where the script failed.
    if text.startswith("MASTERDOWN") or "READONLY" in text:
        return NotPrimary("This Redis is a replica: connect to the master.")
    if text.startswith("LOADING"):
        return loading()
    if text.startswith("BUSY "):
        return Busy("Redis is busy with somebody's script: it answers when that has ended, or after SCRIPT KILL.")
    if text.startswith(("MOVED ", "ASK ")):
        return Redirect(text)
    if "OOM command not allowed" in text:
        return StoreFull("The token store is full: no new tokens until memory is freed.")
    if "WRONGTYPE " in text:
        return WrongType("The token store holds something else in this place.")
    return unavailable(reason_of(text))


class Redirect(StoreUnavailable):
    """Not executed, because another node of the cluster holds the slot; `host` is empty if it is this node's host.

    `for_once`: the slot is moving, and only this command belongs to the other node.
    """

    def __init__(self, text: str) -> None:
        """`text` is an error that begins with MOVED or ASK."""
        super().__init__("This Redis is a node of a cluster: write redis+cluster:// and its address.")
        kind, slot, place = text.split(" ")[:3]
        self.for_once = kind == "ASK"
        self.slot = int(slot)
        # From the right: an IPv6 address has colons of its own.
        self.host, _, port = place.rpartition(":")
        self.port = int(port)


class WrongType(StoreUnavailable):
    """Somebody else keeps something of another type under a key of ours."""

    def name_key(self, command: bytes) -> None:
        """Name the key for the operator, if the packed command has only one."""
        _, _, name, _, key, *_ = command.split(b"\r\n", 5)
        # The digest in a key is binary.
        shown = key.decode("ascii", "backslashreplace")
        where = "a key of ours" if name in (b"EVALSHA", b"EVAL") else f"our key {shown}"
        self.cause = f"Redis has something of another type under {where}: see who else writes there, and rename it"


def unavailable(cause: str = "") -> StoreUnavailable:
    """The exception for a missing or unusable reply; `cause` is the known reason."""
    told = f"Redis cannot be used: {cause}" if cause else ""
    return StoreUnavailable(NO_ANSWER, cause=told)


class Refused(StoreUnavailable):
    """A Redis that must not be asked now; the message says why."""


class NotPrimary(Refused):
    """This node is a replica, or was made one: its replies may be out of date and do not count."""


class Loading(Refused):
    """This node has just started and is loading its data."""


class Busy(Refused):
    """A script on this node has taken too long; the node does nothing else until it ends."""


def loading() -> Loading:
    """The exception for a server that is loading its data."""
    return Loading("Redis is loading its data and answers when that is done.")


def role_fault(role: Reply) -> Refused | None:
    """Check the reply to ROLE: None for a primary. A server that does not tell its role counts as none."""
    match role:
        case [b"master", *_]:
            return None
        case Refused():
            return role
        case [b"sentinel", *_]:
            return NotPrimary("This is a sentinel: write redis+sentinel://, its address and /NAME of the primary.")
        case [bytes() as other, *_]:
            return NotPrimary(f"This Redis is a {other.decode(errors='replace')}: connect to the master.")
    return NotPrimary("Redis does not tell its role: allow the service's user the command ROLE.")


class Replies(asyncio.Protocol):
    """Feeds what Redis sends to hiredis, and gives each reply to the oldest waiting command."""

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        lost: Callable[[Replies], None],
        failed: Callable[[str], None],
        took: Callable[[str, float], None],
        refused: Callable[[Replies, Refused], None],
        redirected: Callable[[Redirect, Waiting], None] | None,
    ) -> None:
        """`lost` is called at the connection's end, `failed` with an error's name, `took` with a name and its seconds,
        `refused` with the reason why the server must not be asked any more.

        `redirected` gets commands that belong to another node; without it their callers get the Redirect.
        """
        self.waiting: deque[Waiting] = deque()
        self.transport = transport
        self.reprieved = False
        self.loop = asyncio.get_running_loop()
        self._lost = lost
        self._failed = failed
        self._took = took
        self._refused = refused
        self._redirected = redirected
        self._reader = hiredis.Reader(replyError=ResponseError)
        # True while replies are left for the next turn of the event loop.
        self._goes_on = False

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        # Otherwise these replies come after others that wait for the next turn.
        if not self._goes_on:
            if self.waiting:
                # Once for all replies that arrive together, not once for each.
                self._took("roundtrip", self.loop.time() - self.waiting[0][3])
            self._hand_over()

    def _hand_over(self) -> None:
        """Hand over the replies that have arrived, in order, in one turn of the event loop only as many as it can."""
        waiting, gets, now = self.waiting, self._reader.gets, monotonic
        self.reprieved = self._goes_on = False
        until = now() + _STEP_SECONDS
        try:
            # Only False means that there is no reply yet: None, 0 and empty values are replies.
            while (reply := gets()) is not False:
                if reply.__class__ is ResponseError:
                    reply = self._checked(reply)
                    if self._redirected and reply.__class__ is Redirect:
                        self._redirected(reply, waiting.popleft())
                        continue
                answer = waiting.popleft()[1]
                # Like `give`, but without a call for each reply.
                try:
                    answer(reply)
                except Exception:
                    log.exception(_HANDLER_FAILED)
                if now() > until:
                    self._goes_on = True
                    self.loop.call_soon(self._hand_over)
                    return
        except (hiredis.ProtocolError, IndexError):
            if self.transport.is_closing():
                # An earlier reply has closed the connection, so these do not count.
                return
            # Bytes that are no reply, or a reply without a command: nothing after them can be trusted.
            log.error("the reply of Redis cannot be read; dropping the connection")
            self.transport.abort()

    def _checked(self, error: ResponseError) -> Exception:
        meaning = translate(error)
        if isinstance(meaning, Refused):
            self._refused(self, meaning)
        # Two that are no failures: the command is sent again, with its script or to another node.
        elif not isinstance(meaning, NoScriptError | Redirect):
            if isinstance(meaning, WrongType):
                meaning.name_key(self.waiting[0][0])
            self._failed(str(error).partition(" ")[0] if str(error)[:1].isupper() else "ERR")
        return meaning

    def connection_lost(self, exc: Exception | None) -> None:
        # Replies that arrived before the end count.
        while self._goes_on:
            self._hand_over()
        self._lost(self)


def give(answer: OnReply, reply: Reply) -> None:
    """Hand a reply over. An exception of the handler is logged, and affects only its own request."""
    try:
        answer(reply)
    except Exception:
        log.exception(_HANDLER_FAILED)


def give_each(replies: Iterator[tuple[OnReply, Reply]]) -> None:
    """Hand over many replies in order, in one turn of the event loop only as many as it has time for."""
    until = monotonic() + _STEP_SECONDS
    for answer, reply in replies:
        give(answer, reply)
        if monotonic() > until:
            asyncio.get_running_loop().call_soon(give_each, replies)
            return


def fail(waiting: Iterable[Waiting], fault: StoreUnavailable) -> None:
    """Answer all commands with a fault: each with a copy, because raising an exception adds to its traceback."""
    give_each((answer, copy(fault)) for _, answer, _, _ in waiting)
