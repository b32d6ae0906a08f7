"""No change without its audit entry, where the log cannot be written: what gives is not done, and what takes away is
done, and written down when it is asked for again.
"""

from typing import Any

import pytest

from service.app import Service
from tests.asgi import Answer, Person, sign_in
from tests.builders import actions, dump, outcome

TOKENS = "/api/admin/tokens"
LINE = b'{"name": "from elsewhere", "secret": "a-secret-of-another-system", "duration": "7days"}'
LIMITS = {"subject": "acme", "limits": [{"limit": 5, "periodSeconds": 60}]}
# By method, path and body, in which ON and OFF stand for the ids of two tokens.
GIVING: dict[str, tuple[str, str, Any]] = {
    "create": ("POST", TOKENS, {"name": "new", "duration": "7days"}),
    "import": ("POST", f"{TOKENS}/import", LINE),
    "derive": ("POST", "/api/tokens/self/derive", {}),
    "rotate": ("POST", f"{TOKENS}/ON/rotate", {"overlapSeconds": 60}),
    "edit": ("PATCH", TOKENS, {"id": "ON", "scopes": ["more"]}),
    "activate": ("PATCH", TOKENS, {"id": "OFF", "isActive": True}),
    "sign in": ("POST", "/api/token", {"username": "admin", "password": "correct horse"}),
    "limit": ("PUT", "/api/admin/subject-limits", LIMITS),
    "webhook": ("POST", "/api/admin/webhooks", {"url": "https://8.8.8.8/hook", "events": ["token.created"]}),
}
TAKING: dict[str, tuple[str, str, Any]] = {
    "token.deactivated": ("PATCH", TOKENS, {"id": "ON", "isActive": False}),
    "token.revoked": ("DELETE", TOKENS, {"id": "ON"}),
}

# What is written before the change: a try of a password; the place from which a webhook would read; of which form a
# foreign secret is, and a name that is free again unless its token follows.
PASSING = {"sign in": {b"r"}, "webhook": {b"wc"}, "import": {b"imr", b"names", b"m"}}


async def break_log(service: Service) -> None:
    """Put something else in the place of the audit log."""
    for shard in service.stores.shards:
        for stream in (shard.keys.changes, shard.keys.occurrences):
            await shard.link.execute("SET", stream, "no stream")


async def mend_log(service: Service) -> None:
    for shard in service.stores.shards:
        await shard.link.execute("DEL", shard.keys.changes, shard.keys.occurrences)


async def two_tokens(admin: Person) -> tuple[dict[str, Any], dict[str, Any]]:
    """One that is active, and one that is switched off."""
    on, off = [await admin.create(name, scopes=["self:*"]) for name in ("on", "off")]
    assert (await admin.ask("PATCH", TOKENS, json_body={"id": off["id"], "isActive": False})).status == 200
    return on, off


async def ask(caller: Person, asked: tuple[str, str, Any], on: str, off: str) -> Answer:
    """One of the requests above about these two tokens."""
    method, path, body = asked
    if isinstance(body, bytes):
        return await caller.ask(method, path, body=body)
    named = {"ON": on, "OFF": off}
    body = {name: named.get(value, value) if isinstance(value, str) else value for name, value in body.items()}
    if method == "DELETE":
        return await caller.ask(method, path, query=body)
    return await caller.ask(method, path.replace("ON", on), json_body=body)


@pytest.mark.parametrize("change", GIVING)
async def test_what_gives_is_not_done_without_its_entry(still: Service, change: str) -> None:
    admin = await sign_in(still)
    on, off = await two_tokens(admin)
    await break_log(still)
    before = await dump(still)
    caller = Person(still, on["token"]) if change == "derive" else admin
    answer = await ask(caller, GIVING[change], on["id"], off["id"])
    assert (answer.status, answer.json().get("code")) == (503, "store_unavailable"), answer
    after = await dump(still)
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert {key.split(b":")[2] for key in changed} <= PASSING.get(change, set())


@pytest.mark.parametrize("action", TAKING)
async def test_what_takes_away_is_done_and_asked_for_again_it_is_written_down(still: Service, action: str) -> None:
    admin = await sign_in(still)
    on, off = await two_tokens(admin)
    await break_log(still)
    assert (await ask(admin, TAKING[action], on["id"], off["id"])).status == 503
    assert await outcome(still, on["token"]) == "unknown"
    await mend_log(still)
    assert (await ask(admin, TAKING[action], on["id"], off["id"])).status == 200
    assert await outcome(still, on["token"]) == "unknown"
    assert await actions(still) == [action]
    counted = await still.rules.managed.queries.statistics()
    assert (counted.active, counted.inactive + counted.revoked) == (0, 2)


@pytest.mark.parametrize("ended", ["session", "token without a record"])
async def test_what_ends_for_good_is_written_down_though_an_index_is_none(still: Service, ended: str) -> None:
    admin = await sign_in(still)
    token = await admin.create("on")
    (metadata,) = [key for key in await dump(still) if key.endswith(token["id"].encode()) and b":m:" in key]
    if ended == "session":
        secret, action = admin.secret, "session.revoked"
    else:
        secret, action = token["token"], "token.revoked"
        await still.stores.shards[0].link.execute("DEL", metadata)
    for shard in still.stores.shards:
        await shard.link.execute("SET", shard.keys.session_index if ended == "session" else shard.keys.on, "")
    form = {"content-type": "application/x-www-form-urlencoded"}
    answer = await Person(still).ask("POST", "/oauth2/revoke", body=f"token={secret}".encode(), headers=form)
    assert answer.status == 503
    assert await outcome(still, secret) == "unknown"
    assert action in await actions(still)
