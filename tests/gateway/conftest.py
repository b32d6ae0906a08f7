"""Real gateways with the configurations of deploy/gateways/, between a client, the service and an application."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

from tests.api.redis_child import RedisChild
from tests.api.running import ROOT, Running, wait_until
from tests.api.wire import Client
from tests.api.world import fresh
from tests.conftest import PASSWORD, SERVER_KEY
from tests.gateway.behind import Application, Counter

CONFIGURATIONS = ROOT / "deploy" / "gateways"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Gateway:
    """One gateway as a child process, its configuration in a folder of its own with our ports in place of its own."""

    def __init__(self, program: str, files: tuple[str, ...], replaced: Mapping[str, str], *arguments: str) -> None:
        """`files` from deploy/gateways/, the main one first; `{folder}` in the arguments stands for the folder."""
        self.folder = Path(tempfile.mkdtemp(prefix="tk"))
        self.folder.chmod(0o755)
        self.port = free_port()
        texts = {name: (CONFIGURATIONS / name).read_text() for name in files}
        for old, new in {"8000": str(self.port), **replaced}.items():
            assert any(old in text for text in texts.values()), f"{old} is not in {files}"
            texts = {name: text.replace(old, new.replace("{folder}", str(self.folder))) for name, text in texts.items()}
        for name, text in texts.items():
            (self.folder / name).write_text(text)
        found = shutil.which(program, path=os.environ["PATH"] + os.pathsep + "/usr/sbin")
        assert found, f"{program} is not installed: make test installs it"
        self._log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen(
            [found, *(argument.replace("{folder}", str(self.folder)) for argument in arguments)],
            cwd=self.folder, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            env={**os.environ, "HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder)},
        )  # fmt: skip
        wait_until(self._listens, what=f"{program} to listen")

    def _listens(self) -> bool:
        assert self._process.poll() is None, self.log
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        self._log.close()
        shutil.rmtree(self.folder)


class Site(msgspec.Struct, frozen=True):
    """Everything behind a gateway; `counter` stands before the service."""

    redis: RedisChild
    running: Running
    counter: Counter
    application: Application
    service: Client
    admin: str

    @property
    def ports(self) -> dict[str, str]:
        """What the configurations name, and what it is here."""
        return {
            "127.0.0.1:8080": f"127.0.0.1:{self.counter.port}",
            "127.0.0.1:3000": f"127.0.0.1:{self.application.port}",
        }

    def token(self, **terms: object) -> dict[str, str]:
        """A managed token with its secret."""
        body = {"name": fresh("gateway"), "duration": "7days", **terms}
        answer = self.service.done("POST", "/api/admin/tokens", json_body=body, bearer=self.admin)
        token: dict[str, str] = answer.json()["token"]
        return token

    def one_time(self) -> str:
        """The secret of a one-time token."""
        token: str = self.service.done("POST", "/api/one-time-tokens").json()["token"]
        return token


@pytest.fixture(scope="session")
def site(accounts_file: Path) -> Iterator[Site]:
    redis = RedisChild()
    settings = {
        "TOKENS_REDIS_URL": redis.url, "TOKENS_SECRET_KEY": SERVER_KEY, "TOKENS_ACCOUNTS_FILE": str(accounts_file),
        "TOKENS_TRUSTED_PROXIES": "127.0.0.1", "TOKENS_LOG_FORMAT": "json",
        "TOKENS_ONE_TIME_ISSUE_PER_MINUTE": "1000000",
    }  # fmt: skip
    running = Running(settings)
    counter, application, client = Counter(running.port), Application(), Client(running.port)
    yield Site(redis, running, counter, application, client, client.sign_in("admin", PASSWORD))
    application.close()
    counter.close()
    running.close()
    redis.close()


def nginx(site: Site) -> Gateway:
    user = pwd.getpwuid(os.getuid()).pw_name
    paths = "".join(
        f"{name}_temp_path {{folder}}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    own = {"events {}": f"user {user}; events {{}}", "http {": f"http {{ access_log off; {paths}"}
    return Gateway(
        "nginx", ("nginx.conf",), site.ports | own, "-p", "{folder}", "-c", "{folder}/nginx.conf",
        "-g", "daemon off; pid {folder}/pid; error_log stderr;",
    )  # fmt: skip


def caddy(site: Site) -> Gateway:
    return Gateway("caddy", ("Caddyfile",), site.ports, "run", "--config", "Caddyfile", "--adapter", "caddyfile")


def haproxy(site: Site) -> Gateway:
    files = ("haproxy.cfg", "haproxy-token.lua")
    return Gateway("haproxy", files, site.ports | {"8001": str(free_port())}, "-db", "-f", "haproxy.cfg")


def apache(site: Site) -> Gateway:
    lines = ["ServerName localhost", "PidFile {folder}/pid", "ErrorLog /dev/stderr", "StartServers 1", "ServerLimit 1",
             "ThreadsPerChild 4", "MaxRequestWorkers 4"]  # fmt: skip
    if os.getuid() == 0:
        lines += ["User www-data", "Group www-data"]
    own = {
        "ServerName localhost": "\n".join(lines),
        "Checker apache-token.lua": "Checker {folder}/apache-token.lua",
    }
    files = ("apache.conf", "apache-token.lua")
    return Gateway("apache2", files, site.ports | own, "-d", "{folder}", "-f", "{folder}/apache.conf", "-DFOREGROUND")
