"""The keys of administrators' JWTs: what is kept, when it is asked for again, and until when it is trusted."""

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from service.errors import StoreUnavailable
from service.tokens.accounts.jwks import ASK_AGAIN_SECONDS, FRESH_SECONDS, Jwks, read_keys, url_reader

KEYS = {kid: ECKey.generate_key("P-256") for kid in ("one", "two")}


def jwks(*kids: str) -> bytes:
    return json.dumps({"keys": [{**KEYS[kid].as_dict(private=False), "kid": kid} for kid in kids]}).encode()


class Provider:
    """An identity provider whose document a test changes; counts how often it is asked."""

    def __init__(self, document: bytes) -> None:
        self.document = document
        self.asked = 0
        self.away = False
        self.now = 1_800_000_000.0

    def read(self) -> bytes:
        self.asked += 1
        if self.away:
            raise OSError("unreachable")
        return self.document

    def clock(self) -> float:
        return self.now


@pytest.fixture
def provider() -> Provider:
    return Provider(jwks("one"))


@pytest.fixture
def keys(provider: Provider) -> Jwks:
    return Jwks(provider.read, provider.clock)


async def found(keys: Jwks, kid: str | None = "one") -> bool:
    return await keys.find("ES256", kid) is not None


async def test_keys_are_read_once_however_many_ask(keys: Jwks, provider: Provider) -> None:
    assert all(await asyncio.gather(*[found(keys) for _ in range(20)]))
    assert provider.asked == 1


async def test_keys_that_are_five_minutes_old_are_asked_for_again_behind_the_answer(
    keys: Jwks, provider: Provider
) -> None:
    await found(keys)
    provider.document = jwks("two")
    provider.now += FRESH_SECONDS + 1
    assert await found(keys)  # the old keys serve until the new ones are there
    assert keys._asking is not None
    await keys._asking
    assert provider.asked == 2
    assert not await found(keys)
    assert await found(keys, "two")


async def test_an_unknown_key_id_asks_at_once_but_once_a_minute(keys: Jwks, provider: Provider) -> None:
    await found(keys)
    provider.now += ASK_AGAIN_SECONDS + 1
    provider.document = jwks("one", "two")
    assert await found(keys, "two")
    assert provider.asked == 2
    for number in range(50):
        assert not await found(keys, f"made up {number}")
    assert provider.asked == 2
    provider.now += ASK_AGAIN_SECONDS + 1
    assert not await found(keys, "made up")
    assert provider.asked == 3


async def test_an_unknown_key_id_waits_for_keys_that_are_on_their_way(keys: Jwks, provider: Provider) -> None:
    await found(keys)
    provider.document = jwks("two")
    provider.now += FRESH_SECONDS + 1
    assert await found(keys, "two")
    assert provider.asked == 2


async def test_an_algorithm_that_no_key_may_have_asks_nobody(keys: Jwks, provider: Provider) -> None:
    for algorithm in ("none", "HS256", "ES512", ""):
        assert await keys.find(algorithm, "unknown") is None
    assert provider.asked == 0


