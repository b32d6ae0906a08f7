"""What a node of a cluster did not execute is sent on: as MOVED and ASK say, once each, and never round for ever."""

from typing import Any

import pytest

from service.errors import StoreUnavailable
from service.store.driver.replies import Redirect, Waiting, translate
from service.store.servers.cluster import SLOTS, Cluster
from service.store.servers.opening import Opener
from service.store.servers.url import Address


class Node:
    """Takes down what it is given to ask, and may answer."""

    def __init__(self, connect: Any, *, redirected: Any) -> None:
        self.redirected = redirected
        self.asked: list[tuple[bytes, ...]] = []
        self.last: Waiting | None = None

    def resume(self, *waiting: Waiting) -> None:
        self.asked.append(tuple(one[0] for one in waiting))
        self.last = waiting[-1]

    def answers(self, reply: str) -> None:
        """The reply to what it was asked last: an error that sends on, or another."""
        assert self.last is not None
        error = translate(Exception(reply))
        if isinstance(error, Redirect):
            self.redirected(error, self.last)
        else:
            self.last[1](reply)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster([Address("seed", 1)], Opener({}, timeout_seconds=1), Node)  # type: ignore[arg-type]


def begin(cluster: Cluster, *, retry: bool = False) -> tuple[Node, list[Any]]:
    """The node that the first shard is at, asked for something, and where its answer goes."""
    node, answered = cluster.links[0].node, list[Any]()
    assert isinstance(node, Node)
    node.resume((b"INCR", answered.append, retry, 1.5))
    return node, answered


def at(cluster: Cluster, host: str, port: int) -> Node:
    found = cluster._nodes[Address(host, port)]
    assert isinstance(found, Node)
    return found


@pytest.mark.parametrize("retry", [True, False])
def test_what_moved_is_asked_at_its_new_node_and_so_is_all_that_follows(cluster: Cluster, *, retry: bool) -> None:
    node, answered = begin(cluster, retry=retry)
    node.answers(f"MOVED {SLOTS[0]} 10.0.0.2:7001")
    new = at(cluster, "10.0.0.2", 7001)
    assert cluster.links[0].node is new
    assert cluster.links[1].node is node
    assert new.asked == [(b"INCR",)]
    assert new.last is not None
    # As old as it was, and no more often on a lost connection.
    assert new.last[2:] == (retry, 1.5)
    new.answers("done")
    assert answered == ["done"]


def test_an_ask_is_for_this_once_with_asking_right_before_it(cluster: Cluster) -> None:
    node, answered = begin(cluster)
    node.answers(f"ASK {SLOTS[0]} 10.0.0.2:7001")
    new = at(cluster, "10.0.0.2", 7001)
    assert new.asked == [(b"*1\r\n$6\r\nASKING\r\n", b"INCR")]
    assert cluster.links[0].node is node
    new.answers("done")
    assert answered == ["done"]


def test_nodes_that_name_each_other_are_not_asked_for_ever(cluster: Cluster) -> None:
    node, answered = begin(cluster)
    node.answers(f"MOVED {SLOTS[0]} a:1")
    for _ in range(5):
        if not answered:
            at(cluster, "a", 1).answers(f"MOVED {SLOTS[0]} b:1")
        if not answered:
            at(cluster, "b", 1).answers(f"MOVED {SLOTS[0]} a:1")
    assert [type(reply) for reply in answered] == [StoreUnavailable]


@pytest.mark.parametrize(("place", "found"), [(":7001", ("seed", 7001)), ("::1:7001", ("::1", 7001))])
def test_a_host_may_be_left_out_and_may_hold_colons(cluster: Cluster, place: str, found: tuple[str, int]) -> None:
    node, _ = begin(cluster)
    node.answers(f"MOVED {SLOTS[0]} {place}")
    assert at(cluster, *found).asked == [(b"INCR",)]


@pytest.mark.parametrize(
    "reply", ["TRYAGAIN Multiple keys request during rehashing of slot", "CLUSTERDOWN The cluster is down"]
)
def test_what_nobody_can_answer_now_is_unavailable(reply: str) -> None:
    assert type(translate(Exception(reply))) is StoreUnavailable


def test_a_cluster_that_answers_nothing_says_why_to_an_operator() -> None:
    meaning = translate(Exception("CLUSTERDOWN Hash slot not served"))
    assert isinstance(meaning, StoreUnavailable)
    assert meaning.cause.startswith("Redis cannot be used: its cluster is down (CLUSTERDOWN Hash slot not served)")
    assert "cluster-require-full-coverage no" in meaning.cause
