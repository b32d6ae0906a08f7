"""A head that comes alone in one packet is read by what came before: as the parser reads it, or by the parser."""

import asyncio
import re
from itertools import islice, permutations, product
from unittest.mock import Mock

import httptools
import pytest

from service.api.auth.presented import read_accepted
from service.api.http.validate_paths import plan_of
from service.edge.fast_path import Seen
from service.edge.head import HEAD_BYTES
from service.edge.known_heads import (
    NOTHING_SAID,
    SAID_ONCE,
    Head,
    KnownHeads,
    Layout,
    Named,
    Pieces,
    said_once,
)
from service.edge.validation import ValidationCycle
from service.model import Kind
from service.tokens.secret import mint, parse
from tests.edge.asking import asking

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


class Everything(dict[bytes, Seen | None]):
    """As if every secret could be one of a token, whatever it is."""

    def __missing__(self, secret: bytes) -> Seen | None:
        return Seen("", b"", kind=parse(secret), command=b"", changes=Mock())


class Nothing(dict[bytes, Seen | None]):
    """As if no secret could be one of a token."""

    def __missing__(self, secret: bytes) -> Seen | None:
        return None


def known(packet: bytes) -> tuple[KnownHeads, Layout]:
    """Heads of which this is the only one known, and its layout."""
    heads = KnownHeads()
    read = heads.read(packet)
    assert read is not None
    (head_only, _, plan, is_envoys), named = read
    once = said_once(named, plan)
    layout = heads.layout_of(packet, once, is_envoys=is_envoys)
    pieces, head = heads.find(packet, layout, Nothing())
    assert (said(layout, pieces), head) == (once, None)
    heads.keep(pieces, Head(ValidationCycle, plan, named, layout.places, head_only=head_only))
    return heads, layout


def said(layout: Layout, pieces: Pieces) -> Named:
    """What is said once in these pieces."""
    return {name: pieces[place] for name, place in layout.places.items()}


@pytest.mark.parametrize("target", [b"/validate?required_scope=a:b", b"/validate/envoy/a/b?c=d"])
@pytest.mark.parametrize("more", [b"", b"b3: 1\r\nX-Forwarded-Uri: /a\r\n"])
def test_a_head_is_known_only_where_the_parser_reads_the_same_beside_what_is_said_once(
    target: bytes, more: bytes
) -> None:
    whole = HEAD.replace(b"/validate?required_scope=a:b", target)[:-2] + more + b"\r\n"
    heads, layout = known(whole)
    places, instead = range(len(whole) + 1), [b"", *(bytes([byte]) for byte in b"\0\n\r !#1:,Px\x80"), b"\r\n"]
    pieces = [*instead, b"\r\nX-Request-Id: 1", b"\r\n\r\nX-Request-Id: 1", b"\r\nx-request-id: 1"]
    found = []
    for at, piece, cut in product(places, pieces, (0, 1)):
        packet = whole[:at] + piece + whole[at + cut :]
        apart, head = heads.find(packet, layout, Nothing())
        if head is None:
            continue
        found.append(packet)
        read = Read(packet)
        assert (read.heads, read.messages, read.body, read.is_kept) == (1, 1, b"", True), packet
        assert (read.parser.get_method(), plan_of(read.url)) == (b"GET", head.plan), packet
        assert sorted(read.fields) == sorted([*head.named.items(), *said(layout, apart).items()]), packet
    # What is said once is said in other words.
    assert {Read(packet).fields[4][1] for packet in found} >= {b"1-2", b"11-2", b"1-1", b"P1-2", b"-2"}


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        (b"/validate HTTP/1.1\r\nAuthorization: Bearer", Kind.MANAGED),
        (b"/validate/one-time HTTP/1.1\r\nX-Token:", Kind.ONE_TIME),
    ],
)
@pytest.mark.parametrize("seen", [Everything(), Nothing()])
def test_a_head_with_nothing_but_a_secret_is_known_only_where_the_parser_reads_the_same(
    field: bytes, kind: Kind, seen: dict[bytes, Seen | None]
) -> None:
    whole, another = (b"GET %b %b\r\nHost: a\r\nX-A: b\r\n\r\n" % (field, mint(kind).encode()) for _ in range(2))
    heads, layout = known(whole)
    heads.find(whole, layout, Nothing())
    assert layout.length == len(whole)
    for packet in (whole, another):
        pieces, head = heads.find(packet, layout, seen)
        assert head is not None
        # As the pattern takes it apart.
        assert (apart := layout.take_apart(packet)) is not None
        assert pieces == apart.groups()
    before, _, behind = pieces
    names = [name for name, _ in Read(whole).fields]
    lines = [b"\r\nContent-Length: 1\r\n", b"\r\n\r\nGET / HTTP/1.1\r\n"]
    instead = [b"", *(bytes([byte]) for byte in b"\0\n\r !#1:,Px\x80"), b"\r\n", *lines]
    for at, piece, cut in product(range(len(whole) + 1), instead, {0, 1, *map(len, lines)}):
        packet = whole[:at] + piece + whole[at + cut :]
        if heads.find(packet, layout, seen)[1] is not None:
            read = Read(packet)
            assert (read.heads, read.messages, read.body, read.is_kept) == (1, 1, b"", True), packet
            assert [name for name, _ in read.fields] == names
    for part in (before, whole[len(before) :], whole[: -len(behind)]):
        assert heads.find(part, layout, seen)[1] is None
    heads.forget()
    assert heads.find(whole, layout, seen)[1] is None


