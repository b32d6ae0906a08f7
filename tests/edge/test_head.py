"""What a client may send and how slowly; what is refused is refused by name, and before any operation sees it."""

import asyncio
from contextlib import suppress

import pytest

from service.api.http.proxies import TrustedProxies
from service.app import Service
from service.edge.deadlines import BODY_SECONDS, Deadlines
from service.edge.head import HOSTS
from service.edge.limits import ConnectionLimits
from service.edge.protocol import EdgeProtocol
from service.errors import StoreUnavailable
from tests.builders import ADMIN, sign_in
from tests.conftest import PASSWORD
from tests.edge.asking import GOOD, METRICS, PATIENCE_SECONDS, asking, first, send, taken, until_closed
from tests.edge.conftest import Turned
from tests.listening import listening

SIGN_IN = b"POST /api/token HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 5242880\r\n\r\n"

INVALID = {
    "no host": b"GET /livez HTTP/1.1\r\n\r\n",
    "an empty host": b"GET /livez HTTP/1.1\r\nHost:\r\n\r\n",
    "a blank host": b"GET /livez HTTP/1.1\r\nHost:  \t \r\n\r\n",
    "an empty host in 1.0": b"GET /livez HTTP/1.0\r\nHost:\r\n\r\n",
    "two hosts": b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "the same host twice": b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "chunked with a length": (
        b"POST /api/token HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "a length with chunked": (
        b"POST /api/token HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"
    ),
    "chunked twice": (
        b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "chunked in 1.0": b"POST /a HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
    "two lengths": b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "different lengths": b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
    "a list of lengths": b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na",
    "a negative length": b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "a signed length": b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
    "a hexadecimal length": b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na",
    "HTTP/0.9": b"GET /livez\r\n\r\n",
    "HTTP/0.9 with words": b"GET /livez HTTP/0.9\r\nHost: a\r\n\r\n",
    "HTTP/2.0": b"GET /livez HTTP/2.0\r\nHost: a\r\n\r\n",
    "HTTP/1.2": b"GET /livez HTTP/1.2\r\nHost: a\r\n\r\n",
    "an HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another host in the target": b"GET http://b.test/livez HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "another scheme in the target": b"GET ftp://a.test/livez HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "a target without a slash": b"GET livez HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space in a name": b"GET /livez HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n",
    "a space before the colon": b"GET /livez HTTP/1.1\r\nHost : a\r\n\r\n",
    "no name": b"GET /livez HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n",
    "no colon": b"GET /livez HTTP/1.1\r\nHost: a\r\nbroken\r\n\r\n",
    "a NUL in a value": b"GET /livez HTTP/1.1\r\nHost: a\r\nX-A: a\x00b\r\n\r\n",
    "a folded field": b"GET /livez HTTP/1.1\r\nHost: a\r\nX-A: a\r\n b\r\n\r\n",
    "a bare CR": b"GET /livez HTTP/1.1\rHost: a\r\n\r\n",
    "no method": b" /livez HTTP/1.1\r\nHost: a\r\n\r\n",
    "an unknown method of HTTP/2": b"GETT /livez HTTP/2.0\r\nHost: a\r\n\r\n",
    "an unknown method for a tunnel": b"GETT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a sign that no method has": b"G@T /livez HTTP/1.1\r\nHost: a\r\n\r\n",
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a bad chunk": b"POST /api/token HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
}
VALID = {
    "plain": GOOD,
    "1.0 without a host": b"GET /livez HTTP/1.0\r\n\r\n",
    "1.0 kept alive": b"GET /livez HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    "its own host in the target": b"GET http://a.test/livez HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "its own host in capitals": b"GET HTTP://A.test/livez HTTP/1.1\r\nHost: a.TEST\r\n\r\n",
    "a port": b"GET http://a.test:80/livez HTTP/1.1\r\nHost: a.test:80\r\n\r\n",
    "empty lines first": b"\r\n\r\n" + GOOD,
    "spaces around a value": b"GET /livez HTTP/1.1\r\nHost:   a   \r\n\r\n",
    "a field twice that may be": b"GET /livez HTTP/1.1\r\nHost: a\r\nAccept: a\r\nAccept: b\r\n\r\n",
    "64 fields": b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(63)) + b"\r\n",
    "nearly 16 KiB": b"GET /livez HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * 16300 + b"\r\n\r\n",
    "a query": b"GET /livez?a=b&c HTTP/1.1\r\nHost: a\r\n\r\n",
    "a body on GET": b"GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
    "an upgrade that nobody speaks": b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "HEAD": b"HEAD /livez HTTP/1.1\r\nHost: a\r\n\r\n",
}


