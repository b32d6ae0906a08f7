"""What confirms a write beyond the memory of the server that made it, and where a doubt is told."""

import logging
from contextvars import ContextVar
from typing import Self

import msgspec

from service.store.driver.replies import Reply

log = logging.getLogger(__name__)
_doubts: ContextVar[list[str] | None] = ContextVar("doubts", default=None)
# The part of a command's time-out that the confirmation may take, so that its reply still comes within it.
_SHARE = 0.6
# One replica for WAIT; for WAITAOF the disk of the primary, and that of no replica.
_WAIT, _WAITAOF = ("WAIT", 1), ("WAITAOF", 1, 0)
_COMMANDS: dict[str, tuple[tuple[str | int, ...], ...]] = {
    "memory": (),
    "replicated": (_WAIT,),
    "fsync": (_WAITAOF,),
    "both": (_WAIT, _WAITAOF),
}


class Confirmation(msgspec.Struct, frozen=True):
    """The commands that follow a write on its connection, each waiting so many milliseconds at most."""

    commands: tuple[tuple[str | int, ...], ...]
    milliseconds: int

    @classmethod
    def of(cls, durability: str, timeout_ms: int) -> Self:
        """What `TOKENS_DURABILITY` asks for, where Redis has `timeout_ms` for a command."""
        commands = _COMMANDS[durability]
        # 0 milliseconds would have Redis wait without end.
        return cls(commands, max(1, int(timeout_ms * _SHARE / max(1, len(commands)))))

    def doubt(self, marked: Reply, replies: list[Reply]) -> str:
        """Why a write is not confirmed by what a mark behind it and these commands are answered; empty if it is."""
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
    """Gathers why what is taken away inside is not confirmed, one reason each; nothing if all is.

    No generator with `contextmanager`: that takes three times as long, and every request is inside one of these.
    """

    __slots__ = ("_before",)

    def __enter__(self) -> list[str]:
        found: list[str] = []
        self._before = _doubts.set(found)
        return found

    def __exit__(self, *_: object) -> None:
        _doubts.reset(self._before)


def doubt(reason: str) -> None:
    """Tell whoever answers for what is being done; the log where nobody does."""
    found = _doubts.get()
    if found is None:
        log.warning("what was ended is not confirmed yet: %s", reason)
    elif reason not in found:
        found.append(reason)
