"""What takes away: confirmed as the settings ask, by one wait for all of a turn, and sent again to another primary."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from service.errors import StoreUnavailable
from service.store.driver.confirmation import Confirmation, Doubts
from service.store.driver.removals import Removals
from service.store.driver.replies import Redirect
from service.store.driver.scripts import Script
from service.store.driver.shards import Shards
from tests.builders import until

WAIT, WAITAOF = ("WAIT", 1, 150), ("WAITAOF", 1, 0, 150)


class Server:
    """A link that remembers what it was asked and answers as it is told; a wait, when it is let go."""

    def __init__(self, **says: Any) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.says = {"DEL": 1, "EVAL": 1, "EXISTS": 0, "WAIT": 1, "WAITAOF": [1, 0]} | says
        self.replication_id = b"first"
        self.beside = self
        self.held: list[asyncio.Future[None]] = []
        self.holds = False

    def execute(self, *args: Any, **_how: Any) -> asyncio.Future[Any]:
        self.asked.append(args if args[0] != "EVAL" else ("EVAL", *args[3:]))
        return asyncio.ensure_future(self._answer(args[0]))

    async def _answer(self, command: str) -> Any:
        if command.startswith("WAIT") and self.holds:
            self.held.append(asyncio.get_running_loop().create_future())
            await self.held[-1]
        said = self.says[command]
        if isinstance(said, Iterator):
            said = next(said)
        if isinstance(said, Exception):
            raise said
        return said

    def names(self) -> list[str]:
        return [args[0] for args in self.asked]


def removals(server: Server, durability: str) -> Removals:
    return Removals(server, b"mark", Confirmation.of(durability, 250), remembered=3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("durability", "says", "asked", "reason"),
    [
        ("memory", {}, [], None),
        ("replicated", {}, [WAIT], None),
        ("replicated", {"WAIT": 0}, [WAIT], "no replica confirmed it within 150 ms"),
        ("replicated", {"WAIT": StoreUnavailable("")}, [WAIT], "no replica confirmed it within 150 ms"),
        ("replicated", {"EVAL": StoreUnavailable("")}, [WAIT], "Redis was lost before it confirmed it"),
        ("fsync", {}, [WAITAOF], None),
        ("fsync", {"WAITAOF": [0, 1]}, [WAITAOF], "Redis did not confirm within 150 ms that it is on its disk"),
        ("both", {}, [(*WAIT[:2], 75), (*WAITAOF[:3], 75)], None),
        ("both", {"WAIT": 0}, [(*WAIT[:2], 75), (*WAITAOF[:3], 75)], "no replica confirmed it within 75 ms"),
    ],
)
async def test_a_removal_is_followed_by_its_confirmation(
    durability: str, says: dict[str, Any], asked: list[tuple[Any, ...]], reason: str | None
) -> None:
    server = Server(**says)
    with Doubts() as found:
        assert await removals(server, durability).execute("DEL", "key") == 1
    assert server.asked == [("DEL", "key"), *([("EVAL", b"mark", 1000)] if asked else []), *asked]
    assert found == ([reason] if reason else [])


async def test_what_comes_while_a_wait_holds_the_connection_goes_together_behind_it() -> None:
    server = Server()
    server.holds = True
    sent = removals(server, "replicated")
    first = [asyncio.ensure_future(sent.execute("DEL", f"a{number}")) for number in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = [asyncio.ensure_future(sent.execute("DEL", f"b{number}")) for number in range(20)]
    await until(lambda: server.held)
    assert server.names() == ["DEL"] * 3 + ["EVAL", "WAIT"]
    server.holds = False
    server.held[0].set_result(None)
    assert await asyncio.gather(*first, *others) == [1] * 23
    assert server.names() == ["DEL"] * 3 + ["EVAL", "WAIT"] + ["DEL"] * 20 + ["EVAL", "WAIT"]


async def test_a_removal_is_never_confirmed_by_a_node_that_did_not_execute_it() -> None:
    """A slot that moved is found by the link that follows it; where it is still on its way, nothing is confirmed."""
    old, new, follows = Server(DEL=Redirect("MOVED 1 host:1")), Server(), Server()
    follows.beside = old

    def learn(*args: Any, **how: Any) -> Any:
        follows.beside = new
        return Server.execute(follows, *args, **how)

    follows.execute = learn  # type: ignore[method-assign]
    with Doubts() as found:
        assert await removals(follows, "replicated").execute("DEL", "key") == 1
    assert (found, new.asked[0], follows.names()) == ([], ("DEL", "key"), ["EXISTS"])
    on_its_way, follows = Server(DEL=Redirect("ASK 1 host:1")), Server()
    follows.beside = on_its_way
    with Doubts() as found:
        assert await removals(follows, "replicated").execute("DEL", "key") == 1
    assert (found, follows.names()) == (["its hash slot is on its way to another node"], ["EXISTS", "EXISTS", "DEL"])


async def test_another_primary_is_sent_what_was_ended_in_the_last_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    now = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now)
    server = Server(EVALSHA=1)
    sent = removals(server, "memory")
    assert await sent.send_again() == 0
    await sent.execute("DEL", "too old")
    now += 300
    server.says["DEL"] = 0
    await sent.execute("DEL", "never was")
    server.says["DEL"] = 1
    await sent.execute("DEL", "key")
    await Script("end_session").run(sent, (b"a",), "entry")
    assert await sent.send_again() == 0
    now += 301
    server.replication_id, before = b"second", len(server.asked)
    server.says["EVAL"] = StoreUnavailable("")
    with pytest.raises(StoreUnavailable):
        await sent.send_again()
    server.says["EVAL"] = 1
    assert await sent.send_again() == 2
    assert await sent.send_again() == 0
    assert server.asked[before:] == [("DEL", "key"), ("EVAL", b"a", "entry")] * 2
    for number in range(9):
        await sent.execute("DEL", f"{number}")
    server.replication_id = b"third"
    assert await sent.send_again() == 3  # no more are remembered


async def test_a_doubt_that_nobody_gathers_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    await removals(Server(WAIT=0), "replicated").execute("DEL", "key")
    assert caplog.messages == ["what was ended is not confirmed yet: no replica confirmed it within 150 ms"]


async def sent_again(server: Server, sent: Removals) -> list[tuple[Any, ...]]:
    """What another primary is told."""
    server.replication_id, server.asked = b"second", []
    await sent.send_again()
    return server.asked


async def test_what_many_shards_are_sent_again_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    shards = Shards("t", [server] * 16)  # type: ignore[list-item]
    for _ in range(2):
        await shards.send_removals_again()
    for shard in shards:
        await shard.removals.execute("DEL", shard.keys.mark)
    assert caplog.messages == []
    server.replication_id, server.asked = b"second", []
    for _ in range(2):
        await shards.send_removals_again()
    assert server.names() == ["DEL"] * 16
    assert caplog.messages == ["another primary: what was ended in the last ten minutes was sent to it once more"]


async def test_questions_push_no_removal_out_of_what_is_sent_again() -> None:
    server = Server(EXISTS=1)
    sent = removals(server, "fsync")
    await sent.send_again()
    await sent.execute("DEL", "key")
    for _ in range(3):
        await sent.confirm()
    assert await sent_again(server, sent) == [("DEL", "key")]


def fault(*, was_sent: bool) -> StoreUnavailable:
    made = StoreUnavailable("")
    made.was_sent = was_sent
    return made


@pytest.mark.parametrize("durability", ["memory", "replicated"])
@pytest.mark.parametrize(
    ("replies", "answer", "again"),
    [
        # Done by the first try, or by neither.
        ([fault(was_sent=True), 0], 0, [("DEL", "key")]),
        ([fault(was_sent=True), fault(was_sent=False)], None, [("DEL", "key")]),
        # Whoever has what never was confirmed as gone pushes nothing out.
        ([0], 0, []),
        ([fault(was_sent=False)], None, []),
    ],
)
async def test_what_may_be_done_by_a_try_whose_reply_was_lost_is_sent_again(
    durability: str, replies: list[Any], answer: int | None, again: list[tuple[Any, ...]]
) -> None:
    server = Server(DEL=iter(replies))
    sent = removals(server, durability)
    await sent.send_again()
    try:
        assert await sent.execute("DEL", "key", retry=True) == answer
    except StoreUnavailable:
        assert answer is None
    server.says["DEL"] = 1
    assert await sent_again(server, sent) == again


async def test_what_must_not_be_done_twice_is_asked_once() -> None:
    server = Server(FCALL=fault(was_sent=True))
    sent = removals(server, "memory")
    await sent.send_again()
    with pytest.raises(StoreUnavailable):
        await sent.execute("FCALL", "update")
    assert server.names() == ["FCALL"]
    assert await sent_again(server, sent) == []
