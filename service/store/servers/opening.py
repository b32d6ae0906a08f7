"""Opening connections: explicit time-outs, TLS settings read once, several addresses in parallel, a primary's role."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    RedisSSLContext,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, InvalidResponse, ResponseError
from redis.maint_notifications import MaintNotificationsConfig

from service.store.driver.causes import NO_CONNECTION, tls_reason
from service.store.driver.connection import ask
from service.store.driver.replies import Refused, Reply, loading, role_fault, translate
from service.store.driver.server_clock import ServerClock
from service.store.servers.url import Address

# The next address is tried after this time, or as soon as the one before has failed. RFC 8305 recommends 0.25 s for
# hosts on the Internet and at least 0.01 s; Redis is near.
_HEAD_START_SECONDS = 0.05
_SHORTEST_CONNECT_SECONDS = 1.0
_FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
# Opens one connection.
Connect = Callable[[], Awaitable[AbstractConnection]]
_Attempt = asyncio.Future[AbstractConnection]


class _Tcp(Connection):
    """A connection to one of the addresses that a host name resolves to."""

    number = ""

    def _connection_arguments(self) -> Mapping[str, Any]:
        return {**super()._connection_arguments(), "host": self.number}


class _Tls(SSLConnection):
    """The same with TLS; the certificate is verified against the host name."""

    number = ""

    def _connection_arguments(self) -> Mapping[str, Any]:
        return {**super()._connection_arguments(), "host": self.number, "server_hostname": self.host}


class Opener:
    """Opens connections that differ only in their address.

    No retries, RESP2, no push messages. Connecting may take four times `timeout_seconds`, at least a second, because a
    TLS handshake takes longer than a command.
    """

    def __init__(self, options: Mapping[str, Any], *, timeout_seconds: float) -> None:
        """`options` are a URL's, by redis-py's names. Raises ValueError for TLS options that cannot be used."""
        self._path = options.get("path", "")
        self._make = _Tls if options.get("connection_class") is SSLConnection else _Tcp
        self.connect_seconds = max(4 * timeout_seconds, _SHORTEST_CONNECT_SECONDS)
        given = {name: value for name, value in options.items() if name not in ("connection_class", "path")}
        if self._make is _Tls:
            # Without a password OpenSSL would ask on the terminal for that of an encrypted key.
            given.setdefault("ssl_password", "")
        self._options = given | {
            "socket_connect_timeout": self.connect_seconds,
            "socket_timeout": self.connect_seconds,
            # Only the pipeline knows whether a command may be sent again, and RESP3 would let a server send messages
            # that are no replies.
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
            "decode_responses": False,
            "health_check_interval": 0,
            # No CLIENT SETINFO, which servers before 7.2 count as an error.
            "driver_info": None,
            # When it was enabled, redis-py handed out connections that the server had closed.
            "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        }
        # Once, because loading the system's certificates takes up to 0.2 s; and here, because a missing file is a wrong
        # setting and not an outage of Redis.
        self._tls = _tls_of(self._options) if self._make is _Tls else None

    async def open(self, addresses: Sequence[Address]) -> AbstractConnection:
        """A connection to the first address that answers. Raises the RedisError or OSError of the first address."""
        if self._path:
            return await _connected(UnixDomainSocketConnection(path=self._path, **self._options))
        return await first_of([partial(self._reach, address) for address in addresses])

    async def _reach(self, address: Address) -> AbstractConnection:
        """A connection to a host name, which may resolve to several addresses."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
            # Each once, in the system's order, which puts the likeliest to be reachable first (RFC 6724).
            numbers = dict.fromkeys(str(place[0]) for *_, place in found)
            return await first_of([partial(self._reach_number, address, number) for number in numbers])
        except NO_CONNECTION as error:
            # Of several nodes this is the one that an operator has to repair.
            error.add_note(str(address))
            raise

    async def _reach_number(self, address: Address, number: str) -> AbstractConnection:
        connection = self._make(host=address.host, port=address.port, **self._options)
        connection.number = number
        if isinstance(connection, _Tls) and self._tls is not None:
            connection.ssl_context = self._tls
        return await _connected(connection)


