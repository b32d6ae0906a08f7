"""The servers of a URL: one Redis, the primary that sentinels name, or a cluster. Other modules use only the links."""

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import msgspec
from redis.asyncio.connection import AbstractConnection

from service.store.driver.connection import Link
from service.store.driver.role_check import RoleCheck
from service.store.driver.server_clock import ServerClock
from service.store.servers.cluster import Cluster
from service.store.servers.node import Node
from service.store.servers.opening import Connect, Opener, open_primary
from service.store.servers.sentinel import Sentinels
from service.store.servers.url import Place, Topology, place_of

Work = Callable[[], Coroutine[Any, Any, None]]


class Servers(msgspec.Struct, frozen=True):
    """One link for each shard, and what keeps the links on the right nodes.

    `connect` makes a separate connection to a server that commands would go to first. `watch` follows the servers until
    it is cancelled. `aclose` fails all waiting commands and closes every connection.
    """

    links: Sequence[Link]
    connect: Connect
    watch: Work
    aclose: Work


def servers_of(
    url: str,
    *,
    # Never redis-py's defaults, with which a call waits 4.6 s for a dead Redis and over 40 s for one that hangs.
    timeout_seconds: float,
    clock: ServerClock | None = None,
    on_error: Callable[[str], None] = lambda _: None,
    on_seconds: Callable[[str, float], None] = lambda _name, _seconds: None,
) -> Servers:
    """The servers of a URL; nothing is connected yet. `clock` follows the clock of a primary.

    Raises ValueError for a URL that cannot be used, with a line that says what to write.
    """
    place = place_of(url)
    # One opener for all nodes, so that TLS certificates are read once.
    opener = Opener(place.options, timeout_seconds=timeout_seconds)
    make = partial(Node, timeout_seconds=timeout_seconds, on_error=on_error, on_seconds=on_seconds)
    if place.topology is Topology.CLUSTER:
        cluster = Cluster(place.addresses, opener, partial(make, check=partial(RoleCheck, any_role=True)))
        return Servers(cluster.links, cluster.open_any, cluster.watch, cluster.aclose)
    if place.topology is Topology.SENTINEL:
        return _by_sentinels(place, opener, make, clock, timeout_seconds)
    connect = partial(open_primary, opener, place.addresses, clock)
    pipeline = make(connect)
    return Servers([pipeline], connect, _nothing, pipeline.aclose)


def no_servers() -> Servers:
    """Without a Redis: for a service that is only built to be described or checked, and never asks."""
    pipeline = Node(_refuse)
    return Servers([pipeline], _refuse, _nothing, pipeline.aclose)


def _by_sentinels(
    place: Place, opener: Opener, make: Callable[..., Node], clock: ServerClock | None, timeout_seconds: float
) -> Servers:
    # The sentinels have their own opener, because their users and passwords differ from the primary's.
    sentinels = Sentinels(
        place.addresses, place.primary_name, Opener(place.sentinel_options, timeout_seconds=timeout_seconds)
    )

    async def connect() -> AbstractConnection:
        return await open_primary(opener, [await sentinels.primary()], clock)

    pipeline = make(connect)
    return Servers([pipeline], connect, partial(sentinels.listen, pipeline.find_again), pipeline.aclose)


async def _refuse() -> AbstractConnection:
    raise ConnectionRefusedError("no Redis is named: set TOKENS_REDIS_URL")


async def _nothing() -> None:
    """One Redis stays where it is."""
