"""Asks a service of the same process over ASGI: a test may have sixteen shards and a clock to turn."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from anyio import sleep_forever
from starlette.types import Receive

from service.app import Service
from tests.builders import ADMIN
from tests.conftest import PASSWORD


class Answer(msgspec.Struct, frozen=True):
    """One answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def lines(self) -> list[Any]:
        """The values of an NDJSON body."""
        return [json.loads(line) for line in self.body.splitlines()]


class Person:
    """Somebody at the door: asks with a credential, or without one."""

    def __init__(self, service: Service, secret: str = "", *, address: str = "192.0.2.7") -> None:
        self.service = service
        self.secret = secret
        self.address = address

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        json_body: Any = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        meanwhile: Callable[[], Awaitable[object]] | None = None,
    ) -> Answer:
        """One request and its whole answer; `meanwhile` happens before the last byte of the body comes."""
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        if self.secret:
            sent.setdefault("authorization", f"Bearer {self.secret}")
        if json_body is not None:
            body = json.dumps(json_body).encode()
            sent["content-type"] = "application/json"
        if body:
            sent["content-length"] = str(len(body))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "scheme": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": urlencode(query or {}).encode(),
            "client": (self.address, 1),
            "server": ("127.0.0.1", 80),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent.items()],
        }
        return await _exchange(self.service, scope, receiving(body, meanwhile))

    async def get(self, path: str, **query: Any) -> Answer:
        return await self.ask("GET", path, query=query)

    async def post(self, path: str, json_body: Any = None, **query: Any) -> Answer:
        return await self.ask("POST", path, query=query, json_body=json_body)

    async def create(self, name: str, **terms: Any) -> dict[str, Any]:
        """A managed token of a month, with its secret."""
        answer = await self.post("/api/admin/tokens", {"name": name, "duration": "1month", **terms})
        assert answer.status == 201, answer
        token: dict[str, Any] = answer.json()["token"]
        return token


async def _exchange(service: Service, scope: dict[str, Any], receive: Receive) -> Answer:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await service.application(scope, receive, send)
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))


def receiving(body: bytes, meanwhile: Callable[[], Awaitable[object]] | None) -> Receive:
    """What a server hands on: the body, and then nothing, however often it is asked and no more waited for."""
    parts = [body] if meanwhile is None else [body[:-1], body[-1:]]

    async def receive() -> Any:
        if not parts:
            await sleep_forever()
        if meanwhile is not None and len(parts) == 1:
            await meanwhile()
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    return receive


async def sign_in(service: Service, name: str = "admin") -> Person:
    """Somebody with a session."""
    signed_in = await service.rules.sessions.sign_in(name, PASSWORD, ADMIN)
    return Person(service, signed_in.secret)


async def holder(service: Service, *scopes: str) -> Person:
    """The holder of a fresh managed token with these scopes."""
    token = await (await sign_in(service)).create(f"of {'+'.join(scopes) or 'nothing'}", scopes=list(scopes))
    return Person(service, token["token"])


async def check_readers_alone(service: Service, path: str) -> None:
    """That this is shown to viewers and to tokens with the scope for it, and to nobody else who may not change it."""
    assert (await Person(service).get(path)).status == 401
    assert (await (await holder(service, "orders:read")).get(path)).status == 403
    assert (await (await sign_in(service, "uma")).get(path)).status == 403
    for reader in (await sign_in(service, "vera"), await holder(service, "tokens:read")):
        assert (await reader.get(path)).status == 200
