"""`serve` as a process: first and second start, several workers, every way to end."""

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from service import embedded
from tests.api.running import COMMAND, DEADLINE, Lifespan, wait_until
from tests.cli.running import call, own_environment, running

pytestmark = pytest.mark.slow


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="tk"))
    yield folder
    shutil.rmtree(folder)


def done(service: Lifespan, *arguments: str, stdin: str = "") -> str:
    """What a command that must succeed prints."""
    ended = call(service, *arguments, stdin=stdin)
    assert ended.exit_code == 0, (arguments, ended.stderr, service.log)
    return ended.stdout


def sign_in(service: Lifespan, password: str = "correct horse") -> None:
    done(service, "login", "admin", stdin=f"{password}\n")


def refuse_start(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A start that must fail; what it said."""
    ended = subprocess.run(
        [*COMMAND, "serve", *arguments],
        env=own_environment(folder, **more),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "listens on" not in ended.stdout
    return ended


def redis_ended(folder: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(folder / "data" / "redis.sock")) != 0


def test_a_first_start_needs_nothing_and_a_second_finds_everything_again(folder: Path) -> None:
    with running(folder) as service:
        password = re.search(r"\n +password +(\S+)", service.said)
        assert password is not None
        done(service, "healthcheck")
        sign_in(service, password[1])
        secret = done(service, "create", "api", "-q")
        assert service.stop() == 0
    assert redis_ended(folder)
    with running(folder) as service:
        assert service.said.count("\n") == 1
        done(service, "verify", stdin=secret)
    shutil.rmtree(folder / "data" / "appendonlydir")
    assert "append-only file" in refuse_start(folder).stderr


def test_a_session_of_commands(folder: Path) -> None:
    with running(folder, TOKENS_ADMIN_PASSWORD="correct horse") as service:
        assert "correct horse" not in service.said

        def command(*arguments: str, stdin: str = "", code: int = 0) -> str:
            ended = call(service, *arguments, stdin=stdin)
            assert ended.exit_code == code, (arguments, ended.stdout, ended.stderr)
            return ended.stdout

        command("stats", code=4)
        command("login", "admin", stdin="wrong\n", code=1)
        command("login", "admin", stdin="correct horse\n")
        created = ("--expires", "90d", "--scope", "orders:read", "--rate", "1000/h:50", "--meta", "team=pay")
        secret = command("create", "api", *created, "-q")
        command("create", "api", code=1)
        assert "scopes\torders:read" in command("verify", "--scope", "orders:read", stdin=secret)
        command("verify", "--scope", "orders:write", stdin=secret, code=3)
        command("deactivate", "api")
        command("verify", stdin=secret, code=3)
        command("activate", "api")
        command("verify", stdin=secret)
        changed = command("update", "api", "--name", "orders-api", "--clear", "rate", "--expires", "2027-01-31")
        assert "expires\t2027-01-31T00:00:00Z" in changed
        assert "rate limit" not in changed
        assert "\torders-api\t" in command("list", "--query", "orders", "--scope", "orders:read")
        assert "metadata\tteam=pay" in command("show", "orders-api")
        rotated = command("rotate", "orders-api", "--overlap", "1h", "-q")
        assert rotated != secret
        command("verify", stdin=secret)
        command("rotate", "orders-api", "--overlap", "0", "--yes", "-q")
        command("verify", stdin=secret, code=3)
        assert len(command("usage", "orders-api", "--days", "7").splitlines()) == 7
        command("revoke", "orders-api", code=2)
        command("revoke", "orders-api", "--yes")
        command("activate", "orders-api", code=1)
        assert "revoked\t1\n" in command("stats")
        assert "token.revoked" in command("audit", "--action", "token.revoked")
        command("logout")
        command("list", code=4)
        assert service.stop() == 0
        assert "correct horse" not in service.log
        assert "rtk_" not in service.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_ends_everything_in_order(folder: Path, number: signal.Signals, workers: int) -> None:
    with running(folder, workers=workers) as service:
        assert service.stop(number) == 0
        assert "Traceback" not in service.log
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", service.port)) != 0
    assert redis_ended(folder)
    assert "ready to exit" in (folder / "data" / "redis.log").read_text()
    assert list(folder.glob("token-service-metrics-*")) == []


def test_workers_count_together_and_share_the_accounts_and_one_that_is_killed_is_replaced(folder: Path) -> None:
    counter = 'tokens_http_requests_total{method="GET",route="/api/admin/tokens/stats",status="200"} 8.0'
    with running(folder, workers=2, TOKENS_ADMIN_PASSWORD="correct horse") as service:
        sign_in(service)
        for _ in range(8):
            done(service, "stats")

        def counted() -> bool:
            # A worker brings what it counted to the others a moment later.
            with urllib.request.urlopen(f"{service.url}/metrics", timeout=DEADLINE) as answer:
                return counter in answer.read().decode()

        wait_until(counted, what=counter)
        parent = service.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text("ascii").split()
        worker = next(one for one in children if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes())
        os.kill(int(worker), signal.SIGKILL)
        told = re.compile(f"worker {worker} ended with status -9: [0-9]+ takes its place")
        wait_until(lambda: told.search(service.log), what="another worker")


def environments_of(process: int) -> list[str]:
    """The environment of a process and of each of its children."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text("ascii").split()
    return [Path(f"/proc/{one}/environ").read_text("utf-8") for one in (str(process), *children)]


def test_no_process_has_the_server_key_in_its_environment(folder: Path) -> None:
    with running(folder, workers=2) as service:
        environments = environments_of(service.process.pid)
        assert len(environments) >= 3
        key = (folder / "data" / "server.key").read_text("ascii").strip()
        assert not any(key in text for text in environments)


def test_workers_end_with_a_parent_that_was_killed(folder: Path) -> None:
    with running(folder, workers=2) as service:
        assert service.stop(signal.SIGKILL) == -signal.SIGKILL

        def gone() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", service.port)) != 0

        wait_until(gone, what="the workers to end")
        wait_until(lambda: redis_ended(folder), what="Redis to end")
        # The last to go takes their folder of counts with it, perhaps only now.
        wait_until(lambda: not list(folder.glob("token-service-metrics-*")), what="the counts to go")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_disabled_account_is_out_after_a_reload(folder: Path, workers: int) -> None:
    with running(folder, workers=workers, TOKENS_ADMIN_PASSWORD="correct horse") as service:
        sign_in(service)
        done(service, "accounts", "disable", "admin")
        done(service, "stats")
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: call(service, "stats").exit_code == 4, what="the session to end")
        assert service.process.poll() is None


