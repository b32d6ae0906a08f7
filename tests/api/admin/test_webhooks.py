"""Webhooks over HTTP: added, listed, removed, and told to a receiver by the service itself."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from service.app import Service
from service.embedded.prerequisites import find_server
from service.errors import Conflict
from service.tokens.webhooks.registry import Known
from tests.asgi import Person, holder, sign_in
from tests.builders import ADMIN, until
from tests.conftest import SERVER_KEY, Clock, MakeService
from tests.receiver import TAKEN, Received, deliver, receiving, resolving

WEBHOOKS = "/api/admin/webhooks"
PUBLIC = resolving("93.184.216.34")
HOOK = {"url": "https://hooks.example.com/tokens", "events": ["token.created", "token.revoked"]}


async def test_the_secret_is_shown_once(still: Service) -> None:
    still.rules.webhooks.destinations.resolve = PUBLIC
    admin = await sign_in(still)
    assert (await admin.get(WEBHOOKS)).json() == {"webhooks": []}
    answer = await admin.post(WEBHOOKS, HOOK)
    assert answer.status == 201
    assert answer.headers["cache-control"] == "no-store"
    created = answer.json()
    assert list(created) == ["id", "url", "events", "createdAt", "createdBy", "secret"]
    assert created["secret"].startswith("whsec_")
    assert (created["url"], created["events"], created["createdBy"]) == (HOOK["url"], HOOK["events"], "admin")
    secret = created.pop("secret")
    listed = await admin.get(WEBHOOKS)
    # Its own creation is an entry of the log that was not looked at for it yet; an older Redis does not count those.
    standing = {
        "isActive": True,
        "tampered": False,
        "previousSecretUntil": None,
        "waiting": 0,
        "unread": int(find_server().release >= (7, 0)),
        "dropped": 0,
    }
    assert listed.json() == {"webhooks": [created | standing]}
    assert secret not in listed.body.decode()
    assert secret not in (await admin.get("/api/admin/audit")).body.decode()


async def test_a_webhook_is_deleted_by_its_id(still: Service) -> None:
    still.rules.webhooks.destinations.resolve = PUBLIC
    admin = await sign_in(still)
    created = (await admin.post(WEBHOOKS, HOOK)).json()
    answer = await admin.ask("DELETE", WEBHOOKS, query={"id": created["id"]})
    assert (answer.status, answer.json()) == (200, {"message": "Webhook deleted successfully"})
    assert (await admin.ask("DELETE", WEBHOOKS, query={"id": created["id"]})).status == 404
    assert (await admin.ask("DELETE", WEBHOOKS)).status == 400
    assert (await admin.get(f"{WEBHOOKS}/{created['id']}/deliveries")).status == 404
    actions = [
        entry["action"] for entry in (await admin.get("/api/admin/audit", target=created["id"])).json()["entries"]
    ]
    assert actions == ["webhook.deleted", "webhook.created"]


async def test_a_repeat_under_its_key_adds_no_second_webhook_and_shows_the_same_secret(still: Service) -> None:
    still.rules.webhooks.destinations.resolve = PUBLIC
    admin = await sign_in(still)
    key = {"Idempotency-Key": "k1"}
    first, again = [await admin.ask("POST", WEBHOOKS, json_body=HOOK, headers=key) for _ in range(2)]
    assert (first.status, again.status, again.json()) == (201, 201, first.json())
    assert [one["id"] for one in (await admin.get(WEBHOOKS)).json()["webhooks"]] == [first.json()["id"]]
    other = await admin.ask("POST", WEBHOOKS, json_body={**HOOK, "events": ["token.created"]}, headers=key)
    assert (other.status, other.json()["code"]) == (409, "idempotency_mismatch")
    created = [
        entry["action"] for entry in (await admin.get("/api/admin/audit", action="webhook.created")).json()["entries"]
    ]
    assert created == ["webhook.created"]


async def test_a_repeat_brings_no_webhook_back_that_was_deleted(still: Service) -> None:
    still.rules.webhooks.destinations.resolve = PUBLIC
    admin = await sign_in(still)
    asked = {"json_body": HOOK, "headers": {"Idempotency-Key": "k1"}}
    first = (await admin.ask("POST", WEBHOOKS, **asked)).json()
    assert (await admin.ask("DELETE", WEBHOOKS, query={"id": first["id"]})).status == 200
    late = await admin.ask("POST", WEBHOOKS, **asked)
    assert (late.status, late.json()["code"]) == (409, "token_revoked")
    assert (await admin.get(WEBHOOKS)).json() == {"webhooks": []}


async def test_a_repeated_rotation_of_a_webhook_keeps_the_secret_before_it(still: Service) -> None:
    still.rules.webhooks.destinations.resolve = PUBLIC
    admin = await sign_in(still)
    asked = {"json_body": HOOK, "headers": {"Idempotency-Key": "made"}}
    created = (await admin.ask("POST", WEBHOOKS, **asked)).json()
    path = f"{WEBHOOKS}/{created['id']}/rotate"
    first, again = [
        await admin.ask("POST", path, json_body={"overlapSeconds": 3600}, headers={"Idempotency-Key": "k1"})
        for _ in range(2)
    ]
    assert (first.status, again.status, again.json()) == (201, 201, first.json())
    known = await still.rules.webhooks.registry.find(created["id"])
    assert known.secrets(still.clock()) == [first.json()["secret"], created["secret"]]
    ends_at = known.webhook.previous_until
    assert [len(known.secrets(at)) for at in (ends_at - 0.001, ends_at)] == [2, 1]
    last = await admin.ask("POST", path, json_body={"overlapSeconds": 3600}, headers={"Idempotency-Key": "k2"})
    assert last.json()["secret"] != first.json()["secret"]
    # What these tries made signs no more by itself, so that a repeat must not show it as if it did.
    late = await admin.ask("POST", path, json_body={"overlapSeconds": 3600}, headers={"Idempotency-Key": "k1"})
    made = await admin.ask("POST", WEBHOOKS, **asked)
    assert [(one.status, one.json()["code"]) for one in (late, made)] == [(409, "token_revoked")] * 2
    assert (await admin.ask("DELETE", WEBHOOKS, query={"id": created["id"]})).status == 200
    # Not 409, which says to take a new key: there is nothing to rotate any more.
    gone = await admin.ask("POST", path, json_body={"overlapSeconds": 3600}, headers={"Idempotency-Key": "k2"})
    assert (gone.status, gone.json()["code"]) == (404, "not_found")


async def test_a_test_message_is_signed_and_the_receiver_s_answer_is_told(make_service: MakeService) -> None:
    service = await make_service(webhook_allow_private=True, background=False)
    async with receiving() as receiver:
        receiver.answers = [TAKEN, b"HTTP/1.1 500 No\r\n\r\n"]
        admin = await sign_in(service)
        url = f"http://127.0.0.1:{receiver.port}/"
        created = (await admin.post(WEBHOOKS, {"url": url, "events": ["token.created"]})).json()
        path = f"{WEBHOOKS}/{created['id']}/test"
        assert (await admin.post(path)).json() == {"taken": True, "status": 204, "error": None}
        assert (await admin.post(path)).json() == {"taken": False, "status": 500, "error": "answered 500"}
        sent = receiver.received[0]
    message = Webhook(created["secret"]).verify(sent.body, sent.headers)
    assert (message["type"], message["data"], message["id"]) == ("webhook.test", {}, sent.headers["webhook-id"])
    assert (await admin.get(f"{WEBHOOKS}/{created['id']}/deliveries")).json() == {"deliveries": []}
    assert (await admin.post(f"{WEBHOOKS}/{'0' * 16}/test")).status == 404


async def test_during_the_overlap_of_a_rotation_both_secrets_sign(make_service: MakeService, clock: Clock) -> None:
    service = await make_service(webhook_allow_private=True, background=False)
    async with receiving() as receiver:
        admin = await sign_in(service)
        url = f"http://127.0.0.1:{receiver.port}/"
        created = (await admin.post(WEBHOOKS, {"url": url, "events": ["token.created"]})).json()
        path = f"{WEBHOOKS}/{created['id']}"
        first = await admin.post(f"{path}/rotate", {"overlapSeconds": 3600})
        assert (first.status, first.headers["cache-control"]) == (201, "no-store")
        clock.forward(3599)
        assert (await admin.post(f"{path}/test")).json()["taken"]
        clock.forward(1)
        assert (await admin.post(f"{path}/test")).json()["taken"]
        last = await admin.post(f"{path}/rotate")
        assert (await admin.post(f"{path}/test")).json()["taken"]
        assert [len(one.headers["webhook-signature"].split()) for one in receiver.received] == [2, 1, 1]
        secrets = [created["secret"], first.json()["secret"], last.json()["secret"]]
        assert [[signs(secret, sent) for secret in secrets] for sent in receiver.received] == [
            [True, True, False],
            [False, True, False],
            [False, False, True],
        ]
    listed = (await admin.get(WEBHOOKS)).json()["webhooks"][0]
    assert listed["previousSecretUntil"] is None
    assert (await admin.post(f"{WEBHOOKS}/{'0' * 16}/rotate")).status == 404
    assert (await admin.post(f"{path}/rotate", {"overlapSeconds": 604_801})).status == 400


def signs(secret: str, sent: Received) -> bool:
    """Does this secret sign what was sent? Of the library's own check the clock is another one."""
    at = datetime.fromtimestamp(int(sent.headers["webhook-timestamp"]), UTC)
    return Webhook(secret).sign(sent.headers["webhook-id"], at, sent.body) in sent.headers["webhook-signature"].split()


