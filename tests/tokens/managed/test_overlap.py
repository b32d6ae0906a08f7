"""Ending an overlap while the token changes: tried again, but not for ever, and never half done."""

from typing import Any

import pytest

from service.app import Service
from service.errors import StoreUnavailable
from service.store.managed.tokens import ManagedStore
from service.tokens.managed.tokens import Created
from tests.builders import ADMIN, create, works


async def rotated(service: Service) -> tuple[Created, Created]:
    """A token before and after a rotation with an overlap."""
    first = await create(service)
    return first, await service.rules.managed.rotation.rotate(first.token.token_id, ADMIN, overlap_seconds=3600)


async def test_where_the_token_never_stands_still_it_is_refused_in_the_end(
    still: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await rotated(still)

    async def lose(*_: Any, **__: Any) -> list[bool]:
        return [False]

    monkeypatch.setattr(ManagedStore, "update", lose)
    with pytest.raises(StoreUnavailable, match="keeps changing"):
        await still.rules.managed.rotation.end_overlap(first.token.token_id, ADMIN)
    assert await works(still, first.secret, second.secret) == [True, True]


async def test_it_is_done_though_another_change_comes_between(still: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = await rotated(still)
    update, changes = ManagedStore.update, [{"description": "meanwhile"}]

    async def disturbed(*args: Any, **more: Any) -> bool:
        if changes:
            await still.rules.managed.tokens.update(first.token.token_id, changes.pop(), ADMIN)
        return await update(*args, **more)

    monkeypatch.setattr(ManagedStore, "update", disturbed)
    token = await still.rules.managed.rotation.end_overlap(first.token.token_id, ADMIN)
    assert (token.description, token.predecessor) == ("meanwhile", b"")
    assert await works(still, first.secret, second.secret) == [False, True]
