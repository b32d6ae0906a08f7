"""Asking a server's role again and again: one that was demoted goes on answering, and with what is no longer true."""

from __future__ import annotations

from collections.abc import Callable

from service.store.driver.replies import Refused, Replies, Reply, Waiting, packed, role_fault

_ROLE = packed("ROLE")


class RoleCheck:
    """Puts ROLE before what is sent `seconds` or more after the last ROLE, so that no older answer counts."""

    def __init__(self, seconds: float, refuse: Callable[[Replies, Refused], None]) -> None:
        self._seconds = seconds
        self._refuse = refuse
        self.due = 0.0

    def seen(self, asked_at: float) -> None:
        """The role was asked at this time of the loop and is that of a primary."""
        self.due = asked_at + self._seconds

    def put_before(self, queue: list[Waiting], replies: Replies) -> None:
        """Ask ahead of what is about to be sent: if it is a replica, no reply behind it counts."""

        def answer(role: Reply) -> None:
            if (fault := role_fault(role)) is not None:
                self._refuse(replies, fault)

        asked_at = queue[0][3]
        self.seen(asked_at)
        queue.insert(0, (_ROLE, answer, False, asked_at))
