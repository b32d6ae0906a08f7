"""What comes behind a head is no part of it: trailer fields change nothing, and no body keeps a server busy."""

import asyncio

import pytest

from service.app import Service
from tests.builders import create
from tests.edge.asking import GOOD, PATIENCE_SECONDS, asking, first, send, taken

SIGN_IN = b"POST /api/token HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
# Of nobody, so that it is refused by the operation and by nothing before it.
GRANT = b'{"username":"x","password":"y"}'


def chunked(path: str, *fields: str, trailer: str, body: bytes = b"") -> bytes:
    head = "\r\n".join([f"POST {path} HTTP/1.1", "Host: a", *fields, "Transfer-Encoding: chunked", "", ""])
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return head.encode() + chunk + b"0\r\n" + trailer.encode() + b"\r\n"


async def created(service: Service, **terms: tuple[str, ...]) -> str:
    return (await create(service, **terms)).secret


async def test_an_address_in_a_trailer_is_not_believed(port: int, service: Service) -> None:
    bearer = f"Authorization: Bearer {await created(service, networks=('10.0.0.0/8',))}"
    for trailer in ("", "X-Forwarded-For: 10.1.2.3\r\n", "x-forwarded-for:10.1.2.3\r\n"):
        assert (await first(port, chunked("/validate", bearer, trailer=trailer))).startswith(b"HTTP/1.1 403 ")
    inside = chunked("/validate", bearer, "X-Forwarded-For: 10.1.2.3", trailer="X-Forwarded-For: 192.0.2.1\r\n")
    assert (await first(port, inside)).startswith(b"HTTP/1.1 200 ")


async def test_a_credential_in_a_trailer_is_none(port: int, service: Service) -> None:
    secret = await created(service)
    for trailer in (f"Authorization: Bearer {secret}\r\n", f"X-API-Key: {secret}\r\n", f"X-Token: {secret}\r\n"):
        got = await first(port, chunked("/validate", trailer=trailer))
        assert got.startswith(b"HTTP/1.1 401 ")
        assert b'www-authenticate: Bearer realm="tokens"\r\n' in got
    # Nor does one there stand beside that of the head, or a scope.
    bearer = f"Authorization: Bearer {secret}"
    for trailer in ("Authorization: Bearer x\r\n", "X-Token: x\r\n", "X-Required-Scope: unheld\r\n", "Host: b\r\n"):
        assert (await first(port, chunked("/validate", bearer, trailer=trailer))).startswith(b"HTTP/1.1 200 ")


async def test_a_limit_by_address_counts_the_address_of_the_head(port: int) -> None:
    asked = [chunked("/api/one-time-tokens", trailer=f"X-Forwarded-For: 192.0.2.{n}\r\n") for n in range(1, 5)]
    statuses = [(await first(port, request))[9:12] for request in asked]
    assert statuses == [b"201"] * 3 + [b"429"]


async def test_a_trailer_reaches_no_operation_whatever_packet_it_comes_in(port: int) -> None:
    sent = chunked("/api/token", trailer="Content-Type: text/plain\r\n", body=GRANT)
    whole = await first(port, sent)
    assert whole.startswith(b"HTTP/1.1 401 ")
    at = sent.index(b"0\r\nContent-Type")
    for cut in (at, at + 3, at + 10, len(sent) - 2):
        assert (await first(port, sent[:cut], sent[cut:])).startswith(b"HTTP/1.1 401 ")


async def test_what_is_pipelined_behind_a_trailer_is_answered(port: int) -> None:
    trailed = chunked("/api/token", trailer="X-A: 1\r\nX-B:\r\n")
    assert (await send(port, trailed + GOOD)).count(b"HTTP/1.1 ") == 2


def lines(count: int, length: int = 1) -> str:
    return "".join(f"X-{n}: {'a' * length}\r\n" for n in range(count))


async def test_head_and_trailer_together_have_64_fields_and_16_kib(port: int) -> None:
    # The head has two fields of its own.
    for trailer in (lines(62), lines(1, 16000)):
        got = await first(port, chunked("/api/token", trailer=trailer, body=GRANT))
        assert got.startswith(b"HTTP/1.1 401 "), trailer[:80]
    for trailer in (lines(63), lines(500), lines(1, 16384), lines(30, 600)):
        got = await send(port, chunked("/api/token", trailer=trailer) + GOOD)
        assert got.startswith(b"HTTP/1.1 431 "), trailer[:80]
        assert got.count(b"HTTP/1.1 ") == 1
        assert b"connection: close\r\n" in got


@pytest.mark.parametrize(
    ("beginning", "again"),
    [
        (b"0\r\n", b"X-A: a\r\n" * 8192),
        (b"0\r\nX-", b"a" * 65536),
        (b"0\r\nX-A: ", b"a" * 65536),
        (b"0;", b"a" * 65536),
        (b"1;", b"a" * 65536),
        (b"1;a=", b"a;b=" * 16384),
        (b"0" * 16, b"0" * 65536),
    ],
)
async def test_what_is_no_body_between_its_pieces_comes_to_an_end(port: int, beginning: bytes, again: bytes) -> None:
    assert await taken(port, SIGN_IN + beginning, again) < 32_000_000


async def test_a_body_in_pieces_of_a_byte_is_a_body(port: int) -> None:
    sent = SIGN_IN + b"".join(b"1;%b\r\n%c\r\n" % (b"a" * 1000, byte) for byte in GRANT.ljust(5000)) + b"0\r\n\r\n"
    got = await first(port, *[sent[at : at + 65536] for at in range(0, len(sent), 65536)])
    assert got.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("line", [b"GET /livez", b"POST /nowhere", b"PUT /livez", b"GET /metrics"])
async def test_a_body_that_nobody_wants_ends_its_connection(port: int, line: bytes) -> None:
    for framing, piece in (
        (b"Transfer-Encoding: chunked", b"10000\r\n" + b"a" * 65536 + b"\r\n"),
        (b"Content-Length: 1000000000", b"a" * 65536),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(line + b" HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n")
        async with asyncio.timeout(PATIENCE_SECONDS):
            answer = await reader.readuntil(b"\r\n\r\n")
            sent = 0
            while not writer.transport.is_closing() and sent < 64_000_000:
                writer.write(piece)
                sent += len(piece)
                try:
                    await writer.drain()
                except ConnectionError:
                    break
        assert b" 431 " not in answer
        assert sent < 32_000_000, "8 MiB are dropped, and the kernel's buffers hold some, but not that"
        writer.close()


async def test_a_body_up_to_64_kib_that_nobody_wants_leaves_the_connection_open(port: int) -> None:
    async with asking(port, b"GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n") as (reader, writer):
        await reader.readuntil(b'"}')
        writer.write(b"a" * 60000 + GOOD)
        assert (await reader.readuntil(b'"}')).startswith(b"HTTP/1.1 200 ")


async def test_an_answer_that_was_given_is_not_followed_by_a_refusal(port: int) -> None:
    head = b"GET /livez HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    for spoiled in (b"zz\r\n", b"0\r\n" + lines(100).encode(), b"a" * 5000):
        async with asking(port, head) as (reader, writer):
            await reader.readuntil(b'"}')
            writer.write(spoiled)
            assert await reader.read() == b""
