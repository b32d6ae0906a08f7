"""Failovers under load: by sentinels and in a cluster, nothing but 503 between the old primary and the new one."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

import pytest

from service.app import Service
from service.errors import StartRefused
from service.settings import Settings
from service.store.driver.keys import TAGS
from service.store.servers.cluster import SLOTS
from tests.api.running import Lifespan, comes_true, wait_until
from tests.api.wire import Answer, Client
from tests.conftest import PASSWORD
from tests.fault.book import Book, Entry
from tests.fault.grouped import TOKENS, Hurt, Site, answer_that, cut_off, killed, left, move, stopped
from tests.fault.replaced import nodes_replaced, sentinels_replaced, servers_replaced
from tests.server_groups import DOWN_AFTER, Node, Six, Trio, in_step

pytestmark = pytest.mark.slow
# A loaded machine is allowed this much more than what is promised; the figure itself is printed.
PATIENCE = 60.0
NODE_TIMEOUT = 1.0


@pytest.fixture(scope="module")
def by_sentinel(trio: Trio, settings: dict[str, str]) -> Iterator[Site]:
    with closing(Site(trio.ready().url, settings | {"TOKENS_DURABILITY": "replicated"})) as site:
        yield site


@pytest.fixture(scope="module")
def on_cluster(six: Six, settings: dict[str, str]) -> Iterator[Site]:
    # A move of slots must not be noticed, however long a busy machine keeps a node waiting.
    with closing(Site(six.ready().url, settings | {"TOKENS_REDIS_TIMEOUT_MS": "5000"})) as site:
        yield site


class Round(NamedTuple):
    """What one failover brought: until when 503 was said, and what was said of a revoked token and of one-time tokens.

    `left`: did every process leave the old primary?
    """

    seconds: float
    left: bool
    revoked: set[int]
    one_time: set[tuple[int, str]]


@pytest.mark.parametrize("hurt", [killed, stopped, cut_off, None], ids=["killed", "stopped", "cut_off", "ordered"])
def test_a_failover_by_sentinels_is_503_and_nothing_else(trio: Trio, by_sentinel: Site, hurt: Hurt | None) -> None:
    seen = _one_failover(trio, by_sentinel, hurt)
    print(f"\n{hurt.__name__ if hurt else 'ordered'}: well {seen.seconds:.2f} s after, of {DOWN_AFTER + 1.5} promised")
    assert seen._replace(seconds=0) == Round(0, True, {401}, {(401, "voided")})
    assert seen.seconds < DOWN_AFTER + 1.5 + PATIENCE


def _one_failover(trio: Trio, site: Site, hurt: Hurt | None) -> Round:
    """A round in which the sentinels failed over once.

    On a machine that keeps a server waiting for half a second they do it unasked, and may then choose a primary again
    that has not become a replica yet: its data is what it was, so a one-time token that it issued is good as before.
    """
    for _ in range(5):
        trio.settle()
        before = trio.failovers
        seen = _round(trio, site, hurt)
        if trio.failovers == before + 1:
            break
    return seen


def _round(trio: Trio, site: Site, hurt: Hurt | None) -> Round:
    old, book, revoked = trio.primary, site.book(), site.create()
    issued = [site.client.done("POST", "/api/one-time-tokens").json()["token"] for _ in range(3)]
    wait_until(lambda: in_step(old, trio.replica), what="the replica to have these tokens")
    with book.open():
        book.seconds_until_well(time.monotonic())
        began = time.monotonic()
        heal = hurt(old) if hurt else trio.fail_over()
        if not hurt:
            began = time.monotonic()
        wait_until(lambda: trio.primary is not old, what="the sentinels to choose another")
        seconds = book.seconds_until_well(began)
        # A server that was killed or stands still cannot say who asks it.
        all_left = hurt in (killed, stopped) or comes_true(lambda: left(old), seconds=PATIENCE)
        # The old primary comes back, holds itself for one, and has not heard of this revocation.
        site.revoke(revoked)
        if heal:
            heal()
        said = site.said_everywhere(revoked)
        trio.settle()
        book.seconds_until_well(time.monotonic())
    # However often they failed over.
    assert book.wrong() == {}
    return Round(seconds, all_left, said, site.spent(issued))


@pytest.mark.parametrize("hurt", [killed, stopped, None], ids=["killed", "stopped", "ordered"])
def test_a_failover_in_a_cluster_is_503_for_its_shards_and_nothing_else(
    six: Six, on_cluster: Site, hurt: Hurt | None
) -> None:
    six.settle()
    old = _fullest(six, on_cluster)
    new, book, revoked = six.replica_of(old), on_cluster.book(), on_cluster.create()
    with book.open():
        book.seconds_until_well(time.monotonic())
        began = time.monotonic()
        heal = hurt(old) if hurt else new.client.execute_command("CLUSTER", "FAILOVER") and None
        wait_until(lambda: new.info("replication")["role"] == "master", what="the replica to take over")
        seconds = book.seconds_until_well(began)
        on_cluster.revoke(revoked)
        if heal:
            heal()
        assert on_cluster.said_everywhere(revoked) == {401}
        six.settle()
        book.seconds_until_well(time.monotonic())
    during = [one for one in book.entries if began < one.at < began + seconds]
    print(f"\n{hurt.__name__ if hurt else 'ordered'}: well {seconds:.2f} s after")
    assert book.wrong() == {}
    assert seconds < NODE_TIMEOUT + 1.5 + PATIENCE
    if hurt:
        assert {one.said for one in during if one.true == 200} == {200, 503}


def _shard(token: dict[str, str]) -> int:
    return int(token["id"][:2], 16)


def _held(six: Six, node: Node) -> list[int]:
    return [shard for shard, slot in enumerate(SLOTS) if six.holder(slot) is node]


def _fullest(six: Six, site: Site) -> Node:
    """The primary with most of its tokens: slots that were moved may have left another one none."""
    shards = [_shard(token) for token in site.good]
    return max(six.primaries, key=lambda node: sum(map(shards.count, _held(six, node))))


def test_slots_that_move_one_after_another_are_not_noticed(six: Six, on_cluster: Site) -> None:
    """Each is asked for at its old node, by ASK, and at its new one, while its keys are under way."""
    six.settle()
    primaries, book = six.primaries, on_cluster.book()
    with book.open():
        book.seconds_until_well(time.monotonic())
        for slot in SLOTS[:4]:
            holder = six.holder(slot)
            move(slot, holder, next(node for node in primaries if node is not holder), primaries)
        book.seconds_until_well(time.monotonic())
    said = {(one.true, one.said) for one in book.entries}
    assert said == {(200, 200), (401, 401)}


def test_a_change_that_the_replica_has_not_confirmed_is_never_called_done(trio: Trio, by_sentinel: Site) -> None:
    """It is in force all the same: 202 with the reason, or 503 where a protocol knows no 202; and 200 once it is."""
    trio.settle()
    client, (first, second) = by_sentinel.client, [by_sentinel.create() for _ in range(2)]
    session = client.sign_in("admin", PASSWORD)
    asked: list[tuple[str, str, dict[str, Any], str]] = [
        ("DELETE", f"{TOKENS}?id={first['id']}", {"bearer": by_sentinel.admin}, "message"),
        ("PATCH", TOKENS, {"bearer": by_sentinel.admin, "json_body": {"id": second["id"], "isActive": False}}, "token"),
        ("POST", "/oauth2/revoke", {"form": {"token": first["token"]}}, "code"),
        ("DELETE", "/api/token", {"json_body": {"token": session}}, "pending"),
    ]
    replica = trio.replica
    replica.freeze()
    try:
        for method, path, how, member in asked:
            said = answer_that(
                lambda one: "no replica confirmed it within" in one.body.decode(), client, method, path, how
            )
            assert said.status == (503 if path == "/oauth2/revoke" else 202)
            assert member in said.json()
        for one in (first["token"], session):
            assert answer_that(known, client, "GET", "/validate", {"bearer": one}).status == 401
    finally:
        replica.thaw()
    trio.settle()
    for method, path, how, _ in asked:
        answer_that(lambda one: one.status == 200, client, method, path, how)


def test_what_one_set_up_exports_the_other_takes_in(trio: Trio, six: Six, by_sentinel: Site, on_cluster: Site) -> None:
    """Those that are good work there, those that are revoked do not; what was broken off may be sent again."""
    trio.settle()
    six.settle()
    told = {"headers": {"Content-Type": "application/x-ndjson"}}
    for source, target in ((by_sentinel, on_cluster), (on_cluster, by_sentinel)):
        lines = source.client.done("GET", f"{TOKENS}/export", bearer=source.admin).body
        body = b"".join(lines.splitlines(keepends=True)[:20])
        target.client.done("POST", f"{TOKENS}/import", bearer=target.admin, body=body, **told)
        taken = target.client.done("POST", f"{TOKENS}/import", bearer=target.admin, body=lines, **told).json()
        assert {row["code"] for row in taken["skipped"]} == {"exists"}
        for tokens, true in ((source.good, 200), (source.revoked, 401)):
            said = [answer_that(known, target.client, "GET", "/validate", {"bearer": one["token"]}) for one in tokens]
            assert {one.status for one in said} == {true}


def known(answer: Answer) -> bool:
    return answer.status != 503


@pytest.mark.parametrize("kind", ["trio", "six"])
def test_every_server_may_be_replaced_by_one_elsewhere(
    kind: str, request: pytest.FixtureRequest, by_sentinel: Site, on_cluster: Site
) -> None:
    """Not one address is left of those that the service was started with. No data has been lost before."""
    group: Trio | Six = request.getfixturevalue(kind)
    site = by_sentinel if isinstance(group, Trio) else on_cluster
    group.settle()
    book, first, before = site.book(), {node.port for node in group.nodes}, site.descriptors()
    with book.open():
        if isinstance(group, Trio):
            sentinels_replaced(group, Site.PROCESSES)
            servers_replaced(group)
        else:
            nodes_replaced(group)
        book.seconds_until_well(time.monotonic())
    wait_until(lambda: site.descriptors() <= before + 12, what="the connections to what is gone to be closed")
    assert first.isdisjoint(node.port for node in group.nodes)
    assert book.wrong() == {}


def test_a_lost_node_is_told_by_its_shards_and_the_others_go_on(six: Six, on_cluster: Site) -> None:
    six.settle()
    shard_of = {one["token"]: _shard(one) for one in on_cluster.good}
    lost = _fullest(six, on_cluster)
    replica, held = six.replica_of(lost), _held(six, lost)
    assert 0 < len(held) < len(TAGS)
    # What it begins with when it is back: the tests behind this one go on with their tokens.
    lost.client.save()
    replica.kill()
    lost.kill()

    def told() -> bool:
        ready = on_cluster.client.get("/readyz")
        redis = next((check for check in ready.json()["checks"] if check["name"] == "redis"), {})
        return ready.status == 200 and f"shards {', '.join(map(str, sorted(held)))}" in redis.get("detail", "")

    try:
        wait_until(told, what="readiness to name the shards")
        right = {token: 503 if shard in held else 200 for token, shard in shard_of.items()}
        assert set(right.values()) == {200, 503}

        def said() -> bool:
            found = {token: on_cluster.client.get("/validate", bearer=token).status for token in shard_of}
            # A node that goes on may be one that the service has yet to connect to; nobody is refused meanwhile.
            assert set(found.values()) <= {200, 503}
            return found == right

        wait_until(said, what="the tokens of the other nodes to be validated, and these alone")
        # A process that starts meanwhile is as good as those that are there. Of those in their URL no server may be left.
        with closing(Lifespan(on_cluster.running.environment | {"TOKENS_REDIS_URL": six.url})) as another:
            client = Client(another.port)
            wait_until(
                lambda: {client.get("/validate", bearer=token).status for token in shard_of} == {200, 503},
                what="a new process to validate the tokens of the other nodes",
            )
    finally:
        lost.restart()
        replica.restart()
        six.settle()


def test_the_book_sees_a_false_refusal_and_a_false_acceptance() -> None:
    """The faults planted on purpose."""
    book = Book(1, ["a"], ["b"])
    book.entries += [Entry(200, 200, 1.0), Entry(200, 401, 1.0), Entry(401, 200, 2.0), Entry(401, 503, 3.0)]
    assert book.wrong() == {(200, 401): 1, (401, 200): 1}


@pytest.fixture(scope="module")
def alone() -> Iterator[Node]:
    group = Trio()
    group.servers[0].ready()
    yield group.servers[0]
    group.close()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://127.0.0.1:{sentinel}", r"This is a sentinel: write redis\+sentinel://"),
        ("redis://127.0.0.1:{node}", r"a node of a cluster: write redis\+cluster://"),
        ("redis+sentinel://127.0.0.1:{alone}/x", "This is a Redis and no sentinel: write redis://"),
        ("redis+sentinel://127.0.0.1:{sentinel}/another", "no primary of this name"),
        ("redis+cluster://127.0.0.1:{alone}", "This is no node of a cluster: write redis://"),
    ],
)
async def test_another_kind_of_server_stops_the_start_with_what_to_write(
    trio: Trio, six: Six, alone: Node, make_settings: Callable[..., Settings], url: str, reason: str
) -> None:
    trio.ready()
    six.ready()
    ports: dict[str, Any] = {"sentinel": trio.sentinels[0].port, "node": six.primaries[0].port, "alone": alone.port}
    service = Service(make_settings(redis_url=url.format(**ports), redis_timeout_ms=10_000))
    with pytest.raises(StartRefused, match=reason):
        async with service.lifespan():
            pass
