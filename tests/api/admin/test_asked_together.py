"""What a token was used for is asked for together with its record, where it alone is shown."""

from collections.abc import Callable
from typing import Any

import pytest

from service.app import Service
from tests.asgi import sign_in
from tests.builders import create
from tests.conftest import MakeService
from tests.links import Wrapped


class Noting(Wrapped):
    """A link that notes in which turn it is asked, and for which keys."""

    def __init__(self, link: Any) -> None:
        super().__init__(link)
        self.asked: list[tuple[object, bytes]] = []

    async def execute(self, *args: Any, **how: Any) -> Any:
        self.asked.append((self.turn, b" ".join(word for word in args if isinstance(word, bytes))))
        return await super().execute(*args, **how)

    def submit(self, command: bytes, answer: Callable[[Any], None], *, retry: bool = False) -> None:
        self.asked.append((self.turn, command))
        super().submit(command, answer, retry=retry)


@pytest.mark.parametrize("changes", [{}, {"isActive": False}, {"description": "another"}])
async def test_the_usage_of_one_token_takes_no_round_trip_of_its_own(
    make_service: MakeService, changes: dict[str, Any]
) -> None:
    """It was a fourth of those that a deactivation takes."""
    service: Service = await make_service(background=False, wrap=Noting)
    shard, token_id = service.stores.shards[0], (await create(service, "ci")).token.token_id
    admin = await sign_in(service)
    path = "/api/admin/tokens"
    # The script is known to the server from then on.
    assert (await admin.get(f"{path}/{token_id}")).status == 200
    link: Any = shard.link
    link.asked.clear()
    if changes:
        answer = await admin.ask("PATCH", path, json_body={"id": token_id, **changes})
    else:
        answer = await admin.get(f"{path}/{token_id}")
    assert (answer.status, b'"usage14d":[0,' in answer.body) == (200, True)
    of_usage, of_record = (
        [turn for turn, said in link.asked if key(token_id) in said] for key in (shard.keys.usage, shard.keys.metadata)
    )
    assert of_usage == of_record[:1]
