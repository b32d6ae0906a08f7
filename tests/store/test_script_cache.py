"""Scripts are called by their digest, and sent whole to a server that does not know them."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import msgspec
import pytest

from service.errors import StoreUnavailable
from service.model import RateLimit
from service.store.listing import Query
from service.store.managed_store import ManagedStore, Retention
from service.store.scripts import Script
from service.tokens.idempotency import Repeatable
from service.tokens.managed import NewToken
from service.tokens.sessions import InvalidCredentials
from tests.builders import ADMIN, DAY, at, create, outcome, sign_in
from tests.links import Forgetful, Recording

pytestmark = pytest.mark.anyio
COVERED = {
    "consume_token", "count_attempt", "create_session", "create_token", "end_session", "expire_tokens", "issue_one_time",
    "purge_token", "record_usage", "reserve_name", "reserve_request", "seal_events", "take_attempt", "update_token",
    "validate_limited", "void_reservation", "withdraw_token",
}  # fmt: skip
LUA = {path.name.removesuffix(".lua") for path in files("service.store").joinpath("lua").iterdir()}


@pytest.mark.parametrize(("shards", "fake"), [(1, False), (16, False), (1, True)])
async def test_no_call_fails_though_the_server_forgets_its_scripts_before_each(
    make_service: Callable[..., Any], clock: Any, shards: int, *, fake: bool
) -> None:
    links: list[Forgetful] = []

    def wrap(link: Any) -> Forgetful:
        links.append(Forgetful(link))
        return links[0]

    service = await make_service(shards=shards, fake=fake, background=False, wrap=wrap, max_lifetime_days=0)
    limited = await create(service, "limited", rate_limit=RateLimit(5, 60), max_uses=3)
    assert await outcome(service, limited.secret) == "active"
    await service.flush_usage()
    await service.managed.create(NewToken("repeated", 0), ADMIN, Repeatable("key", b"words"))
    old_name = await create(service, "old name")
    await service.managed.update(old_name.token.token_id, {"name": "new name"}, ADMIN)
    await cut_off_a_renaming(service, old_name.token.token_id)
    await create(service, "reserved only")
    await service.managed.update(limited.token.token_id, {"active": False}, ADMIN)
    await service.managed.revoke(limited.token.token_id, ADMIN)
    issued = await service.one_time.issue(address="192.0.2.1", anonymous=True)
    assert (await service.one_time.consume(issued.secret.encode())).active
    session = await sign_in(service)
    with pytest.raises(InvalidCredentials):
        await sign_in(service, password="wrong")
    assert await service.sessions.end(session, at("192.0.2.1"))
    await service.managed.page(Query(sort="last_used_at"))
    clock.forward(61 * DAY)
    assert await service.sweeper.sweep() == 2
    await service.sealer.seal()
    called = {Script(name).source: name for name in LUA}
    sent = {called[args[1]] for args in links[0].asked if args[0] == "EVAL"}
    assert sent >= COVERED
    assert links[0].names().count("EVALSHA") == links[0].names().count("EVAL")


async def cut_off_a_renaming(service: Any, token_id: str) -> None:
    """A process dies between the reservation of a name and the change that takes it."""
    store = ManagedStore(service.shards, Retention(30 * DAY))
    token = await service.managed.get(token_id)
    assert await store.reserve(msgspec.structs.replace(token, name="reserved only"))


async def test_a_known_script_is_not_sent_again(make_service: Callable[..., Any]) -> None:
    links: list[Recording] = []
    service = await make_service(background=False, wrap=lambda link: links.append(Recording(link)) or links[0])
    await create(service, "first")
    links[0].asked.clear()
    await create(service, "second")
    assert links[0].names() == ["EVALSHA"]


async def test_what_a_script_refuses_is_no_missing_script(still: Any) -> None:
    shard = still.shards[0]
    key = shard.keys.credential(b"d" * 32)
    await shard.link.execute("SET", key, "a string where a sorted set is wanted")
    with pytest.raises(StoreUnavailable):
        await Script("count_attempt").run(shard.link, (key,), 1, 1000, 1)