@pytest.mark.parametrize("seen", [Everything(), Nothing()])
def test_a_head_does_not_end_in_a_secret_that_is_as_much_longer_as_its_end(seen: dict[bytes, Seen | None]) -> None:
    head = b"GET /validate HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %b\r\n\r\n"
    whole, longer = (head % mint(kind).encode() for kind in (Kind.SESSION, Kind.MANAGED))
    heads, layout = known(whole)
    heads.find(whole, layout, Nothing())
    assert layout.length == len(whole) == len(longer[:-4])
    assert heads.find(longer[:-4], layout, seen)[1] is None


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
        (b"For: 192.0.2.9", b"For: 2001:db8::1, 192.0.2.9, 10.0.0.1", True),
        (b"For: 192.0.2.9", b"For: 192.0.2.9, 10.0.0.1,192.0.2.9", False),
        (b"For: 192.0.2.9", b"For: unknown", False),
        (b"Bearer s", b"Bearer t", False),
        (b"=a:b", b"=a:c", False),
        (b"GET", b"HEAD", False),
    ],
)
def test_what_a_head_says_once_may_be_another_and_nothing_else(was: bytes, is_now: bytes, is_known: bool) -> None:
    packet = HEAD[:-2] + b"traceparent: 00-1-1-00\r\nX-Forwarded-Uri: /a\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n"
    heads, layout = known(packet)
    assert packet.count(was) == 1
    assert (heads.find(packet.replace(was, is_now), layout, Nothing())[1] is not None) is is_known


@pytest.mark.parametrize(("name", "before"), [(b"Authorization", b"Bearer "), (b"X-API-Key", b""), (b"X-Token", b"")])
def test_a_head_is_known_beside_a_secret_of_another_that_is_found_by_a_lookup(name: bytes, before: bytes) -> None:
    def holding(secret: bytes) -> bytes:
        return b"GET /validate HTTP/1.1\r\nHost: a\r\n%b: %b%b\r\nX-A: b\r\n\r\n" % (name, before, secret)

    managed = b"rtk_" + b"0" * 64
    heads, layout = known(holding(managed))
    for secret, is_known in (
        (b"rtk_" + b"1f" * 32, True),
        (b"aZ09" * 16, True),
        (b"rtk_" + b"F" * 64, False),
        (managed + b"0", False),
        (managed[:-1], False),
        (b"0" * 32, False),
        (managed + b"\r\nX-Token: " + managed, False),
        (b"", False),
    ):
        assert (heads.find(holding(secret), layout, Nothing())[1] is not None) is is_known, secret
    # No secret is part of what it is known by.
    assert managed not in b"".join(piece for key in heads._heads for piece in key)
    assert managed not in b"".join(heads._field_lines)


@pytest.mark.parametrize("more", [b"X-A: b, c\r\n", b"Accept: a\r\nX-A: b, c\r\n", b""])
def test_a_layout_holds_however_many_fields_a_client_sends_beside(more: bytes) -> None:
    packet = HEAD[:-2] + b"X-Forwarded-Uri: /a\r\n\r\n"
    _, layout = known(packet)
    heads, _ = known(packet.replace(b"X-A: b, c\r\n", more))
    other = packet.replace(b"X-A: b, c\r\n", more).replace(b": /a", b": /b").replace(b": 1-2", b": 3")
    pieces, head = heads.find(other, layout, Nothing())
    assert head is not None
    assert said(layout, pieces) == {b"x-request-id": b"3", b"x-forwarded-uri": b"/b"}


def test_behind_its_path_envoy_asks_the_same_whatever_its_client_asks_for() -> None:
    asked = b"/validate?required_scope=a:b"
    heads, layout = known(HEAD.replace(asked, b"/validate/envoy/a?b=c"))
    for target, is_known in (
        (b"/validate/envoy/d", True),
        (b"/validate", False),
        (b"/validate/one-time/envoy/d", False),
    ):
        assert (heads.find(HEAD.replace(asked, target), layout, Nothing())[1] is not None) is is_known


