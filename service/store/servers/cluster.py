"""A cluster: the map of our slots, one pipeline for each node, and for each shard a link to the node that holds it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

import msgspec
from redis.asyncio.connection import AbstractConnection
from redis.crc import key_slot
from redis.exceptions import ResponseError

from service.store.driver.causes import NO_CONNECTION
from service.store.driver.connection import Link, ask
from service.store.driver.keys import TAGS
from service.store.driver.replies import NotPrimary, OnReply, Redirect, Reply, Waiting, give, unavailable
from service.store.servers.node import Node
from service.store.servers.opening import Opener, closed_on_failure, open_node
from service.store.servers.url import Address

log = logging.getLogger(__name__)
_ASKING = b"*1\r\n$6\r\nASKING\r\n"
# Nodes that redirect to each other would pass a command on forever.
_MOST_HOPS = 5
_REFRESH_SECONDS = 0.5
_REFRESH_SECONDS_WHILE_AWAY = 0.2
MakeNode = Callable[..., Node]
SLOTS = tuple(key_slot(tag.encode()) for tag in TAGS)
SHARD_OF_SLOT = {slot: shard for shard, slot in enumerate(SLOTS)}


class ClusterMap(msgspec.Struct, frozen=True):
    """The map as one node reports it. `epoch` grows with every failover: whole maps with the highest epoch win."""

    whole: bool
    epoch: int
    owners: dict[int, Address]
    nodes: tuple[Address, ...]


def map_of(slots: Reply, info: bytes, asked: str) -> ClusterMap:
    """The map in the replies to CLUSTER SLOTS and CLUSTER INFO of a node at the host `asked`.

    `owners` are by shard; a shard without an owner is left out. A node that reports no host of its own is at `asked`.
    """
    facts = dict(line.partition(":")[::2] for line in info.decode("ascii", "replace").splitlines())
    owners: dict[int, Address] = {}
    nodes: dict[Address, None] = {}
    # The first holder of a slot is the primary; its replicas follow.
    for first, last, *holders in slots:
        places = [address for holder in holders if (address := _address(holder[0], holder[1], asked)) is not None]
        nodes |= dict.fromkeys(places)
        primary = _address(holders[0][0], holders[0][1], asked) if holders else None
        if primary is not None:
            owners |= {shard: primary for slot, shard in SHARD_OF_SLOT.items() if first <= slot <= last}
    whole = facts.get("cluster_state") == "ok"
    return ClusterMap(whole, int(facts.get("cluster_current_epoch", 0)), owners, tuple(nodes))


def _address(host: bytes | None, port: int, asked: str) -> Address | None:
    """None for a node whose host is unknown, which Redis reports as `?`."""
    if host == b"?":
        return None
    return Address(host.decode() if host else asked, port)


class ShardLink:
    """The `Link` of one shard. `node` is replaced when the shard moves."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.sent_elsewhere = 0

    def submit(self, command: bytes, answer: OnReply, *, retry: bool = False) -> None:
        self.node.submit(command, answer, retry=retry)

    def execute(
        self, *args: bytes | str | int | float, retry: bool = False, operation: str = ""
    ) -> asyncio.Future[Reply]:
        return self.node.execute(*args, retry=retry, operation=operation)

    @property
    def turn(self) -> list[Waiting]:
        return self.node.turn

    @property
    def replication_id(self) -> bytes:
        return self.node.replication_id

    @property
    def beside(self) -> Link:
        return self.node.beside


class _Again:
    """The callback of a command that was sent on, and how often that happened."""

    def __init__(self, answer: OnReply) -> None:
        self._answer = answer
        self.hops = 0

    def __call__(self, reply: Reply) -> None:
        self._answer(reply)


