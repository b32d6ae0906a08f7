"""The record of a token to change is asked for together with the caller's own, and changes nothing but that."""

from collections.abc import Callable
from typing import Any

import pytest

from service.app import Service
from tests.builders import ADMIN, create, outcome, sign_in
from tests.conftest import MakeService
from tests.edge.asking import VARYING, asking
from tests.edge.conftest import Turned, edge
from tests.links import Wrapped


class Noting(Wrapped):
    """Notes the keys that are asked for, a line for each write; `before` is awaited before each script."""

    def __init__(self, link: Any) -> None:
        super().__init__(link)
        self.writes: list[tuple[object, list[bytes]]] = []
        self.before: Callable[[], Any] | None = None

    def note(self, command: bytes) -> None:
        if not self.writes or self.writes[-1][0] is not self.link.turn or not self.link.turn:
            self.writes.append((self.link.turn, []))
        self.writes[-1][1].append(command)

    async def execute(self, *args: Any, **how: Any) -> Any:
        if (before := self.before) is not None and args[0] == "EVALSHA":
            self.before = None
            await before()
        self.note(b" ".join(word for word in args if isinstance(word, bytes)))
        return await super().execute(*args, **how)

    def submit(self, command: bytes, answer: Callable[[Any], None], *, retry: bool = False) -> None:
        self.link.submit(command, answer, retry=retry)
        self.note(command)


def request(secret: str | bytes, method: str, target: str, body: str = "") -> bytes:
    bearer = secret.decode() if isinstance(secret, bytes) else secret
    fields = f"Host: a\r\nAuthorization: Bearer {bearer}\r\nContent-Length: {len(body)}"
    return f"{method} /api/admin/tokens{target} HTTP/1.1\r\n{fields}\r\n\r\n{body}".encode()


async def answered(port: int, asked: bytes) -> bytes:
    """The whole answer, on a connection that stays open, as where it is kept."""
    async with asking(port, asked) as (reader, _):
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r")[0]))
    return head + body


def off(secret: str | bytes, token_id: str) -> bytes:
    return request(secret, "PATCH", "", f'{{"id":"{token_id}","isActive":false}}')


def revoking(secret: str | bytes, token_id: str) -> bytes:
    return request(secret, "DELETE", f"?id={token_id}")


async def listening_to(make_service: MakeService) -> tuple[Service, Noting]:
    service = await make_service(background=False, wrap=Noting)
    return service, service.stores.shards[0].link


@pytest.mark.parametrize("change", [off, revoking])
async def test_a_token_is_read_in_the_write_of_its_caller_and_not_again(
    make_service: MakeService, turned: Turned, change: Callable[[bytes, str], bytes]
) -> None:
    service, link = await listening_to(make_service)
    made, admin = await create(service, "ci"), await sign_in(service)
    async with edge(service, turned) as port:
        link.writes.clear()
        assert b" 200 " in await answered(port, change(admin, made.token.token_id))
    key = b"HGETALL\r\n$%d\r\n" % len(service.stores.shards[0].keys.metadata(made.token.token_id))
    (read,) = [write for _, write in link.writes if any(key in command for command in write)]
    assert [command.split(b"\r\n")[2] for command in read[:2]] == [b"HGETALL", b"GET"]
    assert await outcome(service, made.secret) == "unknown"


@pytest.mark.parametrize("change", [off, revoking])
async def test_a_change_that_comes_between_is_seen(
    make_service: MakeService, turned: Turned, change: Callable[[bytes, str], bytes]
) -> None:
    service, link = await listening_to(make_service)
    made, admin = await create(service, "ci"), await sign_in(service)
    token_id, update = made.token.token_id, service.rules.managed.tokens.update
    async with edge(service, turned) as port:
        link.before = lambda: update(token_id, {"description": "changed"}, ADMIN)
        assert b" 200 " in await answered(port, change(admin, token_id))
    token = await service.rules.managed.tokens.get(token_id)
    assert (token.description, token.active, token.version) == ("changed", False, 3)


async def test_of_two_ids_the_one_that_the_body_means_is_changed(make_service: MakeService, turned: Turned) -> None:
    service, _ = await listening_to(make_service)
    meant, other, admin = await create(service, "meant"), await create(service, "other"), await sign_in(service)
    inside = f'{{"metadata":{{"id":"{other.token.token_id}"}},"id":"{meant.token.token_id}"}}'
    async with edge(service, turned) as port:
        answer = await answered(port, request(admin, "PATCH", "", inside))
    assert (b" 200 " in answer, f'"id":"{meant.token.token_id}","name":"meant"'.encode() in answer) == (True, True)
    get = service.rules.managed.tokens.get
    assert (await get(meant.token.token_id)).metadata == {"id": other.token.token_id}
    assert (await get(other.token.token_id)).version == 1


@pytest.mark.parametrize("change", [off, revoking])
async def test_whoever_may_not_change_it_is_told_nothing_of_it(
    make_service: MakeService, turned: Turned, change: Callable[[str, str], bytes]
) -> None:
    service, _ = await listening_to(make_service)
    made, reader = await create(service, "ci"), await create(service, "reader", scopes=("tokens:read",))
    async with edge(service, turned) as port:
        for secret, status in ((reader.secret, b" 403 "), ("A" * 64, b" 401 ")):
            answers = [await answered(port, change(secret, one)) for one in (made.token.token_id, 16 * "0")]
            there, nowhere = (VARYING.sub(b"~", answer) for answer in answers)
            assert (status in there, there) == (True, nowhere)
    assert await outcome(service, made.secret) == "active"
