"""The interface by which the store asks a server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Protocol

from redis.asyncio.connection import AbstractConnection

from service.store.driver.replies import OnReply, Reply, Waiting


class Asked(Protocol):
    """Anything that takes a command and returns its reply."""

    def execute(
        self, *args: bytes | str | int | float, retry: bool = False, operation: str = ""
    ) -> Awaitable[Reply]: ...


class Link(Asked, Protocol):
    """How the store asks one Redis node; `Node` is the one in production.

    `replication_id` belongs to the data that the last reply came from: 20 bytes, empty while unknown. `sent_elsewhere`
    counts the commands that another node answered because of an ASK. `beside` is a second connection to the same node,
    for commands that block the ones behind them. `turn` lists what will be sent together, a new list each time.
    """

    def submit(self, command: bytes, answer: OnReply, *, retry: bool = False) -> None: ...

    @property
    def replication_id(self) -> bytes: ...

    @property
    def turn(self) -> list[Waiting]: ...

    @property
    def sent_elsewhere(self) -> int: ...

    @property
    def beside(self) -> Link: ...


async def ask(connection: AbstractConnection, *command: str | int) -> Reply:
    """The reply to one command, on a connection that nothing else uses. Raises RedisError or OSError."""
    await send(connection, *command)
    return await connection.read_response()


async def send(connection: AbstractConnection, *command: str | int) -> None:
    """Send a command; the caller reads its reply. Raises RedisError or OSError."""
    await connection.send_command(*command)
    # The driver sends by `wait_for`, which before Python 3.12 drops a cancellation that comes in the turn of the event
    # loop in which the sending ends: a cancelled task would go on, and open a connection that nobody closes.
    if (task := asyncio.current_task()) is not None and task.cancelling():
        raise asyncio.CancelledError