async def test_a_webhook_that_is_switched_off_is_told_later_what_happened_meanwhile(
    make_service: MakeService,
) -> None:
    service = await make_service(webhook_allow_private=True, background=False)
    async with receiving() as receiver:
        admin = await sign_in(service)
        url = f"http://127.0.0.1:{receiver.port}/"
        path = f"{WEBHOOKS}/{(await admin.post(WEBHOOKS, {'url': url, 'events': ['token.created']})).json()['id']}"
        off = await admin.ask("PATCH", path, json_body={"isActive": False})
        assert (off.status, off.json()["isActive"]) == (200, False)
        await admin.create("gate")
        await deliver(service)
        assert receiver.received == []
        assert (await admin.post(f"{path}/test")).json()["taken"]
        assert (await admin.ask("PATCH", path, json_body={"isActive": True})).json()["isActive"]
        await deliver(service)
        assert [json.loads(one.body)["type"] for one in receiver.received] == ["webhook.test", "token.created"]
    actions = [entry["action"] for entry in (await admin.get("/api/admin/audit", target=path[-16:])).json()["entries"]]
    assert actions == ["webhook.activated", "webhook.deactivated", "webhook.created"]
    assert (await admin.ask("PATCH", path, json_body={})).status == 400


@pytest.mark.parametrize("status", [500, 410])
async def test_a_delivery_is_sent_again_whatever_became_of_it(make_service: MakeService, status: int) -> None:
    service = await make_service(webhook_allow_private=True, background=False, shards=16)
    async with receiving() as receiver:
        failed = f"HTTP/1.1 {status} No\r\n\r\n".encode()
        receiver.answers = [failed, failed, TAKEN]
        admin = await sign_in(service)
        hook = {"url": f"http://127.0.0.1:{receiver.port}/", "events": ["token.created"]}
        path = f"{WEBHOOKS}/{(await admin.post(WEBHOOKS, hook)).json()['id']}/deliveries"
        await admin.create("gate")
        await deliver(service)
        (before,) = (await admin.get(path)).json()["deliveries"]
        again = f"{path}/{before['id']}/send"
        assert (await admin.post(again)).json() == {"taken": False, "status": status, "error": f"answered {status}"}
        assert (await admin.get(path)).json()["deliveries"] == [before]
        for attempts in (2, 3):
            assert (await admin.post(again)).json() == {"taken": True, "status": 204, "error": None}
            (after,) = (await admin.get(path)).json()["deliveries"]
            assert (after["id"], after["status"], after["attempts"]) == (before["id"], "delivered", attempts)
    assert len({(one.headers["webhook-id"], one.body) for one in receiver.received}) == 1
    for unknown in (before["id"].replace(".", "9."), "9-9.0", "9-9.77", "x"):
        assert (await admin.post(f"{path}/{unknown}/send")).status == 404