def statuses(got: bytes) -> list[int]:
    return [int(answer[:3]) for answer in got.split(b"HTTP/1.1 ")[1:]]


async def test_a_method_that_nobody_knows_is_one_request_with_its_body_and_what_follows_it(port: int) -> None:
    unknown = b"GETT /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nBODY "
    async with asking(port) as (reader, writer):
        for _ in range(3):
            writer.write(unknown + GOOD)
            assert statuses(await reader.readuntil(b'"status":"alive"')) == [405, 200]
    assert statuses(await send(port, unknown[:-3], unknown[-3:] + GOOD)) == [405, 200]
    # Behind another request of its packet, and amid a body, it cannot be told from what that one left.
    assert statuses(await send(port, GOOD + unknown + GOOD)) == [200]
    chunked = b"POST /api/token HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert statuses(await send(port, chunked, unknown)) == [400]


async def test_what_two_readers_could_understand_differently_is_refused_and_the_connection_closed(port: int) -> None:
    for name, sent in INVALID.items():
        got = await send(port, sent + GOOD)
        assert got.startswith(b"HTTP/1.1 400 "), (name, got[:200])
        assert got.count(b"HTTP/1.1 ") == 1, f"{name}: something behind the refused request was answered"
        assert b"connection: close\r\n" in got and b"application/problem+json" in got, name


NO_HOSTS = [
    b"a b/c",
    b"x@y",
    b"a/b",
    b"a?b",
    b"a#b",
    b"a\\b",
    b"a,b",
    b"a b",
    b"a;b",
    b'a"b',
    b"<a>",
    b"a%20b",
    b"\xe4",
    b"http://a",
    b":",
    b":80",
    b"a:b",
    b"a:80:80",
    b"a:-1",
    b"a:+1",
    b"a:99999",
    b"a:123456",
    b"::1",
    b"[::1",
    b"::1]",
    b"[]",
    b"[1]",
    b"[::1]a",
    b"[::g]",
    b"[fe80::1%25eth0]",
    b"[v1.a]",
    b".a",
    b"-a",
    b"*",
    b"a" * 254,
]
GOOD_HOSTS = [
    b"a",
    b"A.TEST",
    b"a.test.",
    b"a_b",
    b"_a",
    b"a-b.c:8080",
    b"xn--nxasmq6b",
    b"127.0.0.1",
    b"127.0.0.1:80",
    b"a:",
    b"a:65535",
    b"[::1]",
    b"[::1]:8080",
    b"[2001:DB8::192.0.2.1]",
    b"a" * 253,
]


@pytest.mark.parametrize("path", [b"/livez", b"/validate"])
async def test_a_host_that_is_none_is_400_on_every_way(port: int, path: bytes) -> None:
    for host in NO_HOSTS:
        got = await send(port, b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (path, host) + GOOD)
        assert got.startswith(b"HTTP/1.1 400 "), host
        assert got.count(b"HTTP/1.1 ") == 1, host
    for host in GOOD_HOSTS:
        got = await first(port, b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (path, host))
        assert got.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 401 ")), host


async def test_what_is_only_unusual_is_answered(port: int) -> None:
    for name, sent in VALID.items():
        assert (await first(port, sent)).startswith(b"HTTP/1.1 200 "), name


@pytest.mark.parametrize("space", [b" ", b"\t", b" \t "])
async def test_white_space_behind_a_value_is_no_part_of_it(port: int, service: Service, space: bytes) -> None:
    secret = (await service.rules.sessions.sign_in("admin", PASSWORD, ADMIN)).secret.encode()
    check = b"GET /api/token HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Token: %b%b\r\n\r\n"
    costly = b"GET /validate HTTP/1.1\r\nHost: a\r\nX-Token: %b%b\r\nX-Token-Cost: 2%b\r\n\r\n"
    assert b'"valid":true' in await until_closed(port, check % (secret, space))
    assert (await first(port, costly % (secret, space, space))).startswith(b"HTTP/1.1 200 ")


