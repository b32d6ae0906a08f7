"""The longest page of a list, made part by part, so that others have turns between."""

from typing import Any

import pytest

from service.api.admin import token_views
from service.app import Service
from tests.asgi import sign_in
from tests.builders import create
from tests.conftest import MakeService
from tests.links import Wrapped


async def test_others_have_turns_while_the_longest_page_is_made(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of each token shown how often Redis had been asked by then: between two questions others have a turn.
    questions, shown_after = 0, []

    class Counting(Wrapped):
        async def execute(self, *args: Any, **how: Any) -> Any:
            nonlocal questions
            questions += 1
            return await super().execute(*args, **how)

    def shown(*given: Any) -> Any:
        shown_after.append(questions)
        return was(*given)

    was = token_views.shown
    monkeypatch.setattr(token_views, "shown", shown)
    service: Service = await make_service(background=False, wrap=Counting)
    names = [f"token {number:03}" for number in range(120)]
    for name in names:
        await create(service, name)
    answer = await (await sign_in(service)).get("/api/admin/tokens", limit=200, sort="name")
    assert [token["name"] for token in answer.json()["tokens"]] == names
    assert max(map(shown_after.count, shown_after)) == 50