async def test_a_webhook_that_somebody_else_wrote_is_shown_as_such_and_deleted(
    make_service: MakeService, caplog: pytest.LogCaptureFixture
) -> None:
    service = await make_service(webhook_allow_private=True, background=False)
    async with receiving() as receiver:
        admin = await sign_in(service)
        hook = {"url": f"http://127.0.0.1:{receiver.port}/", "events": ["token.created"]}
        webhook_id = (await admin.post(WEBHOOKS, hook)).json()["id"]
        await deliver(service)
        first = service.stores.shards[0]
        record = await first.link.execute("HGET", first.keys.webhooks, webhook_id)
        await first.link.execute("HSET", first.keys.webhooks, webhook_id, record + b"x", b"\xff/", b"y")
        await admin.create("gate")
        await deliver(service)
        listed = (await admin.get(WEBHOOKS)).json()["webhooks"]
        assert {one["id"]: (one["tampered"], one["isActive"], one["url"]) for one in listed} == {
            webhook_id: (True, False, ""),
            "\xff/": (True, False, ""),
        }
        text = "no server key given here has sealed are told nothing, give the key before or add them anew: "
        assert text + str([webhook_id, "\xff/"]) in caplog.text
        path = f"{WEBHOOKS}/{webhook_id}"
        for answer in (
            await admin.post(f"{path}/rotate"),
            await admin.post(f"{path}/test"),
            await admin.ask("PATCH", path, json_body={"isActive": True}),
            await admin.get(f"{path}/deliveries"),
        ):
            assert (answer.status, answer.json()["code"]) == (409, "record_tampered")
        # It has lost nothing where its record is put right.
        await first.link.execute("HSET", first.keys.webhooks, webhook_id, record)
        await deliver(service)
        assert len(receiver.received) == 1
    await first.link.execute("HSET", first.keys.webhooks, webhook_id, b"")
    for one in (webhook_id, "\xff/"):
        assert (await admin.ask("DELETE", WEBHOOKS, query={"id": one})).status == 200
    assert (await admin.get(WEBHOOKS)).json() == {"webhooks": []}


