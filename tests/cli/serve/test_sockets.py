"""What `serve` listens on, asked from outside: two address families, a unix socket, TLS, systemd's sockets."""

import asyncio
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.cli.failure import Failure
from service.cli.serve import listener, tls
from service.cli.serve.sockets import inherited, listening, service_manager
from service.cli.serve.tls import Certificate
from service.settings import Settings
from tests.api.running import COMMAND, DEADLINE, wait_until
from tests.certificates import self_signed
from tests.cli.running import own_environment, running


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="tk") as folder:
        yield Path(folder)


def ask(connected: socket.socket, path: str = "/livez", host: str = "localhost") -> dict[str, object]:
    """The JSON that a connection is answered."""
    with connected:
        connected.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = http.client.HTTPResponse(connected)
        answer.begin()
        assert answer.status == 200
        found: dict[str, object] = json.loads(answer.read())
        return found


def connected(place: Path | tuple[str, int]) -> socket.socket:
    if isinstance(place, tuple):
        return socket.create_connection(place, timeout=DEADLINE)
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(DEADLINE)
    client.connect(str(place))
    return client


def test_a_handshake_that_never_ends_is_cut(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_SECONDS", 0.01)
    files = self_signed(folder, "localhost")
    certificate = Certificate(Settings(tls_cert_file=str(files[0]), tls_key_file=str(files[1])))
    config = listener._config(listener.application, Settings(), certificate)

    async def ask() -> bytes:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=certificate.context())
        async with server:
            with connected(server.sockets[0].getsockname()) as silent:
                silent.setblocking(False)
                # Before a minute, after which the loop cuts it whatever it was told.
                return await asyncio.wait_for(loop.sock_recv(silent, 1), 50)

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        assert runner.run(ask()) == b""


@pytest.mark.slow
def test_tls_on_both_families_and_a_unix_socket_with_a_certificate_that_is_renewed(folder: Path) -> None:
    files = self_signed(folder, "localhost", "127.0.0.1", "::1")
    path = folder / "http.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    named = {"TOKENS_TLS_CERT_FILE": str(files[0]), "TOKENS_TLS_KEY_FILE": str(files[1])}
    with running(folder, workers=2, TOKENS_HOST=f"127.0.0.1, ::1, unix:{path}", **named) as service:
        assert service.said.count(f":{service.port} ") == 2
        assert f"unix:{path} " in service.said
        places = [("127.0.0.1", service.port), ("::1", service.port), path]
        trusting = ssl.create_default_context(cafile=files[0])
        for place in places:
            assert ask(trusting.wrap_socket(connected(place), server_hostname="localhost"))["status"] == "alive"
        metadata = ask(
            trusting.wrap_socket(connected(places[0]), server_hostname="127.0.0.1"),
            "/.well-known/oauth-authorization-server",
            f"127.0.0.1:{service.port}",
        )
        assert metadata["issuer"] == service.url == f"https://127.0.0.1:{service.port}"
        before = files[0].read_bytes()
        renewed = self_signed(folder, "localhost")[0].read_bytes()

        def shown() -> set[bytes]:
            return {ssl.get_server_certificate(("127.0.0.1", service.port)).encode() for _ in range(6)}

        assert shown() == {before}
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: service.log.count("was read again") == 2, what="both workers to have read it")
        assert shown() == {renewed}
        files[1].write_text("no key")
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: service.log.count("stays in use") == 2, what="both workers to refuse it")
        assert shown() == {renewed}
        assert service.stop() == 0
    assert not path.exists()


@pytest.mark.slow
def test_systemd_hands_sockets_over_and_is_told_when_requests_are_answered(folder: Path) -> None:
    path = folder / "http.sock"
    with (
        socket.create_server(("127.0.0.1", 0)) as address,
        socket.socket(socket.AF_UNIX) as own,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
    ):
        own.bind(str(path))
        own.listen()
        manager.bind(str(folder / "notify"))
        manager.settimeout(DEADLINE)
        handed = {"NOTIFY_SOCKET": str(folder / "notify"), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "http:unix"}
        shell = f'LISTEN_PID=$$ exec "$@" 3<&{address.fileno()} 4<&{own.fileno()}'
        with subprocess.Popen(
            ["bash", "-c", shell, "bash", *COMMAND, "serve"],
            env=own_environment(folder, **handed),
            pass_fds=(address.fileno(), own.fileno()),
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        ) as service:
            assert manager.recv(100) == b"READY=1"
            for place in (address.getsockname(), path):
                assert ask(connected(place))["status"] == "alive"
            service.terminate()
            assert service.wait(30) == 0
        assert path.exists()


