"""The map of a cluster, read from replies as servers give them."""

import binascii

import pytest

from service.store.driver.keys import TAGS
from service.store.servers.cluster import SLOTS, map_of
from service.store.servers.url import Address

INFO = b"cluster_enabled:1\r\ncluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_current_epoch:7\r\n"


def node(host: bytes | None, port: int) -> list[object]:
    return [host, port, b"07c37dfeb235213a872192d90877d0cd55635b91", []]


WHOLE = [
    [0, 5460, node(b"10.0.0.1", 7000), node(b"10.0.0.4", 7003)],
    [5461, 10922, node(b"10.0.0.2", 7001), node(b"10.0.0.5", 7004)],
    [10923, 16383, node(b"node-3.example", 7002)],
]


def test_the_slot_of_a_tag_is_that_of_the_server() -> None:
    # CRC16 as the servers compute it: of "123456789" its specification gives 31C3.
    assert binascii.crc_hqx(b"123456789", 0) == 0x31C3
    assert tuple(binascii.crc_hqx(tag.encode(), 0) % 16384 for tag in TAGS) == SLOTS
    assert len(set(SLOTS)) == len(TAGS)


def test_each_shard_is_at_the_primary_of_its_slot() -> None:
    found = map_of(WHOLE, INFO, "asked")
    assert (found.whole, found.epoch) == (True, 7)
    hosts = ["10.0.0.1", "10.0.0.2", "node-3.example"]
    assert [found.owners[shard].host for shard in range(16)] == [
        hosts[(slot > 5460) + (slot > 10922)] for slot in SLOTS
    ]
    assert len(found.nodes) == 5


@pytest.mark.parametrize("host", [b"", None])
def test_a_node_that_tells_no_host_is_where_it_was_asked(host: bytes | None) -> None:
    found = map_of([[0, 16383, node(host, 7000)]], INFO, "asked")
    assert set(found.owners.values()) == {Address("asked", 7000)}


def test_a_host_that_nobody_knows_is_no_owner() -> None:
    assert map_of([[0, 16383, node(b"?", 7000)]], INFO, "asked").owners == {}


def test_slots_that_nobody_holds_leave_their_shards_out() -> None:
    found = map_of(WHOLE[1:], INFO.replace(b":ok", b":fail"), "asked")
    assert not found.whole
    assert set(found.owners) == {shard for shard, slot in enumerate(SLOTS) if slot > 5460}
