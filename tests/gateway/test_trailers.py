"""HAProxy passes a client's trailer fields on behind its own X-Forwarded-For: they are no header fields."""

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.gateway.child import Gateway
from tests.gateway.conftest import Site
from tests.ports import held_port

pytestmark = pytest.mark.slow
CONFIGURATION = """
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    # The head and all that follows it leave together.
    option http-buffer-request
    option forwardfor
frontend proxy
    bind 127.0.0.1:{port}
    default_backend service
backend service
    server service 127.0.0.1:{service}
"""


@pytest.fixture(scope="module")
def proxy(site: Site) -> Iterator[Gateway]:
    port = held_port()
    text = CONFIGURATION.replace("{port}", str(port)).replace("{service}", str(site.running.port))
    with closing(Gateway("haproxy", port, {"haproxy.cfg": text}, "-db", "-f", "haproxy.cfg")) as gateway:
        yield gateway


def status(proxy: Gateway, *fields: str, trailer: str) -> bytes:
    head = "\r\n".join(["POST /validate HTTP/1.1", "Host: a", *fields, "Transfer-Encoding: chunked", "", ""])
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as connection:
        connection.sendall(f"{head}0\r\n{trailer}\r\n".encode())
        return connection.recv(65536).partition(b" ")[2][:3]


def test_an_address_in_a_trailer_lets_nobody_in(proxy: Gateway, site: Site) -> None:
    secret = site.create(allowedNetworks=["10.0.0.0/8"])["token"]
    for trailer in ("", "X-Forwarded-For: 10.1.2.3\r\n"):
        assert status(proxy, f"X-Token: {secret}", trailer=trailer) == b"403"


def test_a_credential_in_a_trailer_is_none(proxy: Gateway, site: Site) -> None:
    secret = site.create()["token"]
    assert status(proxy, f"X-Token: {secret}", trailer="") == b"200"
    assert status(proxy, trailer=f"X-Token: {secret}\r\n") == b"401"
