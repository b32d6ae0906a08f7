"""Scripts are called by their digest, and sent whole to a server that does not know them."""

from importlib.resources import files
from typing import Any

import pytest

from service.errors import StoreUnavailable
from service.store.driver.scripts import Script
from tests.builders import create
from tests.conftest import Clock, MakeService
from tests.links import Forgetful, Recording
from tests.store.scenario import COVERED, live_through

LUA = {path.name.removesuffix(".lua") for path in files("service.store").joinpath("lua").iterdir()}


@pytest.mark.parametrize(("shards", "fake"), [(1, False), (16, False), (1, True)])
async def test_no_call_fails_though_the_server_forgets_its_scripts_before_each(
    make_service: MakeService, clock: Clock, shards: int, *, fake: bool
) -> None:
    service = await make_service(shards=shards, fake=fake, background=False, wrap=Forgetful, max_lifetime_days=0)
    link = service.stores.shards[0].link
    await live_through(service)
    called = {Script(name).source: name for name in LUA}
    sent = {called[args[1]] for args in link.asked if args[0] == "EVAL"}
    assert sent >= COVERED
    assert link.names().count("EVALSHA") == link.names().count("EVAL")


async def test_a_known_script_is_not_sent_again(make_service: MakeService) -> None:
    service = await make_service(background=False, wrap=Recording)
    link = service.stores.shards[0].link
    await create(service, "first")
    link.asked.clear()
    await create(service, "second")
    assert link.names() == ["EVALSHA"]


async def test_what_a_script_refuses_is_no_missing_script(still: Any) -> None:
    shard = still.stores.shards[0]
    key = shard.keys.credential(b"d" * 32)
    await shard.link.execute("SET", key, "a string where a sorted set is wanted")
    with pytest.raises(StoreUnavailable):
        await Script("count_attempt").run(shard.link, (key,), 1, 1000, 1)
