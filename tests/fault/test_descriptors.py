"""A process with few descriptors, all taken by connections that say nothing: whoever asks is answered all the same."""

import resource
import socket
from collections.abc import Mapping

import pytest

from tests.api.redis_child import RedisChild
from tests.api.running import Lifespan, wait_until
from tests.api.wire import Client
from tests.conftest import PASSWORD

pytestmark = pytest.mark.slow
DESCRIPTORS = 64


def asked(port: int) -> bytes:
    """The status that a new caller gets; empty for a connection that is reset."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as caller:
        try:
            caller.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            return caller.recv(65536)[9:12]
        except ConnectionError:
            return b""


def test_idle_connections_keep_no_caller_out(settings: Mapping[str, str]) -> None:
    redis = RedisChild()
    running = Lifespan({**settings, "TOKENS_REDIS_URL": redis.url})
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, hard_limit))
    idle: list[socket.socket] = []
    try:
        for _ in range(5):
            address = ("127.0.0.1", running.port)
            idle += [socket.create_connection(address, timeout=60) for _ in range(3 * DESCRIPTORS)]
            # One that comes in the same quarter of a second as all those may be told to come again.
            wait_until(lambda: asked(running.port) == b"200", what="a caller to be let in")
            assert {asked(running.port) for _ in range(10)} <= {b"200", b"503"}
        # What the process needs besides is left: it signs in, creates, and begins new connections to Redis.
        client = Client(running.port)
        client.sign_in("admin", PASSWORD)
        redis.kill()
        redis.start()
        wait_until(lambda: client.ask("GET", "/readyz").status == 200, what="Redis to be reached again")
        assert running.process.poll() is None
    finally:
        for connection in idle:
            connection.close()
        running.close()
        redis.close()
