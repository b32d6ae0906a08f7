"""What is taken away and not confirmed as TOKENS_DURABILITY asks: a repeat says no more than the first try."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from service.app import Service
from service.settings import Settings
from service.store.driver import confirmation
from tests.asgi import Answer, Person, sign_in

TOKENS, SELF, SESSIONS = "/api/admin/tokens", "/api/tokens/self", "/api/admin/sessions"
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def service(make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    """It asks for a replica, and there is none. A loaded machine may stall for longer than it would wait for Redis."""
    monkeypatch.setattr(confirmation, "_SHARE", 0.01)
    made = Service(make_settings(durability="replicated", redis_timeout_ms=10_000))
    async with made.lifespan():
        yield made


async def twice(person: Person, method: str, path: str, **more: Any) -> tuple[list[int], str]:
    """The statuses of a request and of its repeat, and what the repeat says is not confirmed."""
    answers: list[Answer] = [await person.ask(method, path, **more) for _ in range(2)]
    said = answers[1].json()
    return [answer.status for answer in answers], said.get("pending") or f"{said['code']}: {said['detail']}"


@pytest.mark.slow
async def test_a_repeat_is_confirmed_no_sooner_than_what_it_repeats(service: Service) -> None:
    signed_in = await sign_in(service)
    (one,) = (await signed_in.get(SESSIONS)).json()["sessions"]
    session = {"username": one["username"], "id": one["id"]}
    admin = await sign_in(service)
    root = await admin.create("root", scopes=["self:*"])
    path, holder = f"{TOKENS}/{root['id']}", Person(service, root["token"])

    async def derived() -> str:
        token_id: str = (await holder.post(f"{SELF}/derive")).json()["token"]["id"]
        return token_id

    await derived()
    waiting = [
        await twice(admin, "DELETE", f"{path}/derived"),
        await twice(holder, "DELETE", f"{SELF}/derived", query={"id": await derived()}),
        await twice(admin, "PATCH", TOKENS, json_body={"ids": [root["id"]], "isActive": False}),
        await twice(admin, "DELETE", TOKENS, query={"id": root["id"]}),
        await twice(admin, "POST", f"{SESSIONS}/revoke", json_body=session),
        await twice(Person(service), "POST", "/oauth2/revoke", body=f"token={signed_in.secret}".encode(), headers=FORM),
    ]
    reason = "no replica confirmed it within 100 ms"
    once_more = f"pending: The token is refused from now on, but {reason}. Send it again."
    assert waiting == [
        ([202, 202], reason),
        ([202, 503], once_more),
        ([202, 202], reason),
        ([202, 202], reason),
        ([202, 503], once_more),
        ([503, 503], once_more),
    ]