# Not redis-py's cluster client, whose handling of ASK fails with more than one connection.
class Cluster:
    """All nodes that hold our shards.

    A command goes to the node where its shard was seen last. MOVED and ASK mean that it was not executed, so any
    command can be sent on, with its old deadline. The map is read twice a second, more often while a node is away:
    no reply tells where the shards of a dead node went.
    """

    def __init__(self, addresses: Sequence[Address], opener: Opener, make_node: MakeNode) -> None:
        """`addresses` are the nodes to ask first; `make_node` makes a Node from a connect function and `redirected`."""
        self._seeds = tuple(addresses)
        self._opener = opener
        self._make = make_node
        self._known: tuple[Address, ...] = ()
        self._nodes: dict[Address, Node] = {}
        # Any node is asked until a reply has told where a shard is.
        self._any_host = self._seeds[0].host
        # A lambda instead of `partial`, because `_any_host` changes with each connection.
        self._any = make_node(self.open_any, redirected=lambda *told: self._send_on(self._any_host, *told))
        self.links = tuple(ShardLink(self._any) for _ in TAGS)

    async def open_any(self) -> AbstractConnection:
        connection = await self._opener.open(self._seeds + self._known)
        async with closed_on_failure(connection):
            try:
                # A Redis without cluster support answers all other commands like a node of a cluster.
                await ask(connection, "CLUSTER", "INFO")
            except ResponseError as error:
                raise _refusal(error) from None
        self._any_host = getattr(connection, "host", self._any_host)
        return connection

    def _node(self, address: Address) -> Node:
        if (node := self._nodes.get(address)) is None:
            node = self._nodes[address] = self._make(
                partial(open_node, self._opener, address), redirected=partial(self._send_on, address.host)
            )
            node.place = str(address)
        return node

    def _send_on(self, asked: str, redirected: Redirect, waiting: Waiting) -> None:
        """Send a command to the node that a node at the host `asked` named. ASK is for this command, MOVED for all."""
        command, answer, retry, asked_at = waiting
        again = answer if isinstance(answer, _Again) else _Again(answer)
        again.hops += 1
        if again.hops > _MOST_HOPS:
            give(answer, unavailable())
            return
        node = self._node(Address(redirected.host or asked, redirected.port))
        if (shard := SHARD_OF_SLOT.get(redirected.slot)) is not None:
            if redirected.for_once:
                # The other node's reply does not come from the data that this link's replication id stands for.
                self.links[shard].sent_elsewhere += 1
            else:
                self.links[shard].node = node
        sent_on = (command, again, retry, asked_at)
        # ASKING applies only to the next command.
        node.resume(*([(_ASKING, _ignore, False, asked_at)] if redirected.for_once else []), sent_on)

    async def watch(self) -> None:
        """Keep the map up to date until cancelled."""
        while True:
            await self.refresh()
            well = all(link.node.up for link in self.links)
            await asyncio.sleep(_REFRESH_SECONDS if well else _REFRESH_SECONDS_WHILE_AWAY)

    async def refresh(self) -> None:
        """Ask every node for the map and use the latest. If none answers, nothing changes."""
        held = [_ask_map(address.host, node.execute) for address, node in self._nodes.items() if node.up]
        found = [said for said in await asyncio.gather(*held, return_exceptions=True) if isinstance(said, ClusterMap)]
        if not any(said.whole for said in found):
            everywhere = [self._ask_anew(address) for address in dict.fromkeys(self._seeds + self._known)]
            found += [said for said in await asyncio.gather(*everywhere) if said is not None]
        if found:
            await self._follow(max(found, key=lambda said: (said.whole, said.epoch)))

    async def _ask_anew(self, address: Address) -> ClusterMap | None:
        """The map over a temporary connection: for nodes without a shard, and before any map is known."""
        with suppress(*NO_CONNECTION):
            connection = await self._opener.open([address])
            try:
                return await _ask_map(address.host, partial(ask, connection))
            finally:
                await connection.disconnect(nowait=True)
        return None

    async def _follow(self, now: ClusterMap) -> None:
        for shard, address in now.owners.items():
            self.links[shard].node = self._node(address)
        self._known = now.nodes or self._known
        needed = {link.node for link in self.links}
        for address, node in list(self._nodes.items()):
            # A node that still owes replies is closed by a later pass.
            if node not in needed and node.idle:
                del self._nodes[address]
                await node.aclose()

    async def aclose(self) -> None:
        for node in (self._any, *self._nodes.values()):
            await node.aclose()


def _ignore(reply: Reply) -> None:
    """The reply to ASKING: if it failed, so does the command behind it."""


async def _ask_map(host: str, execute: Callable[..., Awaitable[Reply]]) -> ClusterMap:
    return map_of(await execute("CLUSTER", "SLOTS"), await execute("CLUSTER", "INFO"), host)


def _refusal(error: ResponseError) -> Exception:
    """The meaning of a server's refusal of CLUSTER INFO."""
    text = str(error).lower()
    if "cluster support disabled" in text or "unknown command" in text:
        return NotPrimary("This is no node of a cluster: write redis://host:port, or addresses of a cluster's nodes.")
    return error
