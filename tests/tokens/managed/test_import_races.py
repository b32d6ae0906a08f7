"""Imports that others come between or that are cut off: one token gets a name, and none works that is not whole."""

from hashlib import sha256, sha512

import msgspec
import pytest

from service.app import Service
from service.errors import StoreUnavailable
from service.model import ManagedToken, Outcome, Status
from service.store.driver.replies import WrongType
from service.store.managed.names import member
from service.store.managed.query import Query
from service.tokens.imported.rules import Rule
from service.tokens.managed.import_admission import Exported, ImportedSecret
from service.tokens.managed.imports import DryRun
from service.tokens.managed.tokens import NewToken
from tests.builders import ADMIN, all_keys, create, outcome
from tests.conftest import MakeService
from tests.links import AWAY, Interrupted


async def take(service: Service, row: Exported | ImportedSecret, *, dry_run: bool = False) -> str:
    (skipped,) = await service.rules.managed.imports.take([row], ADMIN, DryRun() if dry_run else None)
    return skipped.code if skipped else "imported"


async def exported(service: Service, token_id: str) -> Exported:
    (record,) = await service.stores.managed.get_many([token_id])
    assert record is not None
    return Exported(record.token, record.seal)


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


@pytest.mark.parametrize("family", ["on", "expiry", "imported", "last_uses", "owner"])
async def test_no_imported_token_works_that_no_list_has(
    still: Service, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    """It was told to be taken in, and neither a list nor the kill switch knew of it."""
    monkeypatch.setattr("service.store.pacing._TRIED_AGAIN_AFTER", (0, 0))
    for shard in still.stores.shards:
        index = shard.keys.owner(ADMIN.actor) if family == "owner" else getattr(shard.keys, family)
        await shard.link.execute("SET", index, "")
    used = msgspec.structs.replace(imported(still, "a-secret-of-our-own", "gate"), last_used_at=int(still.clock()))
    with pytest.raises(WrongType):
        await take(still, used)
    assert not [key for key in await all_keys(still) if key.split(b":")[2] == b"c"]


async def test_two_rows_of_one_slice_with_one_secret_make_one_token(still: Service) -> None:
    rows = [imported(still, "a-secret-of-our-own", name) for name in ("gate", "another")]
    first, second = await still.rules.managed.imports.take([*rows], ADMIN)
    assert first is None
    assert second is not None and second.code == "secret_taken"


async def test_a_token_that_was_refused_for_its_name_is_taken_in_whole_under_another(
    make_service: MakeService, namespace: str
) -> None:
    """Its announcement goes by itself after a minute, and the record that was written over it went with it."""
    source = await make_service(shards=16, background=False, namespace=f"{namespace}-b")
    other = await make_service(shards=16, background=False)
    token, shards = (await create(source, "at home")).token, other.stores.shards
    away = next(name for name in map(str, range(1000)) if shards.of_name(name) is not shards.of_name("at home"))
    await source.rules.managed.tokens.update(token.token_id, {"name": away}, ADMIN)
    await create(other, away)
    assert await take(other, row := await exported(source, token.token_id)) == "name_taken"
    assert await take(other, row, dry_run=True) == "name_taken"
    await source.rules.managed.tokens.update(token.token_id, {"name": "at home"}, ADMIN)
    assert await take(other, await exported(source, token.token_id)) == "imported"
    home = shards.of_name("at home")
    assert await home.link.execute("PTTL", home.keys.metadata(token.token_id)) == -1


async def test_a_dry_run_behind_an_import_that_was_cut_off_says_what_comes_of_another(
    make_service: MakeService, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.pacing._TRIED_AGAIN_AFTER", ())
    source = await make_service(shards=16, background=False, namespace=f"{namespace}-b")
    other = await make_service(shards=16, background=False, wrap=Interrupted)
    token, shards = (await create(source, "at home")).token, other.stores.shards
    away = next(name for name in map(str, range(1000)) if shards.of_name(name) is not shards.of_name("at home"))
    await source.rules.managed.tokens.update(token.token_id, {"name": away}, ADMIN)
    row, link = await exported(source, token.token_id), shards[0].link
    assert isinstance(link, Interrupted)
    link.before["import_tokens"] = [AWAY]
    with pytest.raises(StoreUnavailable):
        await take(other, row)
    assert [await take(other, row, dry_run=dry_run) for dry_run in (True, False)] == ["imported"] * 2


async def test_a_dry_run_says_of_two_states_of_one_token_that_the_second_would_be_here(
    make_service: MakeService, namespace: str
) -> None:
    """As in two exports one behind the other, of which the later one has it with another name and secret."""
    source = await make_service(background=False, namespace=f"{namespace}-b")
    other = await make_service(background=False)
    token = (await create(source, "before")).token
    rows = [await exported(source, token.token_id)]
    await source.rules.managed.tokens.update(token.token_id, {"name": "behind"}, ADMIN)
    await source.rules.managed.rotation.rotate(token.token_id, ADMIN)
    rows.append(await exported(source, token.token_id))
    for dry_run in (DryRun(), None):
        first, second = await other.rules.managed.imports.take([*rows], ADMIN, dry_run)
        assert first is None
        assert second is not None and second.code == "exists"
