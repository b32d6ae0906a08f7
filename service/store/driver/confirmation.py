"""Confirms that a write has left the memory of the server that made it, and reports a missing confirmation."""

import logging
from contextvars import ContextVar
from typing import Self

import msgspec

from service.store.driver.replies import Reply

log = logging.getLogger(__name__)
_doubts: ContextVar[list[str] | None] = ContextVar("doubts", default=None)
# The part of a command's time-out that the confirmation may take, so that the reply still arrives in time.
_SHARE = 0.6
# WAIT for one replica; WAITAOF for the disk of the primary, and of no replica.
_WAIT, _WAITAOF = ("WAIT", 1), ("WAITAOF", 1, 0)
_COMMANDS: dict[str, tuple[tuple[str | int, ...], ...]] = {
    "memory": (),
    "replicated": (_WAIT,),
    "fsync": (_WAITAOF,),
    "both": (_WAIT, _WAITAOF),
}


class Confirmation(msgspec.Struct, frozen=True):
    """The commands that follow a write on its connection; each waits at most so many milliseconds."""

    commands: tuple[tuple[str | int, ...], ...]
    milliseconds: int

    @classmethod
    def of(cls, durability: str, timeout_ms: int) -> Self:
        """What `TOKENS_DURABILITY` asks for, if Redis has `timeout_ms` for a command."""
        commands = _COMMANDS[durability]
        # With 0 milliseconds Redis would wait forever.
        return cls(commands, max(1, int(timeout_ms * _SHARE / max(1, len(commands)))))

    def doubt(self, marked: Reply, replies: list[Reply]) -> str:
        """Why a write is not confirmed, by the replies to the mark behind it and to these commands; empty if it is."""
        if isinstance(marked, BaseException):
            return "Redis was lost before it confirmed it"
        said = {command[0]: reply for command, reply in zip(self.commands, replies, strict=True)}
        if "WAIT" in said and not (isinstance(said["WAIT"], int) and said["WAIT"] >= 1):
            return f"no replica confirmed it within {self.milliseconds} ms"
        if "WAITAOF" in said and not (isinstance(said["WAITAOF"], list) and said["WAITAOF"][0] >= 1):
            return f"Redis did not confirm within {self.milliseconds} ms that it is on its disk"
        return ""


MEMORY = Confirmation.of("memory", 0)


class Doubts:
    """Collects why removals made inside are not confirmed, each reason once; empty if all are confirmed.

    Not a generator with `contextmanager`, which takes three times as long: every request enters one of these.
    """

    __slots__ = ("_before",)

    def __enter__(self) -> list[str]:
        found: list[str] = []
        self._before = _doubts.set(found)
        return found

    def __exit__(self, *_: object) -> None:
        _doubts.reset(self._before)


def doubt(reason: str) -> None:
    """Add a reason to the `Doubts` around the caller; log it if there are none."""
    found = _doubts.get()
    if found is None:
        log.warning("what was ended is not confirmed yet: %s", reason)
    elif reason not in found:
        found.append(reason)