def test_a_redis_that_deletes_tokens_is_refused(folder: Path) -> None:
    server = embedded.start(folder / "other", say=lambda _: None, lost=lambda _: None)
    try:
        with redis.Redis.from_url(server.url) as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
        outside = {"TOKENS_REDIS_URL": server.url, "TOKENS_SECRET_KEY": "x" * 32}
        for workers in ("1", "2"):
            ended = refuse_start(folder, "--workers", workers, **outside)
            # A warning of what was found, and that the start is refused; not by each worker.
            assert ended.stderr.count("allkeys-lru deletes tokens") == 2
    finally:
        server.close()


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKENS_TRUSTED_PROXIES", "everyone"),
        ("TOKENS_ACCOUNTS_FILE", "/nowhere/accounts.toml"),
        ("TOKENS_REDIS_URL", "redis://localhost?socket_timeout=soon"),
    ],
)
def test_what_cannot_be_used_is_told_and_leaves_nothing_running(
    folder: Path, workers: str, name: str, value: str
) -> None:
    given = {"TOKENS_SECRET_KEY": "x" * 32, name: value}
    # Once, and not by each worker.
    assert refuse_start(folder, "--workers", workers, **given).stderr.count(name) == 1
    assert redis_ended(folder)


def test_a_second_service_on_the_same_data_shares_it_and_both_end_with_their_redis(folder: Path) -> None:
    with running(folder, workers=2, TOKENS_ADMIN_PASSWORD="correct horse") as first:
        sign_in(first)
        secret = done(first, "create", "api", "-q")
        with running(folder) as second:
            done(second, "verify", stdin=secret)
            with redis.Redis(unix_socket_path=str(folder / "data" / "redis.sock")) as client:
                os.kill(client.info("server")["process_id"], signal.SIGKILL)
            # As a supervisor wants it, which starts both again.
            assert [service.process.wait(DEADLINE) for service in (first, second)] == [1, 1]
        assert '"level": "error"' in first.log
        assert "Redis has ended with status -9, and the service with it" in first.log


def test_a_start_that_is_called_off_leaves_nothing_running(folder: Path) -> None:
    slow = folder / "slow-redis"
    slow.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "Redis server v=7.0.0" && exit\necho begun\nexec sleep 60\n'
    )
    slow.chmod(0o700)
    log = folder / "data" / "redis.log"
    with subprocess.Popen(
        [*COMMAND, "serve"], env=own_environment(folder, TOKENS_REDIS_BIN=str(slow)), stderr=subprocess.DEVNULL
    ) as command:
        wait_until(lambda: log.exists() and "begun" in log.read_text(), what="the server to begin")
        # A reload has to wait for the start, and ends nothing.
        command.send_signal(signal.SIGHUP)
        command.terminate()
        assert command.wait(DEADLINE) == 0
    with (folder / "data" / "redis.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_service_that_can_tell_nobody_that_it_listens_answers_all_the_same(folder: Path) -> None:
    (folder / "accounts.toml").touch()
    place = folder / "http.sock"
    told = {"TOKENS_ACCOUNTS_FILE": str(folder / "accounts.toml"), "TOKENS_HOST": f"unix:{place}"}
    with open("/dev/full", "wb") as full:
        service = subprocess.Popen(
            [*COMMAND, "serve"], env=own_environment(folder, **told), stdout=full, stderr=subprocess.DEVNULL
        )
    try:
        with socket.socket(socket.AF_UNIX) as client:
            # Not as soon as the name is there: between bind and listen nobody is let in.
            wait_until(lambda: client.connect_ex(str(place)) == 0 or service.poll() is not None, what="the socket")
            client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
    finally:
        service.terminate()
        ended = service.wait(DEADLINE)
    assert ended == 0
