"""A namespace and its server key: another one is noticed, and a change of keys is no fault."""

from typing import Any

import pytest

from service.app import Service
from service.errors import StartRefused, StoreFull
from service.store.driver.keys import Keys
from tests.asgi import holder, sign_in
from tests.builders import all_keys, create, outcome
from tests.conftest import SERVER_KEY, MakeService
from tests.links import Interrupted

OTHER = "another server key of the tests, long enough"


async def check(service: Service) -> str:
    return (await service.stores.monitor.checks())["server_key"]


async def test_another_server_key_is_refused_and_says_what_to_do(make_service: MakeService) -> None:
    created = await create(await make_service())
    with pytest.raises(StartRefused, match="TOKENS_SECRET_KEY, or, if keys are to be changed, as TOKENS_SECRET_KEY_P"):
        await make_service(secret_key=OTHER)
    again = await make_service()
    assert await check(again) == ""
    assert await outcome(again, created.secret) == "active"


async def test_a_change_of_keys_leaves_the_old_one_behind(make_service: MakeService) -> None:
    old = await make_service()
    created = await create(old)
    new = await make_service(secret_key=OTHER, secret_key_previous=SERVER_KEY)
    assert await check(new) == ""
    assert await outcome(new, created.secret) == "active"
    # One that knows the old key alone would refuse what is issued now.
    assert "another server key" in await check(old)
    assert not old.stores.monitor.usable
    with pytest.raises(StartRefused, match="another server key"):
        await make_service()
    assert await check(await make_service(secret_key=OTHER)) == ""


async def test_processes_with_both_keys_in_either_order_run_side_by_side(
    make_service: MakeService, namespace: str
) -> None:
    before = await make_service(secret_key_previous=OTHER)
    after = await make_service(secret_key=OTHER, secret_key_previous=SERVER_KEY)
    marks = set()
    for service in (before, after) * 3:
        assert await check(service) == ""
        marks.add(await before.stores.shards[0].link.execute("GET", Keys(namespace, 0).key_mark))
    # None takes it back from the other while they run.
    assert len(marks) == 1


async def test_a_namespace_emptied_under_a_running_process_is_its_own_again(
    make_service: MakeService, namespace: str
) -> None:
    service = await make_service()
    link = service.stores.shards[0].link
    await link.execute("DEL", Keys(namespace, 0).key_mark)
    assert await check(service) == ""
    with pytest.raises(StartRefused, match="another server key"):
        await make_service(secret_key=OTHER)


def full(link: Any) -> Interrupted:
    """A server that takes no write, until `before` is cleared."""
    return Interrupted(link, before={"SET": StoreFull("The token store is full.")})


async def test_on_a_full_server_a_change_of_keys_is_written_down_later(make_service: MakeService) -> None:
    await make_service()
    new = await make_service(secret_key=OTHER, secret_key_previous=SERVER_KEY, wrap=full)
    assert await check(new) == ""
    assert await check(await make_service()) == ""
    new.stores.shards[0].link.before.clear()
    assert await check(new) == ""
    with pytest.raises(StartRefused, match="another server key"):
        await make_service()


async def test_a_full_and_empty_server_is_held_against_no_key(make_service: MakeService) -> None:
    assert await check(await make_service(wrap=full)) == ""


async def ready(*services: Service) -> list[str]:
    return [(await service.health.ready()).status for service in services]


async def emptied(service: Service) -> None:
    """The data of its namespace is lost."""
    await service.stores.shards[0].link.execute("DEL", *await all_keys(service))


async def test_a_store_that_was_emptied_is_told_by_every_process_until_somebody_confirms_it(
    make_service: MakeService, namespace: str
) -> None:
    first, second = await make_service(background=False), await make_service(background=False)
    link = first.stores.shards[0].link
    for service in (first, second):
        assert (await service.health.ready()).status == "ready"
    await link.execute("DEL", Keys(namespace, 0).store_id)
    # One that starts now knows nothing of it at first.
    third = await make_service(background=False)
    assert (await third.health.ready()).status == "ready"
    for service in (first, second, third):
        ready = await service.health.ready()
        assert ready.status == "not_ready"
        assert [(one.name, "confirm-reset" in one.detail) for one in ready.checks if one.status == "failed"] == [
            ("store_reset", True)
        ]
    admin = await sign_in(second)
    assert (await (await holder(second, "tokens:write")).post("/api/admin/confirm-reset")).status == 403
    assert (await admin.post("/api/admin/confirm-reset")).status == 200
    for service in (first, second, third):
        assert (await service.health.ready()).status == "ready"
    entries = (await admin.get("/api/admin/audit", action="store.confirmed")).json()["entries"]
    assert [entry["actor"] for entry in entries] == ["admin"]


async def test_who_notices_a_loss_after_it_was_confirmed_does_not_tell_of_it_again(make_service: MakeService) -> None:
    first, second = [await make_service(background=False) for _ in range(2)]
    assert await ready(first, second) == ["ready"] * 2
    await emptied(first)
    assert await ready(first) == ["not_ready"]
    await first.stores.monitor.namespace.confirm_reset()
    assert await ready(second, first) == ["ready"] * 2
    await emptied(first)
    assert await ready(second, first) == ["not_ready"] * 2


async def test_a_backup_that_is_back_ends_it_and_another_loss_does_not(
    make_service: MakeService, namespace: str
) -> None:
    first, second = [await make_service(background=False) for _ in range(2)]
    assert await ready(first, second) == ["ready"] * 2
    link, place = first.stores.shards[0].link, Keys(namespace, 0).store_id
    backup = await link.execute("GET", place)
    for _ in range(2):
        await emptied(first)
        late = await make_service(background=False)
        assert await ready(first, second, late) == ["not_ready"] * 3
    await emptied(first)
    await link.execute("SET", place, backup)
    assert await ready(first, second, late) == ["ready"] * 3
