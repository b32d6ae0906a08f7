"""A head that comes alone in one packet is read by what came before: as the parser reads it, or by the parser."""

from __future__ import annotations

import asyncio
import re
from itertools import product
from unittest.mock import Mock
from weakref import WeakSet

import httptools
import pytest

from service.api.auth.presented import read_accepted
from service.edge.cycle import FastPathCycle
from service.edge.deadlines import Deadlines
from service.edge.head import HEAD_BYTES
from service.edge.known_heads import Head, KnownHeads, Marks, marks_of, said_once
from tests.edge.asking import PATIENCE_SECONDS

HEAD = (
    b"GET /validate?required_scope=a:b HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer s\r\nconnection: keep-alive\r\n"
    b"Content-Length: 0\r\nX-Request-Id: 1-2\r\nX-Token: 0123456789abcdef0123456789abcdef\r\nX-A: b, c\r\n\r\n"
)
WHOLE = b"GET /validate HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
# The status of a whole head that comes after the answer to this is that of something else, or there is none.
BEGINNINGS = {
    "nothing": (b"", b"401 200"),
    "an empty line": (b"\r\n", b"401 200"),
    "a body that nobody read": (
        b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(WHOLE),
        b"404 200",
    ),
    "a head that goes on": (b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\nGET /livez HTTP/1.1\r\nX-A: ", b"200 200 200"),
}


class Read:
    """What the parser reads."""

    def __init__(self, packet: bytes) -> None:
        self.url, self.fields, self.heads, self.messages, self.body = b"", list[tuple[bytes, bytes]](), 0, 0, b""
        self.parser = httptools.HttpRequestParser(self)
        try:
            self.parser.feed_data(packet)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.heads = -1

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.heads += 1
        self.is_kept = self.parser.should_keep_alive() and self.parser.get_http_version() == "1.1"

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.messages += 1


def test_a_head_is_read_as_the_parser_reads_it_whatever_byte_is_another_or_missing() -> None:
    lines = KnownHeads()
    places, instead = range(len(HEAD) + 1), [b"", *(bytes([byte]) for byte in b"\0\n\r !#1:,Px\x80"), b"\r\n"]
    changed = [HEAD[:at] + byte + HEAD[at + cut :] for at, byte, cut in product(places, instead, (0, 1))]
    found = [(packet, lines.read(packet)) for packet in changed * 2]
    for packet, head in found:
        if head is not None:
            read, ((head_only, url, _, _), named) = Read(packet), head
            assert (read.heads, read.messages, read.body, read.is_kept) == (1, 1, b"", True), packet
            assert (read.parser.get_method() == b"HEAD", read.url, read.fields) == (head_only, url, [*named.items()])
    assert sum(head is not None for _, head in found) > len(found) / 4


def known(packet: bytes) -> tuple[KnownHeads, Marks]:
    """Heads of which this is the only one known, and the marks of what it says once."""
    heads = KnownHeads()
    read = heads.read(packet)
    assert read is not None
    once = said_once(read[1], read[0].plan)
    marks = marks_of(packet, once)
    remaining, found, head = heads.find(packet, marks)
    assert (bool(remaining), found, head) == (True, once, None)
    heads.keep(remaining, Head(FastPathCycle, read[0].plan, read[1], read[0].head_only))
    return heads, marks


def test_a_head_is_known_only_where_the_parser_reads_the_same_beside_what_is_said_once() -> None:
    heads, marks = known(HEAD)
    places, instead = range(len(HEAD) + 1), [b"", *(bytes([byte]) for byte in b"\0\n\r !#1:,Px\x80"), b"\r\n"]
    pieces = [*instead, b"\r\nX-Request-Id: 1", b"\r\n\r\nX-Request-Id: 1", b"\r\nx-request-id: 1"]
    found = []
    for at, piece, cut in product(places, pieces, (0, 1)):
        packet = HEAD[:at] + piece + HEAD[at + cut :]
        _, once, head = heads.find(packet, marks)
        if head is None:
            continue
        found.append(packet)
        read = Read(packet)
        assert (read.heads, read.messages, read.body, read.is_kept) == (1, 1, b"", True), packet
        assert (read.parser.get_method(), read.url) == (b"GET", b"/validate?required_scope=a:b"), packet
        assert sorted(read.fields) == sorted([*head.named.items(), *once.items()]), packet
    # What is said once is said in other words.
    assert {Read(packet).fields[4][1] for packet in found} >= {b"1-2", b"11-2", b"1-1", b"P1-2", b"-2"}


@pytest.mark.parametrize(
    ("was", "is_now", "is_known"),
    [
        (b"X-Request-Id: 1-2", b"X-Request-Id: " + b"a" * 64, True),
        (b"X-Request-Id: 1-2", b"X-Request-Id: " + b"a" * 65, False),
        (b"X-Request-Id: 1-2", b"X-Request-Id: 1/2", False),
        (b"X-Request-Id: 1-2", b"x-request-id: 1-2", False),
        (b"X-Request-Id: 1-2\r\n", b"", False),
        (b"traceparent: 00-1-1-00", b"traceparent: 00/2", True),
        (b"traceparent: 00-1-1-00", b"traceparent: 00 2", False),
        (b"X-Forwarded-Uri: /a", b"X-Forwarded-Uri: /b?c=d", True),
        (b"X-Forwarded-Uri: /a", b"X-Forwarded-Uri: /" + b"a" * (HEAD_BYTES - 1), False),
        (b"Bearer s", b"Bearer t", False),
        (b"=a:b", b"=a:c", False),
        (b"GET", b"HEAD", False),
    ],
)
def test_what_a_head_says_once_may_be_another_and_nothing_else(was: bytes, is_now: bytes, is_known: bool) -> None:
    packet = HEAD[:-2] + b"traceparent: 00-1-1-00\r\nX-Forwarded-Uri: /a\r\n\r\n"
    heads, marks = known(packet)
    assert packet.count(was) == 1
    assert (heads.find(packet.replace(was, is_now), marks)[2] is not None) is is_known


def test_behind_its_path_envoy_asks_the_same_whatever_its_client_asks_for() -> None:
    heads, marks = known(HEAD.replace(b"/validate?required_scope=a:b", b"/validate/envoy/a?b=c"))
    assert heads.find(HEAD.replace(b"/validate?required_scope=a:b", b"/validate/envoy/d"), marks)[2] is not None
    assert heads.find(HEAD.replace(b"/validate?required_scope=a:b", b"/validate"), marks)[2] is not None
    assert heads.find(HEAD.replace(b"/validate?required_scope=a:b", b"/validate/one-time/envoy/d"), marks)[2] is None


def test_what_was_said_once_is_told_apart_by_its_name() -> None:
    """Else a second secret could stand where a request id was."""
    spends, asks = b"GET /validate/one-time HTTP/1.1\r\n", b"GET /validate HTTP/1.1\r\n"
    identified, presented, rest = (
        b"X-Request-Id: 1",
        b"X-Token: " + b"0" * 32,
        b"Host: a\r\nAuthorization: Bearer s\r\n",
    )
    _, marks = known(spends + rest + identified + b"\r\n" + presented + b"\r\n\r\n")
    heads, _ = known(asks + rest + identified + b"\r\n\r\n")
    assert [mark.name for mark in marks] == [b"x-request-id", b"x-token"]
    assert heads.find(asks + rest + identified + b"\r\n\r\n", marks)[2] is not None
    assert heads.find(asks + rest + presented + b"\r\n\r\n", marks)[2] is None


@pytest.mark.parametrize(
    "name", [b"x-request-id", b"traceparent", b"x-tokens-retry-key", b"x-original-uri", b"x-forwarded-uri"]
)
def test_what_is_said_once_can_hold_no_token(name: bytes) -> None:
    """Else a head would be known by another one's token."""
    assert said_once({name: b"1"}, None) == {name: b"1"}
    with pytest.raises(ValueError, match="has a meaning of its own"):
        read_accepted(f"header:{name.decode()}", basic=False)


@pytest.mark.anyio
async def test_what_is_known_takes_no_more_room_than_it_may() -> None:
    heads, marks = known(HEAD)
    for number in range(5000):
        packet = HEAD.replace(b"a.test", b"a%d.test" % number)
        remaining, _, _ = heads.find(packet, marks)
        heads.keep(remaining, Head(FastPathCycle, None, {}, False))
    assert len(heads._heads) == 4096
    heads.forget()
    long = HEAD.replace(b"a.test", b"a.test\r\nCookie: " + b"c" * 1024)
    remaining, _, _ = heads.find(HEAD, marks)
    heads.read(HEAD)
    remaining, _, _ = heads.find(long, marks)
    heads.keep(remaining, Head(FastPathCycle, None, {}, False))
    assert remaining
    heads.keep((b"a",), Head(FastPathCycle, None, {b"%d" % number: b"" for number in range(25)}, False))
    assert not heads._heads


@pytest.mark.parametrize(
    "field",
    [
        b"Content-Length: 1",
        b"Transfer-Encoding: chunked",
        b"Upgrade: h2c",
        b"Expect: 100-continue",
        b"Connection: close",
        b"X-Token-Cost: 1",
        b"Host: b.test",
        b"X: " + b"a" * HEAD_BYTES,
        b"\r\n".join(b"X-%d: 1" % n for n in range(60)),
    ],
)
def test_what_decides_how_a_message_is_read_is_left_to_the_parser(field: bytes) -> None:
    lines = KnownHeads()
    assert lines.read(HEAD) is not None
    assert lines.read(HEAD[:-2] + field + b"\r\n\r\n") is None


def test_only_lines_are_kept_that_may_come_again() -> None:
    lines, once = KnownHeads(), [b"x-request-id: 1", b"x-tokens-retry-key: 1", b"traceparent: 00-1-1-00"]
    again = [b"host: a", b"authorization: Bearer s", b"x-token: " + b"s" * 64]
    for head in ([*again, *once], [*again[:2], b"x-token: " + b"1" * 32]):
        assert lines.read(b"\r\n".join([b"GET /validate HTTP/1.1", *head, b"", b""])) is not None
    assert [*lines._field_lines] == again


def test_no_line_stays_that_holds_a_secret() -> None:
    lines, _ = known(HEAD)
    assert lines._heads
    lines.forget()
    assert not lines._heads
    assert not lines._field_lines
    assert not lines._targets


@pytest.mark.anyio
@pytest.mark.parametrize("beginning", BEGINNINGS)
async def test_a_packet_is_no_head_where_another_message_goes_on(port: int, beginning: str) -> None:
    before, statuses = BEGINNINGS[beginning]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(PATIENCE_SECONDS):
        writer.write(before)
        got = await reader.readuntil(b"\r\n\r\n") if before.strip() else b""
        for packet in (WHOLE, LAST):
            # Most likely they are read one by one; the answers are the same if they are not.
            for _ in range(10):
                await asyncio.sleep(0)
            writer.write(packet)
        got += await reader.read()
    writer.close()
    assert b" ".join(re.findall(rb"HTTP/1.1 (\d+)", got)) == statuses


@pytest.mark.anyio
async def test_secrets_are_let_go_each_second_and_behind_the_last_connection() -> None:
    told: list[float] = []
    clock = iter(range(10))
    deadlines = Deadlines(lambda: next(clock), on_second=lambda: told.append(deadlines.now))
    idle = Mock(unread_bytes=0, unread_since=0, idle_since=0, head_since=None, body_since=None)
    idle.transport.get_write_buffer_size.return_value = 0
    connections = {idle}
    deadlines.watch(connections, 60)
    for _ in range(7):
        deadlines._tick()
    assert told == [4, 8]
    connections.clear()
    deadlines._tick()
    assert told == [4, 8, 9]


@pytest.mark.anyio
async def test_many_heads_are_let_go_in_steps_between_which_others_have_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.edge.known_heads._LET_GO_AT_ONCE", 2)

    class Asked:
        pass

    heads, alive = KnownHeads(), WeakSet[Asked]()
    for number in range(5):
        packet = b"GET /validate HTTP/1.1\r\nHost: a\r\nX-A: %d\r\n\r\n" % number
        head = Head(FastPathCycle, (False, b""), {}, head_only=False)
        head.asked = Asked()
        alive.add(head.asked)
        remaining, _, _ = heads.find(packet, ())
        assert remaining is not None
        heads.keep(remaining, head)
    del head
    heads.forget()
    assert heads.find(packet, ())[2] is None
    counts = [len(alive)]
    while counts[-1]:
        await asyncio.sleep(0)
        counts.append(len(alive))
    assert counts == [3, 1, 0]