async def test_old_keys_serve_for_an_hour_without_their_provider_and_no_longer(
    keys: Jwks, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    await found(keys)
    provider.away = True
    provider.now += 3599
    assert await found(keys)
    provider.now += 2
    with pytest.raises(StoreUnavailable) as refused:
        await found(keys)
    assert refused.value.code == "keys_unavailable"
    assert "the keys of administrators' JWTs cannot be read: " in caplog.text
    asked = provider.asked
    for _ in range(10):  # nor is the provider stormed
        with pytest.raises(StoreUnavailable):
            await found(keys)
    assert provider.asked <= asked + 1
    provider.away = False
    provider.now += ASK_AGAIN_SECONDS
    assert await found(keys)


async def test_who_sends_no_end_of_a_document_is_given_up(monkeypatch: pytest.MonkeyPatch, provider: Provider) -> None:
    monkeypatch.setattr("service.tokens.accounts.jwks._GIVE_UP_SECONDS", 0)
    ends = threading.Event()
    try:
        # The outer limit is for a service that would wait.
        async with asyncio.timeout(60):
            with pytest.raises(StoreUnavailable):
                await found(Jwks(lambda: ends.wait() and b"", provider.clock))
    finally:
        ends.set()


@pytest.mark.parametrize("document", [b"", b"{", b'{"keys":[]}', b"[" * 100_000, b'{"keys":{}}', b'"keys"'])
async def test_a_broken_document_leaves_the_keys_as_they_were(keys: Jwks, provider: Provider, document: bytes) -> None:
    await found(keys)
    provider.document = document
    provider.now += ASK_AGAIN_SECONDS + 1
    assert not await found(keys, "two")
    assert await found(keys)


async def test_of_two_keys_under_one_id_the_first_counts(provider: Provider) -> None:
    documents = [json.loads(jwks(kid))["keys"][0] | {"kid": "same"} for kid in ("one", "two")]
    keys = Jwks(lambda: json.dumps({"keys": documents}).encode(), provider.clock)
    key = await keys.find("ES256", "same")
    assert key is not None and key.key.as_dict(private=False)["x"] == documents[0]["x"]


async def test_without_a_key_id_a_key_is_taken_only_if_it_is_the_only_one(provider: Provider) -> None:
    assert await found(Jwks(provider.read, provider.clock), None)
    provider.document = jwks("one", "two")
    assert not await found(Jwks(provider.read, provider.clock), None)


GOOD = ECKey.generate_key("P-256").as_dict(private=False)


@pytest.mark.parametrize(
    "entry",
    [
        OctKey.generate_key(256).as_dict(private=True),
        KEYS["one"].as_dict(private=True),
        ECKey.generate_key("P-384").as_dict(private=False),
        OKPKey.generate_key("X25519").as_dict(private=False),
        {**GOOD, "use": "enc"},
        {**GOOD, "key_ops": ["sign"]},
        {**GOOD, "key_ops": "verify"},
        {**GOOD, "alg": "ES512"},
        {**GOOD, "alg": "HS256"},
        {**GOOD, "crv": ["P-256"]},
        {**GOOD, "kty": ["EC"]},
        {**GOOD, "x": "AAAA"},
        {**GOOD, "x": 7},
        {**GOOD, "kid": 7},
        {"kty": "EC", "crv": "P-256"},
        {"kty": "RSA"},
        {"kty": "RSA", "n": "AQ", "e": "AQAB"},
        {},
        [],
        None,
        "key",
    ],
)
def test_a_key_that_must_not_verify_is_left_out(entry: Any) -> None:
    fine = {**OKPKey.generate_key("Ed25519").as_dict(private=False), "kid": "fine"}
    assert list(read_keys(json.dumps({"keys": [entry, fine]}).encode())) == [("fine", "EdDSA")]


def test_a_short_rsa_key_is_left_out() -> None:
    with pytest.warns(UserWarning, match="2048"):
        short = RSAKey.generate_key(1024).as_dict(private=False)
    with pytest.raises(ValueError, match="no public key"):
        read_keys(json.dumps({"keys": [short]}).encode())


@pytest.fixture
def https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Serves `answer(status, headers, body)` over https by a certificate that urllib trusts; gives the URL."""
    certificate = _certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    answers: dict[str, tuple[int, dict[str, str], bytes]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answers[self.path]
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def answer(path: str, status: int, body: bytes, **headers: str) -> str:
        answers[path] = (status, headers, body)
        return f"https://127.0.0.1:{server.server_address[1]}{path}"

    yield answer
    server.shutdown()
    thread.join()
    server.server_close()


def _certificate(folder: Path) -> Path:
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)
    )
    return path


def test_a_document_whose_end_does_not_come_in_time_is_not_read_on(
    https: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.tokens.accounts.jwks._GIVE_UP_SECONDS", -1)
    # Without a limit it would be read to more than there may be, which is another refusal.
    with pytest.raises(TimeoutError):
        url_reader(https("/slow", 200, b" " * 300_000))()


async def test_a_jwks_is_fetched_over_https(https: Callable[..., str], provider: Provider) -> None:
    url = https("/jwks", 200, jwks("one"))
    assert await found(Jwks(url_reader(url), provider.clock))


@pytest.mark.parametrize("defect", ["moved", "large", "failed", "unknown certificate"])
async def test_neither_a_redirect_nor_too_much_nor_an_error_nor_an_unknown_certificate_gives_keys(
    https: Callable[..., str], provider: Provider, monkeypatch: pytest.MonkeyPatch, defect: str
) -> None:
    good = https("/jwks", 200, jwks("one"))
    https("/moved", 302, b"", Location=good)
    https("/large", 200, jwks("one") + b" " * 300_000)
    https("/failed", 500, jwks("one"))
    url = good.replace("/jwks", "/jwks" if defect == "unknown certificate" else f"/{defect}")
    if defect == "unknown certificate":
        monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(StoreUnavailable):
        await found(Jwks(url_reader(url), provider.clock))
