"""Connections have an end: so many in all and from one address, and none whose client takes no answer."""

import asyncio
import gc
import re
import socket
import ssl
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from service.api.http.proxies import TrustedProxies
from service.app import Service
from service.cli.serve import tls
from service.edge.deadlines import READ_SECONDS, Deadlines
from service.edge.limits import ConnectionLimits
from service.edge.protocol import EdgeProtocol
from tests.certificates import self_signed
from tests.conftest import MakeService
from tests.edge.asking import GOOD, PATIENCE_SECONDS, first
from tests.edge.conftest import Turned, edge
from tests.links import Wrapped
from tests.listening import listening

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
PROXY = "127.0.0.9"
OPENAPI = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n"
HALF_A_BODY = b"POST /api/token HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n{"
CREATE = b"POST /api/admin/tokens HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nContent-Length: 30\r\n\r\n{"


async def connected(port: int, sent: bytes = GOOD, address: str = "127.0.0.1") -> Stream:
    """A connection that has sent this, and has been answered if it is a request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    writer.write(sent)
    if sent is GOOD:
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert (await reader.readuntil(b'"}')).startswith(b"HTTP/1.1 200 ")
    return reader, writer


async def ended(stream: Stream) -> bool:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await stream[0].read() == b""
    except ConnectionResetError:
        return True


async def answers(stream: Stream) -> bool:
    stream[1].write(GOOD)
    async with asyncio.timeout(PATIENCE_SECONDS):
        return (await stream[0].readuntil(b'"}')).startswith(b"HTTP/1.1 200 ")


async def refused(port: int, code: bytes, address: str = "127.0.0.1") -> bool:
    """Is a new connection told so, before it has said anything?"""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    async with asyncio.timeout(PATIENCE_SECONDS):
        got = await reader.read()
    writer.close()
    assert got.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1\r\n" in got
    assert b"connection: close\r\n" in got
    return b'"code":"%b"' % code in got


async def close(*streams: Stream) -> None:
    for _, writer in streams:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("sent", [GOOD, b"GET /validate HTTP/1.1\r\nHost: a\r\n\r\n"], ids=["ordinary", "fast"])
async def test_who_comes_behind_a_stop_is_told_to_ask_another_process_next(
    service: Service, turned: Turned, sent: bytes
) -> None:
    """A handshake by TLS may end there, and uvicorn tells of a stop those connections alone that are there."""
    deadlines, limits = Deadlines(turned), ConnectionLimits(TrustedProxies(), per_address=0)
    shared = {"fast_path": service.fast_path, "limits": limits, "deadlines": deadlines}
    async with listening(service, EdgeProtocol, shared) as port:
        assert b"\r\nconnection: close\r\n" not in await first(port, sent)
        deadlines.drain()
        assert b"\r\nconnection: close\r\n" in await first(port, sent)


async def test_one_address_has_so_many_connections_and_others_have_theirs(service: Service, turned: Turned) -> None:
    async with edge(service, turned, ConnectionLimits(TrustedProxies(), per_address=3)) as port:
        streams = [await connected(port) for _ in range(3)]
        assert await refused(port, b"too_many_connections")
        streams += [await connected(port, address="127.0.0.2") for _ in range(3)]
        assert await refused(port, b"too_many_connections", address="127.0.0.2")
        assert [await answers(stream) for stream in streams] == [True] * 6
        await close(*streams)
        # Those that were refused are not counted for longer than they lasted, nor those that ended.
        for _ in range(20):
            await close(await connected(port))


async def test_proxies_of_ours_have_as_many_as_they_want(service: Service, turned: Turned) -> None:
    async with edge(service, turned, ConnectionLimits(TrustedProxies((PROXY,)), per_address=2)) as port:
        streams = [await connected(port, address=PROXY) for _ in range(9)]
        assert [await answers(stream) for stream in streams] == [True] * 9
        await close(*streams)


@pytest.mark.slow
async def test_where_all_are_taken_the_one_that_waited_longest_makes_room(service: Service, turned: Turned) -> None:
    limits = ConnectionLimits(TrustedProxies((PROXY,)), per_address=0, in_all=4)
    async with edge(service, turned, limits) as port:
        proxy = await connected(port, address=PROXY)
        streams = []
        for seconds in (1, 2, 3):
            await turned.to(seconds)
            streams.append(await connected(port))
        assert await answers(streams[0])
        fifth = await connected(port)
        assert await ended(streams[1])
        assert [await answers(stream) for stream in (proxy, streams[0], streams[2], fifth)] == [True] * 4
        await close(proxy, *streams, fifth)


@pytest.mark.parametrize(
    "half", [b"GET /livez HTTP/1.1\r\nHost: ", HALF_A_BODY, CREATE], ids=["head", "body", "create"]
)
async def test_half_a_request_makes_room_too(service: Service, turned: Turned, half: bytes) -> None:
    async with edge(service, turned, ConnectionLimits(TrustedProxies(), per_address=0, in_all=1)) as port:
        slow = await connected(port, half)
        await turned.to(1)
        second = await connected(port)
        assert await ended(slow)
        await close(slow, second)


class Silent(Wrapped):
    """A link that asks nothing for the fast path."""

    def submit(self, command: bytes, answer: Callable[[Any], None], *, retry: bool = False) -> None:
        """There is no reply."""


@pytest.mark.parametrize(
    "behind", [b"", b"GET /livez HTTP/1.1\r\nHost: ", HALF_A_BODY], ids=["nothing", "head", "body"]
)
async def test_where_all_are_busy_a_new_one_is_told(make_service: MakeService, turned: Turned, behind: bytes) -> None:
    """Also where half a request is behind the one that is under way, whose answer would be lost."""
    service = await make_service(background=False, wrap=Silent)
    ask = b"DELETE /api/admin/tokens?id=a HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + b"A" * 64 + b"\r\n\r\n"
    async with edge(service, turned, ConnectionLimits(TrustedProxies(), per_address=0, in_all=2)) as port:
        busy = [await connected(port, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n" + ask + behind) for _ in range(2)]
        for reader, _ in busy:
            await reader.readuntil(b'"}')
        assert await refused(port, b"overloaded")
        await close(busy[0])
        await close(await connected(port))
        await close(busy[1])


@pytest.mark.slow
async def test_hundreds_that_come_at_once_and_say_nothing_keep_nobody_out(service: Service, turned: Turned) -> None:
    async with edge(service, turned, ConnectionLimits(TrustedProxies(), per_address=0, in_all=20)) as port:
        streams = [await connected(port, b"") for _ in range(300)]
        async with asyncio.timeout(PATIENCE_SECONDS):
            # Those who came since the sweep last looked make no room.
            while not (await first(port, GOOD)).startswith(b"HTTP/1.1 200 "):
                await turned.to(turned.ahead + 1)
        await close(*streams)


def test_an_ipv6_address_counts_for_its_network_of_64_bits() -> None:
    origin_of = ConnectionLimits(TrustedProxies(("2001:db8:1::/48",)), per_address=1).origin_of
    assert origin_of("2001:db8::1") == origin_of("2001:db8::ffff:0:0:9") != origin_of("2001:db8:0:1::1")
    assert origin_of("fe80::1%eth0") == origin_of("fe80::2")
    assert origin_of("192.0.2.1") != origin_of("192.0.2.2")
    assert origin_of("2001:db8:1::5") == origin_of("") == ""


def slow_client(port: int) -> socket.socket:
    """One whose kernel takes little of an answer by itself."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    client.connect(("127.0.0.1", port))
    client.setblocking(False)
    return client


