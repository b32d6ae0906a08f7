"""Real gateways with the configurations of deploy/gateways/, between a client, the service and an application."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.api.redis_child import RedisChild
from tests.api.running import ROOT, Lifespan, wait_until
from tests.api.wire import Answer, Client, Raw
from tests.api.world import Issuing
from tests.conftest import PASSWORD, SERVER_KEY
from tests.gateway.behind import Application, Counter
from tests.gateway.child import NGINX_ARGUMENTS, Gateway, nginx_head
from tests.ports import held_port

CONFIGURATIONS = ROOT / "deploy" / "gateways"


def deployed(program: str, files: tuple[str, ...], replaced: Mapping[str, str], *arguments: str) -> Gateway:
    """A gateway with these files of deploy/gateways/, our ports in place of its own."""
    port = held_port()
    texts = {name: (CONFIGURATIONS / name).read_text() for name in files}
    for old, new in {"8000": str(port), **replaced}.items():
        assert any(old in text for text in texts.values()), f"{old} is not in {files}"
        texts = {name: text.replace(old, new) for name, text in texts.items()}
    return Gateway(program, port, texts, *arguments)


class Site(Issuing, msgspec.Struct, frozen=True):
    """Everything behind a gateway; `counter` stands before the service."""

    redis: RedisChild
    running: Lifespan
    counter: Counter
    application: Application
    client: Client
    admin: str

    @property
    def ports(self) -> dict[str, str]:
        """What the configurations name, and what it is here."""
        return {
            "127.0.0.1:8080": f"127.0.0.1:{self.counter.port}",
            "127.0.0.1:3000": f"127.0.0.1:{self.application.port}",
        }


@pytest.fixture(scope="package")
def site(accounts_file: Path) -> Iterator[Site]:
    settings = {
        "TOKENS_SECRET_KEY": SERVER_KEY,
        "TOKENS_ACCOUNTS_FILE": str(accounts_file),
        "TOKENS_TRUSTED_PROXIES": "127.0.0.1",
        "TOKENS_LOG_FORMAT": "json",
        "TOKENS_ONE_TIME_ISSUE_PER_MINUTE": "1000000",
        "TOKENS_ACCEPT_BASIC": "on",
    }
    with (
        closing(RedisChild()) as redis,
        closing(Lifespan({"TOKENS_REDIS_URL": redis.url, **settings})) as running,
        closing(Counter(running.port)) as counter,
        closing(Application()) as application,
    ):
        client = Client(running.port)
        yield Site(redis, running, counter, application, client, client.sign_in("admin", PASSWORD))


def nginx(site: Site) -> Gateway:
    user, paths = nginx_head()
    own = {"events {}": f"{user} events {{}}", "http {": f"http {{ {paths}"}
    return deployed("nginx", ("nginx.conf",), site.ports | own, *NGINX_ARGUMENTS)


def caddy(site: Site, program: str = "caddy", **replaced: str) -> Gateway:
    own = site.ports | replaced
    return deployed(program, ("Caddyfile",), own, "run", "--config", "Caddyfile", "--adapter", "caddyfile")


def haproxy(site: Site) -> Gateway:
    files = ("haproxy.cfg", "haproxy-token.lua")
    return deployed("haproxy", files, site.ports | {"8001": str(held_port())}, "-db", "-f", "haproxy.cfg")


def apache(site: Site) -> Gateway:
    lines = [
        "ServerName localhost",
        "PidFile {folder}/pid",
        "ErrorLog /dev/stderr",
        "StartServers 1",
        "ServerLimit 1",
        "ThreadsPerChild 4",
        "MaxRequestWorkers 4",
    ]
    if os.getuid() == 0:
        lines += ["User www-data", "Group www-data"]
    own = {
        "ServerName localhost": "\n".join(lines),
        "Checker apache-token.lua": "Checker {folder}/apache-token.lua",
    }
    files = ("apache.conf", "apache-token.lua")
    return deployed("apache2", files, site.ports | own, "-d", "{folder}", "-f", "{folder}/apache.conf", "-DFOREGROUND")


def envoy(site: Site) -> Gateway:
    own = {
        # An address and its port stand apart.
        "port_value: 8080": f"port_value: {site.counter.port}",
        "port_value: 3000": f"port_value: {site.application.port}",
        # A machine that is busy elsewhere makes no answer unknown.
        "connect_timeout: 0.25s": "connect_timeout: 20s",
        "timeout: 2s": "timeout: 20s",
    }
    arguments = ("-c", "envoy.yaml", "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warning")
    return deployed(str(Path(sys.executable).with_name("envoy")), ("envoy.yaml",), own, *arguments)


def traefik(site: Site) -> Gateway:
    files = ("traefik.yaml", "traefik-token.yaml")
    return deployed(str(Path(sys.executable).with_name("traefik")), files, site.ports)


class Deployment:
    """A client of the gateway, and what it knows of the other side."""

    def __init__(self, gateway: Gateway, site: Site, name: str) -> None:
        self.name = name
        self.site = site
        self.gateway = gateway
        self.client = Client(gateway.port)

    def ask(self, method: str, path: str, secret: str = "", **more: Any) -> Answer:
        return self.client.ask(method, path, bearer=secret, **more)

    def raw(self, request: str) -> Answer:
        """The answer to exactly these bytes."""
        with Raw(self.gateway.port) as raw:
            raw.send(request.encode("latin-1"))
            return raw.answer(request.partition(" ")[0])

    def passed(self, method: str, path: str, secret: str, **more: Any) -> dict[str, Any]:
        """What the application was sent, by a request that must be allowed."""
        answer = self.ask(method, path, secret, **more)
        assert answer.status == 200, (answer, self.gateway.log[-2000:])
        seen: dict[str, Any] = answer.json()
        seen["headers"] = {name: [v for n, v in seen["headers"] if n == name] for name, _ in seen["headers"]}
        return seen

    def refused(self, status: int, method: str, path: str, secret: str = "", **more: Any) -> Answer:
        """A refusal that never reached the application."""
        before = self.site.application.requests
        answer = self.ask(method, path, secret, **more)
        assert answer.status == status, (answer, self.gateway.log[-2000:])
        assert self.site.application.requests == before
        return answer


@pytest.fixture(scope="module", params=[nginx, caddy, haproxy, apache, envoy, traefik])
def deployment(request: pytest.FixtureRequest, site: Site) -> Iterator[Deployment]:
    with closing(request.param(site)) as gateway:
        deployment = Deployment(gateway, site, request.param.__name__)
        # Traefik listens before it has read what it asks.
        wait_until(lambda: deployment.ask("GET", "/").status == 401, what="the gateway to ask")
        yield deployment
