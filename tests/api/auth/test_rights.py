"""What the holder of a token may do to others: hand on, see or edit nothing that it does not hold itself."""

import json
from typing import Any

import pytest

from service.api.http.timestamps import rfc3339
from service.app import Service
from tests.api.world import TOKENS
from tests.asgi import Answer, Person, sign_in
from tests.conftest import Clock, MakeService

DAY = 86400
LIMIT = {"limit": 6000, "periodSeconds": 60, "burst": 1000}
# What a token of these terms lacks, for each kind of right.
TERMS: dict[str, Any] = {
    "scopes": ["tokens:write", "orders:*"],
    "subject": "svc:ci",
    "allowedNetworks": ["192.0.2.0/24", "2001:db8::/32"],
    "limits": [LIMIT],
}
HELD: dict[str, Any] = {
    "scopes": ["orders:read"],
    "subject": "svc:ci",
    "allowedNetworks": ["192.0.2.0/25"],
    "limits": [LIMIT],
}
MORE: dict[str, dict[str, Any]] = {
    "every scope": {"scopes": ["*"]},
    "another scope": {"scopes": ["orders:read", "users:read"]},
    "a wider scope": {"scopes": ["orders*"]},
    "the administration": {"scopes": ["tokens:admin"]},
    "another subject": {"subject": "admin"},
    "another network": {"allowedNetworks": ["192.0.2.0/25", "198.51.100.0/24"]},
    "a wider network": {"allowedNetworks": ["192.0.0.0/16"]},
    "any network": {"allowedNetworks": []},
    "no limit": {"limits": []},
    "a higher limit": {"limits": [{**LIMIT, "limit": 6001}]},
    "a shorter period": {"limits": [{**LIMIT, "periodSeconds": 59}]},
    "a larger burst": {"limits": [{**LIMIT, "burst": 1001}]},
}


@pytest.fixture
async def service(make_service: MakeService) -> Service:
    return await make_service(max_lifetime_days=0)


async def writer(service: Service, **terms: Any) -> tuple[Person, dict[str, Any]]:
    """The holder of a token that may change tokens, and its record."""
    made = await (await sign_in(service)).create("writer", **{**TERMS, **terms})
    return Person(service, made["token"]), made


async def create(person: Person, **terms: Any) -> Answer:
    given = {"expiresAt", "duration"} & set(terms)
    return await person.post(TOKENS, {"name": "made", **({} if given else {"duration": "7days"}), **HELD, **terms})


async def change(person: Person, token: dict[str, Any], **changes: Any) -> Answer:
    return await person.ask("PATCH", TOKENS, json_body={"id": token["id"], **changes})


async def rotate(person: Person, token: dict[str, Any]) -> Answer:
    return await person.post(f"{TOKENS}/{token['id']}/rotate", {})


def refused(answer: Answer) -> None:
    assert answer.status == 403, answer
    assert answer.json()["code"] in ("forbidden", "insufficient_scope")


async def test_what_it_holds_it_creates_edits_rotates_and_activates(service: Service) -> None:
    person, _ = await writer(service)
    made = (await create(person)).json()["token"]
    assert (await create(person, name="for nobody", subject="")).status == 201
    assert (await change(person, made, description="new", scopes=["orders:*"], name="renamed")).status == 200
    assert (await change(person, made, isActive=False)).status == 200
    assert (await change(person, made, isActive=True)).status == 200
    assert (await rotate(person, made)).status == 201
    assert (await person.ask("DELETE", f"{TOKENS}/{made['id']}/rotate")).status == 200
    assert (await person.ask("DELETE", TOKENS, query={"id": made["id"]})).status == 200


@pytest.mark.parametrize("more", MORE)
async def test_what_it_does_not_hold_it_neither_gives_nor_gets(service: Service, admin: Person, more: str) -> None:
    person, own = await writer(service)
    stronger = await admin.create("stronger", **{**HELD, **MORE[more]})
    idle = await admin.create("idle", **{**HELD, **MORE[more]})
    await change(admin, idle, isActive=False)
    weaker = (await create(person)).json()["token"]
    for answer in (
        await create(person, name="mine", **MORE[more]),
        await rotate(person, stronger),
        await change(person, stronger, description="mine"),
        await change(person, stronger, **HELD),
        await change(person, idle, isActive=True),
        await change(person, stronger, isActive=True),
        await change(person, weaker, **MORE[more]),
        await change(person, own, **MORE[more]),
    ):
        refused(answer)
    skipped = (await person.ask("PATCH", TOKENS, json_body={"ids": [idle["id"]], "isActive": True})).json()
    assert (skipped["updated"], len(skipped["skipped"])) == ([], 1)
    assert (await admin.get(TOKENS, q="mine")).json()["tokens"] == []
    assert (await admin.get(f"{TOKENS}/{stronger['id']}")).json()["rotations"] == 0
    assert (await admin.get(f"{TOKENS}/{idle['id']}")).json()["status"] == "inactive"


