"""Names are unique across all shards, and a name that nobody bears is free."""

import asyncio
from typing import Any

import msgspec
import pytest

from service.app import Service
from service.errors import Conflict, StoreUnavailable
from service.model import ManagedToken, Status
from service.store.managed.names import Names, freed_member, member
from service.store.managed.query import Query
from service.store.managed.records import Retention
from service.store.managed.tokens import ManagedStore
from service.tokens.managed.name_holders import NameHolders
from tests.builders import ADMIN, DAY, all_keys, create, update
from tests.conftest import MakeService
from tests.links import AWAY, Interrupted
from tests.tokens.test_limits import full


@pytest.fixture
def store(still: Service) -> ManagedStore:
    return ManagedStore(still.stores.shards, Retention(30 * DAY))


def elsewhere(service: Service, name: str) -> str:
    """A name that is unique in another shard than this one's, where there are several."""
    shard = service.stores.shards.of_name(name)
    names = (f"{name} {number}" for number in range(1000))
    return next(
        other for other in names if len(service.stores.shards) == 1 or service.stores.shards.of_name(other) is not shard
    )


async def names_held(service: Service) -> list[bytes]:
    """The names taken or kept for a search, whatever their shard."""
    held: list[bytes] = []
    for shard in service.stores.shards:
        held += await shard.link.execute("ZRANGE", shard.keys.names, 0, -1)
    return sorted(member.split(b"\x00")[0] for member in held)


async def refused(service: Service, name: str) -> bool:
    try:
        await create(service, name)
    except Conflict as conflict:
        return conflict.code == "name_taken"
    return False


async def test_a_renamed_token_holds_its_new_name_and_frees_the_old_one(still: Service) -> None:
    token = (await create(still, "ci")).token
    new_name = elsewhere(still, "ci")
    await still.rules.managed.tokens.update(token.token_id, {"name": new_name}, ADMIN)
    assert await names_held(still) == [new_name.encode()]
    assert await refused(still, new_name)
    assert not await refused(still, "ci")


async def test_a_taken_name_refuses_a_renaming_and_leaves_both_tokens_as_they_were(still: Service) -> None:
    one = (await create(still, "ci")).token
    taken = elsewhere(still, "ci")
    two = (await create(still, taken)).token
    with pytest.raises(Conflict) as conflict:
        await still.rules.managed.tokens.update(one.token_id, {"name": taken, "description": "changed"}, ADMIN)
    assert conflict.value.code == "name_taken"
    assert await still.rules.managed.tokens.get(one.token_id) == one
    assert await still.rules.managed.tokens.get(two.token_id) == two
    assert await names_held(still) == sorted([b"ci", taken.encode()])


async def test_renaming_to_the_same_name_is_no_conflict(still: Service) -> None:
    token = (await create(still, "ci")).token
    assert await still.rules.managed.tokens.update(token.token_id, {"name": "ci"}, ADMIN) == token
    assert await still.rules.managed.tokens.update(token.token_id, {"name": "CI"}, ADMIN) != token
    assert await names_held(still) == [b"CI"]


@pytest.mark.parametrize("neighbour", ["ci ", "ci\u0001", "c", "cig", "ci~", "Ci"])
async def test_a_neighbouring_name_is_another_name(still: Service, neighbour: str) -> None:
    await create(still, neighbour)
    assert not await refused(still, "ci")
    assert await refused(still, neighbour)


@pytest.mark.parametrize("name", ["ci", "é" * 32, "\U0001f600" * 75], ids=["short", "a piece", "pieces"])
async def test_a_reservation_left_by_a_cut_off_renaming_is_void(still: Service, store: ManagedStore, name: str) -> None:
    token = (await create(still, "a name longer than a piece, before it was renamed to something, " * 2)).token
    await still.rules.managed.tokens.update(token.token_id, {"name": name}, ADMIN)
    wanted = elsewhere(still, name)
    assert await store.names.reserve(msgspec.structs.replace(token, name=wanted))
    assert not await refused(still, wanted)
    assert await refused(still, name)
    assert await names_held(still) == sorted([name.encode(), wanted.encode()])


