"""Processes that die, stop and start: nothing that was answered is lost, and no request when it is done in order."""

import asyncio
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from tests.api.running import Lifespan, wait_until
from tests.api.wire import Client
from tests.api.world import fresh
from tests.conftest import PASSWORD
from tests.fault.conftest import Open, Site
from tests.fault.volley import get, volley
from tests.threads import beside

TOKENS = "/api/admin/tokens"
CONSUME = "/api/one-time-tokens/consume"
# Half of what a worker that stops lets a connection be idle.
_MAY_REST_SECONDS = 0.5


def test_what_was_answered_before_a_kill_is_still_so_after_it(open_site: Open) -> None:
    site = open_site()
    kept, revoked, inactive = (site.create(fresh("killed")) for _ in range(3))
    outstanding, spent = site.one_time(), site.one_time()
    site.client.post(CONSUME, {"token": spent})
    site.client.ask("DELETE", f"{TOKENS}?id={revoked['id']}", bearer=site.admin)
    site.client.ask("PATCH", TOKENS, json_body={"id": inactive["id"], "isActive": False}, bearer=site.admin)
    site.running.kill()
    site.running.restart()
    statuses = [site.client.get("/validate", bearer=token["token"]).status for token in (kept, revoked, inactive)]
    assert statuses == [200, 401, 401]
    assert site.client.get("/validate", bearer=site.admin).status == 200
    valid = [site.client.post(CONSUME, {"token": token}).json()["valid"] for token in (outstanding, spent)]
    assert valid == [True, False]


@pytest.mark.slow
def test_the_managed_redis_keeps_everything_when_the_service_is_killed(tmp_path: Path) -> None:
    folder = Path("/tmp") / f"tk{os.getpid()}"
    running = Lifespan({"TOKENS_DATA_DIR": str(folder), "TOKENS_ADMIN_PASSWORD": PASSWORD, "TOKENS_LOG_FORMAT": "json"})
    try:
        client = Client(running.port)
        admin = client.sign_in("admin", PASSWORD)
        tokens = [
            client.post(TOKENS, {"name": f"kept {number}", "duration": "7days"}, bearer=admin).json()["token"]
            for number in range(50)
        ]
        running.kill()
        running.restart()
        assert {client.get("/validate", bearer=token["token"]).status for token in tokens} == {200}
        assert client.get("/validate", bearer=admin).status == 200
    finally:
        running.close()
        shutil.rmtree(folder)