def sends(client: socket.socket) -> bool:
    """Is the connection still there?"""
    try:
        client.send(b"\r\n")
    except BlockingIOError:
        pass
    except (ConnectionResetError, BrokenPipeError):
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})], ids=["uvloop"])
async def test_a_client_that_takes_no_answer_for_ten_seconds_is_cut_off(
    port: int, turned: Turned, caplog: pytest.LogCaptureFixture
) -> None:
    with slow_client(port) as client:
        client.sendall(OPENAPI * 300)
        await turned.to(9)
        assert sends(client)
        async with asyncio.timeout(PATIENCE_SECONDS):
            # It is counted from when nothing more went into the kernel's buffers.
            while sends(client):
                await turned.to(turned.ahead + 9)
        # The operation under way has noticed by then, and writes nothing more to what is closed.
        await first(port, GOOD)
        assert not [record for record in caplog.records if record.name == "uvicorn.error"]


@pytest.mark.slow
async def test_a_client_that_takes_some_of_an_answer_now_and_then_gets_all_of_it(port: int, turned: Turned) -> None:
    loop, count = asyncio.get_running_loop(), 100
    with slow_client(port) as client:
        client.sendall(OPENAPI * (count - 1) + OPENAPI[:-2] + b"Connection: close\r\n\r\n")
        got = bytearray()
        async with asyncio.timeout(PATIENCE_SECONDS):
            for step in range(1, 5):
                got += await loop.sock_recv(client, 400_000)
                await turned.to(step * 6)
            while part := await loop.sock_recv(client, 1_000_000):
                got += part
    # Told by what came, so that one that is missing is told from one that was refused.
    assert re.findall(rb"HTTP/1\.1 (\d+)", got) == [b"200"] * count, got[-200:]


