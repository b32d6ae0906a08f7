"""A secret appears in the one answer that issues it, and nowhere else: not in Redis, a log, an error or a metric."""

import asyncio
import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.wire import Answer, Raw
from tests.api.world import fresh
from tests.conftest import PASSWORD, SERVER_KEY
from tests.fault.conftest import Site, sites
from tests.fault.volley import get, post, volley

TOKENS = "/api/admin/tokens"
CONSUME = "/api/one-time-tokens/consume"
WRONG_PASSWORD = "canary-wrong-password-7f3a"


def forms(secret: str) -> Iterator[bytes]:
    """The ways in which a secret could hide: as it is, half of it, base64 at any offset, hex, percent-encoded."""
    raw = secret.encode()
    yield raw
    yield raw[:20]
    for offset in range(3):
        yield base64.b64encode(b"\x00" * offset + raw)[4 if offset else 0 : -4]
        yield base64.urlsafe_b64encode(b"\x00" * offset + raw)[4 if offset else 0 : -4]
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    yield quote(secret, safe="").encode()
    yield "".join(f"%{byte:02X}" for byte in raw).encode()
    yield "".join(f"\\u{byte:04x}" for byte in raw).encode()


def found(secrets: list[str], haystack: bytes) -> list[str]:
    return [secret for secret in secrets if any(form in haystack for form in forms(secret))]


def test_the_search_finds_a_secret_in_every_form() -> None:
    secret = "rtk_" + "0123456789abcdef" * 4
    for form in (
        secret,
        secret[:30],
        base64.b64encode(b"x" + secret.encode()).decode(),
        secret.encode().hex(),
        quote(secret),
    ):
        assert found([secret], b"before" + form.encode() + b"after") == [secret]
    assert found([secret], b"nothing of the sort") == []


