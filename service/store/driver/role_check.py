"""Asking what a server is again and again: one that was demoted goes on answering, and with what is no longer true."""

from collections.abc import Callable
from contextlib import suppress

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

from service.store.driver.connection import ask
from service.store.driver.replies import Refused, Replies, Reply, Waiting, packed, role_fault

_ROLE, _REPLICATION = packed("ROLE"), packed("INFO", "replication")
_ID = b"master_replid:"
# In hexadecimal, as Redis writes it; kept as the 20 bytes that stand before each one-time record.
_ID_CHARACTERS = 40


class RoleCheck:
    """Puts ROLE and INFO before what is sent `seconds` or more after the last time, so that no older answer counts.

    `replication_id` is that of the data the server answers from: another one after every failover and restart. Empty
    where the server does not tell.
    """

    def __init__(
        self, refuse: Callable[[Replies, Refused], None], *, seconds: float = 0.25, any_role: bool = False
    ) -> None:
        """With `any_role` the server need be no primary: in a cluster a replica sends every command on by itself."""
        self._refuse = refuse
        self._seconds = seconds
        self._any_role = any_role
        self.replication_id = b""
        self.due = 0.0

    async def begin(self, connection: AbstractConnection, asked_at: float) -> None:
        """On a new connection that nobody else uses yet, to a server whose role was asked for at `asked_at` or later.

        Raises RedisError or OSError, the connection closed.
        """
        try:
            self._learn(await ask(connection, "INFO", "replication"))
        except ResponseError as error:
            self._learn(error)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        # From before the question: by the time of the reply the role may be another.
        self.due = asked_at + self._seconds

    def put_before(self, queue: list[Waiting], replies: Replies) -> None:
        """Ask ahead of what is about to be sent: if it is a replica, no reply behind it counts."""

        def answer(role: Reply) -> None:
            if (fault := role_fault(role)) is not None:
                self._refuse(replies, fault)

        now = queue[0][3]
        self.due = now + self._seconds
        asked: list[Waiting] = [] if self._any_role else [(_ROLE, answer, False, now)]
        queue[:0] = [*asked, (_REPLICATION, self._learn, False, now)]

    def _learn(self, facts: Reply) -> None:
        _, found, rest = facts.partition(_ID) if isinstance(facts, bytes) else (b"", b"", b"")
        with suppress(ValueError):
            self.replication_id = bytes.fromhex(rest[:_ID_CHARACTERS].decode("ascii", "replace")) if found else b""
