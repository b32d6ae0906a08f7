"""Heads of operations that came before: known by their bytes, and answered by the query and the body they come with."""

import asyncio

import pytest

from service.edge.fast_path import HeadsOfOperations
from service.edge.known_heads import Head
from service.edge.operations import BearerCycle, CreateCycle, RevokeCycle
from service.edge.reading import ReadingProtocol
from tests.builders import create, sign_in
from tests.conftest import MakeService
from tests.edge.asking import GOOD, METRICS, PATIENCE_SECONDS, until_closed
from tests.edge.asking import first as first_head
from tests.edge.conftest import Turned, edge
from tests.edge.test_callers import COUNTED
from tests.edge.test_half_closed import Late, half_closed


def packet(secret: str, body: bytes) -> bytes:
    head = (
        f"POST /api/admin/tokens HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {secret}\r\nContent-Length: {len(body)}"
    )
    return head.encode() + b"\r\n\r\n" + body


def deleting(secret: str, query: str) -> bytes:
    return f"DELETE /api/admin/tokens?{query} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {secret}\r\n\r\n".encode()


def creating(secret: str, name: str) -> bytes:
    return packet(secret, b'{"name":"%b","duration":"7days"}' % name.encode())


async def answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The status and the body of the next answer."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0])
        return head[9:12], await reader.readexactly(length)


