"""Imports whose name is contended or lives in another shard: one token gets it, and a revoked one is found by it."""

from hashlib import sha256, sha512

import pytest

from service.app import Service
from service.errors import StoreUnavailable
from service.model import ManagedToken, Outcome, Status
from service.store.managed.names import member
from service.store.managed.query import Query
from service.tokens.imported.rules import Rule
from service.tokens.managed.import_admission import Exported, ImportedSecret
from service.tokens.managed.tokens import NewToken
from tests.builders import ADMIN, create, outcome
from tests.conftest import MakeService
from tests.links import Interrupted


async def take(service: Service, row: Exported | ImportedSecret) -> str:
    (skipped,) = await service.rules.managed.imports.take([row], ADMIN)
    return skipped.code if skipped else "imported"


def imported(service: Service, secret: str, name: str) -> ImportedSecret:
    return ImportedSecret(NewToken(name, int(service.clock()) + 86400), sha256(secret.encode()).digest())


async def reserve_for_nobody(service: Service, name: str) -> None:
    """What a renaming leaves that was cut off: a name held for a token that does not bear it."""
    holder = (await create(service, "holder")).token
    keys = service.stores.shards.of_name(name).keys
    other = ManagedToken(**{field: getattr(holder, field) for field in holder.__struct_fields__} | {"name": name})
    await service.stores.shards.of_name(name).link.execute("ZADD", keys.names, 0, member(other))


async def test_a_void_reservation_makes_way_for_one_of_two_importers(make_service: MakeService) -> None:
    slow = await make_service(background=False, wrap=Interrupted)
    quick = await make_service(background=False)
    # From here on the server knows the script, so that each try asks once.
    assert await take(quick, imported(quick, "a-secret-for-another-name", "another")) == "imported"
    await reserve_for_nobody(quick, "gate")
    taken: list[str] = []

    async def nothing() -> None:
        """The first try finds the name reserved."""

    async def take_the_name() -> None:
        taken.append(await take(quick, imported(quick, "a-secret-of-somebody-else", "gate")))

    slow.stores.shards[0].link.before["import_tokens"] = [nothing, take_the_name]
    code = await take(slow, imported(slow, "a-secret-of-our-own", "gate"))
    assert (code, taken) == ("name_taken", ["imported"])
    tokens, _, _ = await quick.rules.managed.queries.page(Query(text="gate"))
    assert len(tokens) == 1


async def test_a_revoked_token_whose_name_lives_elsewhere_is_found_by_it(
    make_service: MakeService, namespace: str
) -> None:
    source = await make_service(shards=16, background=False)
    other = await make_service(shards=16, background=False, namespace=f"{namespace}-b")
    original = (await create(source, "before")).token
    await source.rules.managed.tokens.update(original.token_id, {"name": "after"}, ADMIN)
    await source.rules.managed.tokens.revoke(original.token_id, ADMIN)
    assert source.stores.shards.of_name("after") is not source.stores.shards.of_id(original.token_id)
    everything = frozenset(Status)
    ((record,),) = [each async for each in source.rules.managed.queries.everything(Query(statuses=everything)) if each]
    assert await take(other, Exported(record.token, record.seal)) == "imported"
    found, _, _ = await other.rules.managed.queries.page(Query(text="aft", statuses=everything))
    assert [token.token_id for token in found] == [original.token_id]
    assert (await create(other, "after")).secret


async def test_a_secret_taken_in_while_the_rules_are_being_read_is_known_at_once(make_service: MakeService) -> None:
    service = await make_service(background=False, wrap=Interrupted)
    row = imported(service, "a-secret-of-our-own", "gate")
    service.stores.shards[0].link.after["SMEMBERS"] = [lambda: take(service, row)]
    await service.rules.managed.imports.detect_imported()
    assert await outcome(service, "a-secret-of-our-own") is Outcome.ACTIVE


async def test_the_rules_are_not_taken_for_read_by_an_import(make_service: MakeService) -> None:
    other = await make_service(background=False)
    secret, digest = "a-secret-of-somebody-else", sha512(b"a-secret-of-somebody-else").digest()
    new = NewToken("gate", int(other.clock()) + 86400)
    assert await take(other, ImportedSecret(new, digest, rule=Rule("sha512", "whole"))) == "imported"
    service = await make_service(background=False)
    service.rules.authority.imported.unread = True
    assert await take(service, imported(service, "a-secret-of-our-own", "another")) == "imported"
    with pytest.raises(StoreUnavailable):
        await outcome(service, secret)
    await service.rules.managed.imports.detect_imported()
    assert await outcome(service, secret) is Outcome.ACTIVE