async def test_a_head_over_its_limits_is_431(port: int, service: Service) -> None:
    for head in (
        b"GET /livez HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * 17000 + b"\r\n\r\n",
        b"GET /validate HTTP/1.1\r\nHost: a\r\n" + b"X-A: aaaaaaaaaaaaaaaa\r\n" * 800 + b"\r\n",
        b"GET /" + b"a" * 17000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(64)) + b"\r\n",
        b"GET /validate HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(64)) + b"\r\n",
    ):
        assert (await first(port, head)).startswith(b"HTTP/1.1 431 "), head[:60]
    counted = 'tokens_http_requests_total{method="other",route="refused",status="431"} 5.0'
    assert counted in (await service.metrics.render(""))[0].decode()


async def test_a_head_without_end_is_cut_off_early(port: int) -> None:
    for beginning in (b"GET /livez HTTP/1.1\r\nHost: a\r\nX-A: ", b"GET /livez HTTP/1.1\r\nHost: a\r\nX-", b"GET /"):
        assert await taken(port, beginning, b"a" * 65536) < 32_000_000


@pytest.mark.slow
async def test_pipelined_small_requests_in_one_large_packet_are_no_large_head(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GOOD * 1500 + GOOD[:20])
    writer.write(GOOD[20:])
    async with asyncio.timeout(PATIENCE_SECONDS):
        for _ in range(1501):
            assert (await reader.readuntil(b'"}')).lstrip().startswith(b"HTTP/1.1 200 ")
    writer.close()