def test_what_was_said_once_is_told_apart_by_its_name() -> None:
    """Else a second secret could stand where a request id was."""
    spends, asks, host = b"GET /validate/one-time HTTP/1.1\r\n", b"GET /validate HTTP/1.1\r\n", b"Host: a\r\n"
    identified, presented = b"X-Request-Id: 1\r\n\r\n", b"X-Token: " + b"0" * 32 + b"\r\n\r\n"
    spending, of_token = known(spends + host + presented)
    asking, of_id = known(asks + host + identified)
    assert spending.find(spends + host + presented, of_token, {})[1] is not None
    assert asking.find(asks + host + identified, of_id, {})[1] is not None
    assert asking.find(asks + host + presented, of_token, {})[1] is None
    assert asking.find(asks + host + presented, of_id, {})[1] is None
    assert spending.find(spends + host + identified, of_id, {})[1] is None
    # An empty one is none.
    assert spending.find(spends + host + b"X-Token: \r\n\r\n", of_token, {})[1] is None


@pytest.mark.parametrize("name", sorted(SAID_ONCE))
def test_what_is_said_once_can_hold_no_token(name: bytes) -> None:
    """Else a head would be known by another one's token."""
    packets = [WHOLE[:-2] + b"%b: %d\r\n\r\n" % (name, number) for number in (1, 2)]
    heads, layout = known(packets[0])
    assert heads.find(packets[1], layout, Nothing())[1] is not None
    with pytest.raises(ValueError, match="has a meaning of its own"):
        read_accepted(f"header:{name.decode()}", basic=False)


def test_a_layout_is_made_for_as_many_as_there_are_gateways_and_not_for_each_request() -> None:
    heads, found = KnownHeads(), []
    for names in islice(permutations(sorted(SAID_ONCE), 2), 50):
        packet = WHOLE[:-2] + b"%b: 1\r\n%b: 1\r\n\r\n" % names
        found.append(heads.layout_of(packet, dict.fromkeys(names, b"1"), is_envoys=False))
    assert [layout is NOTHING_SAID for layout in found] == [False] * 32 + [True] * 18
    heads.forget()
    assert heads.layout_of(packet, dict.fromkeys(names, b"1"), is_envoys=False) is not NOTHING_SAID


def head_of(fields: int = 0) -> Head:
    return Head(ValidationCycle, None, {b"%d" % number: b"" for number in range(fields)}, {}, head_only=False)


async def test_what_is_known_takes_no_more_room_than_it_may() -> None:
    heads, layout = known(HEAD)
    for number in range(5000):
        heads.keep(heads.find(HEAD.replace(b"a.test", b"a%d.test" % number), layout, Nothing())[0], head_of())
    assert len(heads._heads) == 4096
    heads.forget()
    long = HEAD.replace(b"a.test", b"a.test\r\nCookie: " + b"c" * 1024)
    pieces, _ = heads.find(long, layout, Nothing())
    heads.keep(pieces, head_of())
    assert pieces
    heads.keep((b"a",), head_of(fields=25))
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
    once += [b"x-api-key: " + b"s" * 64]
    again = [b"host: a", b"authorization: Bearer s", b"x-token: " + b"s" * 63]
    for head in ([*again, *once], [*again[:2], b"x-token: " + b"1" * 32]):
        assert lines.read(b"\r\n".join([b"GET /validate HTTP/1.1", *head, b"", b""])) is not None
    assert [*lines._field_lines] == again


def test_no_line_stays_that_holds_a_secret() -> None:
    lines, layout = known(HEAD)
    assert lines.find(HEAD, layout, {}) == lines.find(HEAD, layout, {})
    assert layout.head in lines._heads.values()
    lines.forget()
    assert not lines._heads
    assert (layout.key, layout.head) == ((), None)
    assert lines.find(HEAD, layout, {})[1] is None
    assert not lines._field_lines
    assert not lines._targets


@pytest.mark.parametrize("beginning", BEGINNINGS)
async def test_a_packet_is_no_head_where_another_message_goes_on(port: int, beginning: str) -> None:
    before, statuses = BEGINNINGS[beginning]
    async with asking(port) as (reader, writer):
        writer.write(before)
        got = await reader.readuntil(b"\r\n\r\n") if before.strip() else b""
        for packet in (WHOLE, LAST):
            # Most likely they are read one by one; the answers are the same if they are not.
            for _ in range(10):
                await asyncio.sleep(0)
            writer.write(packet)
        got += await reader.read()
    assert b" ".join(re.findall(rb"HTTP/1.1 (\d+)", got)) == statuses