async def test_a_missing_scope_is_named(service: Service) -> None:
    person, _ = await writer(service)
    answer = await create(person, scopes=["orders:read", "users:read", "a:b"])
    assert answer.json()["code"] == "insufficient_scope"
    assert answer.headers["www-authenticate"].endswith('error="insufficient_scope", scope="users:read a:b"')


async def test_a_token_gives_no_longer_life_than_its_own(service: Service) -> None:
    admin, now = await sign_in(service), int(service.clock())
    person, own = await writer(service, duration="1month")
    end = own["expiresAt"]
    for life in ({"expiresAt": rfc3339(now + 31 * DAY)}, {"duration": "6months"}, {"duration": "never"}):
        refused(await create(person, name="longer", **life))
    made = (await create(person, expiresAt=end)).json()["token"]
    for token in (made, own):
        refused(await change(person, token, expiresAt=rfc3339(now + 31 * DAY)))
        refused(await change(person, token, expiresAt=None))
    longer = await admin.create("of a year", **HELD, duration="1year")
    # Its life was given by somebody else.
    assert (await change(person, longer, description="new")).status == 200
    assert (await rotate(person, longer)).status == 201
    assert (await change(person, longer, expiresAt=end)).status == 200
    refused(await change(person, longer, expiresAt=longer["expiresAt"]))


async def test_a_duration_ends_with_the_token_that_asks(service: Service, clock: Clock) -> None:
    person, own = await writer(service, duration="1month")
    clock.forward(5 * DAY)
    made = (await create(person, duration="1month")).json()["token"]
    assert made["expiresAt"] == own["expiresAt"]
    short = (await create(person, name="short", duration="7days")).json()["token"]
    assert short["expiresAt"] < own["expiresAt"]


async def test_counted_uses_are_not_multiplied(service: Service) -> None:
    person, own = await writer(service, maxUses=9)
    for answer in (await create(person, maxUses=1), await change(person, own, maxUses=9)):
        refused(answer)


async def test_a_token_rotates_itself_at_its_own_door_alone(service: Service) -> None:
    person, own = await writer(service)
    refused(await rotate(person, own))


async def test_a_repeated_creation_does_not_show_the_secret_of_a_token_that_was_given_more(
    service: Service, admin: Person
) -> None:
    person, _ = await writer(service)
    request = {"json_body": {"name": "made", "duration": "7days", **HELD}, "headers": {"Idempotency-Key": "once"}}
    first = (await person.ask("POST", TOKENS, **request)).json()["token"]
    assert (await person.ask("POST", TOKENS, **request)).json()["token"]["token"] == first["token"]
    await change(admin, first, scopes=["*"])
    refused(await person.ask("POST", TOKENS, **request))


async def test_ending_is_for_those_who_hold_the_scopes_or_administer(service: Service, admin: Person) -> None:
    person, _ = await writer(service)
    ender = Person(service, (await admin.create("ender", scopes=["tokens:write", "tokens:admin"]))["token"])
    users = [await admin.create(f"users {number}", scopes=["users:read"]) for number in range(3)]
    refused(await person.ask("DELETE", TOKENS, query={"id": users[0]["id"]}))
    refused(await change(person, users[0], isActive=False))
    refused(await person.ask("DELETE", f"{TOKENS}/{users[0]['id']}/rotate"))
    ids = ",".join(user["id"] for user in users)
    several = (await person.ask("DELETE", TOKENS, query={"ids": ids})).json()
    assert ([one["code"] for one in several["skipped"]], several["updated"]) == (["insufficient_scope"] * 3, [])
    # Where a token may be used, how often and until when makes no difference to its end.
    wider = await admin.create("wider", scopes=["orders:read"], duration="1year")
    assert (await person.ask("DELETE", TOKENS, query={"id": wider["id"]})).status == 200
    assert (await change(ender, users[0], isActive=False)).status == 200
    assert (await ender.ask("DELETE", TOKENS, query={"id": users[1]["id"]})).status == 200
    refused(await change(ender, users[0], isActive=True))