@pytest.mark.parametrize("beginning", [b"GET /livez HTTP/1.1\r\nHost: a", b"\r\n\r\n", b"\r\n\r\nGET /livez"])
@pytest.mark.slow
async def test_a_head_that_takes_longer_than_five_seconds_is_408(port: int, turned: Turned, beginning: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(beginning[:4])
    await first(port, GOOD)  # whatever was sent before has been read by now
    await turned.to(4)
    writer.write(beginning[4:])
    await first(port, GOOD)
    # Counted from the first byte.
    turned.ahead = 6
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_a_blank_line_behind_a_body_is_ignored_and_many_are_not(port: int, turned: Turned) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for ahead in (6, 12):
        writer.write(GOOD)
        assert (await reader.readuntil(b'"}')).startswith(b"HTTP/1.1 200 ")
        writer.write(b"\r\n")
        await first(port, GOOD)
        await turned.to(ahead)
    writer.close()
    assert (await send(port, b"\r\n" * 4096)).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("path", [b"/api/token", b"/oauth2/introspect"])
@pytest.mark.slow
async def test_a_body_that_takes_longer_than_ten_seconds_is_408(port: int, turned: Turned, path: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n{" % path)
    await first(port, GOOD)
    turned.ahead = 9
    await first(port, GOOD)
    turned.ahead = 11
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        # So it is counted, too, as soon as the operation has noticed.
        while b'route="%b",status="408"' % path not in await until_closed(port, METRICS):
            pass
    writer.close()


@pytest.mark.parametrize("path", [b"/api/token", b"/oauth2/introspect", b"/api/admin/tokens"])
async def test_a_request_whose_client_leaves_amid_its_body_is_counted_once(port: int, path: bytes) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST %b HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nContent-Length: 30\r\n\r\n{" % path)
    await first(port, GOOD)  # it has been read by now
    writer.close()
    counted = b'tokens_http_requests_total{method="POST",route="%b",status="400"} 1.0' % path
    async with asyncio.timeout(PATIENCE_SECONDS):
        while counted not in await until_closed(port, METRICS):
            pass


ISSUE = b"POST /api/one-time-tokens HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"


@pytest.mark.parametrize("known", [True, False], ids=["fast", "ordinary"])
async def test_a_request_that_is_under_way_is_answered_though_no_http_follows_it(
    service: Service, port: int, known: bool
) -> None:
    """Its client would read the refusal as the answer, and take for not done what is done."""
    secret = await sign_in(service)
    caller = b"Authorization: Bearer %b\r\n" % secret if known else b""
    got = await until_closed(port, (ISSUE + caller + b"\r\n{}") * 2 + b"no http\r\n\r\n")
    assert [part[:3] for part in got.split(b"HTTP/1.1 ")[1:]] == [b"201", b"201"]
    assert got.count(b"connection: close\r\n") == 1


async def test_an_idle_connection_is_closed_after_the_keep_alive_and_not_before(port: int, turned: Turned) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GOOD)
    await reader.readuntil(b'"}')
    turned.ahead = 125
    await first(port, GOOD)
    writer.write(GOOD)
    assert (await reader.readuntil(b'"}')).startswith(b"HTTP/1.1 200 ")
    turned.ahead = 125 + 131
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await reader.read() == b""
    writer.close()


async def test_a_connection_whose_next_head_has_begun_is_idle_no_more(port: int, turned: Turned) -> None:
    async with asking(port, GOOD) as (reader, writer):
        await reader.readuntil(b'"}')
        await turned.to(128)
        writer.write(GOOD[:20])
        for _ in range(2):  # What is late at the first look is told so at the second.
            await turned.to(132)
        writer.write(GOOD[20:])
        assert (await reader.readuntil(b'"}')).lstrip().startswith(b"HTTP/1.1 200 ")


async def test_a_body_over_its_limit_is_413_before_it_is_read(port: int) -> None:
    head = b"POST /api/token HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    declared = await first(port, head + b"Content-Length: 1000000000\r\n\r\n")
    assert declared.startswith(b"HTTP/1.1 413 ") and b"connection: close" in declared
    chunked = await first(
        port, head + b"Transfer-Encoding: chunked\r\n\r\n" + b"4000\r\n" + b"a" * 16384 + b"\r\n1\r\na\r\n"
    )
    assert chunked.startswith(b"HTTP/1.1 413 ") and b"connection: close" in chunked


def test_hosts_are_remembered_and_not_without_end() -> None:
    for number in range(2000):
        assert HOSTS[b"%d.test" % number]
        assert not HOSTS[b"%d/" % number]
        assert len(HOSTS) <= 256


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (
            b"POST /api/token HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 5242880\r\n\r\n",
            413,
        ),
        (b"PUT /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 5242880\r\n\r\n", 405),
        (b"POST /validate HTTP/1.1\r\nHost: a\r\nContent-Length: 5242880\r\n\r\n", 401),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\nX-A: ", 431),
    ],
)
async def test_whoever_sends_on_behind_an_answer_reads_it_all_the_same(
    port: int, head: bytes, status: int, turned: Turned
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(PATIENCE_SECONDS):
        writer.write(head + b"a" * 5_000_000)
        await writer.drain()
        assert (await reader.read()).startswith(b"HTTP/1.1 %d " % status)
        # Its half of the connection is left open for a while, and not for ever.
        writer.write(b"a")
        await turned.to(BODY_SECONDS - 1)
        await turned.to(BODY_SECONDS + 1)
        while not writer.transport.is_closing():
            with suppress(ConnectionError):
                writer.write(b"a")
                await writer.drain()
            await asyncio.sleep(0)


async def test_nothing_is_written_behind_a_refusal_by_an_operation_that_goes_on(
    port: int, service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def slow(*_: object, **__: object) -> None:
        asked.set()
        await answered.wait()
        raise StoreUnavailable("Redis cannot be reached.")

    monkeypatch.setattr(service.rules.one_time, "issue", slow)
    async with asking(port) as (reader, writer):
        writer.write(b"GET /api-v1/fastertokengenerator.php HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await asked.wait()
        writer.write(b"0\r\nX-A: " + b"a" * 40_000)
        assert (await reader.read()).startswith(b"HTTP/1.1 431 ")
        answered.set()
        while b'php",status="500"' not in await until_closed(port, METRICS):
            pass
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_stop_waits_a_second_for_whoever_sends_on_behind_an_answer(service: Service, turned: Turned) -> None:
    deadlines, limits = Deadlines(turned), ConnectionLimits(TrustedProxies(), per_address=0)
    shared = {"fast_path": service.fast_path, "limits": limits, "deadlines": deadlines}
    async with listening(service, EdgeProtocol, shared) as port, asyncio.timeout(PATIENCE_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(SIGN_IN + b"a" * 4096)
        assert (await reader.read()).startswith(b"HTTP/1.1 413 ")
        deadlines.drain()
        await turned.to(2)
        while not writer.transport.is_closing():
            with suppress(ConnectionError):
                writer.write(b"a")
                await writer.drain()
            await asyncio.sleep(0)