async def test_a_renaming_takes_a_name_that_was_only_reserved(still: Service, store: ManagedStore) -> None:
    one, two = (await create(still, "one")).token, (await create(still, "two")).token
    assert await store.names.reserve(msgspec.structs.replace(one, name="wanted"))
    assert (await still.rules.managed.tokens.update(two.token_id, {"name": "wanted"}, ADMIN)).name == "wanted"
    assert await refused(still, "wanted")
    assert await names_held(still) == [b"one", b"wanted"]


async def test_a_renaming_that_lost_its_reservation_starts_over_and_finds_the_name_taken(
    still: Service, store: ManagedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = (await create(still, "ci")).token
    wanted = elsewhere(still, "ci")
    reserve = Names.reserve

    async def reserve_slowly(self: Names, new: Any) -> bool:
        """Another creator comes between the reservation and the change."""
        monkeypatch.setattr(Names, "reserve", reserve)
        reserved = await reserve(self, new)
        assert not await refused(still, wanted)
        return reserved

    monkeypatch.setattr(Names, "reserve", reserve_slowly)
    with pytest.raises(Conflict) as conflict:
        await still.rules.managed.tokens.update(token.token_id, {"name": wanted}, ADMIN)
    assert conflict.value.code == "name_taken"
    assert (await still.rules.managed.tokens.get(token.token_id)).name == "ci"
    assert await names_held(still) == sorted([b"ci", wanted.encode()])


async def test_a_name_held_by_a_token_that_is_gone_is_free(still: Service, store: ManagedStore) -> None:
    token = (await create(still, "ci")).token
    shard = still.stores.shards.of_name("ci")
    await shard.link.execute("DEL", shard.keys.metadata(token.token_id))
    assert not await refused(still, "ci")
    assert len(await names_held(still)) == 1


async def test_a_name_held_by_an_id_that_cannot_be_ours_is_free(still: Service) -> None:
    shard = still.stores.shards.of_name("ci")
    await shard.link.execute("ZADD", shard.keys.names, 0, b"ci\x00" + b"f" * 16 + b"\x00x\x001")
    assert not await refused(still, "ci")
    assert await names_held(still) == [b"ci"]


async def test_a_revoked_token_frees_its_name_and_is_still_found_by_it(still: Service) -> None:
    ids = []
    for _ in range(3):
        ids.append((await create(still, "ci")).token.token_id)
        await still.rules.managed.tokens.revoke(ids[-1], ADMIN)
    ids.append((await create(still, "ci")).token.token_id)
    tokens, _, _ = await still.rules.managed.queries.page(Query(frozenset({Status.REVOKED, Status.ACTIVE}), text="ci"))
    assert sorted(token.token_id for token in tokens) == sorted(ids)
    assert await refused(still, "ci")


async def test_a_token_renamed_into_another_shard_is_revoked_with_its_name(still: Service) -> None:
    token = (await create(still, "ci")).token
    wanted = elsewhere(still, "ci")
    await still.rules.managed.tokens.update(token.token_id, {"name": wanted}, ADMIN)
    await still.rules.managed.tokens.revoke(token.token_id, ADMIN)
    found, _, _ = await still.rules.managed.queries.page(Query(frozenset({Status.REVOKED}), text=wanted))
    assert [one.token_id for one in found] == [token.token_id]
    assert not await refused(still, wanted)
    assert len(await names_held(still)) == 2


async def renamed_elsewhere(service: Service) -> ManagedToken:
    return await update(service, (await create(service, "ci")).token, name=elsewhere(service, "ci"))


async def held_for(service: Service, name: str) -> list[bytes]:
    shard = service.stores.shards.of_name(name)
    held: list[bytes] = await shard.link.execute("ZRANGE", shard.keys.names, 0, -1)
    return held


async def test_on_a_full_server_a_token_whose_name_lives_in_another_shard_is_revoked_and_frees_it(
    make_service: MakeService,
) -> None:
    service = await make_service(shards=16, background=False)
    token = await renamed_elsewhere(service)
    async with full(service):
        assert await service.rules.managed.tokens.revoke(token.token_id, ADMIN)
    assert await held_for(service, token.name) == [freed_member(token)]


@pytest.mark.parametrize("how", ["by its id", "by its secret", "never"])
async def test_a_revocation_that_was_cut_off_before_the_name_was_free_frees_it_when_that_comes_again_or_is_wanted(
    make_service: MakeService, how: str
) -> None:
    service = await make_service(shards=16, background=False, wrap=Interrupted)
    created = await create(service, "ci")
    token = await update(service, created.token, name=elsewhere(service, "ci"))
    link, secret = service.stores.shards[0].link, created.secret.encode()
    assert isinstance(link, Interrupted)
    link.before["free_name"] = [AWAY]
    with pytest.raises(StoreUnavailable):
        await service.rules.managed.revocation.revoke(secret, ADMIN)
    if how == "by its id":
        assert not await service.rules.managed.tokens.revoke(token.token_id, ADMIN)
    elif how == "by its secret":
        assert not await service.rules.managed.revocation.revoke(secret, ADMIN)
    else:
        await create(service, token.name)
    assert freed_member(token) in await held_for(service, token.name)
    assert member(token) not in await held_for(service, token.name)


async def test_a_revoked_token_is_found_by_its_name_though_another_took_that_before_it_was_free(
    make_service: MakeService,
) -> None:
    service = await make_service(shards=16, background=False, wrap=Interrupted)
    token, link = await renamed_elsewhere(service), service.stores.shards[0].link
    other = (await create(service, "other")).token
    assert isinstance(link, Interrupted)

    async def take_the_name() -> None:
        await service.rules.managed.tokens.update(other.token_id, {"name": token.name}, ADMIN)

    link.before["free_name"] = [take_the_name]
    assert await service.rules.managed.tokens.revoke(token.token_id, ADMIN)
    assert freed_member(token) in await held_for(service, token.name)


async def test_of_twenty_tokens_renamed_to_one_name_at_once_exactly_one_bears_it(
    make_service: MakeService, still: Service
) -> None:
    ids = [(await create(still, f"token {number}")).token.token_id for number in range(20)]
    renaming = [still.rules.managed.tokens.update(token_id, {"name": "wanted"}, ADMIN) for token_id in ids]
    answers = await asyncio.gather(*renaming, return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Conflict"] * 19 + ["ManagedToken"]
    names = [(await still.rules.managed.tokens.get(token_id)).name for token_id in ids]
    assert names.count("wanted") == 1
    assert await names_held(still) == sorted(name.encode() for name in names)


async def test_of_two_renamings_of_one_token_at_once_neither_gives_the_name_up_that_the_other_took(
    still: Service,
) -> None:
    token = (await create(still, "ci")).token
    wanted = elsewhere(still, "ci")
    renaming = [still.rules.managed.tokens.update(token.token_id, {"name": wanted}, ADMIN) for _ in range(2)]
    assert [one.name for one in await asyncio.gather(*renaming)] == [wanted] * 2
    assert await names_held(still) == [wanted.encode()]


@pytest.mark.parametrize("moment", ["rotate_or_update_token", "void_reservation"])
async def test_a_renaming_keeps_its_old_name_for_one_that_went_back_to_it_meanwhile(
    make_service: MakeService, moment: str
) -> None:
    service = await make_service(background=False, shards=16, wrap=Interrupted)
    token = (await create(service, "ci")).token
    link: Any = service.stores.shards[0].link
    rename, wanted = service.rules.managed.tokens.update, elsewhere(service, "ci")
    link.after[moment] = [lambda: rename(token.token_id, {"name": "ci"}, ADMIN)]
    await rename(token.token_id, {"name": wanted}, ADMIN)
    assert (await service.rules.managed.tokens.get(token.token_id)).name == "ci"
    assert await refused(service, "ci")
    assert await names_held(service) == [b"ci"]


async def with_reservation(make_service: MakeService) -> tuple[Service, ManagedToken, str]:
    """A service, a token, and a name of another shard that is reserved for the token, which does not bear it."""
    service = await make_service(background=False, shards=16, wrap=Interrupted)
    token = (await create(service, "ci")).token
    wanted = elsewhere(service, "ci")
    names = ManagedStore(service.stores.shards, Retention(30 * DAY)).names
    assert await names.reserve(msgspec.structs.replace(token, name=wanted))
    return service, token, wanted


async def test_a_name_stays_with_a_renaming_that_took_it_while_its_reservation_was_found_void(
    make_service: MakeService,
) -> None:
    service, token, wanted = await with_reservation(make_service)
    link: Any = service.stores.shards[0].link
    rename = service.rules.managed.tokens.update
    link.after["void_reservation"] = [lambda: rename(token.token_id, {"name": wanted}, ADMIN)]
    assert await refused(service, wanted)
    assert await names_held(service) == [wanted.encode()]


async def test_of_a_renaming_and_two_creations_at_once_one_takes_the_name(make_service: MakeService) -> None:
    service, token, wanted = await with_reservation(make_service)
    link: Any = service.stores.shards[0].link
    third: list[bool] = []

    async def rename() -> None:
        """Once the first creation has found the reservation void; the second one comes before it asks again."""
        await service.rules.managed.tokens.update(token.token_id, {"name": wanted}, ADMIN)
        link.before["void_reservation"] = [create_too]

    async def create_too() -> None:
        third.append(await refused(service, wanted))

    link.after["void_reservation"] = [rename]
    assert (await refused(service, wanted), third) == (True, [True])
    assert await names_held(service) == [wanted.encode()]


async def test_a_token_that_was_asked_by_a_process_that_died_is_listed_and_keeps_its_name(
    still: Service, store: ManagedStore
) -> None:
    token = (await create(still, "ci")).token
    shard = still.stores.shards.of_name("ci")
    await shard.link.execute("DEL", shard.keys.names)
    await shard.link.execute("ZADD", shard.keys.names, 0, member(token) + b"!1")
    assert await store.names.holder("ci") == token.token_id
    listed, _, _ = await still.rules.managed.queries.page(Query(sort="name", descending=False))
    assert [one.token_id for one in listed] == [token.token_id]
    assert await refused(still, "ci")
    assert await shard.link.execute("ZRANGE", shard.keys.names, 0, -1) == [member(token)]


@pytest.mark.parametrize("abroad", [False, True])
async def test_a_token_revoked_while_it_is_asked_frees_its_name_and_is_found_by_it(
    still: Service, abroad: bool
) -> None:
    token = (await create(still, "ci")).token
    if abroad:
        token = await still.rules.managed.tokens.update(token.token_id, {"name": elsewhere(still, "ci")}, ADMIN)
    shard = still.stores.shards.of_name(token.name)
    await shard.link.execute("ZREM", shard.keys.names, member(token))
    await shard.link.execute("ZADD", shard.keys.names, 0, member(token) + b"!1")
    await still.rules.managed.tokens.revoke(token.token_id, ADMIN)
    revoked = Query(frozenset({Status.REVOKED}), sort="name")
    listed, _, _ = await still.rules.managed.queries.page(revoked)
    assert [one.token_id for one in listed] == [token.token_id]
    assert await shard.link.execute("ZRANGE", shard.keys.names, 0, -1) == [freed_member(token)]
    assert not await refused(still, token.name)


async def test_a_renaming_to_what_the_token_is_called_by_now_is_not_refused_while_that_is_asked(
    make_service: MakeService,
) -> None:
    service = await make_service(background=False, shards=16, wrap=Interrupted)
    token = (await create(service, "ci")).token
    wanted = elsewhere(service, "ci")
    shard = service.stores.shards.of_name(wanted)
    link: Any = service.stores.shards[0].link

    async def rename() -> None:
        """Another one comes first, and somebody who wants the name asks whether the token bears it."""
        renamed = await service.rules.managed.tokens.update(token.token_id, {"name": wanted}, ADMIN)
        await shard.link.execute("ZREM", shard.keys.names, member(renamed))
        await shard.link.execute("ZADD", shard.keys.names, 0, member(renamed) + b"!1")

    link.before["reserve_name"] = [rename]
    assert (await service.rules.managed.tokens.update(token.token_id, {"name": wanted}, ADMIN)).name == wanted
    assert await shard.link.execute("ZRANGE", shard.keys.names, 0, -1) == [
        member(msgspec.structs.replace(token, name=wanted))
    ]


async def test_no_key_is_left_by_a_refused_creation(still: Service) -> None:
    await create(still, "ci")
    before = await all_keys(still)
    assert await refused(still, "ci")
    assert await all_keys(still) == before


async def test_the_holder_of_a_name_is_told_with_what_frees_the_name(still: Service, store: ManagedStore) -> None:
    token = (await create(still, "ci")).token
    later = NameHolders(store, lambda: still.clock() + 60 * DAY)
    expired = f"Token {token.token_id} (expired, made by admin) is called ci: revoke it to free the name"
    assert await later.told("ci", ADMIN) == expired
    assert await store.names.reserve(msgspec.structs.replace(token, name="wanted"))
    assert [await later.told(name, ADMIN) for name in ("wanted", "nobody's")] == ["", ""]
