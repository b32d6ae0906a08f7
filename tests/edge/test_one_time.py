"""The PHP generator on the fast path refuses whom the ordinary way refuses, and leaves to it what it cannot tell."""

from collections.abc import Callable
from typing import Any

import pytest

from service.errors import StoreUnavailable
from tests.conftest import MakeService
from tests.edge.asking import first
from tests.edge.conftest import Turned, edge
from tests.links import Wrapped

ASKED = b"GET /api-v1/fastertokengenerator.php HTTP/1.1\r\nHost: a.test\r\n\r\n"


async def test_an_address_gets_so_many_tokens_a_minute(port: int) -> None:
    answers = [await first(port, ASKED) for _ in range(4)]
    assert [answer[9:12] for answer in answers] == [b"200"] * 3 + [b"429"]
    assert b"\r\nretry-after: " in answers[3]


async def test_where_only_known_callers_are_issued_tokens_nobody_else_is(
    make_service: MakeService, turned: Turned
) -> None:
    service = await make_service(one_time_issue="authenticated")
    async with edge(service, turned) as port:
        assert (await first(port, ASKED))[9:12] == b"401"


class Failing(Wrapped):
    """A link that answers nothing that the fast path asks, and what else is asked as long as it is not away."""

    away = False

    def submit(self, command: bytes, answer: Callable[[Any], None], *, retry: bool = False) -> None:
        answer(StoreUnavailable("away"))

    async def execute(self, *args: Any, **how: Any) -> Any:
        if self.away:
            raise StoreUnavailable("away")
        return await self.link.execute(*args, **how)


@pytest.mark.parametrize(("away", "status"), [(False, b"200"), (True, b"500")])
async def test_what_was_not_recorded_is_asked_for_again_and_fails_in_the_generators_own_words(
    make_service: MakeService, turned: Turned, *, away: bool, status: bytes
) -> None:
    service = await make_service(background=False, wrap=Failing)
    link = service.stores.shards[0].link
    link.away = away
    async with edge(service, turned) as port:
        assert (await first(port, ASKED))[9:12] == status