class Life:
    """Every kind of token, used in every right and many a wrong way. Keeps its secrets and the errors it got."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.errors: list[bytes] = []
        managed = site.create(fresh("canary"), scopes=["orders:read", "self:rotate"], subject="svc:canary")
        quota = {"name": "month", "limit": 9, "calendar": {"unit": "month"}}
        limited = site.create(fresh("canary"), limits=[{"limit": 1, "periodSeconds": 60}, quota], maxUses=5)
        session = site.client.sign_in("uma", PASSWORD)
        one_times = [site.one_time() for _ in range(4)]
        self.secrets = [site.admin, session, managed["token"], limited["token"], *one_times]
        for secret in list(self.secrets):
            self._use(secret)
        for secret in list(self.secrets):
            self._misuse(secret)
        self._rotate(managed["id"])
        site.client.post(CONSUME, {"token": one_times[0]}, headers={"Idempotency-Key": "once"})
        site.client.get("/validate/one-time", bearer=one_times[1])
        site.client.ask("DELETE", f"{TOKENS}?id={limited['id']}", bearer=site.admin)
        site.client.ask("DELETE", "/api/token", json_body={"token": session})
        for _ in range(3):
            self._keep(site.client.post("/api/token", {"username": "nobody", "password": WRONG_PASSWORD}))

    def _keep(self, answer: Answer) -> None:
        if answer.status >= 400:
            self.errors.append(answer.body + str(answer.headers).encode())

    def _use(self, secret: str) -> None:
        client, admin = self._site.client, self._site.admin
        for path in (
            "/validate",
            "/validate?required_scope=orders:read",
            "/validate/envoy/x",
            "/api/tokens/self",
            TOKENS,
        ):
            self._keep(client.get(path, bearer=secret))
        self._keep(client.get("/validate", headers={"X-API-Key": secret}))
        self._keep(client.get(f"/api/token?token={secret}"))
        self._keep(client.post("/oauth2/introspect", form={"token": secret}, bearer=admin))
        self._keep(client.post("/oauth2/introspect", form={"token": "x"}, basic=("admin", secret)))
        self._keep(client.post("/validate/batch", {"tokens": [secret]}, bearer=admin))
        self._keep(client.post("/k8s/tokenreview", {"spec": {"token": secret}}, bearer=admin))

    def _misuse(self, secret: str) -> None:
        client, admin = self._site.client, self._site.admin
        for path in (
            f"/{secret}",
            f"/validate?token={secret}",
            f"{TOKENS}/{secret}",
            f"{TOKENS}?q={secret[:70]}",
            f"{TOKENS}?cursor={secret}",
            f"/validate/one-time?token={secret}",
            f"/dashboard/{secret}",
        ):
            self._keep(client.get(path, bearer=admin))
        self._keep(client.ask("DELETE", f"{TOKENS}?id={secret}", bearer=admin))
        self._keep(client.post("/api/token", {"username": secret, "password": secret}))
        self._keep(client.post("/oauth2/revoke", form={"other": secret}))
        for body in (secret.encode(), json.dumps({"token": secret, "x": 1}).encode(), b'{"token":"' + secret.encode()):
            self._keep(client.post(CONSUME, body=body, headers={"Content-Type": "application/json"}))
        self._keep(client.get("/validate", headers={"X-Request-Id": f"{secret}!", "Authorization": f"Digest {secret}"}))
        with Raw(self._site.running.port) as raw, suppress(OSError):
            raw.send(f"GET /validate?{secret} HTTP/1.1\r\nHost: x\r\nX-Token: {secret}\x01\r\n\r\n".encode())
            self.errors.append(raw.rest())

    def _rotate(self, token_id: str) -> None:
        answer = self._site.client.post(f"{TOKENS}/{token_id}/rotate", {"overlapSeconds": 60}, bearer=self._site.admin)
        assert answer.status == 201, answer
        rotated: Any = answer.json()
        self.secrets.append(rotated["token"]["token"])
        self._use(self.secrets[-1])


@pytest.fixture(scope="module", params=["json", "text"])
def lived(request: pytest.FixtureRequest, settings: dict[str, str]) -> Iterator[tuple[Site, Life]]:
    with sites(settings) as start:
        site = start(log_format=request.param, access_log="on")
        yield site, Life(site)


def test_no_secret_is_in_redis_the_log_the_errors_or_the_metrics(lived: tuple[Site, Life]) -> None:
    site, life = lived
    site.running.stop()  # so that everything is flushed
    site.running.restart()
    metrics = site.client.get("/metrics").body
    secrets = [*life.secrets, PASSWORD, WRONG_PASSWORD, SERVER_KEY]
    places = {
        "redis": site.redis.append_only_file(),
        "log": site.running.log.encode(),
        "metrics": metrics,
        "errors": b"\n".join(life.errors),
    }
    assert len(places["log"]) > 2000, "nothing was logged"
    assert b"canary" in places["redis"], "nothing was written"
    assert len(life.errors) > 50, "nothing was refused"
    assert {place: found(secrets, content) for place, content in places.items()} == {place: [] for place in places}


def test_each_line_of_a_json_log_is_one_object(lived: tuple[Site, Life]) -> None:
    lines = lived[0].running.log.splitlines()
    is_json = [line.startswith("{") for line in lines]
    assert all(is_json) or not any(is_json)
    if all(is_json):
        assert all(isinstance(json.loads(line), dict) for line in lines)


def test_nothing_that_redis_wrote_down_opens_any_door(lived: tuple[Site, Life]) -> None:
    site, _ = lived
    texts = {text.decode() for text in re.findall(rb"[!-~]{8,1024}", site.redis.append_only_file())}
    forms = ("(?=([0-9a-f]{32}))", "(?=([A-Za-z0-9]{64}))", "(?=(rtk_[0-9a-f]{64}))")
    pieces = {found for text in texts for form in forms for found in re.findall(form, text)}
    candidates = sorted(texts | pieces)
    assert len(candidates) > 150
    doors = {"validate", "api key", "session", "list", "introspected"}
    assert accepting_doors(site, [*candidates, site.admin]) == {(site.admin, door) for door in doors}


def accepting_doors(site: Site, candidates: list[str]) -> set[tuple[str, str]]:
    """Which of these strings which endpoint takes for a credential."""
    admin = f"Authorization: Bearer {site.admin}"
    # Door to the request that tries it, and what an answer of 200 must have in it to count.
    doors: dict[str, tuple[Callable[[str], bytes], bytes]] = {
        "validate": (lambda text: get("/validate", text), b""),
        "api key": (lambda text: get("/validate", text).replace(b"Authorization: Bearer", b"X-API-Key:"), b""),
        "one-time": (lambda text: get("/validate/one-time", text), b""),
        "self": (lambda text: get("/api/tokens/self", text), b""),
        "list": (lambda text: get(TOKENS, text), b""),
        "consume": (lambda text: post(CONSUME, json.dumps({"token": text}).encode()), b'"valid":true'),
        "session": (lambda text: get(f"/api/token?token={quote(text)}", "x"), b'"valid":true'),
        "introspected": (lambda text: form("/oauth2/introspect", f"token={quote(text)}", admin), b'"active":true'),
        "client": (lambda text: form("/oauth2/introspect", f"token=x&client_id=x&client_secret={quote(text)}"), b""),
    }
    asked = [(text, door) for text in candidates for door in doors]
    replies = asyncio.run(volley(site.running.port, [doors[door][0](text) for text, door in asked], connections=8))
    return {
        pair
        for pair, reply in zip(asked, replies, strict=True)
        if reply is not None and reply.status == 200 and doors[pair[1]][1] in reply.body
    }


def form(path: str, body: str, *headers: str) -> bytes:
    return post(path, body.encode(), *headers).replace(b"application/json", b"application/x-www-form-urlencoded", 1)
