"""What can be said of every configuration without running it, those of gateways that cannot run here too."""

import re
from collections.abc import Iterator

import pytest
import yaml
from lupa.luajit21 import LuaRuntime

from tests.gateway.conftest import CONFIGURATIONS

EXECUTED = {
    "nginx": ("nginx.conf",),
    "caddy": ("Caddyfile",),
    "haproxy": ("haproxy.cfg", "haproxy-token.lua"),
    "apache": ("apache.conf", "apache-token.lua"),
    "envoy": ("envoy.yaml",),
    "traefik": ("traefik.yaml", "traefik-token.yaml"),
}
NOT_EXECUTED = {name: (f"{name}.yaml",) for name in ("apisix", "kong")}
ALL = EXECUTED | NOT_EXECUTED
# Applications believe these, so a client must not be able to set them.
IDENTITY = (
    "X-Token-Id",
    "X-Token-Subject",
    "X-Token-Scopes",
    "X-Token-Kind",
    "X-Token-Name",
    "Remote-User",
    "X-Auth-Request-User",
)


def text_of(name: str) -> str:
    return "\n".join((CONFIGURATIONS / file).read_text() for file in ALL[name])


def test_every_file_belongs_to_a_gateway_that_is_named_here() -> None:
    assert {path.name for path in CONFIGURATIONS.iterdir()} == {file for files in ALL.values() for file in files}


@pytest.mark.parametrize("gateway", ALL)
def test_every_configuration_names_each_identity_header_and_each_credential(gateway: str) -> None:
    text = text_of(gateway).lower()
    assert [name for name in IDENTITY if name.lower() not in text] == []
    assert [name for name in ("authorization", "x-api-key", "x-token") if name not in text] == []


@pytest.mark.parametrize("gateway", ALL)
def test_every_configuration_has_a_word_about_the_retry_key_and_none_uses_what_a_client_may_send(gateway: str) -> None:
    text = text_of(gateway).lower()
    assert "x-tokens-retry-key" in text
    assert "idempotency-key" not in text


@pytest.mark.parametrize("gateway", ALL)
def test_every_configuration_has_a_place_for_preflights_and_says_why(gateway: str) -> None:
    text = text_of(gateway)
    assert "/browser/" in text
    assert "never with a credential" in " ".join(re.sub(r"\n\s*(#|--)", "", text).split())


def test_apisix_takes_each_credential_away_once_the_service_has_seen_it() -> None:
    for route in yaml.safe_load(text_of("apisix"))["routes"]:
        plugins = route["plugins"]
        taken = str(plugins["serverless-post-function" if "forward-auth" in plugins else "proxy-rewrite"])
        assert [name for name in ("Authorization", "X-API-Key", "X-Token") if name not in taken] == []


@pytest.mark.parametrize("gateway", NOT_EXECUTED)
def test_a_configuration_that_is_not_executed_says_so_and_is_yaml(gateway: str) -> None:
    text = text_of(gateway)
    assert "Not executed" in text.splitlines()[1]
    assert isinstance(yaml.safe_load(text), dict)


@pytest.mark.parametrize(("gateway", "functions"), [("kong", 1), ("apisix", 3)])
def test_the_lua_of_a_configuration_that_is_not_executed_can_be_read(gateway: str, functions: int) -> None:
    """As LuaJIT, which both gateways have, reads it."""
    written = [text for text in _texts(yaml.safe_load(text_of(gateway))) if "\n" in text]
    assert len(written) == functions
    load = LuaRuntime().eval("function(text) return select(2, loadstring(text)) end")
    assert [error for error in map(load, written) if error] == []


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


@pytest.mark.parametrize("gateway", EXECUTED)
def test_a_configuration_that_is_executed_does_not_say_otherwise(gateway: str) -> None:
    assert "Not executed" not in text_of(gateway)
