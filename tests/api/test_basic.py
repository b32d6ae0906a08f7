"""A client with a name and a password that could not be evaluated is told to come again, and never that it is bad."""

import base64
from typing import Any

import pytest

from service.app import Service
from service.errors import StoreUnavailable
from service.tokens.accounts.login import PER_ACCOUNT, WINDOW_SECONDS
from service.tokens.accounts.passwords import Busy
from tests.asgi import Answer, Person
from tests.conftest import PASSWORD, MakeService, TurnTime
from tests.links import Wrapped

FORMS = ("/oauth2/introspect", "/oauth2/revoke")
REVIEW = {"spec": {"token": "x"}}


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


async def ask(service: Service, path: str, name: str = "admin", password: str = PASSWORD) -> Answer:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    return await Person(service).ask("POST", path, body=b"token=x", headers=basic(name, password) | form)


async def every_way(service: Service) -> list[Answer]:
    """Each operation of a program that takes a name and a password."""
    person, known = Person(service), basic("admin", PASSWORD)
    return [
        *[await ask(service, path) for path in FORMS],
        await person.ask("POST", "/validate/batch", json_body={"tokens": ["x"]}, headers=known),
        await person.ask("POST", "/k8s/tokenreview", json_body=REVIEW, headers=known),
        await person.post("/api/token", {"username": "admin", "password": PASSWORD}),
    ]


async def test_a_throttled_client_is_told_to_wait_and_not_that_it_is_bad(still: Service) -> None:
    assert [answer.status < 300 for answer in await every_way(still)] == [True] * 5
    for _ in range(PER_ACCOUNT):
        assert (await ask(still, FORMS[0], "admin", "wrong")).status == 401
    for answer in await every_way(still):
        assert (answer.status, answer.json()["code"]) == (429, "rate_limited")
        assert 800 < int(answer.headers["retry-after"]) <= 900


async def test_a_client_for_whom_there_is_no_room_comes_again_a_second_later(
    still: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(password_hash: str, password: str) -> bool:
        raise Busy

    monkeypatch.setattr(still.rules.accounts.passwords, "matches", full)
    for answer in await every_way(still):
        assert (answer.status, answer.headers["retry-after"]) == (429, "1")


class Away(Wrapped):
    """A Redis that may be away, from one command on or for all of them."""

    asked = 0
    away_from: int | None = None

    async def execute(self, *args: Any, **how: Any) -> Any:
        self.asked += 1
        if self.away_from is not None and self.asked > self.away_from:
            raise StoreUnavailable("The token store does not answer.")
        return await super().execute(*args, **how)


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize(("name", "password"), [("admin", PASSWORD), ("nobody", "x"), ("admin", "wrong")])
async def test_at_whatever_step_redis_goes_the_answer_is_503(
    make_service: MakeService, turn_time: TurnTime, path: str, name: str, password: str
) -> None:
    service = await make_service(fake=True, wrap=Away)
    link: Any = service.stores.shards[0].link
    for step in range(20):
        turn_time(WINDOW_SECONDS)
        link.asked, link.away_from = 0, step
        answer = await ask(service, path, name, password)
        if link.asked <= step:
            break
        assert (answer.status, answer.headers["retry-after"]) == (503, "1"), step
    assert step > 4
    assert answer.status == (200 if password == PASSWORD else 401)
