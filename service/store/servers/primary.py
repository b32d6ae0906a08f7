"""A connection to a primary, as far as the server behind it tells."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import BusyLoadingError, ResponseError

from service.store.driver.replies import Reply, loading, role_fault
from service.store.driver.server_clock import ServerClock
from service.store.servers.opening import Opener, ask
from service.store.servers.url import Address

# Opens one connection.
Connect = Callable[[], Awaitable[AbstractConnection]]


async def open_primary(opener: Opener, addresses: Sequence[Address], clock: ServerClock | None) -> AbstractConnection:
    """A connection to a primary that has read its data; `clock` follows that of the server before it is used.

    Raises RedisError or OSError, and Refused where a replica, a sentinel or a loading server answers.
    """
    connection = await opener.open(addresses)
    try:
        if (fault := role_fault(await _role(connection))) is not None:
            raise fault
        await _ping(connection)
        if clock is not None:
            await clock.check(partial(ask, connection, "TIME"))
    except BusyLoadingError:
        await connection.disconnect(nowait=True)
        raise loading() from None
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    return connection


async def _ping(connection: AbstractConnection) -> None:
    """Unlike ROLE, refused by a server that is still loading; also by one that takes no writes, which may be read."""
    try:
        await ask(connection, "PING")
    except ResponseError as error:
        # The server cannot save its data and takes no writes; what it holds may be read.
        if not str(error).startswith("MISCONF"):
            raise


async def _role(connection: AbstractConnection) -> Reply:
    try:
        return await ask(connection, "ROLE")
    except ResponseError as error:
        return error
