"""Revocation is final: every way of revoking, from every state a token can be in, against every later change."""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from service.app import Service
from service.model import Kind, Status
from service.store.managed import records
from service.store.managed.query import Query
from service.tokens.accounts.accounts import read_accounts
from service.tokens.managed.import_admission import Exported, ImportedSecret
from service.tokens.managed.tokens import NewToken
from tests.api.world import TOKENS
from tests.asgi import Person, sign_in
from tests.builders import ADMIN, DAY, audit, create, dump
from tests.conftest import SERVER_KEY, Clock, MakeService

SELF = "/api/tokens/self"
CONSUME = "/api/one-time-tokens/consume"
OVERLAP = 3600


class Case(msgspec.Struct):
    """A token in some state: the secret that is presented for revocation, and every other it had that must end too.

    `lives` is a secret that must go on working.
    """

    secret: str
    token_id: str = ""
    others: tuple[str, ...] = ()
    lives: str = ""


class Table:
    """Makes tokens in a state. A second process issues under the server key that is the previous one here."""

    def __init__(self, service: Service, before: Service, clock: Clock) -> None:
        self.service, self.before, self.clock = service, before, clock
        self.number = 0

    async def active(self, service: Service | None = None, **terms: Any) -> Case:
        self.number += 1
        created = await create(service or self.service, f"n{self.number:03}", days=1, **terms)
        return Case(created.secret, created.token.token_id)

    async def deactivated(self) -> Case:
        return await self._off(await self.active())

    async def expired(self) -> Case:
        case = await self.active()
        self.clock.forward(2 * DAY)
        return case

    async def expired_and_swept(self) -> Case:
        case = await self.expired()
        assert await self.service.rules.managed.sweeper.sweep()
        return case

    async def switched_off_and_then_expired(self) -> Case:
        case = await self.deactivated()
        self.clock.forward(2 * DAY)
        assert await self.service.rules.managed.sweeper.sweep()
        return case

    async def used_up(self) -> Case:
        case = await self.active(max_uses=1)
        assert await status(self.service, case.secret) == 200
        return case

    async def bound_to_another_network(self) -> Case:
        return await self.active(networks=("10.0.0.0/8",))

    async def rotated(self) -> Case:
        old = await self.active()
        return Case(await self._rotate(old), old.token_id, (old.secret,))

    async def in_its_overlap(self) -> Case:
        old = await self.active()
        return Case(old.secret, old.token_id, (await self._rotate(old),))

    async def after_its_overlap(self) -> Case:
        """Over already; whoever found it must not be able to end what took its place."""
        old = await self.active()
        new = await self._rotate(old, 0)
        return Case(old.secret, old.token_id, lives=new)

    async def after_an_overlap_that_ran_out(self) -> Case:
        """The record names the old secret still."""
        old = await self.active()
        new = await self._rotate(old)
        self.clock.forward(OVERLAP + 1)
        return Case(old.secret, old.token_id, lives=new)

    async def after_an_overlap_that_was_switched_off(self) -> Case:
        old = await self.active()
        new = await self._rotate(old)
        return await self._off(Case(old.secret, old.token_id, lives=new))

    async def rotated_and_switched_off(self) -> Case:
        return await self._off(await self.rotated())

    async def imported(self) -> Case:
        self.number += 1
        secret = f"a secret of another system {self.number}".replace(" ", "-")
        row = ImportedSecret(NewToken(f"n{self.number:03}", int(self.clock()) + DAY), sha256(secret.encode()).digest())
        assert await self.service.rules.managed.imports.take([row], ADMIN) == [None]
        verdict = await self.service.rules.authority.peek(secret.encode(), (Kind.MANAGED,))
        assert verdict.credential is not None
        return Case(secret, verdict.credential.token_id)

    async def imported_and_switched_off(self) -> Case:
        return await self._off(await self.imported())

    async def of_the_previous_server_key(self) -> Case:
        return await self.active(self.before)

    async def of_the_previous_server_key_and_switched_off(self) -> Case:
        return await self._off(await self.active(self.before))

    async def without_a_record(self) -> Case:
        case = await self.active()
        shard = self.service.stores.shards.of_id(case.token_id)
        assert shard is not None
        assert await shard.link.execute("DEL", shard.keys.metadata(case.token_id)) == 1
        return case

    async def with_a_record_of_another_secret(self) -> Case:
        """Somebody wrote to Redis, so that what the record names is not what works."""
        case, other = await self.active(), await self.active()
        shard = self.service.stores.shards.of_id(case.token_id)
        assert shard is not None
        field = records.LETTERS["digest"]
        await shard.link.execute("HSET", shard.keys.metadata(case.token_id), field, self._digest(other))
        return case

    async def one_time(self) -> Case:
        return Case((await self.service.rules.one_time.issue(address="", anonymous=False)).secret)

    async def one_time_of_the_previous_server_key(self) -> Case:
        return Case((await self.before.rules.one_time.issue(address="", anonymous=False)).secret)

    async def session(self) -> Case:
        return Case((await sign_in(self.service, "uma")).secret)

    async def session_of_a_disabled_account(self) -> Case:
        """The account comes back before the session is tried again."""
        case = await self.session()
        admin = self.service.rules.accounts.known.get("admin")
        assert admin is not None
        self.service.rules.accounts.known.replace({"admin": admin})
        return case

    async def _off(self, case: Case) -> Case:
        await self.service.rules.managed.tokens.update(case.token_id, {"active": False}, ADMIN)
        return case

    async def _rotate(self, case: Case, overlap: int = OVERLAP) -> str:
        return (await self.service.rules.managed.rotation.rotate(case.token_id, ADMIN, overlap_seconds=overlap)).secret

    def _digest(self, case: Case) -> bytes:
        return self.service.rules.authority.digest(Kind.MANAGED, case.secret.encode())


