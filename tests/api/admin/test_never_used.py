"""The filter `neverUsed` on the wire, at every door that takes a filter."""

import pytest

from service.app import Service
from tests.api.world import TOKENS
from tests.asgi import Person, sign_in

NEVER = {"neverUsed": True}


@pytest.fixture
async def admin(service: Service) -> Person:
    """An administrator beside three tokens, of which "used" was used."""
    admin = await sign_in(service)
    secrets = {name: (await admin.create(name))["token"] for name in ("used", "new", "idle")}
    assert (await Person(service, secrets["used"]).get("/validate")).status == 200
    await service.rules.usage.flush()
    return admin


async def names(admin: Person, **query: str) -> list[str]:
    return [token["name"] for token in (await admin.get(TOKENS, **query)).json()["tokens"]]


@pytest.mark.parametrize("sort", ["-createdAt", "-name", "expiresAt", "lastUsedAt"])
async def test_the_list_leaves_out_what_was_ever_used(admin: Person, sort: str) -> None:
    assert sorted(await names(admin, neverUsed="true", sort=sort)) == ["idle", "new"]
    assert sorted(await names(admin, neverUsed="false", sort=sort)) == ["idle", "new", "used"]
    assert await names(admin, neverUsed="true", sort=sort, q="e", status="active", limit="1") in (["idle"], ["new"])
    answer = await admin.get(TOKENS, neverUsed="never")
    assert (answer.status, answer.json()["errors"][0]["field"]) == (400, "neverUsed")


async def test_all_of_them_are_switched_off_if_they_are_as_many_as_expected(admin: Person) -> None:
    change = {"filter": NEVER, "isActive": False}
    refused = await admin.ask("PATCH", TOKENS, json_body={**change, "expected": 3})
    assert (refused.status, refused.json()["code"]) == (409, "count_changed")
    assert len((await admin.ask("PATCH", TOKENS, json_body={**change, "expected": 2})).json()["updated"]) == 2
    assert await names(admin, status="active") == ["used"]


async def test_the_kill_switch_and_the_export_take_it_too(admin: Person) -> None:
    lines = (await admin.get(f"{TOKENS}/export", neverUsed="true")).lines()
    assert sorted(line["name"] for line in lines) == ["idle", "new"]
    found = (await admin.post(f"{TOKENS}/revoke", {"filter": NEVER, "dryRun": True})).json()
    assert found["matched"] == 2
    assert (await admin.post(f"{TOKENS}/revoke", {"filter": NEVER, "expected": 2})).status == 200
    assert await names(admin) == ["used"]
