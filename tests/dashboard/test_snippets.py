"""What the help screen shows to be copied is executed here as it stands there."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Page, expect

from tests.api.running import ROOT, wait_until
from tests.api.wire import Answer, Client
from tests.dashboard.conftest import Open, Start
from tests.dashboard.service import PASSWORD, TOKENS, Service
from tests.dashboard.steps import clipboard, toast
from tests.gateway.behind import Application
from tests.gateway.child import NGINX_ARGUMENTS, Gateway, nginx_head
from tests.ports import held_port

DEBIANS_MODULES = "/usr/share/nodejs"


@pytest.fixture(scope="module")
def helping(open_shared: Open, service: Service) -> Page:
    """The help screen of the service that most tests share."""
    return open_shared(service, "help")


def example(page: Page, name: str) -> str:
    """What the button of a tab copies."""
    page.evaluate("navigator.clipboard.writeText('')")
    page.get_by_role("tab", name=name).click()
    page.get_by_role("button", name=f"Copy {name} example").click()
    page.wait_for_function("async () => await navigator.clipboard.readText() !== ''")
    return clipboard(page)


def in_place(text: str, **words: str) -> str:
    """The example with what its reader must put in place of the made-up words, each of which is there once."""
    for word, own in words.items():
        made_up = {"site": "example.com", "application": "app:80"}[word]
        assert text.count(made_up) == 1
        text = text.replace(made_up, own)
    return text


def nginx(text: str, application: int) -> Gateway:
    (user, paths), port = nginx_head(), held_port()
    server = f"upstream app {{ server 127.0.0.1:{application}; }} server {{ listen 127.0.0.1:{port};\n{text}\n}}"
    return Gateway("nginx", port, {"nginx.conf": f"{user} events {{}} http {{ {paths}\n{server} }}"}, *NGINX_ARGUMENTS)


def caddy(text: str, application: int) -> Gateway:
    port = held_port()
    own = in_place(text, site=f"http://127.0.0.1:{port}", application=f"127.0.0.1:{application}")
    texts = {"Caddyfile": f"{{\n    admin off\n}}\n{own}\n"}
    return Gateway("caddy", port, texts, "run", "--config", "Caddyfile", "--adapter", "caddyfile")


def traefik(text: str, application: int) -> Gateway:
    port = held_port()
    dynamic = f"""{text}
  routers:
    all: {{rule: PathPrefix(`/`), middlewares: [token], service: app}}
  services:
    app: {{loadBalancer: {{servers: [{{url: "http://127.0.0.1:{application}"}}]}}}}
"""
    arguments = (f"--entryPoints.web.address=127.0.0.1:{port}", "--providers.file.filename=dynamic.yaml")
    program = str(Path(sys.executable).with_name("traefik"))
    return Gateway(program, port, {"dynamic.yaml": dynamic}, *arguments, "--global.checkNewVersion=false")


def envoy(text: str, application: int) -> Gateway:
    port, (own,) = held_port(), yaml.safe_load(text)
    service = int(own["typed_config"]["http_service"]["server_uri"]["uri"].rpartition(":")[2])

    def address(number: int) -> dict[str, object]:
        return {"address": {"socket_address": {"address": "127.0.0.1", "port_value": number}}}

    def cluster(name: str, number: int) -> dict[str, object]:
        endpoints = [{"lb_endpoints": [{"endpoint": address(number)}]}]
        return {"name": name, "load_assignment": {"cluster_name": name, "endpoints": endpoints}}

    types = "type.googleapis.com/envoy.extensions.filters"
    router = {"name": "router", "typed_config": {"@type": f"{types}.http.router.v3.Router"}}
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "tried",
        "http_filters": [own, router],
        "route_config": {"virtual_hosts": [{"name": "app", "domains": ["*"], "routes": routes}]},
    }
    listener = {**address(port), "filter_chains": [{"filters": [{"name": "manager", "typed_config": manager}]}]}
    clusters = [cluster("tokens", service), cluster("app", application)]
    whole = json.dumps({"static_resources": {"listeners": [listener], "clusters": clusters}})
    arguments = ("-c", "envoy.json", "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warning")
    return Gateway(str(Path(sys.executable).with_name("envoy")), port, {"envoy.json": whole}, *arguments)


def fastapi(text: str, _: int) -> Gateway:
    program = f"""import httpx
