"""Sign-ins over HTTP: listed, ended one by one, and the accounts."""

from service.api.http.timestamps import rfc3339
from service.app import Service
from tests.asgi import sign_in
from tests.builders import all_keys
from tests.conftest import Clock, MakeService

SESSIONS = "/api/admin/sessions"


async def test_one_of_two_sessions_is_ended_and_the_other_stays(make_service: MakeService) -> None:
    service: Service = await make_service(shards=16, background=False)
    admin, one, other = [await sign_in(service, name) for name in ("admin", "vera", "vera")]
    listed = (await admin.get(SESSIONS, username="VERA")).json()["sessions"]
    members = ["id", "username", "createdAt", "lastSeenAt", "expiresAt"]
    assert [list(session) for session in listed] == [members] * 2
    everybody = (await one.get(SESSIONS, limit=3)).json()["sessions"]
    assert sorted(session["username"] for session in everybody) == ["admin", "vera", "vera"]
    assert one.secret not in str(everybody)

    ids = (listed[0]["id"], listed[0]["id"], "of no session")
    answers = [await admin.post(f"{SESSIONS}/revoke", {"username": "vera", "id": one_id}) for one_id in ids]
    assert [answer.status for answer in answers] == [200, 404, 404]
    assert answers[0].json() == {"message": "1 session ended", "ended": 1}
    assert sorted([(await one.get(SESSIONS)).status, (await other.get(SESSIONS)).status]) == [200, 401]
    assert [session["id"] for session in (await admin.get(SESSIONS, username="vera")).json()["sessions"]] == [
        listed[1]["id"]
    ]
    (entry,) = (await admin.get("/api/admin/audit", target=listed[0]["id"], action="session.revoked")).json()["entries"]
    assert (entry["actor"], entry["after"]) == ("admin", {"username": "vera"})


async def test_another_user_s_id_and_what_somebody_else_wrote_end_and_show_nothing(still: Service) -> None:
    admin = await sign_in(still)
    (own,) = (await admin.get(SESSIONS)).json()["sessions"]
    assert (await admin.post(f"{SESSIONS}/revoke", {"username": "vera", "id": own["id"]})).status == 404
    known = await all_keys(still)
    shard = next(shard for shard in still.stores.shards if shard.keys.session_index in known)
    await shard.link.execute("ZADD", shard.keys.session_index, 9_999_999_999, b"\xff", 9_999_999_999, b"A" * 32)
    await shard.link.execute("SET", shard.keys.credential_prefix + b"A" * 32, b"not sealed by us, and long enough")

    assert (await admin.get(SESSIONS)).json()["sessions"] == [own]


async def test_accounts_are_listed_without_their_passwords(still: Service) -> None:
    admin = await sign_in(still)
    accounts = (await admin.get("/api/admin/accounts")).json()["accounts"]
    assert {"name": "vera", "role": "viewer", "disabled": False, "lastSignInAt": None} in accounts
    assert [account["name"] for account in accounts] == sorted(account["name"] for account in accounts)


async def test_it_is_told_when_a_session_was_seen_and_an_account_signed_in_last(still: Service, clock: Clock) -> None:
    clock.now = int(clock())
    signed_in_at = rfc3339(int(clock()))
    admin = await sign_in(still)
    (own,) = (await admin.get(SESSIONS)).json()["sessions"]
    assert (own["createdAt"], own["lastSeenAt"]) == (signed_in_at, None)
    clock.forward(60)
    seen_at = rfc3339(int(clock()))
    await admin.get(SESSIONS)
    await still.rules.usage.flush()
    clock.forward(60)
    (own,) = (await admin.get(SESSIONS, username="admin")).json()["sessions"]
    assert own["lastSeenAt"] == seen_at
    accounts = (await admin.get("/api/admin/accounts")).json()["accounts"]
    assert {one["name"]: one["lastSignInAt"] for one in accounts if one["lastSignInAt"]} == {"admin": signed_in_at}
