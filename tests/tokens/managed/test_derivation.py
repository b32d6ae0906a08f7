"""Derived tokens: never wider than their parent, and refused with the answer that ends any token above them."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from service.app import Service
from service.errors import Unauthorized
from service.keyring import SEAL_BYTES
from service.model import Credential, Kind, Outcome
from service.store.managed import derived as derived_store
from service.tokens.managed.derivation import Narrowed
from tests.asgi import Person, sign_in
from tests.builders import ADMIN, all_keys, audit, create, outcome, peeked
from tests.conftest import Clock, MakeService
from tests.links import Recording

SELF = "/api/tokens/self"
FORM = {"content-type": "application/x-www-form-urlencoded"}
TOKENS = "/api/admin/tokens"
LIKE_THE_PARENT = ("scopes", "subject", "allowedNetworks", "limits", "maxUses")
SCOPES = ("self:*", "orders:*", "tokens:write")
End = Callable[[Person, Person, dict[str, Any]], Awaitable[Any]]


async def made(service: Service, name: str = "root", **terms: Any) -> tuple[Person, dict[str, Any]]:
    """The holder of a new token that may derive, and the token."""
    created = await (await sign_in(service)).create(name, **{"scopes": list(SCOPES), **terms})
    return Person(service, created["token"]), created


async def derive(person: Person, **wanted: Any) -> Person:
    answer = await person.post(f"{SELF}/derive", wanted)
    assert answer.status == 201, answer
    return Person(person.service, answer.json()["token"]["token"])


async def line(root: Person) -> list[Person]:
    """A child, a grandchild and a great-grandchild."""
    child = await derive(root)
    grandchild = await derive(child)
    return [child, grandchild, await derive(grandchild)]


async def states(*people: Person) -> list[Outcome]:
    """What a third party is told of each."""
    return [await peeked(one.service, one.secret) for one in people]


async def works(*people: Person) -> list[bool]:
    return [(await person.get("/validate")).status == 200 for person in people]


ENDS: dict[str, End] = {
    "revoked": lambda admin, _, token: admin.ask("DELETE", TOKENS, query={"id": token["id"]}),
    "revoked with others": lambda admin, _, token: admin.ask("DELETE", TOKENS, query={"ids": token["id"]}),
    "deactivated": lambda admin, _, token: admin.ask("PATCH", TOKENS, json_body={"id": token["id"], "isActive": False}),
    "rotated": lambda admin, _, token: admin.post(f"{TOKENS}/{token['id']}/rotate"),
    "rotated with an overlap": lambda admin, _, token: admin.post(
        f"{TOKENS}/{token['id']}/rotate", {"overlapSeconds": 60}
    ),
    "narrowed": lambda admin, _, token: admin.ask(
        "PATCH", TOKENS, json_body={"id": token["id"], "scopes": ["orders:read"]}
    ),
    "killed with all": lambda admin, _, token: admin.post(
        f"{TOKENS}/revoke", {"filter": {"q": token["name"]}, "expected": 1}
    ),
    "revoked by itself": lambda _, root, __: root.ask("DELETE", SELF),
    "rotated by itself": lambda _, root, __: root.post(f"{SELF}/rotate"),
    "revoked as OAuth does": lambda _, root, token: Person(root.service).ask(
        "POST",
        "/oauth2/revoke",
        body=f"token={token['token']}".encode(),
        headers=FORM,
    ),
}


async def test_whatever_ends_a_token_ends_what_is_derived_from_it_and_nothing_brings_that_back(
    service: Service,
) -> None:
    admin = await sign_in(service)
    untouched = await line((await made(service, "untouched"))[0])
    for name, end in ENDS.items():
        root, token = await made(service, name)
        below = await line(root)
        answer = await end(admin, root, token)
        assert answer.status in (200, 201), (name, answer)
        assert await states(*below) == [Outcome.REVOKED] * 3, name
        if name == "deactivated":
            assert (await admin.ask("PATCH", TOKENS, json_body={"id": token["id"], "isActive": True})).status == 200
            assert await states(root, *below) == [Outcome.ACTIVE, *[Outcome.REVOKED] * 3]
    assert await states(*untouched) == [Outcome.ACTIVE] * 3


async def test_a_change_of_what_is_no_term_leaves_derived_tokens_alone(service: Service) -> None:
    rate = {"limit": 500, "periodSeconds": 60}
    admin, (root, token) = await sign_in(service), await made(service, limits=[rate])
    child = await derive(root)
    # As it is shown: a client that changes one member sends the others back as it read them.
    same = {"limits": [{**rate, "burst": 500, "name": "default"}]}
    for change in ({"name": "another"}, {"description": "d"}, {"metadata": {"team": "a"}}, same):
        assert (await admin.ask("PATCH", TOKENS, json_body={"id": token["id"], **change})).status == 200
    assert await works(child) == [True]


async def test_the_end_of_one_in_the_middle_leaves_what_is_above_and_beside_it(service: Service) -> None:
    root, token = await made(service)
    child, grandchild, last = await line(root)
    beside = await derive(root)
    assert (await grandchild.ask("DELETE", SELF)).status == 200
    assert await works(root, child, beside, grandchild, last) == [True, True, True, False, False]
    assert (await child.get(SELF)).json()["derived"] == 0
    ended = (await beside.get(SELF)).json()["id"]
    assert (await root.ask("DELETE", f"{SELF}/derived", query={"id": "00" * 8})).status == 404
    assert (await root.ask("DELETE", f"{SELF}/derived", query={"id": ended})).json()["message"] == (
        "1 derived token ended"
    )
    assert await works(child, beside) == [True, False]
    further = await derive(child)
    admin = await sign_in(service)
    assert (await admin.ask("DELETE", f"{TOKENS}/{token['id']}/derived")).status == 200
    assert await works(root, child, further) == [True, False, False]
    assert not [key for key in await all_keys(service) if b":de:" in key]
    told = {entry.action: entry.after or {} for entry in await audit(service) if entry.target == ended}
    assert set(told) == {"token.derived", "token.revoked"}
    assert {after["parent"] for after in told.values()} == {token["id"]}


FIVE_A_MINUTE = {"limit": 5, "periodSeconds": 60}
TEN_A_DAY = {"name": "day", "limit": 10, "periodSeconds": 86400}
WIDER: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"scopes": ["admin:all"]}),
    ({}, {"subject": "somebody"}),
    ({"subject": "ci"}, {"subject": "else"}),
    ({"allowedNetworks": ["192.0.2.0/24"]}, {"allowedNetworks": ["192.0.2.0/23"]}),
    ({"allowedNetworks": ["192.0.2.0/24"]}, {"allowedNetworks": []}),
    ({"limits": [FIVE_A_MINUTE]}, {"limits": [{**FIVE_A_MINUTE, "limit": 6}]}),
    ({"limits": [FIVE_A_MINUTE, TEN_A_DAY]}, {"limits": [FIVE_A_MINUTE]}),
    ({"limits": [FIVE_A_MINUTE, TEN_A_DAY]}, {"limits": []}),
    ({"maxUses": 5}, {"maxUses": 5}),
    ({}, {"ttlSeconds": 31 * 86400}),
]


async def test_nothing_wider_is_derived_and_what_is_not_said_is_as_the_parent_has_it(still: Service) -> None:
    for number, (terms, wanted) in enumerate(WIDER):
        root, token = await made(still, f"root {number}", **terms)
        assert (await root.post(f"{SELF}/derive", wanted)).status == 403, wanted
        child = (await root.post(f"{SELF}/derive", {})).json()["token"]
        assert {member: child[member] for member in LIKE_THE_PARENT} == {
            member: token[member] for member in LIKE_THE_PARENT
        }


async def test_the_entry_of_what_ends_a_token_says_how_many_end_with_it(still: Service) -> None:
    admin = await sign_in(still)
    for number, end in enumerate(("revoked", "deactivated", "rotated", "narrowed", "revoked by itself")):
        root, token = await made(still, f"root {number}")
        child = await derive(root)
        await derive(child)
        ((one,), (below,)) = [(await each.get(f"{SELF}/derived")).json()["tokens"] for each in (root, child)]
        await derive(root)
        other = next(each for each in (await root.get(f"{SELF}/derived")).json()["tokens"] if each["id"] != one["id"])
        assert (await root.ask("DELETE", f"{SELF}/derived", query={"id": one["id"]})).status == 200
        assert (await ENDS[end](admin, root, token)).status in (200, 201, 204), end
        told = {entry.target: entry.after or {} for entry in await audit(still)}
        assert [told[ended].get("derived") for ended in (one["id"], token["id"])] == [1, 1], end
        assert [told[ended]["derived_ids"] for ended in (one["id"], token["id"])] == [[below["id"]], [other["id"]]], end
    plain = await admin.create("plain", scopes=["orders:read"])
    assert (await admin.ask("DELETE", TOKENS, query={"id": plain["id"]})).status == 200
    assert all("derived" not in (entry.after or {}) for entry in await audit(still) if entry.target == plain["id"])


async def test_without_a_life_it_lives_an_hour_or_as_long_as_its_parent(still: Service) -> None:
    root, _ = await made(still)
    short = (await root.post(f"{SELF}/derive", {"ttlSeconds": 900})).json()["token"]
    below = await Person(still, short["token"]).post(f"{SELF}/derive", {})
    assert (below.status, below.json()["token"]["expiresAt"]) == (201, short["expiresAt"])
    assert (await Person(still, short["token"]).post(f"{SELF}/derive", {"ttlSeconds": 901})).status == 403


async def test_a_repeat_derives_nothing_more_and_brings_nothing_back(still: Service) -> None:
    root, _ = await made(still)

    async def derived(person: Person, **wanted: Any) -> Any:
        path = f"{SELF}/derive"
        return await person.ask("POST", path, json_body=wanted, headers={"Idempotency-Key": "k"})

    answers = await asyncio.gather(*[derived(root, scopes=["orders:read"]) for _ in range(10)])
    (secret,) = {answer.json()["token"]["token"] for answer in answers}
    assert {answer.status for answer in answers} == {201}
    assert (await root.get(SELF)).json()["derived"] == 1
    assert [entry.action for entry in await audit(still)].count("token.derived") == 1
    refused = await derived(root, ttlSeconds=60)
    assert (refused.status, refused.json()["code"]) == (409, "idempotency_mismatch")
    beside, _ = await made(still, "beside")
    assert (await derived(beside, scopes=["orders:read"])).json()["token"]["token"] != secret
    assert (await root.ask("DELETE", f"{SELF}/derived")).status == 200
    ended = await derived(root, scopes=["orders:read"])
    assert (ended.status, ended.json()["code"]) == (409, "token_revoked")
    assert await works(root, Person(still, secret)) == [True, False]


@pytest.mark.parametrize("end", ["its date", "its parent's rotation", "revoked"])
async def test_a_repeat_after_its_date_does_not_begin_its_life_anew(still: Service, clock: Clock, end: str) -> None:
    root, created = await made(still)
    asked = {"json_body": {"ttlSeconds": 60}, "headers": {"Idempotency-Key": "k"}}
    first = (await root.ask("POST", f"{SELF}/derive", **asked)).json()["token"]
    child = Person(still, first["token"])
    clock.forward(30)
    assert (await root.ask("POST", f"{SELF}/derive", **asked)).json()["token"]["expiresAt"] == first["expiresAt"]
    if end == "revoked":
        assert (await child.ask("DELETE", SELF)).status == 200
    if end == "its parent's rotation":
        rotated = await (await sign_in(still)).post(f"{TOKENS}/{created['id']}/rotate", {"overlapSeconds": 0})
        root = Person(still, rotated.json()["token"]["token"])
    clock.forward(31)
    late = await root.ask("POST", f"{SELF}/derive", **asked)
    assert (late.status, late.json()["code"], await works(child)) == (409, "token_revoked", [False])


async def test_levels_and_numbers_are_bounded(still: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    root, _ = await made(still)
    monkeypatch.setattr(derived_store, "MOST_CHILDREN", 2)
    monkeypatch.setattr(derived_store, "MOST_BELOW", 4)
    child, _, last = await line(root)
    assert (await last.post(f"{SELF}/derive", {})).status == 403
    await derive(root)
    refused = await root.post(f"{SELF}/derive", {})
    assert (refused.status, refused.json()["code"]) == (409, "too_many_derived")
    assert (await child.post(f"{SELF}/derive", {})).status == 409
    plain, _ = await made(still, "plain", scopes=["orders:read"])
    assert (await plain.post(f"{SELF}/derive", {})).json()["code"] == "insufficient_scope"


async def test_limits_are_shared_unless_it_is_counted_by_itself(service: Service) -> None:
    root, _ = await made(service, maxUses=3)
    first, second = await derive(root), await derive(root)
    assert await works(first, second, root, first) == [True, True, True, False]
    free, _ = await made(service, "free")
    counted = await derive(free, maxUses=1)
    assert (await counted.get(SELF)).json()["usesLeft"] == 1
    assert await works(counted, counted, free) == [True, False, True]
    limited, _ = await made(service, "limited", limits=[{"limit": 2, "periodSeconds": 86400}])
    counted = await derive(limited, limits=[{"limit": 1, "periodSeconds": 86400}])
    assert await works(counted, counted, limited, limited, limited) == [True, False, True, True, False]


async def test_every_answer_tells_what_it_draws_on_with_others(service: Service) -> None:
    admin, (root, _) = await sign_in(service), await made(service, maxUses=3, subject="acme")
    limits = {"subject": "acme", "limits": [{"name": "all", "limit": 9, "periodSeconds": 86400}]}
    assert (await admin.ask("PUT", "/api/admin/subject-limits", json_body=limits)).status == 200
    assert await works(root) == [True]
    made_now = (await root.post(f"{SELF}/derive", {"subject": ""})).json()["token"]
    child = Person(service, made_now["token"])
    for answer in (made_now, (await child.get(SELF)).json(), *(await root.get(f"{SELF}/derived")).json()["tokens"]):
        (shared,) = answer["subjectLimits"]
        assert (answer["subject"], answer["usesLeft"], shared["name"], shared["used"]) == ("", 2, "all", 1)


async def test_a_repeated_creation_tells_how_many_are_derived_by_now(service: Service) -> None:
    admin, body = await sign_in(service), {"name": "root", "duration": "7days", "scopes": list(SCOPES)}
    for derived in (0, 1):
        again = await admin.ask("POST", TOKENS, json_body=body, headers={"Idempotency-Key": "k"})
        token = again.json()["token"]
        assert (again.status, token["derived"]) == (201, derived)
        await derive(Person(service, token["token"]))


async def test_a_derived_token_makes_and_rotates_nothing(service: Service) -> None:
    root, _ = await made(service)
    child = await derive(root)
    assert (await child.post(TOKENS, {"name": "x", "duration": "7days"})).status == 403
    assert (await child.post(f"{SELF}/rotate")).status == 403


async def test_it_is_listed_and_told_under_its_parent(service: Service) -> None:
    admin, (root, token) = await sign_in(service), await made(service)
    people = [await derive(root, scopes=["orders:read"]) for _ in range(3)]
    own = [(await person.get(SELF)).json() for person in people]
    assert {one["parentId"] for one in own} == {token["id"]}
    assert (await root.get(SELF)).json()["derived"] == 3
    first = (await admin.get(TOKENS, parent=token["id"], limit=2)).json()
    rest = (await admin.get(TOKENS, parent=token["id"], limit=2, cursor=first["nextCursor"])).json()
    listed = first["tokens"] + rest["tokens"]
    assert (first["total"], rest["nextCursor"]) == (3, None)
    assert {one["id"] for one in listed} == {one["id"] for one in own}
    assert (await root.get(f"{SELF}/derived")).json()["total"] == 3
    assert (await admin.get(TOKENS, parent=token["id"], q="x")).status == 400
    assert [one["id"] for one in (await admin.get(TOKENS)).json()["tokens"]] == [token["id"]]
    told = await admin.ask("POST", "/oauth2/introspect", body=f"token={people[0].secret}".encode(), headers=FORM)
    assert (told.json()["jti"], told.json()["parent_jti"]) == (own[0]["id"], token["id"])
    explained = (await admin.post(f"{TOKENS}/explain", {"token": people[0].secret})).json()
    assert token["id"] in next(one["detail"] for one in explained["checks"] if one["check"] == "parent")
    own_rest = (await root.get(f"{SELF}/derived", limit=2, cursor=first["nextCursor"])).json()
    assert own_rest["tokens"] == rest["tokens"]
    assert 'tokens_issued_total{kind="derived"} 3.0' in (await service.metrics.render(""))[0].decode()


async def test_explain_names_the_token_above_whose_end_it_was_and_who_ended_that(service: Service) -> None:
    admin, (root, token) = await sign_in(service), await made(service)
    child, grandchild, last = await line(root)
    await admin.ask("PATCH", TOKENS, json_body={"id": token["id"], "name": "no term"})
    by_itself, parent = (await grandchild.get(SELF)).json(), (await child.get(SELF)).json()
    assert (await child.ask("DELETE", f"{SELF}/derived", query={"id": by_itself["id"]})).status == 200
    await admin.post(f"{TOKENS}/{token['id']}/rotate")
    # Told is what ended it, and not what became of that token later.
    await admin.ask("DELETE", TOKENS, query={"id": token["id"]})
    told = {}
    for name, person in {"child": child, "grandchild": grandchild, "last": last}.items():
        answer = (await admin.post(f"{TOKENS}/explain", {"token": person.secret})).json()
        assert answer["outcome"] == "revoked"
        checks = {one["check"]: one for one in answer["checks"]}
        told[name] = checks["parent"]["result"], checks["parent"]["detail"], checks["active"]["by"]
    assert told == {
        "child": ("fail", f"It was derived from {token['id']}, and ended when {token['id']} was rotated.", "admin"),
        "grandchild": (
            "pass",
            f"It was derived from {parent['id']}, and ended by itself.",
            f"token:{parent['id']}",
        ),
        "last": (
            "fail",
            f"It was derived from {by_itself['id']}, and ended when {by_itself['id']} was revoked.",
            f"token:{parent['id']}",
        ),
    }


async def test_of_two_that_end_the_same_derived_tokens_each_end_is_counted_once(still: Service) -> None:
    root, token = await made(still)
    children = [await derive(root) for _ in range(3)]
    end = still.rules.managed.derivation.end
    ended = await asyncio.gather(end(token["id"], ADMIN), end(token["id"], ADMIN))
    assert (sum(ended), await works(root, *children)) == (3, [True, False, False, False])
    assert 'tokens_revoked_total{kind="derived"} 3.0' in (await still.metrics.render(""))[0].decode()


async def test_a_link_to_another_parent_is_under_the_seal(still: Service) -> None:
    root, _ = await made(still)
    child = await derive(root)
    (digest,) = still.rules.authority.digests(Kind.MANAGED, child.secret.encode())
    shard = still.stores.shards.of_digest(digest)
    key = shard.keys.credential(digest)
    stored = await shard.link.execute("GET", key)
    credential = msgspec.msgpack.decode(stored[SEAL_BYTES:], type=Credential)
    assert await outcome(still, child.secret) is Outcome.ACTIVE
    freed = msgspec.structs.replace(credential, ancestors=())
    await shard.link.execute("SET", key, stored[:SEAL_BYTES] + msgspec.msgpack.encode(freed))
    assert await outcome(still, child.secret) is Outcome.UNKNOWN


async def test_validating_it_asks_what_a_plain_one_asks(make_service: MakeService) -> None:
    service = await make_service(background=False, wrap=Recording)
    link = service.stores.shards[0].link
    child = await derive((await made(service))[0])
    link.asked.clear()
    assert await outcome(service, child.secret) is Outcome.ACTIVE
    assert link.names() == ["GET"]


RACES_A_ROOT = 4


@pytest.mark.parametrize(
    ("shards", "races"),
    [(1, 100), pytest.param(1, 2000, marks=pytest.mark.slow), pytest.param(16, 2000, marks=pytest.mark.slow)],
)
async def test_what_is_derived_while_an_ancestor_ends_never_survives(
    make_service: MakeService, shards: int, races: int
) -> None:
    service = await make_service(shards=shards, background=False)
    rules, chance = service.rules, random.Random(15)

    async def give_way(most: int) -> None:
        # By round trips: what is read before one may be over behind it.
        for _ in range(chance.randrange(most)):
            await service.stores.shards[0].link.execute("EXISTS", b"")

    async def derive_one(parent: str) -> str:
        # An end reads what is derived before it takes it away: whoever is to come after it has farther to go.
        await give_way(9)
        try:
            return (await rules.managed.derivation.derive(parent.encode(), Narrowed(60), ADMIN)).secret
        except Unauthorized:
            return ""

    async def end(token_id: str, number: int) -> None:
        await give_way(3)
        if number % 3:
            await rules.managed.tokens.revoke(token_id, ADMIN)
        else:
            await rules.managed.rotation.rotate(token_id, ADMIN)

    async def race(number: int) -> int:
        """Some derive from a root, or from what is derived from it, while it ends; how many came first."""
        root = await create(service, f"root {number}", scopes=("self:derive",))
        parent = await derive_one(root.secret) if number % 2 else root.secret
        ending = end(root.token.token_id, number)
        *children, _ = await asyncio.gather(*[derive_one(parent) for _ in range(RACES_A_ROOT)], ending)
        derived = [child for child in children if child]
        assert Outcome.ACTIVE not in [await outcome(service, child) for child in derived]
        return len(derived)

    came_first = 0
    for start in range(0, races // RACES_A_ROOT, 25):
        came_first += sum(await asyncio.gather(*[race(number) for number in range(start, start + 25)]))
    assert 0 < came_first < races


async def test_what_stands_in_the_place_of_derived_tokens_stops_no_end_of_what_has_no_record(service: Service) -> None:
    person, parent = await made(service)
    child = await derive(person)
    shard = service.stores.shards.of_id(parent["id"])
    assert shard is not None
    revoke = service.rules.managed.revocation.revoke
    await shard.link.execute("SET", shard.keys.derived(parent["id"]), "")
    assert await revoke(child.secret.encode(), ADMIN)
    await shard.link.execute("DEL", shard.keys.metadata(parent["id"]))
    assert await revoke(person.secret.encode(), ADMIN)
    assert [await peeked(service, one.secret) for one in (child, person)] == [Outcome.REVOKED] * 2