def test_workers_whose_parent_was_killed_end_and_leave_nothing_behind(
    open_site: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    site = open_site(workers=2)
    assert len(list(tmp_path.glob("token-service-metrics-*"))) == 1
    workers = [Path(f"/proc/{pid}") for pid in site.running.worker_pids()]
    os.kill(site.running.process.pid, signal.SIGKILL)
    wait_until(lambda: not any(worker.exists() for worker in workers), what="the workers to end")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_worker_is_replaced_while_the_others_go_on(open_site: Open) -> None:
    site = open_site(workers=4)
    assert len(site.running.worker_pids()) == 4
    site.running.replace_worker(site.running.worker_pids()[0], signal.SIGKILL)
    now = set(site.running.worker_pids())
    # Also to the one that has only begun, which obeys it when it can.
    for pid in now:
        os.kill(pid, signal.SIGHUP)
    wait_until(lambda: site.running.log.count("accounts reloaded") == 4, what="all four to reload")
    assert set(site.running.worker_pids()) == now
    replies = asyncio.run(volley(site.running.port, [get("/validate", site.admin)] * 200, connections=20))
    assert {reply.status for reply in replies if reply is not None} == {200}


class Clients:
    """Clients that keep their connections and ask all the time, as gateways do; none asks anything twice.

    A connection that the service has said it will close is dialled again. A request that was sent and not answered has
    failed; `turned_away` are those on new connections to a service that stops, which go to another instance. One whose
    client rested meanwhile, as on a busy machine, may have been closed as idle, and is no failure.
    """

    def __init__(self, port: int, secret: str, count: int) -> None:
        self._port = port
        self._secret = secret
        self._over = threading.Event()
        self.answered = self.unknown = self.turned_away = 0
        self.failed: list[str] = []
        self._count = count

    def asking(self) -> AbstractContextManager[None]:
        return beside(*[self._ask] * self._count, over=self._over)

    def _ask(self) -> None:
        # All workers may be starting at once, for seconds on a busy machine; meanwhile the kernel keeps what comes.
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        answered_at = sent_at = time.monotonic()
        while not self._over.is_set():
            new = connection.sock is None
            try:
                sent_at = time.monotonic()
                connection.request("GET", "/validate", headers={"X-Token": self._secret})
                sent_at = time.monotonic()
                response = connection.getresponse()
                response.read()
            except (OSError, HTTPException) as error:
                connection.close()
                if new:
                    self.turned_away += 1
                elif sent_at - answered_at < _MAY_REST_SECONDS:
                    self.failed.append(repr(error))
                continue
            answered_at = time.monotonic()
            if response.status == 200:
                self.answered += 1
            elif response.status == 503:
                self.unknown += 1
            else:
                self.failed.append(f"status {response.status}")
        connection.close()


def test_two_rolling_restarts_under_load_lose_no_request(open_site: Open) -> None:
    site = open_site(workers=4)
    clients = Clients(site.running.port, site.admin, 20)
    with clients.asking():
        for _ in range(2):
            for pid in site.running.worker_pids():
                site.running.replace_worker(pid)
        wait_until(lambda: clients.answered > 1000, what="a thousand answers")
    assert (clients.failed, clients.turned_away, clients.unknown) == ([], 0, 0)


@pytest.mark.parametrize("workers", [1, 4])
def test_a_service_that_is_stopped_under_load_answers_on_every_connection_it_has(open_site: Open, workers: int) -> None:
    site = open_site(workers=workers)
    clients = Clients(site.running.port, site.admin, 10)
    with clients.asking():
        wait_until(lambda: clients.answered > 100, what="the load to begin")
        assert site.running.stop() == 0
    # A 503 would be an answer as well, but Redis was there all the time.
    assert (clients.failed, clients.unknown) == ([], 0)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_ends_in_order_and_says_nothing_bad(open_site: Open, workers: int) -> None:
    site = open_site(workers=workers)
    assert site.running.stop() == 0
    assert "error" not in site.running.log.lower()
    assert "traceback" not in site.running.log.lower()


@pytest.fixture
def own_accounts(accounts_file: Path, tmp_path: Path) -> Path:
    path = tmp_path / "accounts.toml"
    path.write_text(accounts_file.read_text())
    return path


def statuses(site: Site, secret: str) -> set[int]:
    """What all processes say, as far as fifty connections meet them."""
    return {site.client.get("/validate", bearer=secret).status for _ in range(50)}


def removed(text: str) -> str:
    return text[: text.index("[accounts.uma]")]


def disabled(text: str) -> str:
    return text.replace("[accounts.uma]", "[accounts.uma]\ndisabled = true")


def with_another_password(text: str) -> str:
    before, uma = text.split("[accounts.uma]")
    line = f'password_hash = "{hash_of("another")}"'
    return f"{before}[accounts.uma]" + re.sub("password_hash = .*", lambda _: line, uma)


def hash_of(password: str) -> str:
    return PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(password)


@pytest.mark.parametrize(
    ("change", "workers"),
    [(removed, 1), (disabled, 1), (with_another_password, 1), (removed, 4)],
)
def test_a_removed_or_changed_account_loses_its_sessions_at_the_next_reload(
    open_site: Open, own_accounts: Path, change: Callable[[str], str], workers: int
) -> None:
    site = open_site(workers=workers, accounts_file=str(own_accounts))
    stays, goes = site.client.sign_in("vera", PASSWORD), site.client.sign_in("uma", PASSWORD)
    own_accounts.write_text(change(own_accounts.read_text()))
    assert site.client.get("/validate", bearer=goes).status == 200
    site.running.hang_up()
    wait_until(lambda: statuses(site, goes) == {401}, what="the session to end everywhere")
    assert statuses(site, stays) == {200}
    refused = site.client.post("/api/token", {"username": "uma", "password": PASSWORD})
    assert (refused.status, refused.body) == (401, b"invalid credentials")
    sessions = lambda: site.client.get(f"{TOKENS}/stats", bearer=site.admin).json()["sessions"]  # noqa: E731
    wait_until(lambda: sessions() == 2, what="the ended session to be counted no more")


def test_a_changed_account_loses_its_sessions_at_the_next_start_too(open_site: Open, own_accounts: Path) -> None:
    site = open_site(accounts_file=str(own_accounts))
    goes = site.client.sign_in("uma", PASSWORD)
    site.running.stop()
    own_accounts.write_text(removed(own_accounts.read_text()))
    site.running.restart()
    assert site.client.get("/validate", bearer=goes).status == 401


def test_a_file_that_cannot_be_read_changes_nothing(open_site: Open, own_accounts: Path) -> None:
    site = open_site(accounts_file=str(own_accounts))
    for number, broken in enumerate(("not toml [", '[accounts.uma]\npassword = "in clear"\n'), 1):
        own_accounts.write_text(broken)
        site.running.hang_up()
        said = lambda: site.running.log.count("accounts were not reloaded")  # noqa: E731
        wait_until(lambda: said() == number, what="the refusal to be said")  # noqa: B023
    assert site.client.get("/validate", bearer=site.admin).status == 200
    assert site.client.sign_in("uma", PASSWORD)
