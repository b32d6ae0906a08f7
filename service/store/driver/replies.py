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
# For so long replies are handed over in one step of the loop; those that are left wait until others had a turn. Behind
# a server that was late there is one for each connection, and each takes as long as to write an answer.
_STEP_SECONDS = 0.0007
Argument = bytes | str | int
Reply = Any  # bytes, int, list or None as RESP2 has them, or an exception
OnReply = Callable[[Reply], None]
# A command in flight: its bytes for a retry, who waits for it, whether it may be asked twice, when it was asked.
Waiting = tuple[bytes, OnReply, bool, float]


def packed(*words: Argument | float) -> bytes:
    """A command as it is sent."""
    command: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub says one word
    return command


def packed_up_to(command: bytes, prefix: bytes) -> bytes:
    """A packed command without its end, the digest that its only key ends in."""
    return b"*2\r\n$%d\r\n%b\r\n$%d\r\n%b" % (len(command), command, len(prefix) + DIGEST_BYTES, prefix)


def decoded(decode: Callable[[bytes], T], text: bytes) -> T | None:
    """What a decoder of msgspec's reads in a reply, None for what it cannot: somebody else wrote it."""
    try:
        return decode(text)
    # A text that is no UTF-8 is no DecodeError of msgspec's.
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def translate(error: BaseException) -> Exception:
    """What a failed command means to the layers above: full, or unavailable. NOSCRIPT stays as it is."""
    text = str(error)
    if isinstance(error, NoScriptError) or text.startswith("NOSCRIPT"):
        return NoScriptError(text)
    if isinstance(error, StoreUnavailable):
        return error
    # Anywhere in it: the error of a script may begin with where the script failed.
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
    """Not executed, for another node of the cluster holds the slot; `host` is empty where it is that of this node.

    `for_once`: the slot is on its way, and only what asks for this key now belongs there.
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
        """Tell whoever has to mend it which key that is, where the command, as it was sent, has but one."""
        _, _, name, _, key, *_ = command.split(b"\r\n", 5)
        # The digest in a key is binary.
        shown = key.decode("ascii", "backslashreplace")
        where = "a key of ours" if name in (b"EVALSHA", b"EVAL") else f"our key {shown}"
        self.cause = f"Redis has something of another type under {where}: see who else writes there, and rename it"


def unavailable(cause: str = "") -> StoreUnavailable:
    """No usable answer came, and none is made up; `cause` is what is known of Redis."""
    told = f"Redis cannot be used: {cause}" if cause else ""
    return StoreUnavailable(NO_ANSWER, cause=told)


class Refused(StoreUnavailable):
    """There is a Redis, but it must not be asked now; the message says why."""


class NotPrimary(Refused):
    """This node is a replica, or was made one: what it says may be out of date, and counts as no answer."""


class Loading(Refused):
    """This node has just started and reads its data."""


class Busy(Refused):
    """A script that somebody runs on this node has taken too long, and until it ends nothing else is done."""


def loading() -> Loading:
    """What is said of a server that reads its data."""
    return Loading("Redis is loading its data and answers when that is done.")


def role_fault(role: Reply) -> Refused | None:
    """Check the reply to ROLE: None for a primary; a server that does not tell is none, whatever it says instead."""
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
    """Feeds what Redis sends to hiredis and gives each reply to the one who waits longest."""

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        lost: Callable[[Replies], None],
        failed: Callable[[str], None],
        took: Callable[[str, float], None],
        refused: Callable[[Replies, Refused], None],
        redirected: Callable[[Redirect, Waiting], None] | None,
    ) -> None:
        """`lost` is told of the connection's end, `failed` the name of an error, `took` how long what was waited for,
        `refused` why no more is asked.

        `redirected` gets what belongs to another node; without it whoever asked is told so.
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
        # Are there replies left, for the next turn of the loop?
        self._goes_on = False

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        # Else this is behind replies that wait for their turn.
        if not self._goes_on:
            if self.waiting:
                # Once for all the replies that come together, not once for each.
                self._took("roundtrip", self.loop.time() - self.waiting[0][3])
            self._hand_over()

    def _hand_over(self) -> None:
        """Hand the replies that came over, in order: all, or as many as one step of the loop has time for."""
        waiting, gets, now = self.waiting, self._reader.gets, monotonic
        self.reprieved = self._goes_on = False
        until = now() + _STEP_SECONDS
        try:
            # False alone is no reply yet: None, 0 and what is empty are replies.
            while (reply := gets()) is not False:
                if reply.__class__ is ResponseError:
                    reply = self._checked(reply)
                    if self._redirected and reply.__class__ is Redirect:
                        self._redirected(reply, waiting.popleft())
                        continue
                answer = waiting.popleft()[1]
                # As `give`, without its call for each reply.
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
                # Given up by a reply before these, which count no more.
                return
            # Bytes that are no reply, or a reply that nobody asked for: nothing after them can be trusted.
            log.error("the reply of Redis cannot be read; dropping the connection")
            self.transport.abort()

    def _checked(self, error: ResponseError) -> Exception:
        meaning = translate(error)
        if isinstance(meaning, Refused):
            self._refused(self, meaning)
        # These two are no failures: the command is sent again, with its script or to another node.
        elif not isinstance(meaning, NoScriptError | Redirect):
            if isinstance(meaning, WrongType):
                meaning.name_key(self.waiting[0][0])
            self._failed(str(error).partition(" ")[0] if str(error)[:1].isupper() else "ERR")
        return meaning

    def connection_lost(self, exc: Exception | None) -> None:
        # What came before the end counts.
        while self._goes_on:
            self._hand_over()
        self._lost(self)


def give(answer: OnReply, reply: Reply) -> None:
    """Hand a reply over; what the handler raises harms its own request alone."""
    try:
        answer(reply)
    except Exception:
        log.exception(_HANDLER_FAILED)


def give_each(replies: Iterator[tuple[OnReply, Reply]]) -> None:
    """Hand many over in order, as many in one step of the loop as it has time for."""
    until = monotonic() + _STEP_SECONDS
    for answer, reply in replies:
        give(answer, reply)
        if monotonic() > until:
            asyncio.get_running_loop().call_soon(give_each, replies)
            return


def fail(waiting: Iterable[Waiting], fault: StoreUnavailable) -> None:
    """Answer all with a fault: each with its own, because whoever raises it adds to it where that was."""
    give_each((answer, copy(fault)) for _, answer, _, _ in waiting)
