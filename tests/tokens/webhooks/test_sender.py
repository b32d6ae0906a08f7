"""Webhooks on the wire: signed, to the very address that was looked at, and never a step further."""

import asyncio
import gc
import json
import ssl
import time
from types import SimpleNamespace
from typing import Any

import httptools
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from service.tokens.webhooks import sender as sender_module
from service.tokens.webhooks.lookups import Lookups
from service.tokens.webhooks.sender import Sender, Sent
from service.tokens.webhooks.ssrf import Destinations
from tests.certificates import self_signed
from tests.receiver import receiving, resolving

SECRET = "whsec_c2l4dGVlbiBieXRlcyBsb25n"
BODY = json.dumps({"type": "token.created", "data": {"name": "Grüße"}}, ensure_ascii=False)
LOOPBACK = resolving("127.0.0.1")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The contexts of a server called hooks.example.com and of a client that believes its certificate."""
    files = self_signed(tmp_path_factory.mktemp("tls"), "hooks.example.com")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*files)
    return server, ssl.create_default_context(cafile=str(files[0]))


async def send_on(sender: Sender, url: str) -> Any:
    return await sender.send(url, [SECRET], "1-0.0", BODY, time.time())


async def send(sender: Sender, url: str) -> Any:
    """Send, and keep no connection."""
    sent = await send_on(sender, url)
    await sender.aclose()
    return sent


async def test_a_message_is_signed_as_standard_webhooks_has_it() -> None:
    async with receiving() as receiver:
        sender = Sender(Destinations(LOOPBACK, allow_private=True))
        sent = await send(sender, f"http://hooks.example.com:{receiver.port}/a/b?c=d")
    assert sent == (True, True, 204, "", 0)
    (received,) = receiver.received
    assert received.line == "POST /a/b?c=d HTTP/1.1"
    assert received.headers["host"] == f"hooks.example.com:{receiver.port}"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["webhook-id"] == "1-0.0"
    assert Webhook(SECRET).verify(received.body, received.headers) == json.loads(BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(received.body + " ", received.headers)
    assert SECRET not in str(received)


async def test_the_certificate_must_be_that_of_the_name(authority: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    server, client = authority
    async with receiving(tls=server) as receiver:
        sender = Sender(Destinations(LOOPBACK, allow_private=True), tls=lambda: client)
        assert (await send(sender, f"https://hooks.example.com:{receiver.port}/")).taken
        assert receiver.server_names == ["hooks.example.com"]
        assert receiver.received[0].headers["host"] == f"hooks.example.com:{receiver.port}"
        for url in (f"https://other.example.com:{receiver.port}/", f"https://127.0.0.1:{receiver.port}/"):
            sent = await send(sender, url)
            assert (sent.taken, sent.final, sent.status) == (False, False, 0)
            assert sent.error.startswith("certificate: ")
        # It says something about the host: nobody listens at the next address, and that one is not tried.
        twofold = Sender(Destinations(resolving("127.0.0.1", "127.0.0.2"), allow_private=True), tls=lambda: client)
        assert "certificate" in (await send(twofold, f"https://other.example.com:{receiver.port}/")).error
        stranger = Sender(Destinations(LOOPBACK, allow_private=True))
        assert "certificate" in (await send(stranger, f"https://hooks.example.com:{receiver.port}/")).error
        assert len(receiver.received) == 1


async def test_an_answer_leaves_nothing_to_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        async with receiving() as receiver:
            sender = Sender(Destinations(LOOPBACK, allow_private=True))
            for path in ("", "again"):
                assert (await send_on(sender, f"http://hooks.example.com:{receiver.port}/{path}")).taken
            await sender.aclose()
        assert not [one for one in gc.get_objects() if isinstance(one, httptools.HttpResponseParser)]
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::1"],
        ["10.0.0.1", "169.254.169.254"],
        ["::ffff:127.0.0.1"],
        ["100.100.100.200"],
        ["64:ff9b::7f00:1"],
        [],
    ],
)
async def test_a_name_that_leads_to_no_public_address_is_not_connected_to(addresses: list[str]) -> None:
    async with receiving() as receiver:
        sender = Sender(Destinations(resolving(*addresses), allow_private=False))
        sent = await send(sender, f"https://hooks.example.com:{receiver.port}/")
    assert (sent.taken, sent.final, sent.error) == (False, False, "the name leads to no public address")
    assert receiver.connections == 0


async def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []
    turns = iter([["10.0.0.1", "93.184.216.34", "192.168.0.1", "2606:4700::1111"], ["127.0.0.1"]])

    async def rebinding(host: str, port: int) -> list[str]:
        return next(turns)

    async def connect(host: str, port: int, **how: Any) -> Any:
        asked.append((host, port, how["server_hostname"]))
        raise ConnectionRefusedError

    monkeypatch.setattr(sender_module.asyncio, "open_connection", connect)
    sender = Sender(Destinations(rebinding, allow_private=False))
    sent = [await send(sender, "https://hooks.example.com/x") for _ in range(2)]
    assert asked == [("93.184.216.34", 443, "hooks.example.com"), ("2606:4700::1111", 443, "hooks.example.com")]
    assert [one.error for one in sent] == ["connection: ConnectionRefusedError", "the name leads to no public address"]


async def test_a_connection_is_used_again_and_connected_anew_when_the_receiver_closed_it() -> None:
    async with receiving() as receiver:
        receiver.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"]
        receiver.keeps_open = 3
        sender = Sender(Destinations(LOOPBACK, allow_private=True))
        url = f"http://hooks.example.com:{receiver.port}/"
        for _ in range(7):
            assert (await send_on(sender, url)).taken
        assert (receiver.connections, len(receiver.received)) == (3, 7)
        await sender.aclose()


async def test_a_kept_connection_is_used_for_a_minute_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name may lead elsewhere by then."""
    now = [1000.0]
    monkeypatch.setattr(sender_module.time, "monotonic", lambda: now[0])
    async with receiving() as receiver:
        receiver.answers = [b"HTTP/1.1 204 OK\r\n\r\n"]
        receiver.keeps_open = 9
        sender = Sender(Destinations(LOOPBACK, allow_private=True))
        url = f"http://hooks.example.com:{receiver.port}/"
        assert (await send_on(sender, url)).taken
        now[0] += 59
        assert (await send_on(sender, url)).taken
        assert receiver.connections == 1
        now[0] += 1
        sender.tidy()
        assert sender._idle == {}
        assert (await send_on(sender, url)).taken
        assert receiver.connections == 2
        await sender.aclose()