def test_a_service_manager_that_is_not_there_is_noticed_at_the_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(folder / "nobody"))
    with pytest.raises(Failure, match="nobody: No such file or directory; unset it if"), service_manager():
        pass
    with service_manager() as tell_ready:  # It was taken away, for a child is not who it speaks to.
        tell_ready()


@pytest.mark.skipif(sys.platform != "linux", reason="the abstract namespace is one of Linux")
def test_a_service_manager_without_a_path_is_told_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{folder}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{folder}")
        with service_manager() as tell_ready:
            tell_ready()
        assert manager.recv(100) == b"READY=1"


def test_a_service_manager_that_has_gone_meanwhile_holds_nothing_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(folder / "manager"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(folder / "manager"))
        context = service_manager()
        tell_ready = context.__enter__()
    tell_ready()
    context.__exit__(None, None, None)
    assert "cannot be told that requests are answered: Connection refused" in caplog.text


def test_a_socket_that_somebody_answers_at_is_left_alone(folder: Path) -> None:
    path = folder / "http.sock"
    settings = Settings(host=f"unix:{path}")
    with listening(settings) as first:
        assert (first.places, first.port, first.url) == ([f"unix:{path}"], 0, f"unix:{path}")
        assert path.stat().st_mode & 0o777 == 0o660
        with (
            pytest.raises(Failure, match=f"^cannot listen at {path}: another process does; end that"),
            listening(settings),
        ):
            pass
        with listening(Settings(host=f"unix:{path}2,127.0.0.1", port=0)) as second:
            assert second.url == f"http://127.0.0.1:{second.port}"
        # The path is somebody else's by now.
        path.unlink()
        path.touch()
    assert path.exists()
    for wrong in (path, folder / "gone" / "http.sock", folder / ("x" * 120)):
        with pytest.raises(Failure, match=f"^cannot listen at {wrong}: "), listening(Settings(host=f"unix:{wrong}")):
            pass


def test_a_start_that_is_refused_leaves_no_socket_behind(folder: Path) -> None:
    path = folder / "http.sock"
    with pytest.raises(Failure, match="refused later"), listening(Settings(host=f"unix:{path}")):
        raise Failure("refused later")
    with pytest.raises(Failure, match="gone"), listening(Settings(host=f"unix:{path},unix:{folder}/gone/http.sock")):
        pass
    assert not path.exists()


def test_a_socket_that_was_left_behind_is_replaced_and_nothing_else_is(folder: Path) -> None:
    path = folder / "http.sock"
    settings = Settings(host=f"unix:{path}")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with listening(settings), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    path.touch()
    with pytest.raises(Failure, match="it is there and no socket; remove it"), listening(settings):
        pass
    path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        with pytest.raises(Failure, match="another process does"), listening(settings):
            pass
    path.unlink()
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(str(path))
        busy.listen(0)
        waiting.connect(str(path))
        with pytest.raises(Failure, match="another process does"), listening(settings):
            pass
    assert path.is_socket()


def test_what_is_handed_over_is_handed_to_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        handed = os.dup(given.fileno())
        os.set_inheritable(handed, True)
        monkeypatch.setattr("service.cli.serve.sockets._FIRST_INHERITED", handed)
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        monkeypatch.setenv("LISTEN_FDS", "1")
        (found,) = inherited()
        with found:
            assert not found.get_inheritable()


@pytest.mark.parametrize("count", ["1", "900"])
def test_what_is_handed_over_must_be_a_socket_that_listens(monkeypatch: pytest.MonkeyPatch, count: str) -> None:
    monkeypatch.setattr("service.cli.serve.sockets._FIRST_INHERITED", os.open(os.devnull, os.O_RDONLY))
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", count)
    with pytest.raises(Failure, match="is no stream socket that listens"):
        inherited()
    # Of another process, as its parent left them.
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", count)
    assert inherited() == []
    assert "LISTEN_FDS" not in os.environ


def test_a_certificate_that_cannot_be_used_is_one_line(folder: Path) -> None:
    certificate, key = self_signed(folder, "localhost")
    other = folder / "other"
    other.mkdir()
    strange = self_signed(other, "localhost")[1]
    for file, its_key, why in (
        (certificate, strange, "key values mismatch"),
        (key, key, "give PEM files"),
        (folder / "gone", key, f"cannot read {folder}/gone or {key}: No such file"),
        (folder / "gone", "", f"cannot read {folder}/gone: No such file"),
    ):
        with pytest.raises(Failure, match=f"^TOKENS_TLS_CERT_FILE: .*{why}") as failure:
            Certificate(Settings(tls_cert_file=str(file), tls_key_file=str(its_key))).read()
        assert "\n" not in str(failure.value)
