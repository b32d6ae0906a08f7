"""Twenty failovers by sentinels, a third of them with writes that no replica has, while tokens are used and ended."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

import pytest

from tests.api.running import wait_until
from tests.chaos.conftest import Row
from tests.chaos.tally import Ends, Uses, footprint
from tests.fault.book import Book
from tests.fault.grouped import Site, killed, stopped
from tests.fault.replaced import sentinels_replaced, servers_replaced
from tests.server_groups import DOWN_AFTER, Node, Trio
from tests.threads import beside

FAILOVERS, USES, ENDS, ADDRESSES = 20, 250, 15, 3
# So many uses are asked for before the fault, and the rest through it.
UNDER_WAY = 100


def without_its_replica(primary: Node) -> None:
    """What it is told from now on the replica does not hear, while whoever is connected goes on writing."""
    primary.client.config_set("requirepass", "unknown to the replica")
    primary.client.client_kill_filter(_type="replica")


@pytest.fixture(scope="module")
def replicated(trio: Trio, settings: dict[str, str]) -> Iterator[Site]:
    with closing(Site(trio.ready().url, settings | {"TOKENS_DURABILITY": "replicated"})) as site:
        yield site


@pytest.fixture(scope="module")
def in_memory(trio: Trio, settings: dict[str, str]) -> Iterator[Site]:
    with closing(Site(trio.ready().url, settings | {"TOKENS_NAMESPACE": "inmemory"})) as site:
        yield site


def test_each_harness_sees_the_fault_that_is_planted(trio: Trio, settings: dict[str, str], row: Row) -> None:
    """Without a fence, and with processes that were started anew and so remember nothing, writes that were lost show."""
    site = Site(trio.ready().url, settings | {"TOKENS_NAMESPACE": "planted", "TOKENS_ONE_TIME_FENCE": "off"})
    try:
        uses, ends = Uses(site), Ends(site, [site.create() for _ in range(ENDS)])
        tokens = uses.issue(20)
        trio.settle()
        old = trio.primary
        without_its_replica(old)
        uses.spend(tokens)
        ends.end(ENDS)
        site.running.kill()
        heal = killed(old)
        wait_until(lambda: trio.primary is not old, what="another primary")
        site.running.restart()
        wait_until(lambda: site.client.get("/readyz").status == 200, what="readiness")
        uses.spend(tokens)
        ends.accepted_now()
        heal()
    finally:
        site.close()
    row("planted: no fence, writes lost with the primary", "some spent twice", f"{uses.twice()} of {len(tokens)}")
    row("planted: nothing is ended once more", "some come back", f"{len(ends.came_back)} of {len(ends.confirmed)}")
    assert uses.twice() > 0
    assert ends.came_back


class Failovers:
    """One after another, each under load."""

    def __init__(self, trio: Trio, book: Book, uses: Uses, ends: list[Ends]) -> None:
        self._trio, self._book, self._uses, self._ends = trio, book, uses, ends
        self.seconds: list[float] = []

    def one(self, number: int) -> None:
        """Every third loses half a second of writes, every third leaves the old primary standing still."""
        self._trio.settle()
        tokens, old = self._uses.issue(USES), self._trio.primary
        loses = number % 3 == 0
        if loses:
            without_its_replica(old)
        work: list[Callable[[], None]] = [partial(self._uses.spend, tokens, pause_seconds=0.004)]
        work += [partial(one.end, ENDS, pause_seconds=0.03) for one in self._ends]
        over = threading.Event()
        with beside(*work, *[partial(one.watch, over) for one in self._ends], over=over):
            asked = self._uses.said.total()
            wait_until(lambda: self._uses.said.total() >= asked + UNDER_WAY, what="the load to be under way")
            began = time.monotonic()
            heal = killed(old) if loses else stopped(old) if number % 3 == 1 else self._order()
            wait_until(lambda: self._trio.primary is not old, what="the sentinels to choose another")
            self.seconds.append(self._book.seconds_until_well(began))
        self._uses.spend(tokens)
        for one in self._ends:
            one.accepted_now()
        heal()
        self._trio.settle()
        self._book.seconds_until_well(time.monotonic())

    def _order(self) -> Callable[[], None]:
        self._trio.fail_over()
        return lambda: None


def test_twenty_failovers(trio: Trio, replicated: Site, in_memory: Site, row: Row) -> None:
    uses = Uses(replicated)
    sites = {"replicated": replicated, "memory": in_memory}
    ends = {name: Ends(site, [site.create() for _ in range(FAILOVERS * ENDS)]) for name, site in sites.items()}
    book = replicated.book()
    failovers = Failovers(trio, book, uses, list(ends.values()))
    with book.open():
        failovers.one(0)
        failovers.one(1)
        before = footprint(replicated)
        for number in range(2, FAILOVERS):
            failovers.one(number)
    at_the_end = {name: one.accepted_now() for name, one in ends.items()}
    after, seconds = footprint(replicated), sorted(failovers.seconds)
    row(f"{FAILOVERS} failovers by sentinels: validations", "0 false", f"{book.wrong() or 0} of {len(book.entries)}")
    row("first true answer after the fault", f"{DOWN_AFTER + 1.5} s", f"{seconds[10]:.2f} s, at most {seconds[-1]:.2f}")
    row(f"{len(uses.issued)} one-time tokens", "0 spent twice", f"{uses.twice()}; once {sum(uses.accepted.values())}")
    for name, one in ends.items():
        said = f"{len(one.confirmed)} done, {one.said[202]} pending, {one.said[503]} without answer"
        must = "0 accepted again" if name == "replicated" else "the number"
        row(f"revocations, {name}: {said}", must, f"{len(one.came_back)}, at the end {at_the_end[name]}")
    row("memory, descriptors", "base line", f"{before[0]:.0f} MiB, {before[1]}; then {after[0]:.0f} MiB, {after[1]}")
    assert book.wrong() == {}
    assert uses.twice() == 0
    assert ends["replicated"].came_back == set()
    assert at_the_end == {"replicated": 0, "memory": 0}
    assert after[0] < before[0] * 1.15 + 10
    assert after[1] <= before[1] + 12


@pytest.mark.usefixtures("in_memory")
def test_all_addresses_change(trio: Trio, replicated: Site, row: Row) -> None:
    """Of sentinels and servers, one after another, until none is left; and all over again. Two services use them."""
    trio.settle()
    first, book, uses = {node.port for node in trio.nodes}, replicated.book(), Uses(replicated)
    before = footprint(replicated)
    with book.open():
        for _ in range(ADDRESSES):
            tokens = uses.issue(USES)
            with beside(partial(uses.spend, tokens, pause_seconds=0.02)):
                sentinels_replaced(trio, 2 * Site.PROCESSES)
                servers_replaced(trio)
            uses.spend(tokens)
            trio.settle()
            book.seconds_until_well(time.monotonic())
    assert first.isdisjoint(node.port for node in trio.nodes)
    wait_until(lambda: footprint(replicated)[1] <= before[1] + 12, what="connections to what went to be closed")
    row(
        f"all addresses changed, {ADDRESSES} times: validations",
        "0 false",
        f"{book.wrong() or 0} of {len(book.entries)}",
    )
    row(f"{len(uses.issued)} one-time tokens meanwhile", "0 spent twice", f"{uses.twice()}; {dict(uses.said)}")
    assert book.wrong() == {}
    assert uses.twice() == 0