async def test_two_that_change_a_webhook_at_once_know_of_each_other(still: Service) -> None:
    still.rules.webhooks.destinations.resolve = PUBLIC
    webhook_id = (await (await sign_in(still)).post(WEBHOOKS, HOOK)).json()["id"]
    change = still.rules.webhooks.registry
    rotated = await asyncio.gather(*[change.rotate(webhook_id, 0, ADMIN) for _ in range(5)], return_exceptions=True)
    won = [one for one in rotated if not isinstance(one, Exception)]
    assert [one.secret for one in won] == [(await change.find(webhook_id)).secret]
    assert {type(one) for one in rotated} == {Known, Conflict}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "http://hooks.example.com/"}, "url"),
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"url": "https://169.254.169.254/latest/meta-data/"}, "url"),
        ({"url": "https://[::1]/"}, "url"),
        ({"url": ""}, "url"),
        ({"url": 7}, "url"),
        ({"events": []}, "events"),
        ({"color": "red"}, "color"),
        ({"events": ["token.sold"]}, "events[0]"),
        ({"events": "token.created"}, "events"),
    ],
)
async def test_a_wrong_webhook_is_refused_by_name(still: Service, change: dict[str, Any], field: str) -> None:
    still.rules.webhooks.destinations.resolve = PUBLIC
    admin = await sign_in(still)
    answer = await admin.post(WEBHOOKS, HOOK | change)
    assert (answer.status, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["errors"][0]["field"] == field
    assert (await admin.get(WEBHOOKS)).json() == {"webhooks": []}


async def test_a_name_that_leads_inside_is_refused(still: Service) -> None:
    admin = await sign_in(still)
    for addresses in (["10.0.0.1"], ["93.184.216.34", "::1"]):
        still.rules.webhooks.destinations.resolve = resolving(*addresses)
        assert (await admin.post(WEBHOOKS, HOOK)).status == 400


async def test_the_audit_log_names_the_receiver_and_keeps_what_may_be_its_secret(still: Service) -> None:
    still.rules.webhooks.destinations.resolve = PUBLIC
    admin = await sign_in(still)
    hook = {**HOOK, "url": "https://hooks.example.com:8443/services/a-secret-path?key=another"}
    assert (await admin.post(WEBHOOKS, hook)).status == 201
    answer = await (await holder(still, "tokens:read")).get("/api/admin/audit", action="webhook.created")
    assert [entry["after"] for entry in answer.json()["entries"]] == [
        {"host": "hooks.example.com:8443", "events": HOOK["events"]}
    ]


async def test_readers_read_and_administrators_change(still: Service) -> None:
    still.rules.webhooks.destinations.resolve = PUBLIC
    created = (await (await sign_in(still)).post(WEBHOOKS, HOOK)).json()
    paths = [WEBHOOKS, f"{WEBHOOKS}/{created['id']}/deliveries"]
    for reader in (await sign_in(still, "vera"), await holder(still, "tokens:*")):
        assert [(await reader.get(path)).status for path in paths] == [200, 200]
    for reader in (await sign_in(still, "vera"), await holder(still, "tokens:read", "tokens:write")):
        assert (await reader.post(WEBHOOKS, HOOK)).status == 403
        assert (await reader.ask("DELETE", WEBHOOKS, query={"id": created["id"]})).status == 403
    for stranger, status in (
        (Person(still), 401),
        (await sign_in(still, "uma"), 403),
        (await holder(still, "tokens:read"), 403),
    ):
        assert [(await stranger.get(path)).status for path in paths] == [status, status]
        assert (await stranger.post(WEBHOOKS, HOOK)).status == status


@pytest.mark.slow
async def test_the_service_tells_by_itself_and_shows_how_it_went(make_service: MakeService) -> None:
    service = await make_service(shards=16, webhook_allow_private=True)
    async with receiving() as receiver:
        admin = await sign_in(service)
        hook = {"url": f"http://127.0.0.1:{receiver.port}/", "events": ["token.created"]}
        created = (await admin.post(WEBHOOKS, hook)).json()
        token = await admin.create("gate")
        await until(lambda: receiver.received)
        (received,) = receiver.received
        message = Webhook(created["secret"]).verify(received.body, received.headers)
        assert (message["type"], message["data"]["tokenId"]) == ("token.created", token["id"])
        assert token["token"] not in received.body
        path = f"{WEBHOOKS}/{created['id']}/deliveries"
        await until(lambda: not service.rules.webhooks.deliveries._busy)
        (delivery,) = (await admin.get(path, status="delivered")).json()["deliveries"]
    assert list(delivery) == [
        "id",
        "event",
        "status",
        "attempts",
        "createdAt",
        "lastAttemptAt",
        "nextAttemptAt",
        "lastStatus",
        "lastError",
    ]
    assert delivery["id"] == message["id"] == received.headers["webhook-id"]
    assert (delivery["event"], delivery["status"], delivery["attempts"]) == ("token.created", "delivered", 1)
    assert (delivery["lastStatus"], delivery["lastError"], delivery["nextAttemptAt"]) == (204, None, None)


async def test_deliveries_are_listed_by_their_state(make_service: MakeService) -> None:
    service = await make_service(background=False, webhook_allow_private=True)
    async with receiving() as receiver:
        receiver.answers = [b"HTTP/1.1 500 No\r\n\r\n"]
        admin = await sign_in(service)
        hook = {"url": f"http://127.0.0.1:{receiver.port}/", "events": ["token.created"]}
        path = f"{WEBHOOKS}/{(await admin.post(WEBHOOKS, hook)).json()['id']}/deliveries"
        for number in range(3):
            await admin.create(f"gate {number}")
        await deliver(service)
    pending = (await admin.get(path, status="pending")).json()["deliveries"]
    assert [(one["status"], one["attempts"], one["lastStatus"]) for one in pending] == [("pending", 1, 500)] * 3
    assert all(one["nextAttemptAt"] > one["lastAttemptAt"] for one in pending)
    assert (await admin.get(path)).json()["deliveries"] == pending
    assert (await admin.get(path, limit=2)).json()["deliveries"] == pending[:2]
    assert (await admin.get(path, status="dead")).json() == {"deliveries": []}
    for query in ({"status": "lost"}, {"limit": 0}, {"page": 2}):
        assert (await admin.get(path, **query)).status == 400
    assert json.dumps(pending).count("token.created") == 3


async def test_a_webhook_that_was_rotated_under_the_new_server_key_outlives_the_old_one(
    make_service: MakeService, caplog: pytest.LogCaptureFixture
) -> None:
    """As the operator's guide says; of another the warning names what it lacks."""
    common = {"webhook_allow_private": True, "background": False}
    admin = await sign_in(await make_service(**common))
    hook = {"url": "http://127.0.0.1:9/", "events": ["token.created"]}
    kept, rotated = [(await admin.post(WEBHOOKS, hook)).json()["id"] for _ in range(2)]
    new_key = "the next server key, long enough too"
    admin = await sign_in(await make_service(**common, secret_key=new_key, secret_key_previous=SERVER_KEY))
    assert (await admin.post(f"{WEBHOOKS}/{rotated}/rotate", {"overlapSeconds": 60})).status == 201
    admin = await sign_in(await make_service(**common, secret_key=new_key))
    listed = (await admin.get(WEBHOOKS)).json()["webhooks"]
    assert {one["id"]: one["tampered"] for one in listed} == {kept: True, rotated: False}
    text = "no server key given here has sealed are told nothing, give the key before or add them anew: "
    assert text + str([kept]) in caplog.text
