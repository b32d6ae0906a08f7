"""Scripts are called by their digest, and sent whole to a server that does not know them."""

from importlib.resources import files
from typing import Any

import pytest

from service.errors import StoreUnavailable
from service.store.driver.scripts import Script
from tests.builders import create
from tests.conftest import MakeService
from tests.links import Forgetful, Recording
from tests.store.scenario import COVERED, live_through

LUA = {path.name.removesuffix(".lua") for path in files("service.store").joinpath("lua").iterdir()}


@pytest.mark.parametrize(("shards", "fake"), [(1, False), (16, False), (1, True)])
async def test_no_call_fails_though_the_server_forgets_its_scripts_before_each(
    make_service: MakeService, clock: Any, shards: int, *, fake: bool
) -> None:
    links: list[Forgetful] = []

    def wrap(link: Any) -> Forgetful:
        links.append(Forgetful(link))
        return links[0]

    service = await make_service(shards=shards, fake=fake, background=False, wrap=wrap, max_lifetime_days=0)
    await live_through(service)
    called = {Script(name).source: name for name in LUA}
    sent = {called[args[1]] for args in links[0].asked if args[0] == "EVAL"}
    assert sent >= COVERED
    assert links[0].names().count("EVALSHA") == links[0].names().count("EVAL")


async def test_a_known_script_is_not_sent_again(make_service: MakeService) -> None:
    links: list[Recording] = []
    service = await make_service(background=False, wrap=lambda link: links.append(Recording(link)) or links[0])
    await create(service, "first")
    links[0].asked.clear()
    await create(service, "second")
    assert links[0].names() == ["EVALSHA"]


async def test_what_a_script_refuses_is_no_missing_script(still: Any) -> None:
    shard = still.stores.shards[0]
    key = shard.keys.credential(b"d" * 32)
    await shard.link.execute("SET", key, "a string where a sorted set is wanted")
    with pytest.raises(StoreUnavailable):
        await Script("count_attempt").run(shard.link, (key,), 1, 1000, 1)
