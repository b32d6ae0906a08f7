"""Which node of a cluster holds which of our shards: the sixteen slots that are ours, and the map of a cluster."""

import binascii
from typing import NamedTuple

from service.store.driver.keys import TAGS
from service.store.driver.replies import Reply
from service.store.servers.url import Address


def slot_of(tag: str) -> int:
    """The hash slot of a tag: CRC16 (XMODEM) modulo the slots."""
    return binascii.crc_hqx(tag.encode(), 0) % 16384


SLOTS = tuple(slot_of(tag) for tag in TAGS)
SHARD_OF_SLOT = {slot: shard for shard, slot in enumerate(SLOTS)}


class ClusterMap(NamedTuple):
    """What one node says. `vote` grows with every failover; maps are compared by it, the whole ones first."""

    whole: bool
    vote: int
    owners: dict[int, Address]
    nodes: tuple[Address, ...]


def map_of(slots: Reply, info: bytes, asked: str) -> ClusterMap:
    """The map in the replies to CLUSTER SLOTS and CLUSTER INFO of a node at the host `asked`.

    `owners` are by shard; a shard without one is left out. A node that tells no host of its own is where it was asked.
    """
    facts = dict(line.partition(":")[::2] for line in info.decode("ascii", "replace").splitlines())
    owners: dict[int, Address] = {}
    nodes: dict[Address, None] = {}
    # The primary is the first of them, its replicas follow.
    for first, last, *holders in slots:
        places = [address for holder in holders if (address := _address(holder[0], holder[1], asked)) is not None]
        nodes |= dict.fromkeys(places)
        primary = _address(holders[0][0], holders[0][1], asked) if holders else None
        if primary is not None:
            owners |= {shard: primary for slot, shard in SHARD_OF_SLOT.items() if first <= slot <= last}
    whole = facts.get("cluster_state") == "ok"
    return ClusterMap(whole, int(facts.get("cluster_current_epoch", 0)), owners, tuple(nodes))


def _address(host: bytes | None, port: int, asked: str) -> Address | None:
    """None for a node whose host nobody knows, which is told as `?`."""
    if host == b"?":
        return None
    return Address(host.decode() if host else asked, port)
