"""Usage as administrators see it."""

import pytest

from service.app import Service
from tests.asgi import Person, check_readers_alone, sign_in
from tests.conftest import MakeService


async def test_usage_has_exactly_the_members_of_the_contract_and_the_hours(service: Service, admin: Person) -> None:
    token = await admin.create("gate")
    path = f"/api/admin/tokens/{token['id']}/usage"
    before = (await admin.get(path)).json()
    assert len(before["days"]) == 30
    assert {name: before[name] for name in ("lastUsedAt", "lastAddress", "lastUserAgent")} == dict.fromkeys(
        ("lastUsedAt", "lastAddress", "lastUserAgent")
    )
    gateway = Person(service, token["token"])
    answer = await gateway.ask("GET", "/validate", headers={"user-agent": "gateway/1"})
    assert answer.status == 200
    await service.rules.usage.flush()
    usage = (await admin.get(path, days=7)).json()
    assert list(usage) == ["days", "lastUsedAt", "lastAddress", "lastUserAgent", "hours"]
    assert (len(usage["days"]), len(usage["hours"])) == (7, 48)
    assert usage["days"][-1] == {"date": usage["lastUsedAt"][:10], "allowed": 1, "denied": 0}
    assert usage["hours"][-1]["allowed"] == 1
    assert (usage["lastAddress"], usage["lastUserAgent"]) == ("192.0.2.7", "gateway/1")
    listed = (await admin.get("/api/admin/tokens")).json()["tokens"]
    assert [shown["usage14d"] for shown in listed] == [[0] * 13 + [1]]


async def test_a_forwarded_address_is_believed_from_a_trusted_proxy_alone(
    make_service: MakeService,
) -> None:
    service = await make_service(trusted_proxies="10.0.0.0/8")
    admin = await sign_in(service)
    token = await admin.create("gate")
    seen = []
    for peer in ("10.1.2.3", "198.51.100.4"):
        headers = {"x-forwarded-for": "203.0.113.5, 192.0.2.99"}
        await Person(service, token["token"], address=peer).ask("GET", "/validate", headers=headers)
        await service.rules.usage.flush()
        seen.append((await admin.get(f"/api/admin/tokens/{token['id']}/usage")).json()["lastAddress"])
    assert seen == ["192.0.2.99", "198.51.100.4"]


async def test_totals_count_sessions_and_managed_tokens(service: Service, admin: Person) -> None:
    token = await admin.create("gate")
    before = sum(hour["allowed"] for hour in (await admin.get("/api/admin/usage")).json()["hours"])
    await Person(service, token["token"]).get("/validate")
    await Person(service, admin.secret).get("/validate")
    for _ in range(2):
        assert (await Person(service, token["token"]).get("/validate", required_scope="a")).status == 403
    await service.rules.usage.flush()
    hours = (await admin.get("/api/admin/usage", hours=2)).json()["hours"]
    assert len(hours) == 2
    # The administrator's own calls are checks of a session too.
    assert sum(hour["allowed"] for hour in hours) >= before + 2
    # The hour may have turned on the way.
    assert sum(hour["denied"] for hour in hours) == 2
    assert [hour["reasons"] for hour in hours if hour["denied"]] == [{"insufficient_scope": 2}]


@pytest.mark.parametrize("path", ["/api/admin/tokens/{id}/usage", "/api/admin/usage"])
async def test_usage_is_for_readers(service: Service, path: str) -> None:
    token = await (await sign_in(service)).create("gate")
    path = path.format(id=token["id"])
    await check_readers_alone(service, path)


@pytest.mark.parametrize("query", [{"days": 0}, {"days": 101}, {"days": "x"}, {"weeks": 1}])
async def test_a_wrong_period_is_refused_by_name(admin: Person, query: dict[str, object]) -> None:
    token = await admin.create("gate")
    answer = await admin.get(f"/api/admin/tokens/{token['id']}/usage", **query)
    assert answer.status == 400
    assert answer.json()["errors"][0]["field"] in query


async def test_usage_of_no_token_is_not_found(admin: Person) -> None:
    assert (await admin.get("/api/admin/tokens/0000000000000000/usage")).status == 404
    assert (await admin.get("/api/admin/usage", hours=2401)).status == 400
