"""Two changes at once: whatever comes between which steps of the other, it is as if they came one after the other.

The book of what may be is the service itself: both orders are tried first, and then the second change as a whole before
each command that the first one asks of Redis.
"""

from collections import Counter
from dataclasses import dataclass, field
from itertools import count, permutations
from typing import Any

import pytest

from service.app import Service
from service.errors import Conflict, Unauthorized
from service.model import Status
from service.store.managed.query import Query
from service.tokens.managed.derivation import Narrowed
from service.tokens.managed.tokens import Created
from tests.builders import ADMIN, actions, create, outcome
from tests.conftest import MakeService
from tests.links import Interrupted
from tests.store.managed.test_names import elsewhere

_numbers = count(1)
MOST_STEPS = 40


@dataclass(eq=False)
class World:
    """A token that bears a name of another shard, one that does not, and what is made of them."""

    service: Service
    name: str
    free: str
    holder: Created
    other: Created
    made: dict[str, Created] = field(default_factory=dict)

    async def take(self) -> None:
        await self.service.rules.managed.tokens.update(self.other.token.token_id, {"name": self.name}, ADMIN)

    async def make(self) -> None:
        self.made["new"] = await create(self.service, self.name)

    async def take_free(self) -> None:
        await self.service.rules.managed.tokens.update(self.other.token.token_id, {"name": self.free}, ADMIN)

    async def make_free(self) -> None:
        self.made["new"] = await create(self.service, self.free)

    async def give_up(self) -> None:
        await self.change(name=f"{self.name} no more")

    async def revoke(self) -> None:
        await self.service.rules.managed.tokens.revoke(self.holder.token.token_id, ADMIN)

    async def switch_off(self) -> None:
        await self.change(active=False)

    async def switch_off_several(self) -> str:
        ids = [self.holder.token.token_id, self.other.token.token_id]
        result = await self.service.rules.managed.bulk.set_active(ids, False, ADMIN)
        return " ".join(code for _, code in result.skipped)

    async def narrow(self) -> None:
        await self.change(scopes=("self:derive",))

    async def rotate(self) -> None:
        rotate = self.service.rules.managed.rotation.rotate
        self.made["rotated"] = await rotate(self.holder.token.token_id, ADMIN, overlap_seconds=600)

    async def derive(self) -> None:
        derive = self.service.rules.managed.derivation.derive
        self.made["derived"] = await derive(self.holder.secret.encode(), Narrowed(), ADMIN)

    async def change(self, **changes: Any) -> None:
        await self.service.rules.managed.tokens.update(self.holder.token.token_id, changes, ADMIN)

    async def answer(self, change: str) -> str:
        try:
            return await getattr(self, change)() or "done"
        except (Conflict, Unauthorized) as refused:
            return refused.code

    async def state(self) -> list[object]:
        """What each list, the audit log and each secret say of it afterwards, without what is drawn by lot."""
        whole = {"holder": self.holder, "other": self.other} | {k: v for k, v in self.made.items() if k == "new"}
        roles = {created.token.token_id: role for role, created in whole.items()}
        seen: list[object] = []
        for asked in ({"sort": "name"}, {"sort": "created_at"}, {"text": self.name}):
            query = Query(statuses=frozenset(Status), descending=False, limit=200, **asked)
            page, _, _ = await self.service.rules.managed.queries.page(query)
            told = [
                ((one.name == self.name, one.name == self.free), one.status(self.service.clock()), one.scopes)
                for one in page
            ]
            seen.append(
                [(roles[one.token_id], *row) for one, row in zip(page, told, strict=True) if one.token_id in roles]
            )
        secrets = {role: created.secret for role, created in sorted((whole | self.made).items())}
        seen += [Counter(await actions(self.service, token_id)) for token_id in roles]
        return [*seen, {role: await outcome(self.service, secret) for role, secret in secrets.items()}]


async def begin(service: Service) -> World:
    first = f"ci {next(_numbers)}"
    name = elsewhere(service, first)
    holder = await create(service, first, scopes=("self:derive", "orders:read"))
    await service.rules.managed.tokens.update(holder.token.token_id, {"name": name}, ADMIN)
    return World(service, name, elsewhere(service, name), holder, await create(service, f"{first} other"))


OF_NAMES = ("take", "make", "give_up", "revoke")
OF_A_FREE_NAME = ("take_free", "make_free")
OF_TERMS = ("revoke", "switch_off", "switch_off_several", "narrow", "rotate", "derive")
PAIRS = [
    *permutations(OF_NAMES, 2),
    *permutations(OF_A_FREE_NAME, 2),
    *[pytest.param(*pair, marks=pytest.mark.slow) for pair in permutations(OF_TERMS, 2)],
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
async def test_it_is_as_if_one_came_after_the_other(make_service: MakeService, first: str, second: str) -> None:
    service = await make_service(shards=16, background=False, wrap=Interrupted)
    link = service.stores.shards[0].link
    assert isinstance(link, Interrupted)
    in_turn = []
    for order in ((first, second), (second, first)):
        world = await begin(service)
        answers = {change: await world.answer(change) for change in order}
        in_turn.append((answers, await world.state()))
    for step in range(MOST_STEPS):
        world, answers = await begin(service), {}

        async def come_between(world: World = world, answers: dict[str, str] = answers) -> None:
            answers[second] = await world.answer(second)

        link.before[""] = between = [*[None] * step, come_between]
        answers[first] = await world.answer(first)
        link.before.clear()
        if between:
            break
        assert (answers, await world.state()) in in_turn, f"before the command {step} of {first}"
    else:
        pytest.fail(f"{first} has more steps than {MOST_STEPS}")
