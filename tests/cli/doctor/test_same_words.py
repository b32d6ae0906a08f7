"""What keeps Redis from being used: readiness and the doctor say so in the same words, asked of a real server."""

import asyncio
import contextlib
import json
import logging
import shutil
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import hiredis
import pytest
import redis

from service.api.operations import Check
from service.app import Service
from service.cli.doctor import redis_server
from service.settings import Settings
from service.store.driver.keys import TAGS
from service.store.monitoring.inspection import Inspection
from service.store.servers.cluster import SLOTS
from tests.api.redis_child import RedisChild
from tests.api.running import wait_until
from tests.certificates import self_signed
from tests.cli.conftest import Found, Run
from tests.contract.sources import ROOT
from tests.ports import held_port

Say = Callable[..., tuple[list[Check], dict[str, tuple[str, str]]]]
KEY = "k" * 32
# Nothing here waits for it to pass. On a machine with twenty processes for each core five seconds did.
PATIENCE_MS = 60_000
NO_REDIS = "what answers at its address is no Redis, but a web server or the like: check host and port"
CLOSED = (
    "it closed the connection: does it want TLS (rediss://), or a certificate of the client's (ssl_certfile), or has "
    "it as many clients as it may (maxclients)?"
)
WANTED = "it may want a certificate of the client's (ssl_certfile)"


@pytest.fixture(scope="module")
def child() -> Iterator[RedisChild]:
    """A server of whose user a test may decide."""
    with closing(RedisChild()) as child:
        yield child


@pytest.fixture
def say(found: Found) -> Say:
    """The checks of `/readyz` that are not ok, and those of the doctor, for the Redis of a URL."""

    async def ready(url: str) -> list[Check]:
        service = Service(Settings(redis_url=url, secret_key=KEY, redis_timeout_ms=PATIENCE_MS))
        try:
            readiness = await service.health.ready()
            # One that takes no writes is read all the same.
            stops = any(check.status == "failed" and check.name != "writes" for check in readiness.checks)
            assert readiness.status == ("not_ready" if stops else "ready")
            return [check for check in readiness.checks if check.status != "ok"]
        finally:
            await service.lifespan._close()

    def both(url: str) -> tuple[list[Check], dict[str, tuple[str, str]]]:
        checks = asyncio.run(ready(url))
        code, doctor = found(TOKENS_REDIS_URL=url, TOKENS_SECRET_KEY=KEY)
        assert (code == 1) is any(check.status == "failed" for check in checks)
        return checks, doctor

    return both


def as_user(child: RedisChild, *rules: str) -> str:
    """The URL of a user who may do this much."""
    child.client.execute_command("ACL", "SETUSER", "service", "reset", "on", ">secret", "~*", "+@all", *rules)
    return child.url.replace("unix://", "unix://service:secret@")


