"""What somebody else wrote beside our own in Redis: it is passed over, and everything of ours is still answered."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from service.app import Service
from tests.asgi import Answer, Person, sign_in
from tests.conftest import MakeService

# Nothing the service writes: no text, nothing, what only looks like a number, one below all, one that no int() takes.
VALUES = (b"\xff\0garbage", b"", b"nan", b"-1", b"9" * 5000)
MEMBERS = (b"\xff\xfe", b"", b"token 0\0", b"name\0\xff", b"\xff\0" + b"0" * 16, b"f" * 16)
# Before, between and behind all of ours, and where the two halves of an index meet.
SCORES = ("-inf", "-1e300", "-7.5", "-5", "0", "0.5", "5", "1700000000.5", "1e300", "+inf")
LISTS = [
    {"sort": sign + name, "limit": limit, "status": "all"}
    for name, sign, limit in product(("name", "createdAt", "lastUsedAt", "expiresAt"), ("", "-"), (2, 200))
]
PATHS = (
    "/api/admin/tokens/export",
    "/api/admin/tokens/stats",
    "/api/admin/tokens/hygiene",
    "/api/admin/usage",
    "/api/admin/audit",
    "/api/admin/webhooks",
    "/metrics",
)


async def _keys(service: Service) -> list[tuple[bytes, str]]:
    """Every key of this service and its type, those aside that tell how it was first started."""
    link, namespace = service.stores.shards[0].link, service.stores.shards.namespace
    keys = [key for key in await link.execute("KEYS", f"{namespace}:*") if b":meta" not in key]
    return [(key, (await link.execute("TYPE", key)).decode()) for key in keys]


def _strewn(key: bytes, kind: str) -> Iterator[tuple[Any, ...]]:
    """The commands that write beside what is there."""
    if kind == "zset":
        # All names have one score.
        scores = ("0",) if key.endswith(b":names") else SCORES
        for number, (score, member) in enumerate(product(scores, MEMBERS)):
            yield "ZADD", key, score, member if member.endswith(b"ff") else b"%b%d" % (member, number)
    for value in VALUES:
        if kind == "hash":
            yield "HSET", key, b"\xff" + value[:9], value, b"", value
        if kind == "list":
            yield "LPUSH", key, value
        if kind == "stream":
            yield (
                "XADD",
                key,
                "*",
                b"e",
                value,
                b"s",
                value,
                *(part for name in b"fnkplm" for part in (b"%c" % name, value)),
            )


@pytest.fixture
async def filled(make_service: MakeService) -> tuple[Service, Person, list[dict[str, Any]]]:
    """A service that has something under nearly every key, its administrator and five tokens."""
    service: Service = await make_service(background=False, webhook_allow_private=True)
    admin = await sign_in(service)
    terms = ({}, {"maxUses": 9}, {"limits": [{"limit": 9, "periodSeconds": 60}]}, {}, {})
    hook = {"url": "http://127.0.0.1:1/", "events": ["token.created", "token.expiring"]}
    assert (await admin.post("/api/admin/webhooks", hook)).status == 201
    tokens = [await admin.create(f"token {number}", **these) for number, these in enumerate(terms)]
    assert (await admin.ask("DELETE", "/api/admin/tokens", query={"id": tokens[3]["id"]})).status == 200
    switch = {"id": tokens[4]["id"], "isActive": False}
    assert (await admin.ask("PATCH", "/api/admin/tokens", json_body=switch)).status == 200
    for token in tokens[:3]:
        assert (await Person(service, token["token"]).get("/validate")).status == 200
    await Person(service).get("/api/token")
    await _work(service)
    return service, admin, tokens


async def _work(service: Service) -> None:
    """What runs in the background; each raises what it cannot cope with."""
    rules = service.rules
    await rules.usage.flush()
    await rules.audit.checkpoints.seal()
    await rules.hygiene.count()
    await rules.webhooks.deliveries.work()
    await rules.webhooks.notices.announce_expiring(service.stores.shards[0])
    await rules.managed.sweeper.sweep()
    await rules.audit.verification.verify()


async def _walk(admin: Person, query: dict[str, Any]) -> list[str]:
    """The ids of a list, page by page."""
    ids: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(9):
        answer = await _answered(admin, "/api/admin/tokens", **query, **cursor)
        ids += [token["id"] for token in answer.json()["tokens"]]
        if not answer.json()["nextCursor"]:
            return ids
        cursor = {"cursor": answer.json()["nextCursor"]}
    raise AssertionError(f"the list has no end: {query}")


async def _answered(admin: Person, path: str, **query: Any) -> Answer:
    answer = await admin.get(path, **query)
    assert answer.status == 200, (path, query, answer)
    return answer


async def test_strange_members_hide_nothing_of_ours(filled: Any) -> None:
    service, admin, tokens = filled
    for key, kind in await _keys(service):
        for command in _strewn(key, kind):
            await service.stores.shards[0].link.execute(*command)
    await _work(service)
    for path in PATHS:
        await _answered(admin, path)
    for query in LISTS:
        assert sorted(await _walk(admin, query)) == sorted(token["id"] for token in tokens), query
    exported = {row["id"] for row in (await admin.get("/api/admin/tokens/export", status="all")).lines()}
    assert {token["id"] for token in tokens} <= exported
    assert (await admin.post("/api/admin/tokens", {"name": "name", "duration": "1month"})).status == 201


async def test_strange_values_harm_nothing_else(filled: Any) -> None:
    service, admin, tokens = filled
    link = service.stores.shards[0].link
    own = tokens[0]["id"].encode()
    for value in VALUES:
        for key, kind in await _keys(service):
            if kind == "hash" and own not in key:
                for field in (await link.execute("HGETALL", key))[::2]:
                    # A record is one by the digest of its secret.
                    await link.execute("HSET", key, field, value if field != b"d" else b"\0" * 32)
            if kind == "string" and b":c:" not in key:
                await link.execute("SET", key, value, "KEEPTTL")
        for path in PATHS:
            await _answered(admin, path)
        for token in tokens:
            await _answered(admin, f"/api/admin/tokens/{token['id']}/usage")
            assert (await Person(service, token["token"]).get("/validate")).status in {200, 401, 429, 503}
        assert (await Person(service, tokens[0]["token"]).get("/validate")).status == 200
        assert tokens[0]["id"] in await _walk(admin, {"sort": "expiresAt", "limit": 2, "status": "all"})
        # To the service's own count of an hour nothing can be added then, which is said to the log.
        await link.execute("DEL", *[key for key, _ in await _keys(service) if b":uh:" in key])
        await _work(service)


async def test_a_debt_that_is_no_number_lifts_no_limit(filled: Any) -> None:
    service, _, tokens = filled
    shard = service.stores.shards[0]
    await shard.link.execute("SET", shard.keys.rate_of_token(tokens[2]["id"], "default"), b"nan")
    limited = Person(service, tokens[2]["token"])
    assert [(await limited.get("/validate")).status for _ in range(10)] == [200] * 9 + [429]


async def test_what_stands_in_the_place_of_derived_tokens_hides_no_token_and_keeps_none(filled: Any) -> None:
    service, admin, tokens = filled
    shard = service.stores.shards[0]
    parent = await admin.create("parent", scopes=["self:*"])
    ids = sorted([parent["id"], *(token["id"] for token in tokens)])
    assert (await Person(service, parent["token"]).post("/api/tokens/self/derive", {})).status == 201
    await shard.link.execute("SET", shard.keys.derived(parent["id"]), b"")
    assert sorted(await _walk(admin, LISTS[0])) == ids
    assert (await admin.ask("DELETE", "/api/admin/tokens", query={"id": parent["id"]})).status == 200
    assert (await Person(service, parent["token"]).get("/validate")).status == 401
