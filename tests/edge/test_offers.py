"""An offer to upgrade changes nothing: the answers are those to the same requests without it (RFC 9110, 7.8)."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from service.app import Service
from tests.builders import ADMIN, create
from tests.conftest import PASSWORD
from tests.edge.asking import GOOD, first, send, until_closed

LAST = b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
WEBSOCKET = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
OFFERS = {"h2c": H2C, "websocket": WEBSOCKET, "several": b"Upgrade: h2c\r\n" + WEBSOCKET}
SECRET = b"{secret}"
UNKNOWN = b'{"token":"%b"}' % (b"0" * 32)
# A head up to its last field, and what follows it.
REQUESTS = {
    "validate": (b"GET /validate HTTP/1.1\r\nHost: a\r\nX-Token: {secret}\r\n", b""),
    "validate without a token": (b"GET /validate HTTP/1.1\r\nHost: a\r\n", b""),
    "HEAD": (b"HEAD /validate HTTP/1.1\r\nHost: a\r\nX-Token: {secret}\r\n", b""),
    "no body": (b"GET /livez HTTP/1.1\r\nHost: a\r\n", b""),
    "a length": (b"POST /api/one-time-tokens/consume HTTP/1.1\r\nHost: a\r\nContent-Length: 44\r\n", UNKNOWN),
    "no length": (b"POST /api/one-time-tokens/consume HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n", b""),
    "chunked": (
        b"POST /api/one-time-tokens/consume HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n",
        b"7\r\n" + UNKNOWN[:7] + b"\r\n25;x=y\r\n" + UNKNOWN[7:] + b"\r\n0\r\nX-Trailer: a\r\n\r\n",
    ),
    "a body that is a request": (b"PUT /livez HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n" % len(GOOD), GOOD),
    "an empty field": (b"GET /livez HTTP/1.1\r\nHost: a\r\nX-Empty:\r\n", b""),
    "an expectation": (
        b"POST /api/one-time-tokens/consume HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 44\r\n",
        UNKNOWN,
    ),
}


async def secret_of(service: Service) -> bytes:
    return (await create(service)).secret.encode()


def packets(data: bytes) -> list[list[bytes]]:
    """The same bytes as one packet, cut once in several places, and as very small ones."""
    end = data.index(b"\r\n\r\n") + 4
    cuts = (7, end - 30, end - 3, end - 1, end, end + 1, len(data) - 5)
    return [[data], *([data[:at], data[at:]] for at in cuts), [data[at : at + 40] for at in range(0, len(data), 40)]]


@pytest.mark.slow
@pytest.mark.parametrize("offer", OFFERS)
async def test_the_same_bytes_are_answered_as_without_an_offer(port: int, service: Service, offer: str) -> None:
    secret = await secret_of(service)
    for name, (wanted, body) in REQUESTS.items():
        head = wanted.replace(SECRET, secret)
        rest = b"\r\n" + body + GOOD + LAST
        expected = await until_closed(port, head + rest)
        assert expected.count(b"HTTP/1.1 ") == (4 if name == "an expectation" else 3), name
        for pieces in packets(head + OFFERS[offer] + rest):
            assert await until_closed(port, *pieces) == expected, (name, pieces)


async def test_offers_behind_each_other_are_each_declined(port: int, service: Service) -> None:
    secret = await secret_of(service)
    pairs = [(head.replace(SECRET, secret), body) for head, body in REQUESTS.values()] * 20
    expected = await until_closed(port, b"".join(head + b"\r\n" + body for head, body in pairs) + LAST)
    got = await until_closed(port, b"".join(head + H2C + b"\r\n" + body for head, body in pairs) + LAST)
    assert got == expected


async def test_a_thousand_offers_in_a_packet_do_not_nest(port: int) -> None:
    got = await until_closed(port, (GOOD[:-2] + H2C + b"\r\n") * 1500 + LAST)
    assert got.count(b"HTTP/1.1 200 ") == 1501


async def test_an_offer_that_closes_its_connection_is_answered_and_what_follows_is_not(port: int) -> None:
    for head in (
        b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"GET /livez HTTP/1.0\r\nHost: a\r\n" + H2C + b"\r\n",
    ):
        assert (await until_closed(port, head + GOOD)).count(b"HTTP/1.1 200 ") == 1


async def test_what_is_refused_stays_so_behind_or_within_an_offer(port: int) -> None:
    offered = GOOD[:-2] + H2C + b"\r\n"
    large = b"GET /livez HTTP/1.1\r\nHost: a\r\n" + H2C + b"X-A: " + b"a" * 17000 + b"\r\n\r\n"
    many = GOOD[:-2] + H2C + b"X-A: a\r\n" * 65 + b"\r\n"
    for status, sent in (
        (b"431", large),
        (b"431", many),
        # What is under way is answered, and nothing behind it.
        (b"200", offered + many),
        (b"200", offered + b"broken\r\n\r\n"),
        (b"400", b"GET /livez HTTP/1.1\r\n" + H2C + b"\r\n"),
        (b"200", offered + b"GET /livez HTTP/1.1\r\n\r\n"),
        (b"400", b"POST /livez HTTP/1.1\r\nHost: a\r\n" + H2C + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    ):
        got = await send(port, sent + GOOD)
        assert got.startswith(b"HTTP/1.1 %b " % status), (sent[:80], got)
        assert (got.count(b"HTTP/1.1 "), b"\r\nconnection: close\r\n" in got) == (1, True), (sent[:80], got)


@pytest.mark.parametrize("target", [b"a:80", b"/validate", b"*", b"http://a/validate", b"/livez"])
async def test_no_tunnel_is_made_and_what_is_meant_for_it_is_no_request(port: int, target: bytes) -> None:
    got = await send(port, b"CONNECT " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n" + GOOD)
    assert got.startswith(b"HTTP/1.1 400 ")
    assert got.count(b"HTTP/1.1 ") == 1
    assert b"connection: close\r\n" in got


# As Java 17's HttpClient and curl 7.88 with --http2 send them, but for the port and the secret.
RECORDED = {
    "Java, a length": (
        b"DELETE /api/token HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: 76\r\n"
        b"Host: 127.0.0.1:40907\r\nHTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA\r\n"
        b"Upgrade: h2c\r\nUser-Agent: Java-http-client/17.0.15\r\nContent-Type: application/json\r\n\r\n"
        b'{"token":"{secret}"}'
    ),
    "Java, chunked": (
        b"DELETE /api/token HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nHost: 127.0.0.1:40907\r\n"
        b"HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA\r\nTransfer-encoding: chunked\r\n"
        b"Upgrade: h2c\r\nUser-Agent: Java-http-client/17.0.15\r\n\r\n"
        b'4c\r\n{"token":"{secret}"}\r\n0\r\n\r\n'
    ),
    "curl, a length": (
        b"DELETE /api/token HTTP/1.1\r\nHost: 127.0.0.1:40907\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n"
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
        b"Content-Type: application/json\r\nContent-Length: 76\r\n\r\n"
        b'{"token":"{secret}"}'
    ),
    "curl, chunked": (
        b"DELETE /api/token HTTP/1.1\r\nHost: 127.0.0.1:40907\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n"
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
        b"Transfer-Encoding: chunked\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n"
        b'4c\r\n{"token":"{secret}"}\r\n0\r\n\r\n'
    ),
}


async def living(port: int, secret: str) -> bool:
    asked = f"GET /validate HTTP/1.1\r\nHost: a\r\nX-Token: {secret}\r\n\r\n".encode()
    return (await first(port, asked)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("client", RECORDED)
async def test_a_session_ends_for_clients_that_offer_http_2(port: int, service: Service, client: str) -> None:
    end = RECORDED[client].index(b"\r\n\r\n") + 4
    for cut in (0, end):
        secret = (await service.rules.sessions.sign_in("admin", PASSWORD, ADMIN)).secret
        sent = RECORDED[client].replace(SECRET, secret.encode())
        assert await living(port, secret)
        assert (await first(port, sent[:cut], sent[cut:])).startswith(b"HTTP/1.1 200 ")
        assert not await living(port, secret)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("java") is None, reason="no java here: its recorded bytes are sent above")
async def test_a_session_ends_for_javas_own_client(port: int, service: Service) -> None:
    secrets = [(await service.rules.sessions.sign_in("admin", PASSWORD, ADMIN)).secret for _ in range(4)]
    client = await asyncio.create_subprocess_exec(
        "java",
        # It lives for a moment: what a longer life would repay costs more than all the rest.
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        str(Path(__file__).with_name("Client.java")),
        f"http://127.0.0.1:{port}/api/token",
        *[json.dumps({"token": secret}) for secret in secrets],
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await client.communicate()
    assert said.split() == [b"200"] * 4
    assert [await living(port, secret) for secret in secrets] == [False] * 4