async def test_a_change_by_filter_is_a_kill_switch(service: Service, admin: Person) -> None:
    person, _ = await writer(service)
    users = await admin.create("users", scopes=["users:read"])
    body = {"filter": {"scope": "users:read"}, "expected": 1, "isActive": False}
    refused(await person.ask("PATCH", TOKENS, json_body=body))
    ender = Person(service, (await admin.create("ender", scopes=["tokens:*"]))["token"])
    assert (await ender.ask("PATCH", TOKENS, json_body=body)).json()["updated"] == [users["id"]]


async def test_an_import_brings_in_no_more_than_its_holder_has(service: Service, admin: Person) -> None:
    person, own = await writer(service, scopes=["tokens:admin", "orders:*"])

    async def take(person: Person, **terms: Any) -> Any:
        row = {"name": "old", "secret": "a-secret-of-another-system", "duration": "7days", **HELD, **terms}
        sent = json.dumps(row).encode()
        headers = {"content-type": "application/x-ndjson"}
        return (await person.ask("POST", f"{TOKENS}/import", body=sent, headers=headers)).json()

    more = [terms for terms in MORE.values() if terms != {"scopes": ["tokens:admin"]}]
    for terms in (*more, {"duration": "1year"}, {"createdBy": "admin"}):
        result = await take(person, **terms)
        assert result["imported"] == 0
        assert result["skipped"][0]["code"] in ("forbidden", "insufficient_scope"), terms
    assert (await take(person))["imported"] == 1
    made = (await admin.get(TOKENS, q="old")).json()["tokens"][0]
    assert made["createdBy"] == f"token:{own['id']}"


async def test_an_export_of_stronger_tokens_is_not_taken_back_in(service: Service, admin: Person) -> None:
    person, _ = await writer(service, scopes=["tokens:admin", "orders:*"])
    await admin.create("stronger", scopes=["*"])
    lines = (await admin.get(f"{TOKENS}/export", q="stronger")).body
    headers = {"content-type": "application/x-ndjson"}
    answer = (await person.ask("POST", f"{TOKENS}/import", body=lines, headers=headers)).json()
    assert (answer["imported"], [one["code"] for one in answer["skipped"]]) == (0, ["insufficient_scope"])


async def test_what_ends_many_or_others_needs_the_scope_for_it(service: Service, admin: Person) -> None:
    person, _ = await writer(service)
    for path, body in (
        ("/api/admin/sessions/revoke", {"username": "admin"}),
        (f"{TOKENS}/revoke", {"all": True, "dryRun": True}),
        (f"{TOKENS}/deactivate", {"all": True, "dryRun": True}),
        (f"{TOKENS}/import", {}),
        ("/api/admin/webhooks", {"url": "https://192.0.2.1/", "events": ["token.created"]}),
    ):
        answer = await person.post(path, body)
        assert (answer.status, answer.json()["code"]) == (403, "insufficient_scope")
        assert answer.headers["www-authenticate"].endswith('scope="tokens:admin"')
    assert (await admin.get(TOKENS)).status == 200


async def test_what_a_leaked_token_made_ends_by_its_creator(service: Service, admin: Person) -> None:
    person, own = await writer(service)
    made = (await create(person)).json()["token"]
    await admin.create("another", scopes=["orders:read"])
    body = {"createdBy": f"token:{own['id']}", "expected": 1}
    assert (await admin.post(f"{TOKENS}/revoke", body)).json()["updated"] == [made["id"]]


async def test_administrators_hold_everything(admin: Person) -> None:
    for number, more in enumerate(MORE.values()):
        made = await admin.create(f"given {number}", **{**HELD, **more})
        assert (await change(admin, made, scopes=["*"], subject="root", expiresAt=None)).status == 200
        assert (await rotate(admin, made)).status == 201


async def test_a_token_over_its_limit_is_told_to_wait_and_not_that_it_is_bad(service: Service) -> None:
    limit = {"limit": 1, "periodSeconds": 3600}
    made = await (await sign_in(service)).create("slow", scopes=["tokens:read"], limits=[limit])
    person = Person(service, made["token"])
    assert (await person.get(TOKENS)).status == 200
    answer = await person.get(TOKENS)
    assert (answer.status, answer.json()["code"]) == (429, "rate_limited")
    assert 0 < int(answer.headers["retry-after"]) <= 3600