def _tls_of(options: Mapping[str, Any]) -> RedisSSLContext:
    for name in _FILES:
        try:
            # One by one: OpenSSL does not say which file it cannot read, nor that a directory does not exist.
            if path := options.get(name):
                os.scandir(path).close() if name == "ssl_ca_path" else open(path, "rb").close()
        except OSError as error:
            raise ValueError(f"{name} is {path!r}, which cannot be read: {error.strerror}") from None
    context = _Tls(**options).ssl_context
    try:
        context.get()
    except (OSError, ValueError) as error:
        reason = tls_reason(error) if isinstance(error, ssl.SSLError) else str(error)
        raise ValueError(
            f"its ssl_ options cannot be used: {reason.rstrip('.')}; give PEM files, and ssl_password if they need it"
        ) from None
    return context


@asynccontextmanager
async def closed_on_failure(connection: AbstractConnection) -> AsyncIterator[None]:
    """Closes the connection if the body of the `with` statement fails."""
    try:
        yield
    # BaseException, because an attempt that lost the race is cancelled and must not leave its socket open.
    except BaseException:
        await connection.disconnect(nowait=True)
        raise


async def _connected(connection: AbstractConnection) -> AbstractConnection:
    async with closed_on_failure(connection):
        await connection.connect()  # type: ignore[no-untyped-call]
        # Not by redis-py, which fails if an access list forbids this: the name is only for people who list clients.
        with suppress(ResponseError):
            if (told := await ask(connection, "CLIENT", "SETNAME", "token-service")) != b"OK":
                raise InvalidResponse(f"{told!r} to CLIENT SETNAME")
    return connection


async def first_of(attempts: Sequence[Connect]) -> AbstractConnection:
    """The connection of the first attempt that succeeds; others that succeed at the same time are closed.

    No attempt is left running, even if the caller is cancelled.
    If all fail, raises the error of the first attempt.
    """
    waiting, running, failed = list(attempts), set[_Attempt](), dict[_Attempt, BaseException]()
    tasks: list[_Attempt] = []
    won: AbstractConnection | None = None
    try:
        while waiting or running:
            if waiting:
                tasks.append(asyncio.ensure_future(waiting.pop(0)()))
                running.add(tasks[-1])
            # Happy Eyeballs (RFC 8305): an address that does not answer must not cost the whole time-out.
            pause = _HEAD_START_SECONDS if waiting else None
            done, running = await asyncio.wait(running, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if (error := task.exception()) is None:
                    tasks.remove(task)
                    won = task.result()
                    return won
                failed[task] = error
        raise failed[tasks[0]]
    finally:
        for task in tasks:
            task.cancel()
        try:
            # An attempt may have succeeded just before it was cancelled; its connection would stay open.
            for brought in await asyncio.gather(*tasks, return_exceptions=True):
                if not isinstance(brought, BaseException):
                    await brought.disconnect(nowait=True)
        except asyncio.CancelledError:
            if won is not None:
                await won.disconnect(nowait=True)
            raise


async def open_primary(opener: Opener, addresses: Sequence[Address], clock: ServerClock | None) -> AbstractConnection:
    """A connection to a primary that answers; `clock` is set by the server's before the connection is used.

    Raises RedisError or OSError, and Refused for a replica, a sentinel, and a loading or busy server.
    """
    connection = await opener.open(addresses)
    async with closed_on_failure(connection):
        if (fault := role_fault(await _role(connection))) is not None:
            raise fault
        await _ping(connection)
        if clock is not None:
            await clock.check(partial(ask, connection, "TIME"))
    return connection


async def open_node(opener: Opener, address: Address) -> AbstractConnection:
    """A connection to a node of a cluster, which may be a replica. Otherwise raises the same errors."""
    connection = await opener.open([address])
    async with closed_on_failure(connection):
        await _ping(connection)
    return connection


async def _ping(connection: AbstractConnection) -> None:
    """Unlike ROLE, PING is refused by a server that is loading or busy; one that takes no writes may still be read."""
    try:
        await ask(connection, "PING")
    except BusyLoadingError:
        raise loading() from None
    except ResponseError as error:
        if isinstance(meaning := translate(error), Refused):
            raise meaning from None
        # The server cannot save its data and takes no writes; what it holds may be read.
        if not str(error).startswith("MISCONF"):
            raise


async def _role(connection: AbstractConnection) -> Reply:
    try:
        return await ask(connection, "ROLE")
    except ResponseError as error:
        return translate(error)