STATES = [name for name in vars(Table) if not name.startswith("_")]
WITHOUT_AN_ID = {"one_time", "one_time_of_the_previous_server_key", "session", "session_of_a_disabled_account"}
# To revoke itself by the door of its own a token must be known there, and be asked from where it may be used.
USABLE = {
    "used_up",
    "active",
    "rotated",
    "in_its_overlap",
    "imported",
    "of_the_previous_server_key",
    "without_a_record",
    "with_a_record_of_another_secret",
}
UNKNOWN_BY_ID = {"without_a_record", "with_a_record_of_another_secret"}
Way = Callable[[Service, Person, Case], Awaitable[bool | None]]


async def by_its_holder(service: Service, _: Person, case: Case) -> bool:
    return await _form(Person(service), case.secret)


async def by_a_client(_: Service, admin: Person, case: Case) -> bool:
    return await _form(admin, case.secret)


async def by_itself(service: Service, _: Person, case: Case) -> bool:
    return (await Person(service, case.secret).ask("DELETE", SELF)).status == 200


async def by_its_id(_: Service, admin: Person, case: Case) -> bool | None:
    return (await admin.ask("DELETE", TOKENS, query={"id": case.token_id})).status == 200 if case.token_id else None


async def among_several(_: Service, admin: Person, case: Case) -> bool | None:
    """As the command line does."""
    if not case.token_id:
        return None
    answer = await admin.ask("DELETE", TOKENS, query={"ids": case.token_id})
    return bool(answer.json()["updated"] == [case.token_id])


async def by_the_kill_switch(service: Service, admin: Person, case: Case) -> bool | None:
    if not case.token_id:
        return None
    shown = await admin.get(f"{TOKENS}/{case.token_id}")
    body = {"filter": {"q": shown.json().get("name", "none of this name")}, "expected": 1}
    answer = await admin.post(f"{TOKENS}/revoke", body)
    return answer.status == 200 and answer.json()["updated"] == [case.token_id]


