"""Secrets stay in memory no longer than a second, or until the answer."""

import asyncio
import gc
import re
import socket
import sys
from unittest.mock import Mock
from weakref import WeakSet

import pytest

from service.app import Service
from service.edge.deadlines import Deadlines
from service.edge.fast_cycle import FastCycle
from service.edge.fast_path import _let_go
from service.edge.known_heads import NOTHING_SAID, Head, KnownHeads
from service.edge.ordinary import OrdinaryCycle
from service.edge.protocol import EdgeProtocol
from service.edge.validation import ValidationCycle
from tests.builders import ADDRESS, create, sign_in
from tests.conftest import PASSWORD
from tests.edge.asking import PATIENCE_SECONDS
from tests.edge.test_known_heads import head_of


def watched(held: int = 0, **how: float | None) -> Mock:
    """A connection as `Deadlines` sees it, of which so many bytes are still here."""
    one = Mock(pipeline=(), unread_bytes=0, unread_since=0, idle_since=None, head_since=None, body_since=None)
    one.configure_mock(**how)
    one.transport.get_write_buffer_size.return_value = held
    one.transport.is_closing.return_value = False
    return one


async def test_secrets_are_let_go_each_second_and_behind_the_last_connection() -> None:
    told: list[float] = []
    clock = iter(range(10))
    deadlines = Deadlines(lambda: next(clock), on_second=lambda: told.append(deadlines.now))
    connections = {watched(idle_since=0)}
    deadlines.watch(connections, 60)
    for _ in range(7):
        deadlines._tick()
    assert told == [4, 8]
    connections.clear()
    deadlines._tick()
    assert told == [4, 8, 9]


@pytest.mark.parametrize("since", ["idle_since", "head_since", "body_since"])
async def test_what_came_while_the_process_stood_still_is_read_before_its_connection_is_given_up(since: str) -> None:
    clock = iter([0, 1, 100, 100.25])
    deadlines = Deadlines(lambda: next(clock))
    waiting = watched(unread_since=100, **{since: 1})
    deadlines.watch({waiting}, 60)
    deadlines._tick()
    assert not (waiting.transport.close.called or waiting.refuse.called)
    deadlines._tick()
    assert waiting.transport.close.called or waiting.refuse.called


async def test_a_client_that_comes_after_a_pause_has_all_the_time_to_read_that_any_other_has() -> None:
    """The clock stands while nobody is connected, and what TLS has to say first still waits to be sent then."""
    clock = iter([0, 100, 100.25, 111])
    deadlines = Deadlines(lambda: next(clock))
    come = watched(510, unread_since=deadlines.now)
    with socket.socket() as connected:
        come.transport.get_extra_info.return_value = connected
        deadlines.watch({come}, 60)
        deadlines._tick()
        assert not come.transport.abort.called
        deadlines._tick()
        assert come.transport.abort.called


async def test_what_tls_has_left_of_a_connection_that_ended_keeps_no_other_from_being_checked() -> None:
    clock = iter([0, 100, 101])
    deadlines = Deadlines(lambda: next(clock))
    ended, late = [watched(held, unread_since=100, idle_since=0) for held in (510, 0)]
    ended.transport.get_extra_info.return_value = None
    # In this order.
    deadlines.watch({ended: 1, late: 2}.keys(), 60)
    deadlines._tick()
    assert late.transport.close.called


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel does not tell what it holds")
async def test_a_closed_connection_by_tls_is_ended_soon_after_its_client_has_all_of_it() -> None:
    """What the transport below TLS still holds would be lost, and it holds some only while the kernel does."""
    now = iter(range(1000, 1100))
    deadlines = Deadlines(lambda: float(next(now)))
    closed = watched()
    closed.transport.is_closing.return_value = True
    ours, its = socket.socketpair()
    with ours, its:
        closed.transport.get_extra_info.return_value = ours
        ours.sendall(bytes(4000))
        deadlines.watch({closed}, 60)
        for _ in range(5):
            its.recv(100)
            deadlines._tick()
        assert not closed.transport.abort.called
        its.recv(4000)
        for _ in range(3):
            deadlines._tick()
        assert closed.transport.abort.called


async def test_beyond_what_may_be_held_for_slow_clients_whoever_takes_least_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.edge.deadlines.HELD_BYTES", 2000)
    monkeypatch.setattr("service.edge.deadlines._CHECKED_AT_ONCE", 2)
    monkeypatch.setattr("service.edge.deadlines._untaken", lambda transport: transport.get_write_buffer_size())
    now = iter(range(9))
    deadlines, connections = Deadlines(lambda: next(now) / 4), set[Mock]()

    def reading(held: int) -> Mock:
        one = watched(held)
        one.transport.abort.side_effect = lambda: connections.discard(one)
        connections.add(one)
        return one

    async def turns() -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    async def swept(**held: int) -> list[str]:
        """Who is left once these have so much left to take."""
        for name, size in held.items():
            every[name].transport.get_write_buffer_size.return_value = size
        deadlines._tick()
        await turns()
        return [name for name, one in every.items() if one in connections]

    every = {name: reading(1000) for name in ("drips", "reads", "idles")}
    every["idles"].transport.get_write_buffer_size.return_value = 0
    deadlines.watch(connections, 60)
    await turns()
    assert await swept() == ["drips", "reads", "idles"]
    # As much as may be.
    assert await swept(drips=999, reads=900) == ["drips", "reads", "idles"]
    # Who has begun since the sweep before has had no time to take any.
    every["new"] = reading(1100)
    assert await swept(drips=998, reads=800) == ["reads", "idles", "new"]
    # Nor has who took one answer and is at the next.
    assert await swept(reads=2000, new=1000) == ["reads", "idles"]


