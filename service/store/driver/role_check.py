"""Checks a server's role again and again: a demoted primary goes on answering, with data that is out of date."""

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
    """Puts ROLE and INFO before the first command that is sent `seconds` or more after the last check.

    So no reply counts whose role check is older. `replication_id` is that of the server's data: another one after every
    failover and restart, empty if the server does not tell it.
    """

    def __init__(
        self, refuse: Callable[[Replies, Refused], None], *, seconds: float = 0.25, any_role: bool = False
    ) -> None:
        """With `any_role` the server may be a replica: in a cluster a replica redirects every command."""
        self._refuse = refuse
        self._seconds = seconds
        self._any_role = any_role
        self.replication_id = b""
        self.due = 0.0

    async def begin(self, connection: AbstractConnection, asked_at: float) -> None:
        """Start on a new connection, which nothing else uses yet; its role was checked at `asked_at` or later.

        Closes the connection and raises RedisError or OSError if that fails.
        """
        try:
            self._learn(await ask(connection, "INFO", "replication"))
        except ResponseError as error:
            self._learn(error)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        # Counted from before the check: by the time of its reply the role may have changed.
        self.due = asked_at + self._seconds

    def put_before(self, queue: list[Waiting], replies: Replies) -> None:
        """Put the check before commands that are about to be sent: if it finds a replica, no later reply counts."""

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