@pytest.fixture
def certificate(tmp_path: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*self_signed(tmp_path, "a"))
    return made


class ByTls:
    """A client whose side of TLS is worked by hand, so that it can leave an end unconfirmed."""

    def __init__(self, client: socket.socket) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._client, self.over = client, False
        self._got, self._said = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._got, self._said)

    async def ask(self, request: bytes) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._send()
                self._got.write(await asyncio.get_running_loop().sock_recv(self._client, 65536))
            else:
                break
        self._tls.write(request)
        await self._send()

    async def _send(self) -> None:
        await asyncio.get_running_loop().sock_sendall(self._client, self._said.read())

    async def take(self) -> bytes:
        """What is in the next bytes on the wire; it is `over` where there are none."""
        wire, taken = await asyncio.get_running_loop().sock_recv(self._client, 65536), b""
        self.over = not wire
        self._got.write(wire)
        with suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            while part := self._tls.read(65536):
                taken += part
        return taken

    async def rest(self) -> bytes:
        got = b""
        while not self.over:
            got += await self.take()
        return got


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})], ids=["uvloop"])
async def test_by_tls_nobody_waits_long_for_a_client_that_confirms_no_end(
    service: Service, turned: Turned, certificate: ssl.SSLContext
) -> None:
    """As one does that keeps its connections in a pool: it held a stop up for as long as that may take."""
    async with edge(service, turned, tls=certificate) as port, asyncio.timeout(PATIENCE_SECONDS):
        # The other one stays, because the clock stands while nobody is connected.
        with slow_client(port) as client, slow_client(port) as other:
            await ByTls(other).ask(GOOD)
            it, got = ByTls(client), b""
            await it.ask(GOOD[:-2] + b"Connection: close\r\n\r\n")
            while not got:
                got = await it.take()
            rest = asyncio.ensure_future(it.rest())
            for step in range(20):
                await turned.to(step)
            assert rest.done()
            assert not rest.result()


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"loop_factory": tls.Loop})], ids=["ours"])
async def test_by_tls_it_is_not_the_loop_that_ends_a_connection_amid_the_reading_of_its_last_answer(
    service: Service, turned: Turned, certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tls.CLOSE_SECONDS > 100 * READ_SECONDS
    monkeypatch.setattr(tls, "CLOSE_SECONDS", 0.01)
    # Sooner than a loop that has not been told when.
    async with edge(service, turned, tls=certificate) as port, asyncio.timeout(25):
        with slow_client(port) as client:
            it = ByTls(client)
            await it.ask(GOOD[:-2] + b"Connection: close\r\n\r\n")
            assert (await it.rest()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "sent",
    [
        GOOD,
        b"GET /validate HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /api/one-time-tokens/consume HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
        b"not HTTP\r\n\r\n",
        HALF_A_BODY,
        3 * GOOD,
        3 * (b"GET /validate HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %b\r\n\r\n" % (b"a" * 64)),
    ],
)
async def test_a_connection_that_is_over_leaves_nothing_to_the_garbage_collector(port: int, sent: bytes) -> None:
    gc.collect()
    gc.disable()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        async with asyncio.timeout(PATIENCE_SECONDS):
            if sent is not HALF_A_BODY:
                await reader.readuntil(b"\r\n")
            await _gone(writer)
    finally:
        gc.enable()


async def _gone(writer: asyncio.StreamWriter) -> None:
    """Close, and wait until the server's side of it is no more."""
    gone = asyncio.Event()
    protocols = [weakref.ref(one, lambda _: gone.set()) for one in gc.get_objects() if isinstance(one, EdgeProtocol)]
    writer.close()
    while any(protocol() is not None for protocol in protocols):
        await gone.wait()
        gone.clear()