async def test_a_head_that_came_before_is_not_parsed_again_and_each_body_is_answered_for_itself(
    make_service: MakeService, turned: Turned, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In the background heads are let go of each second.
    service = await make_service(background=False)
    parsed: list[bytes] = []
    parse = ReadingProtocol.data_received

    def watched(self: ReadingProtocol, data: bytes) -> None:
        parsed.append(data)
        parse(self, data)

    monkeypatch.setattr(ReadingProtocol, "data_received", watched)
    secret, issuer = (await sign_in(service)).decode(), (await create(service, "a0", scopes=("one-time:issue",))).secret
    first, long, others = creating(secret, "a1"), creating(secret, "longer"), creating(issuer, "a1")
    async with edge(service, turned) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def told(sent: bytes) -> bytes:
            writer.write(sent)
            status, body = await answer(reader)
            # Whatever is created is what was asked for.
            name = sent.partition(b'"name":"')[2][:2] or b"c1"
            assert status != b"201" or body.partition(b'"name":"')[2].startswith(name)
            return status

        statuses = [await told(creating(secret, name)) for name in ("a1", "a2", "a1", "a3", "a3")]
        assert (statuses, parsed) == ([b"201", b"201", b"409", b"201", b"409"], [first])
        # Another length or another secret is another head; and of two requests in a packet each has a body of its own.
        assert [await told(long), await told(others), await told(first)] == [b"201", b"403", b"409"]
        assert parsed[1:] == [long, others]
        # What was answered on this connection says nothing of what it asks for in the ordinary way.
        assert [await told(GOOD), await told(GOOD)] == [b"200"] * 2
        assert [await told(creating(secret, "b1") + creating(secret, "b2")), (await answer(reader))[0]] == [b"201"] * 2
        # Each query is another token that ends, and one that says it in another way is parsed.
        tokens = [(await create(service, f"d{number}")).token for number in range(3)]
        del parsed[:]
        ending = [deleting(secret, f"id={token.token_id}") for token in tokens]
        assert [await told(each) for each in (*ending, deleting(secret, "id=%30"))] == [*3 * [b"200"], b"404"]
        assert parsed == [ending[0], deleting(secret, "id=%30")]
        revoked = [(await service.rules.managed.tokens.get(token.token_id)).revoked_at > 0 for token in tokens]
        assert revoked == [True] * 3
        # Half of a body is none, also the second time.
        for status in (b"201", b"409"):
            writer.write(creating(secret, "c1")[:-5])
            assert (await first_head(port, GOOD))[9:12] == b"200"
            assert await told(creating(secret, "c1")[-5:]) == status
        # Once it is let go of it is parsed.
        service.fast_path.forget()
        again = creating(secret, "c1")
        assert [await told(again), parsed[-1]] == [b"409", again]
        writer.close()
        await writer.wait_closed()


async def test_nothing_is_created_behind_a_known_head_where_the_client_may_have_left(
    make_service: MakeService, turned: Turned
) -> None:
    service = await make_service(wrap=Late, background=False)
    secret = (await sign_in(service)).decode()
    asked = creating(secret, "a1")
    named = {b"host": b"a", b"authorization": b"Bearer " + secret.encode()}
    head = Head(CreateCycle, b"/api/admin/tokens", named, {}, head_only=False)
    service.fast_path.heads_of_operations.keep(asked, head, asked.partition(b"\r\n\r\n")[2])
    async with edge(service, turned) as port, asyncio.timeout(PATIENCE_SECONDS):
        assert await half_closed(port, asked) == b""
        while COUNTED not in (counted := await until_closed(port, METRICS)):
            pass
    assert COUNTED + b'"400"} 1.0' in counted


def head_of(**places: int) -> Head:
    said = {name.encode(): place for name, place in places.items()}
    return Head(CreateCycle, b"/api/admin/tokens", {}, said, head_only=False)


def test_no_packet_is_known_but_a_whole_request_with_a_body_of_the_same_length() -> None:
    heads = HeadsOfOperations()
    for body in (b'{"a":"\r\n\r\n"}', b""):
        whole, head = packet("s", body), head_of()
        heads.keep(whole, head, body)
        assert heads.find(whole) == (head, body)
        others = [whole[:end] for end in range(len(whole))]
        others += [whole + b"}", whole + whole, b"\r\n" + whole, whole.lower(), whole.replace(b"POST", b"PUT")]
        assert [heads.find(other) for other in others] == [None] * len(others)
    whole = packet("s", b"{}")
    heads.keep(whole, head_of(), b"{}")
    assert heads.find(whole[:-2] + b"\xff}") == (*(heads.find(whole) or ())[:1], b"\xff}")


def test_a_query_of_plain_signs_is_another_plan_of_the_same_head_and_any_other_is_for_the_parser() -> None:
    heads, whole, named = HeadsOfOperations(), deleting("s", "id=1"), {b"host": b"a"}
    heads.keep(whole, Head(RevokeCycle, b"/api/admin/tokens?id=1", named, {}, head_only=False), b"")
    for query in ("id=2", "ids=a,b_-&c", "", "id=1"):
        head, body = heads.find(deleting("s", query)) or (head_of(), None)
        url = f"/api/admin/tokens?{query}".encode()
        assert (head.kind, head.plan, head.named, head.places, body) == (RevokeCycle, url, named, {}, b"")
    head, _ = heads.find(whole.replace(b"?id=1", b"")) or (head_of(), None)
    assert head.plan == b"/api/admin/tokens"
    others = [deleting("s", f"id={sign}") for sign in [*"%#?/+:;. \r\n\x00\xe9", 1000 * "a"]]
    others.append(whole.replace(b"tokens?", b"tokens/?"))
    assert [heads.find(other) for other in others] == [None] * len(others)


def test_only_the_head_of_one_whole_request_is_kept_and_none_that_says_something_once() -> None:
    heads, whole = HeadsOfOperations(), packet("s", b"{}")
    heads.keep(whole, head_of(), b"{")
    heads.keep(whole + whole, head_of(), b"{}")
    heads.keep(packet(1024 * "s", b"{}"), head_of(), b"{}")
    heads.keep(whole, head_of(id=0), b"{}")
    assert heads == {}


def test_so_many_heads_are_kept_and_no_more() -> None:
    heads = HeadsOfOperations()
    for number in range(4100):
        heads.keep(packet(f"{number}", b"{}"), head_of(), b"{}")
    assert len(heads) == 4096


async def test_a_fault_of_ours_ends_the_connection_and_is_logged(
    make_service: MakeService, turned: Turned, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Else its client would wait for an answer until he gave up."""
    service = await make_service(background=False)
    secret = (await sign_in(service)).decode()
    monkeypatch.setattr(BearerCycle, "_answer", None)
    async with edge(service, turned) as port:
        assert await until_closed(port, creating(secret, "a1")) == b""
    assert [record.exc_info is not None for record in caplog.records if record.name == "uvicorn.error"] == [True]


async def test_a_long_list_is_sent_in_pieces_and_the_request_behind_it_is_answered_next(
    make_service: MakeService, turned: Turned, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[int] = []

    async def give_way() -> None:
        turns.append(1)
        await asyncio.sleep(0)

    service = await make_service(background=False)
    secret = (await sign_in(service)).decode()
    for number in range(10):
        await create(service, f"token {number}")
    listing = f"GET /api/admin/tokens?limit=10 HTTP/1.1\r\nHost: a\r\nX-Request-Id: r-1\r\nAuthorization: Bearer {secret}\r\n\r\n"
    async with edge(service, turned) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(listing.encode())
        whole = await answer(reader)
        monkeypatch.setattr("service.api.http.bodies._PIECE_BYTES", 100)
        monkeypatch.setattr("service.edge.ordinary.give_way", give_way)
        writer.write(listing.encode() + creating(secret, "a1"))
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        assert head.count(b"\r\nx-request-id: r-1\r\n") == 1
        assert (head[9:12], await reader.readexactly(len(whole[1]))) == whole
        # Between a piece of four records, one of six, and the end.
        assert len(turns) == 2
        assert (await answer(reader))[0] == b"201"
        writer.close()