from fastapi import Depends, FastAPI, Header, HTTPException

{text}

app = FastAPI()

@app.get("/")
async def read(token_id: str = Depends(token)) -> dict[str, list[list[str]]]:
    return {{"headers": [["x-token-id", token_id]]}}
"""
    port = held_port()
    return Gateway(sys.executable, port, {"program.py": program}, "-m", "uvicorn", "program:app", "--port", str(port))


def express(text: str, _: int) -> Gateway:
    port = held_port()
    program = f"""const app = require("express")();
{text}
app.get("/", (request, response) => response.json({{ headers: [] }}));
app.listen({port}, "127.0.0.1");
"""
    return Gateway("node", port, {"program.cjs": program}, "program.cjs", NODE_PATH=DEBIANS_MODULES)


STARTS: dict[str, Callable[[str, int], Gateway]] = {
    "nginx": nginx,
    "Traefik": traefik,
    "Caddy": caddy,
    "Envoy": envoy,
    "FastAPI": fastapi,
    "Express": express,
}


@pytest.fixture
def application() -> Iterator[Application]:
    application = Application()
    yield application
    application.close()


@pytest.mark.parametrize("name", STARTS)
def test_an_example_lets_good_tokens_through_and_no_others(
    helping: Page, service: Service, application: Application, name: str
) -> None:
    good, ended = (service.create(f"tried with {name} {word}") for word in ("good", "ended"))
    service.ask("DELETE", f"{TOKENS}?id={ended['id']}")
    gateway = STARTS[name](example(helping, name), application.port)
    client = Client(gateway.port)

    def ask(secret: str) -> Answer:
        # The second asks the gateway to drop the service's word with the client's.
        return client.ask("GET", "/", bearer=secret, headers={"X-Token-Id": "spoofed", "Connection": "X-Token-Id"})

    try:
        # Traefik listens before it has read what it asks.
        wait_until(lambda: ask("").status == 401, what="the gateway to ask")
        for secret in ("x", str(ended["token"])):
            assert ask(secret).status == 401, gateway.log
        assert application.requests == 0
        answer = ask(str(good["token"]))
        assert answer.status == 200, gateway.log
        ids = [value for field, value in answer.json()["headers"] if field == "x-token-id"]
        assert ids == ([] if name == "Express" else [good["id"]])
    finally:
        gateway.close()


def test_the_curl_example_works_as_it_is_shown(helping: Page, service: Service) -> None:
    token = service.create("tried with curl")

    done = subprocess.run(
        ["sh", "-c", example(helping, "curl")],
        env={"TOKEN": str(token["token"])},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.startswith("HTTP/1.1 200")
    assert f"x-token-id: {token['id']}" in done.stdout.lower()


def test_the_commands_work_as_they_are_shown(open_page: Open, start_service: Start, tmp_path: Path) -> None:
    service = start_service()
    page = open_page(service, "help")
    page.get_by_role("button", name="Copy command").click()
    expect(toast(page)).to_have_text("Copied.")
    program = tmp_path / "token-service"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m service "$@"\n')
    program.chmod(0o755)
    (tmp_path / "tokens.ndjson").write_text(
        json.dumps({"name": "brought along", "secret": "s" * 40, "duration": "1year"}) + "\n"
    )
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path / "state")}

    done = subprocess.run(
        ["sh", "-ec", clipboard(page)], env=env, cwd=tmp_path, input=PASSWORD + "\n", capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert {token["name"] for token in service.ask("GET", TOKENS)["tokens"]} == {"checkout-api", "brought along"}


def test_every_example_is_run_here(helping: Page) -> None:
    assert {tab.inner_text() for tab in helping.get_by_role("tab").all()} == {"curl", *STARTS}