async def test_a_second_address_is_tried_when_the_first_does_not_answer() -> None:
    async with receiving() as receiver:
        sender = Sender(Destinations(resolving("::1", "127.0.0.1"), allow_private=True))
        assert (await send(sender, f"http://hooks.example.com:{receiver.port}/")).taken


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(status: int) -> None:
    async with receiving() as inner, receiving() as receiver:
        receiver.answers = [f"HTTP/1.1 {status} Moved\r\nLocation: http://127.0.0.1:{inner.port}/\r\n\r\n".encode()]
        sender = Sender(Destinations(LOOPBACK, allow_private=True))
        sent = await send(sender, f"http://hooks.example.com:{receiver.port}/")
    assert sent == (False, False, status, f"answered {status}", 0)
    assert inner.connections == 0


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nendless", (True, True, 200, "")),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.0 202\r\n\r\n", (True, True, 202, "")),
        (b"HTTP/1.1 410 Gone\r\n\r\n", (False, True, 410, "answered 410")),
        (b"HTTP/1.1 500 No\r\n\r\n", (False, False, 500, "answered 500")),
        (b"HTTP/1.1 429 Slow\r\n\r\n", (False, False, 429, "answered 429")),
        (b"SSH-2.0-OpenSSH_9\r\n", (False, False, 0, "connection: not HTTP")),
        (b"HTTP/1.1 what\r\n\r\n", (False, False, 0, "connection: not HTTP")),
        (b"HTTP/1.1 200", (False, False, 0, "connection: ConnectionResetError")),
        (b"", (False, False, 0, "connection: ConnectionResetError")),
        (b"x" * 40_000, (False, False, 0, "connection: not HTTP")),
    ],
)
async def test_nothing_but_the_status_is_read(answer: bytes, wanted: tuple[Any, ...]) -> None:
    async with receiving() as receiver:
        receiver.answers = [answer]
        sender = Sender(Destinations(LOOPBACK, allow_private=True))
        assert await send(sender, f"http://hooks.example.com:{receiver.port}/") == Sent(*wanted)