@contextlib.contextmanager
def answering(handle: Callable[[socket.socket], object]) -> Iterator[int]:
    """The port of a server that does this with each connection and closes it; one client's haste is no fault."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client = server.accept()[0]
                except OSError:
                    return
                with client, contextlib.suppress(OSError):
                    handle(client)

        thread = Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def reset(client: socket.socket) -> None:
    """End the connection as a server does that was sent what it cannot read."""
    client.recv(1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def refuse_as_the_web_does(client: socket.socket) -> None:
    """Answer what was sent, and read on until the client leaves: a reset might reach it before the answer."""
    client.recv(1000)
    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    while client.recv(1000):
        pass


def greet(client: socket.socket) -> None:
    """Greet as a mail server does, with what may be a reply of Redis, and refuse every command as Redis would."""
    client.sendall(b"+OK ready\r\n")
    while client.recv(1000):
        client.sendall(b"-ERR unknown command\r\n")


def speaking(reply: Callable[..., bytes]) -> Callable[[socket.socket], None]:
    """What a server does that answers each command with the reply to it."""

    def handle(client: socket.socket) -> None:
        parser = hiredis.Reader()
        while data := client.recv(1000):
            parser.feed(data)
            while (command := parser.gets()) is not False:
                client.sendall(reply(*command))

    return handle


def test_the_rest_is_told_where_a_node_of_a_cluster_is_lost(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def well(*_: object, **__: object) -> Inspection:
        return Inspection("9.1", "noeviction", {}, ())

    monkeypatch.setattr(redis_server, "inspect", well)
    # As outside of tests, where what nobody logs is written to standard error.
    monkeypatch.setattr(logging.root, "handlers", [])
    lost = f"127.0.0.1:{held_port()}"

    def reply(name: bytes, *words: bytes) -> bytes:
        if name == b"EXISTS" and f"{{{TAGS[3]}}}".encode() in words[0]:
            return f"-MOVED {SLOTS[3]} {lost}\r\n".encode()
        told = {b"TIME": b"*2\r\n$10\r\n%d\r\n$1\r\n0\r\n" % time.time(), b"GET": b"$-1\r\n", b"CLUSTER": b"$0\r\n\r\n"}
        return told.get(name, b"+OK\r\n")

    with answering(speaking(reply)) as port:
        settings = {
            "TOKENS_REDIS_URL": f"redis+cluster://127.0.0.1:{port}",
            "TOKENS_SECRET_KEY": KEY,
            "TOKENS_PORT": "0",
        }
        result = run("doctor", "--json", env=settings)
    told = json.loads(result.stdout)
    found = [(one["check"], one["result"], one["detail"].partition(", answers")[0]) for one in told]
    assert (result.exit_code, result.stderr) == (1, "")
    why = f"Redis cannot be used: nothing listens at its address ({lost})"
    assert ("redis", "failed", f"the nodes of shards 3 do not answer: {why}") in found
    assert ("redis", "ok", "version 9.1, master, noeviction") in found
    assert ("clock", "ok", "the same as that of Redis") in found


@pytest.mark.slow
def test_a_node_of_a_cluster_that_answers_nothing_is_named(found: Found) -> None:
    # Who is connected to by the system, and never looks.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        said = {b"EXISTS": f"-MOVED {SLOTS[0]} {place}\r\n".encode(), b"CLUSTER": b"$0\r\n\r\n", b"INFO": b"$0\r\n\r\n"}
        with answering(speaking(lambda name, *_: said.get(name, b"+OK\r\n"))) as port:
            checks = found(TOKENS_REDIS_URL=f"redis+cluster://127.0.0.1:{port}", TOKENS_SECRET_KEY=KEY)[1]
    assert checks["redis"] == ("failed", f"Redis cannot be used: it does not answer in time ({place})")


def test_what_the_connection_fails_of_is_said_alike(child: RedisChild, say: Say, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "localhost", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    asking.load_cert_chain(certificate, key)
    asking.verify_mode = ssl.CERT_REQUIRED

    def ask_for_certificate(client: socket.socket) -> None:
        tls = asking.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        with tls:
            with contextlib.suppress(ssl.SSLError):
                tls.do_handshake()
            # The client closes when it has read the alert: what nobody reads would be answered by a reset.
            while socket.socket.recv(tls, 1000):
                pass

    nobody = held_port()
    with (
        answering(lambda client: context.wrap_socket(client, server_side=True)) as tls,
        answering(ask_for_certificate) as asked,
        answering(refuse_as_the_web_does) as web,
        answering(greet) as mail,
        answering(reset) as resetting,
    ):
        for url, cause in (
            (as_user(child).replace("secret", "hunter22"), "it refuses the user name or the password"),
            (f"{child.url}?db=99", "it has no database of this number"),
            (f"redis://127.0.0.1:{nobody}", "nothing listens at its address"),
            ("unix:///nowhere/redis.sock", "there is no socket at its path"),
            (f"rediss://127.0.0.1:{tls}", "its certificate is not accepted: self-signed certificate"),
            (
                f"rediss://127.0.0.1:{asked}?ssl_ca_certs={certificate}",
                f"it ended the handshake by TLS (tlsv13 alert certificate required): {WANTED}",
            ),
            (f"redis://127.0.0.1:{web}", NO_REDIS),
            (f"redis://127.0.0.1:{mail}", NO_REDIS),
            (f"redis://127.0.0.1:{resetting}", CLOSED),
        ):
            checks, doctor = say(url)
            (check,) = checks
            # Of several nodes an operator wants to know which one.
            where = f" ({place})" if (place := urlsplit(url).netloc) and not url.startswith("unix:") else ""
            assert (check.name, check.detail) == ("redis", f"Redis cannot be used: {cause}{where}"), url
            assert doctor["redis"] == ("failed", f"{check.detail}; check TOKENS_REDIS_URL")


@pytest.mark.parametrize(
    ("rule", "name", "cause"),
    [
        ("-evalsha", "scripts", "its access list forbids what the service needs: "),
        ("-eval", "scripts", "its access list forbids what the service needs: "),
        ("-del", "writes", "its access list forbids what the service needs: "),
        ("-get", "redis", "its access list forbids what the service needs: "),
    ],
)
def test_a_right_that_is_missing_is_named(child: RedisChild, say: Say, rule: str, name: str, cause: str) -> None:
    checks, doctor = say(as_user(child, rule))
    (check,) = [check for check in checks if check.name == name]
    assert f"Redis cannot be used: {cause}" in check.detail
    assert f"'{rule[1:]}' command" in check.detail
    assert ("failed", check.detail) in (doctor.get("redis"), doctor.get(f"redis {name}"))


def test_the_rights_of_the_example_are_enough(child: RedisChild, say: Say) -> None:
    """Also for 6.2, which counts all of CLIENT and CLUSTER among what it takes away there, and 9.1 does not."""
    example = (ROOT / "deploy/redis/users.acl.example").read_text().splitlines()[1]
    rules = example.partition(" resetchannels ")[2].replace("-@dangerous", "-@dangerous -client -cluster").split()
    url = as_user(child, *rules)
    checks, doctor = say(url)
    assert [check.name for check in checks if check.status != "ok"] == []
    assert "failed" not in {result for result, _ in doctor.values()}
    with redis.Redis.from_url(url) as client:
        for asked in ("SLOTS", "INFO"):
            with pytest.raises(redis.ResponseError, match="cluster support disabled"):
                client.execute_command("CLUSTER", asked)


def test_what_cannot_be_checked_without_info_is_unknown(child: RedisChild, say: Say) -> None:
    checks, doctor = say(as_user(child, "-info"))
    assert [(check.name, check.status) for check in checks] == [("version", "unknown"), ("eviction", "unknown")]
    assert doctor["redis"] == ("warning", "INFO is forbidden: eviction and version were not checked")


def test_a_disk_that_takes_no_writes_is_told_and_turns_no_traffic_away(say: Say, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    child = RedisChild("--dir", str(tmp_path / "data"), "--save", "3600 1")
    shutil.rmtree(tmp_path / "data")
    child.client.bgsave()
    wait_until(lambda: child.client.info()["rdb_last_bgsave_status"] == "err", what="the snapshot to fail")
    checks, doctor = say(child.url)
    child.close()
    told = "Redis cannot be used: it cannot write to its disk (MISCONF): make room, or mend what its log names"
    assert [(check.name, check.detail) for check in checks] == [("writes", told)]
    assert doctor["redis writes"] == ("failed", told)
