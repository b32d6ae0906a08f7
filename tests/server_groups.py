"""Several servers that belong together: a primary with its replica and three sentinels, and a cluster of six.

They are started without waiting, for a group needs two seconds of its own and hardly any CPU; `ready` waits.
"""

import shutil
import tempfile
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, Self

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from service.embedded.prerequisites import find_server
from tests.api.redis_child import ServerProcess
from tests.api.running import wait_until
from tests.ports import held_port

NAME = "tokens-primary"
DOWN_AFTER = 0.5
REPLICATED = ("--save", "", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
PLAIN = ("--appendonly", "no", *REPLICATED)
# An old primary that was killed comes back with what it had, and until it is told otherwise answers from it.
KEPT = ("--appendonly", "yes", *REPLICATED)


class Node(ServerProcess):
    """One server on a port of its own, which may be started again."""

    def __init__(self, folder: Path, *options: str, sentinel: str = "", cluster: bool = False) -> None:
        self.folder = folder
        self._options = options
        self._sentinel = sentinel
        self._cluster = cluster
        folder.mkdir()
        self._begin()

    def _begin(self, port: int = 0) -> None:
        self.port = port or held_port()
        command = [find_server().path]
        if self._sentinel:
            configuration = self.folder / "sentinel.conf"
            if not port:
                configuration.write_text(self._sentinel)
            command += [str(configuration), "--sentinel"]
        command += ["--port", str(self.port), "--dir", str(self.folder), "--bind", "127.0.0.1", *self._options]
        if self._cluster:
            command += ["--cluster-enabled", "yes", "--cluster-port", str(held_port())]
        self.launch(command)
        self.client = Redis(host="127.0.0.1", port=self.port, socket_timeout=60, decode_responses=True)

    def info(self, section: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.info(section)
        return found

    def restart(self) -> None:
        """Start it again where it was, as what it was told in the beginning."""
        self._begin(self.port)
        self.ready()


class Group:
    """Servers in one folder that end together."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tk"))
        self.nodes: list[Node] = []
        self._numbers = count()

    def start(self, *options: str, **how: Any) -> Node:
        node = Node(self.folder / str(next(self._numbers)), *options, **how)
        self.nodes.append(node)
        return node

    def close(self) -> None:
        for node in self.nodes:
            node.close()
        shutil.rmtree(self.folder)


class Trio(Group):
    """A primary, its replica, and three sentinels that fail over half a second after they lost the primary."""

    def __init__(self) -> None:
        super().__init__()
        self.servers = [self.start(*KEPT) for _ in range(2)]
        self.sentinels: list[Node] = []
        self._settled = False

    def ready(self) -> Self:
        """Wait until each sentinel knows the others and the replica, and the replica has everything."""
        if self._settled:
            return self
        for server in self.servers:
            server.ready()
        first, second = self.servers
        second.client.replicaof("127.0.0.1", first.port)
        self.sentinels = self.three_sentinels(first)
        self._settled = True
        self.settle()
        return self

    def three_sentinels(self, primary: Node) -> list[Node]:
        """New ones that watch over it."""
        watch = (
            f"sentinel monitor {NAME} 127.0.0.1 {primary.port} 2\n"
            f"sentinel down-after-milliseconds {NAME} {int(DOWN_AFTER * 1000)}\n"
            f"sentinel failover-timeout {NAME} 2000\n"
        )
        new = [self.start(sentinel=watch) for _ in range(3)]
        for sentinel in new:
            sentinel.ready()
            # How soon it notices that a server has come back; it would take ten seconds.
            sentinel.client.execute_command("SENTINEL", "DEBUG", "INFO-PERIOD", 500, "PUBLISH-PERIOD", 500)
        return new

    def settle(self) -> None:
        """Wait until a failover can succeed: all sentinels agree, and the replica follows the primary closely."""
        wait_until(self._agreed, what="the sentinels to agree and the replica to follow")

    def _agreed(self) -> bool:
        try:
            primary = self.primary
            states = [sentinel.client.sentinel_master(NAME) for sentinel in self.sentinels]
            knows = all(
                (state["port"], state["num-other-sentinels"], state["num-slaves"], state["flags"])
                == (primary.port, 2, 1, "master")
                for state in states
            )
            return knows and in_step(primary, self.replica)
        except (RedisError, StopIteration):
            return False

    @property
    def primary(self) -> Node:
        """Whom the first sentinel that answers holds for the primary."""
        port = int(self.sentinels[0].client.sentinel_get_master_addr_by_name(NAME)[1])
        return next(server for server in self.servers if server.port == port)

    @property
    def failovers(self) -> int:
        """How many there have been, as far as any sentinel knows."""
        return max(int(sentinel.client.sentinel_master(NAME)["config-epoch"]) for sentinel in self.sentinels)

    @property
    def replica(self) -> Node:
        primary = self.primary
        return next(server for server in self.servers if server is not primary)

    @property
    def url(self) -> str:
        return f"redis+sentinel://{addresses(self.sentinels)}/{NAME}"

    def fail_over(self) -> None:
        """Order one; a sentinel refuses while what it last heard of the replica is too old."""
        wait_until(self._is_ordered, what="a sentinel to take the order")

    def _is_ordered(self) -> bool:
        try:
            self.sentinels[0].client.execute_command("SENTINEL", "FAILOVER", NAME)
        except ResponseError:
            return False
        return True


class Six(Group):
    """A cluster of three primaries and three replicas, with a node time-out of a second."""

    SLOTS = ((0, 5460), (5461, 10922), (10923, 16383))

    def __init__(self, *options: str) -> None:
        super().__init__()
        self._told = (*PLAIN, "--cluster-node-timeout", "1000", "--cluster-replica-validity-factor", "0", *options)
        self.six_nodes()
        self._settled = False

    def six_nodes(self) -> list[Node]:
        """New ones that know nobody yet."""
        return [self.start(*self._told, cluster=True) for _ in range(6)]

    def ready(self) -> Self:
        """Join the nodes and wait until the cluster takes writes and each replica has everything."""
        if self._settled:
            return self
        for node in self.nodes:
            node.ready()
        first = self.nodes[0]
        for number, (node, slots) in enumerate(zip(self.nodes, self.SLOTS, strict=False), 1):
            node.client.execute_command("CLUSTER", "ADDSLOTSRANGE", *slots)
            node.client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number)
        for node in self.nodes[1:]:
            bus = int(node.client.config_get("cluster-port")["cluster-port"])
            first.client.execute_command("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        wait_until(self._met, what="the nodes to meet")
        for primary, replica in zip(self.nodes[:3], self.nodes[3:], strict=True):
            replica.client.execute_command("CLUSTER", "REPLICATE", self.id_of(primary))
        self._settled = True
        self.settle()
        return self

    def _met(self) -> bool:
        return all(node.client.cluster("INFO")["cluster_known_nodes"] == "6" for node in self.nodes)

    @staticmethod
    def id_of(node: Node) -> str:
        found: str = node.client.execute_command("CLUSTER", "MYID")
        return found

    def settle(self) -> None:
        """Wait until every node holds the cluster for well, and every primary has a replica in step."""
        wait_until(self._well, what="the cluster to be well")

    def _well(self) -> bool:
        try:
            if any(node.client.cluster("INFO")["cluster_state"] != "ok" for node in self.nodes):
                return False
            return len(self.primaries) == 3 and all(in_step(node, self.replica_of(node)) for node in self.primaries)
        except (RedisError, StopIteration):
            return False

    @property
    def primaries(self) -> list[Node]:
        """Those that say they are, of all that answer."""
        return [node for node in self.nodes if node.process.poll() is None and role(node) == "master"]

    def replica_of(self, primary: Node) -> Node:
        return next(
            node
            for node in self.nodes
            if node is not primary and role(node) == "slave" and node.info("replication")["master_port"] == primary.port
        )

    def holder(self, slot: int) -> Node:
        """The primary that a slot belongs to, be there keys in it or not."""
        ranges = self.primaries[0].client.execute_command("CLUSTER", "SLOTS")
        port = next(int(primary[1]) for first, last, primary, *_ in ranges if int(first) <= slot <= int(last))
        return next(node for node in self.nodes if node.port == port)

    @property
    def url(self) -> str:
        return f"redis+cluster://{addresses(self.nodes)}"


def role(node: Node) -> str:
    found: str = node.info("replication")["role"]
    return found


def in_step(primary: Node, replica: Node) -> bool:
    """Whether the replica has all that the primary has, and the primary knows it."""
    there, here = primary.info("replication"), replica.info("replication")
    states = [there[name] for name in there if name.startswith("slave") and name[5:].isdigit()]
    return (
        here["role"] == "slave"
        and here["master_link_status"] == "up"
        and [state["state"] for state in states] == ["online"]
        and here["slave_repl_offset"] == there["master_repl_offset"]
    )


def addresses(nodes: Sequence[Node]) -> str:
    return ",".join(f"127.0.0.1:{node.port}" for node in nodes)
