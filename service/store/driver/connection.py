"""Opening connections to Redis with an explicit policy, and what must be true of the server behind them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

import msgspec
from redis.asyncio.connection import AbstractConnection, Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, ResponseError
from redis.maint_notifications import MaintNotificationsConfig

from service.errors import StoreUnavailable
from service.store.driver.replies import Answer, Reply, loading, role_fault
from service.store.driver.server_clock import ServerClock
from service.store.driver.url import options_of

MINIMUM_VERSION = (6, 2)
# Opens one connection.
Connect = Callable[[], Awaitable[AbstractConnection]]


class Link(Protocol):
    """How the store asks one Redis node; `Pipeline` is the one in production."""

    def execute(
        self, *args: bytes | str | int | float, retry: bool = False, operation: str = ""
    ) -> Awaitable[Reply]: ...

    def submit(self, command: bytes, answer: Answer, *, retry: bool = False) -> None: ...


def connector(url: str, *, timeout_seconds: float = 0.25, clock: ServerClock | None = None) -> Connect:
    """A function that opens one connection to `url`: explicit time-outs, no retries, RESP2, no push messages.

    `clock` follows that of the server before the connection is used. It raises RedisError or OSError, the first
    within five times the time-out, and Refused where a replica or a loading server answers. A malformed url is a
    ValueError here.
    """
    options = options_of(url)
    make: type[AbstractConnection] = options.pop("connection_class", Connection)
    options |= {
        "socket_connect_timeout": timeout_seconds,
        "socket_timeout": timeout_seconds,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "decode_responses": False,
        "health_check_interval": 0,
        "client_name": "token-service",
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }

    async def connect() -> AbstractConnection:
        connection = make(**options)
        await connection.connect()  # type: ignore[no-untyped-call]
        try:
            if (fault := role_fault(await _role(connection))) is not None:
                raise fault
            # Unlike ROLE, refused by a server that is still loading.
            await _ask(connection, "PING")
            if clock is not None:
                await clock.check(partial(_ask, connection, "TIME"))
        except BusyLoadingError:
            await connection.disconnect(nowait=True)
            raise loading() from None
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    return connect


async def _role(connection: AbstractConnection) -> Reply:
    try:
        return await _ask(connection, "ROLE")
    except ResponseError as error:
        return error


async def _ask(connection: AbstractConnection, command: str) -> Reply:
    await connection.send_command(command)
    return await connection.read_response()


class Inspection(msgspec.Struct, frozen=True):
    """What a check of the server found. `faults` (check to reason) stop readiness; `warnings` are only said."""

    version: str
    policy: str
    faults: dict[str, str]
    warnings: tuple[str, ...]


async def inspect(link: Link, scratch_key: bytes) -> Inspection:
    """One INFO, checked: too old, or an eviction policy that deletes tokens are faults.

    Where INFO is forbidden the server is tried by what it can do with `scratch_key`, three commands more.
    Raises StoreUnavailable when it does not answer.
    """
    try:
        facts = _parse_info(await link.execute("INFO", retry=True))
    except StoreUnavailable:
        return await _probe(link, scratch_key)
    version = facts.get("redis_version", "0")
    policy = facts.get("maxmemory_policy", "noeviction")
    faults = {}
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < MINIMUM_VERSION:
        faults["version"] = f"Redis {version} is too old: 6.2 or later is needed"
    if policy != "noeviction":
        faults["eviction"] = f"maxmemory-policy {policy} deletes tokens: set it to noeviction"
    warnings = []
    if facts.get("aof_enabled") != "1":
        warnings.append("appendonly is off: a restart of Redis loses what was written since its last snapshot")
    shown = facts.get("valkey_version") or version
    return Inspection(shown, policy, faults, tuple(warnings))


async def _probe(link: Link, scratch_key: bytes) -> Inspection:
    """SET PX, GETDEL and EVAL on a key of our own: what the service cannot live without."""
    await link.execute("SET", scratch_key, "1", "PX", 5000)
    await link.execute("GETDEL", scratch_key)
    await link.execute("EVAL", "return redis.call('EXISTS', KEYS[1])", 1, scratch_key, retry=True)
    return Inspection("unknown", "unknown", {}, ("INFO is forbidden: eviction and version were not checked",))


def _parse_info(reply: bytes) -> dict[str, str]:
    facts = {}
    for line in reply.decode("utf-8", "replace").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            facts[name] = value
    return facts
