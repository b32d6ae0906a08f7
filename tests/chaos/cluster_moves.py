"""A cluster whose nodes fail over, come and go, and whose slots move, while tokens are used."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from redis.exceptions import ResponseError

from service.store.servers.cluster import SLOTS
from tests.api.running import wait_until
from tests.chaos.conftest import Row
from tests.chaos.tally import Used, Uses, footprint
from tests.fault.grouped import Site, killed, move, stopped
from tests.fault.replaced import counts, nodes_replaced
from tests.server_groups import PLAIN, Node, Six
from tests.threads import beside

NODE_TIMEOUT, USES, ADDRESSES = 1.0, 2000, 3


@pytest.fixture(scope="module")
def site(six: Six, settings: dict[str, str]) -> Iterator[Site]:
    with closing(Site(six.ready().url, settings | {"TOKENS_DURABILITY": "replicated"})) as site:
        yield site


def moved_key_by_key(six: Six) -> None:
    for slot in SLOTS:
        source = six.holder(slot)
        move(slot, source, next(node for node in six.primaries if node is not source), six.primaries)


def moved_by_the_server(six: Six) -> None:
    """CLUSTER MIGRATESLOTS, which Valkey 9 has."""
    for slot in SLOTS:
        source = six.holder(slot)
        target = next(node for node in six.primaries if node is not source)
        source.client.execute_command("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", Six.id_of(target))
        wait_until(lambda to=target, one=slot: counted(to, one), what=f"slot {slot} to have moved")


def counted(node: Node, slot: int) -> bool:
    """Whether the node owns a slot with keys."""
    try:
        owned = node.client.execute_command("CLUSTER", "SLOTS")
        ours = [one for one in owned if int(one[0]) <= slot <= int(one[1])]
        return any(int(one[2][1]) == node.port for one in ours)
    except ResponseError:
        return False


@pytest.mark.parametrize("way", [moved_key_by_key, moved_by_the_server])
def test_all_slots_move_while_tokens_are_used(six: Six, site: Site, row: Row, way: Callable[[Six], None]) -> None:
    six.settle()
    uses, used = Uses(site), Used(site)
    tokens = uses.issue(USES)
    with beside(lambda: uses.spend(tokens, pause_seconds=0.002), used.until_over):
        try:
            way(six)
        finally:
            used.stop()
    after = uses.issue(50)
    uses.spend(tokens + after)
    name = way.__name__.replace("_", " ")
    row(f"16 slots {name}: validations", "all 200", dict(used.said))
    row(f"{USES} one-time tokens meanwhile", "0 twice, 0 errors", f"{uses.twice()} twice; {dict(uses.said)}")
    assert set(used.said) == {200}
    assert uses.twice() == 0
    assert set(uses.said) <= {200, 401}
    assert {uses.accepted[token] for token in after} == {1}


@pytest.mark.parametrize("how", ["ordered", "killed", "stopped"])
def test_failovers(six: Six, site: Site, row: Row, how: str) -> None:
    six.settle()
    old = six.holder(SLOTS[0])
    new, book, uses = six.replica_of(old), site.book(), Uses(site)
    tokens = uses.issue(200)
    with book.open(), beside(lambda: uses.spend(tokens, pause_seconds=0.005)):
        began = time.monotonic()
        if how == "ordered":
            new.client.execute_command("CLUSTER", "FAILOVER")
            heal: Callable[[], None] = lambda: None  # noqa: E731
        else:
            heal = killed(old) if how == "killed" else stopped(old)
        wait_until(lambda: new.info("replication")["role"] == "master", what="the replica to take over")
        seconds = book.seconds_until_well(began)
    uses.spend(tokens)
    heal()
    six.settle()
    row(f"cluster, a primary {how}: validations", "0 false", f"{book.wrong() or 0} of {len(book.entries)}")
    row("first true answer; one-time tokens", f"{NODE_TIMEOUT + 1.5} s; 0 twice", f"{seconds:.2f} s; {uses.twice()}")
    assert book.wrong() == {}
    assert uses.twice() == 0


def test_a_node_comes_and_goes(six: Six, site: Site, row: Row) -> None:
    six.settle()
    before, used = footprint(site), Used(site)
    first = six.nodes[0]
    told = (*PLAIN, "--cluster-node-timeout", "1000", "--cluster-allow-replica-migration", "no")
    seventh = six.start(*told, cluster=True)
    seventh.ready()
    bus = int(seventh.client.config_get("cluster-port")["cluster-port"])
    first.client.execute_command("CLUSTER", "MEET", "127.0.0.1", seventh.port, bus)
    wait_until(lambda: all(counts(node, 7) for node in six.nodes), what="the nodes to meet")
    with beside(used.until_over):
        try:
            homes = {slot: six.holder(slot) for slot in SLOTS[:6]}
            for slot, home in homes.items():
                move(slot, home, seventh, six.primaries)
            for slot, home in homes.items():
                move(slot, seventh, home, six.primaries)
            gone = Six.id_of(seventh)
            six.nodes.remove(seventh)
            for node in six.nodes:
                node.client.execute_command("CLUSTER", "FORGET", gone)
            seventh.close()
            wait_until(lambda: site.client.get("/readyz").status == 200, what="readiness")
        finally:
            used.stop()
    row("a node added, given six slots, emptied and removed", "all 200", dict(used.said))
    wait_until(lambda: footprint(site)[1] <= before[1] + 6, what="the connections to the node that went to be closed")
    after = footprint(site)
    row("memory, descriptors", "base line", f"{before[0]:.0f} MiB, {before[1]}; then {after[0]:.0f} MiB, {after[1]}")
    assert set(used.said) == {200}


def test_all_addresses_change(six: Six, site: Site, row: Row) -> None:
    """Of nodes, one after another, until none is left; and all over again."""
    six.settle()
    before, first, uses, used = footprint(site), {node.port for node in six.nodes}, Uses(site), Used(site)
    with beside(used.until_over):
        try:
            for _ in range(ADDRESSES):
                tokens = uses.issue(250)
                with beside(lambda asked=tokens: uses.spend(asked, pause_seconds=0.02)):
                    nodes_replaced(six)
                uses.spend(tokens)
                six.settle()
            wait_until(lambda: site.client.get("/readyz").status == 200, what="readiness")
        finally:
            used.stop()
    assert first.isdisjoint(node.port for node in six.nodes)
    wait_until(lambda: footprint(site)[1] <= before[1] + 6, what="the connections to nodes that went to be closed")
    row(f"all addresses changed, {ADDRESSES} times: validations", "0 false", dict(used.said))
    row(f"{len(uses.issued)} one-time tokens meanwhile", "0 twice", f"{uses.twice()} twice; {dict(uses.said)}")
    assert set(used.said) <= {200, 503}
    assert uses.twice() == 0