async def _form(person: Person, secret: str) -> bool:
    answer = await person.ask(
        "POST",
        "/oauth2/revoke",
        body=f"token={secret}".encode(),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    return answer.status == 200


async def status(service: Service, secret: str) -> int:
    return (await Person(service, secret, address="10.0.0.1").get("/validate")).status


async def accepted(service: Service, secret: str) -> bool:
    consumed = await Person(service).post(CONSUME, {"token": secret})
    return await status(service, secret) == 200 or consumed.json()["valid"]


async def change_everything(service: Service, admin: Person, case: Case, exported: Exported | None) -> list[str]:
    """All that could make a token good again; the secrets that came of it."""
    for change in (
        {"expiresAt": "2099-01-01T00:00:00Z"},
        {"isActive": True},
        {"maxUses": 5},
        {"description": "x"},
        {"isActive": True},
    ):
        await admin.ask("PATCH", TOKENS, json_body={"id": case.token_id, **change})
    await admin.ask("PATCH", TOKENS, json_body={"ids": [case.token_id], "isActive": True})
    rotated = await admin.post(f"{TOKENS}/{case.token_id}/rotate", {"overlapSeconds": 60})
    if exported is not None:
        await service.rules.managed.imports.take([exported], ADMIN)
    await service.rules.managed.sweeper.sweep()
    return [rotated.json()["token"]["token"]] if rotated.status == 201 else []


async def export(service: Service, token_id: str) -> Exported | None:
    """The record as it could be taken in again later."""
    query = Query(ids=(token_id,), statuses=frozenset(Status))
    async for found in service.rules.managed.queries.everything(query):
        if token_id and found:
            return Exported(found[0].token, found[0].seal)
    return None


def expected(way: Way, state: str) -> tuple[bool | None, bool]:
    """Whether a revocation is confirmed; and whether any secret that should have ended is accepted after it."""
    if way in (by_its_holder, by_a_client):
        return True, False
    if way is by_itself:
        return state in USABLE, False
    return None if state in WITHOUT_AN_ID else state not in UNKNOWN_BY_ID, False


@pytest.mark.parametrize(
    ("way", "shards"),
    [
        (by_its_holder, 1),
        (by_itself, 1),
        (by_its_id, 1),
        *[
            pytest.param(*slow, marks=pytest.mark.slow)
            for slow in ((by_a_client, 1), (among_several, 1), (by_the_kill_switch, 1), (by_its_holder, 16))
        ],
    ],
)
async def test_what_was_revoked_is_never_accepted_again(
    make_service: MakeService, fake_clock: Clock, way: Way, shards: int
) -> None:
    common = {"fake": True, "shards": shards, "max_lifetime_days": 0}
    before = await make_service(**common)
    service = await make_service(
        **common, secret_key="another server key of the tests, long enough", secret_key_previous=SERVER_KEY
    )
    people = read_accounts(service.settings.accounts_path)
    table = Table(service, before, fake_clock)
    seen, began = {}, fake_clock.now
    for state in STATES:
        case: Case = await getattr(table, state)()
        exported = await export(service, case.token_id)
        admin = await sign_in(service)
        confirmed, ended = await way(service, admin, case), [case.secret, *case.others]
        service.rules.accounts.known.replace(people)
        if confirmed:
            ended += await change_everything(service, admin, case, exported)
            if case.lives:
                assert await accepted(service, case.lives) is (way in (by_its_holder, by_a_client)), state
                ended = [case.secret]
        seen[state] = confirmed, bool(confirmed) and any([await accepted(service, secret) for secret in ended])
        fake_clock.now = began
    assert seen == {state: expected(way, state) for state in STATES}


async def test_without_its_record_a_token_leaves_nothing_behind_but_that_it_was_revoked(
    make_service: MakeService, clock: Clock
) -> None:
    service = await make_service(background=False)
    case = await Table(service, service, clock).without_a_record()
    for _ in range(2):
        assert await by_its_holder(service, Person(service), case)
    left = {key: held for key, held in (await dump(service)).items() if case.token_id.encode() in repr(held).encode()}
    assert {key.split(b":")[2] for key in left if b":x:" not in key} == {b"names", b"nb", b"ev"}
    assert [value for key, value in left.items() if b":x:" in key] == [f"revoked {case.token_id}".encode()]
    assert (await service.rules.managed.queries.statistics()).total == 0
    entry = next(entry for entry in await audit(service) if entry.action == "token.revoked")
    assert (entry.action, entry.actor, entry.target) == ("token.revoked", f"token:{case.token_id}", case.token_id)
    assert 'tokens_revoked_total{kind="managed"} 1.0' in (await service.metrics.render(""))[0].decode()
    # Nobody bears the name any more.
    assert (await create(service, "n001")).token.name == "n001"


async def test_after_its_revocation_a_spent_one_time_tokens_answer_is_not_repeated(
    make_service: MakeService,
) -> None:
    service = await make_service(background=False)
    secret = (await service.rules.one_time.issue(address="", anonymous=False)).secret
    person = Person(service)

    async def consume() -> bool:
        headers = {"Idempotency-Key": "k"}
        answer = await person.ask("POST", CONSUME, json_body={"token": secret}, headers=headers)
        valid: bool = answer.json()["valid"]
        return valid

    assert [await consume(), await consume()] == [True, True]
    assert await _form(person, secret)
    assert not await consume()