async def test_many_connections_are_checked_in_steps_between_which_others_have_a_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.edge.deadlines._CHECKED_AT_ONCE", 2)
    clock = iter([0, 100, 101])
    deadlines, connections = Deadlines(lambda: next(clock)), set[Mock]()
    for _ in range(7):
        connections.add(watched(unread_since=100, idle_since=0))
    every = list(connections)
    deadlines.watch(connections, 60)
    deadlines._tick()
    closed = []
    for gone in (0, 1, 0, 0):
        closed.append(sum(each.transport.close.called for each in every))
        # One that goes meanwhile is checked no more.
        connections -= set([each for each in connections if not each.transport.close.called][:gone])
        await asyncio.sleep(0)
    assert closed == [2, 4, 5, 6]


async def test_many_heads_are_let_go_in_steps_between_which_others_have_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.edge.fast_path._LET_GO_AT_ONCE", 2)

    class Asked:
        pass

    heads, alive = KnownHeads(), WeakSet[Asked]()
    for number in range(5):
        packet = b"GET /validate HTTP/1.1\r\nHost: a\r\nX-A: %d\r\n\r\n" % number
        head = head_of()
        head.asked = Asked()
        alive.add(head.asked)
        heads.keep(heads.find(packet, NOTHING_SAID, {})[0], head)
    del head
    _let_go(heads.forget())
    assert heads.find(packet, NOTHING_SAID, {})[1] is None
    counts = [len(alive)]
    while counts[-1]:
        await asyncio.sleep(0)
        counts.append(len(alive))
    assert counts == [3, 1, 0]


def held() -> str:
    """What connections and their cycles hold."""
    objects = gc.get_objects()
    cycles = [each for each in objects if isinstance(each, FastCycle | OrdinaryCycle)]
    heads = [getattr(each.head, name) for each in cycles if isinstance(each, FastCycle) for name in Head.__slots__]
    asked = [cycle._asked.secret for cycle in cycles if isinstance(cycle, ValidationCycle)]
    read = [(vars(each).get("url"), each.headers) for each in objects if isinstance(each, EdgeProtocol)]
    assert cycles and read
    return repr([*map(vars, cycles), *heads, *asked, *read])


async def test_a_connection_keeps_no_secret_behind_its_answer(service: Service, port: int) -> None:
    made = await create(service, "a", scopes=("introspect",))
    gone = (await create(service, "b")).token.token_id.encode()
    once = await service.rules.one_time.issue(address=ADDRESS, anonymous=False)
    secrets = [made.secret.encode(), await sign_in(service), once.secret.encode(), PASSWORD.encode()]
    token, session, spent, password = secrets
    bearer = b"Host: a.test\r\nAuthorization: Bearer %b\r\n" % token
    form = b"%bContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 70\r\n\r\n" % bearer
    grant = b'{"username":"admin","password":"%b"}' % password
    questions = [
        *[[b"GET /validate HTTP/1.1\r\n%b\r\n" % bearer]] * 2,
        [b"GET /validate HTTP/1.1\r\n", b"%b\r\n" % bearer],
        [b"GET /validate?required_scope=x HTTP/1.1\r\n%b\r\n" % bearer],
        *[[b"GET /api/token?token=%b HTTP/1.1\r\nHost: a.test\r\n\r\n" % session]] * 2,
        [b"GET /validate/one-time HTTP/1.1\r\nHost: a.test\r\nX-Token: %b\r\n\r\n" % spent],
        [b"POST /oauth2/introspect HTTP/1.1\r\n%b" % form, b"token=%b" % session],
        [b"DELETE /api/admin/tokens?id=%b HTTP/1.1\r\n%b\r\n" % (gone, bearer.replace(token, session))],
        [b"GET /validate HTTP/1.1\r\nX-Token-Cost: 1\r\n%b\r\n" % bearer],
        [b"GET /api/token?token=%b&a HTTP/1.1\r\nHost: a.test\r\n\r\n" % session],
        [b"POST /api/token HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n" % len(grant), grant],
    ]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for pieces in questions:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(re.findall(rb"content-length: (\d+)", head)[0]))
        assert head[9:12] == (b"403" if b"?required" in pieces[0] else b"200")
        found = held()
        assert [secret for secret in secrets if secret.decode() in found] == [], pieces
    writer.close()
