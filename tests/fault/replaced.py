"""Every server of a group replaced by one at another address, one after another, while the group goes on."""

from tests.api.running import wait_until
from tests.server_groups import KEPT, NAME, Node, Six, Trio, role


def gone(group: Trio | Six, old: Node) -> None:
    """For good."""
    group.nodes.remove(old)
    old.close()


def sentinels_replaced(trio: Trio, processes: int) -> None:
    """Three more, and then the first three end one after another; the others are told to count anew.

    So many `processes` listen to the new ones before: what they were never told of nobody can find.
    """
    old, new = trio.sentinels, trio.three_sentinels(trio.primary)
    wait_until(lambda: all(knows(one, sentinels=5) for one in old + new), what="the sentinels to meet")
    wait_until(lambda: all(heard_by(one) == processes for one in new), what="the new ones to be heard")
    trio.sentinels = new
    for one in old:
        gone(trio, one)
    counted_anew(trio)


def servers_replaced(trio: Trio) -> None:
    """Two more replicas; the old one ends, one of the new ones takes over, and the old primary ends."""
    old, spare = trio.primary, trio.replica
    new = [trio.start(*KEPT) for _ in range(2)]
    for server in new:
        server.ready()
        server.client.replicaof("127.0.0.1", old.port)
        wait_until(lambda one=server: one.info("replication")["master_link_status"] == "up", what="a new replica")
    gone(trio, spare)
    trio.servers = [old, *new]
    counted_anew(trio)
    wait_until(lambda: all(knows(one, replicas=2) for one in trio.sentinels), what="the sentinels to know both")
    trio.fail_over()
    wait_until(lambda: trio.primary is not old, what="the sentinels to choose a new one")
    wait_until(lambda: role(old) == "slave", what="the old primary to follow")
    trio.servers = new
    gone(trio, old)
    counted_anew(trio)


def knows(sentinel: Node, **others: int) -> bool:
    """Whether it knows so many `sentinels` and `replicas`."""
    state = sentinel.client.sentinel_master(NAME)
    names = {"sentinels": "num-other-sentinels", "replicas": "num-slaves"}
    return all(state[names[kind]] == count for kind, count in others.items())


def heard_by(sentinel: Node) -> int:
    """How many processes of ours listen to it."""
    listed = sentinel.client.client_list()
    return sum((client["name"], client["sub"] > "0") == ("token-service", True) for client in listed)


def counted_anew(trio: Trio) -> None:
    """A sentinel never forgets another, or a replica, of its own accord."""
    for sentinel in trio.sentinels:
        sentinel.client.execute_command("SENTINEL", "RESET", NAME)


def nodes_replaced(six: Six) -> None:
    """Six more: one takes over from each primary, the others follow; and then the first six end one after another."""
    old, primaries, new = list(six.nodes), six.primaries, six.six_nodes()
    for node in new:
        node.ready()
        bus = int(node.client.config_get("cluster-port")["cluster-port"])
        primaries[0].client.execute_command("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
    wait_until(lambda: all(counts(node, 12) for node in six.nodes), what="the nodes to meet")
    for follower, primary in zip(new, primaries * 2, strict=True):
        follower.client.execute_command("CLUSTER", "REPLICATE", Six.id_of(primary))
    for heir in new[:3]:
        wait_until(lambda one=heir: one.info("replication")["master_link_status"] == "up", what="a replica to follow")
        heir.client.execute_command("CLUSTER", "FAILOVER")
        wait_until(lambda one=heir: role(one) == "master", what="a replica to take over")
    # Of these primaries: of one that they follow still, a node does not let itself be told to forget it.
    ports = {heir.port for heir in new[:3]}
    wait_until(
        lambda: all(node.info("replication").get("master_port") in ports for node in old + new[3:]),
        what="the others to follow the new ones",
    )
    for node in old:
        known = Six.id_of(node)
        gone(six, node)
        for other in six.nodes:
            other.client.execute_command("CLUSTER", "FORGET", known)
    six.settle()


def counts(node: Node, nodes: int) -> bool:
    """Whether it knows so many and holds the cluster for well."""
    facts = node.client.cluster("INFO")
    return bool((facts["cluster_known_nodes"], facts["cluster_state"]) == (str(nodes), "ok"))