async def test_of_an_answer_that_is_long_only_the_beginning_is_read() -> None:
    reader, answer, most = asyncio.StreamReader(), sender_module._Answer(), sender_module._ANSWER_BYTES
    reader.feed_data(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 3 * most)
    reader.feed_eof()
    await sender_module._read_rest(SimpleNamespace(reader=reader), answer)
    assert (answer.status, len(await reader.read()) >= 2 * most) == (200, True)
    answer.let_go()


@pytest.mark.parametrize("answer", [None, b"HTTP/1.1 100 Continue\r\n\r\n" * 3])
async def test_a_receiver_that_does_not_answer_is_given_up(
    answer: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "_SECONDS", 0.1)
    async with receiving() as receiver:
        receiver.answers = [answer]
        sender = Sender(Destinations(LOOPBACK, allow_private=True))
        sent = await send(sender, f"http://hooks.example.com:{receiver.port}/")
    assert not sent.taken
    assert sent.error in ("no answer within 5 s", "connection: ConnectionResetError")


async def test_a_name_that_cannot_be_resolved_is_told() -> None:
    sender = Sender(Destinations(Lookups().resolve, allow_private=False))
    for host in ("nowhere.invalid", "a" * 64 + ".example.com"):
        sent = await send(sender, f"https://{host}/")
        assert not sent.taken
        assert sent.error.startswith(("connection: ", "no answer"))


async def test_what_was_stored_is_checked_again_when_it_is_used() -> None:
    """A record written while private addresses were allowed goes nowhere once they are not."""
    async with receiving() as receiver:
        sender = Sender(Destinations(LOOPBACK, allow_private=False))
        for url in (f"http://127.0.0.1:{receiver.port}/", f"https://127.0.0.1:{receiver.port}/"):
            assert not (await send(sender, url)).taken
    assert receiver.connections == 0


@pytest.mark.parametrize(
    ("status", "field", "wait"),
    [
        (429, "7", 7),
        (503, "7", 7),
        (500, "7", 0),
        (429, "9" * 40, 999_999_999),
        (429, "-7", 0),
        (429, "soon", 0),
        (429, "Wed, 21 Oct 2015 07:28:00 GMT", 0),
        (503, "Fri, 01 Jan 2100 00:00:00 GMT", 60),
    ],
)
async def test_when_to_come_again_is_read_from_an_answer_that_may_say_it(status: int, field: str, wait: int) -> None:
    in_the_last_minute_of_2099 = 4_102_444_740.5
    async with receiving() as receiver:
        receiver.answers = [f"HTTP/1.1 {status} No\r\nRetry-After: {field}\r\nConnection: close\r\n\r\n".encode()]
        sender = Sender(Destinations(LOOPBACK, allow_private=True))
        sent = await sender.send(
            f"http://hooks.example.com:{receiver.port}/", [SECRET], "1-0.0", BODY, in_the_last_minute_of_2099
        )
        await sender.aclose()
    assert sent == (False, False, status, f"answered {status}", wait)
