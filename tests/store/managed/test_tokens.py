"""Managed tokens in Redis: each change is whole, or did not happen."""

import asyncio
from typing import Any
from weakref import WeakSet

import msgspec
import pytest

from service.app import Service
from service.errors import StoreUnavailable
from service.store.audit import Entry
from service.store.driver.scripts import LETTERS
from service.store.managed.names import member
from service.store.managed.records import Remembered, Retention
from service.store.managed.tokens import End, ManagedStore
from tests.builders import ADMIN, DAY, all_keys, audit, create, dump

ENTRY = Entry(
    1000, b'{"at":1,"action":"a","actor":"a","target":"t","address":"","channel":"","request_id":""}', "0" * 32
)


@pytest.fixture
def store(still: Service) -> ManagedStore:
    return ManagedStore(still.stores.shards, Retention(30 * DAY))


async def test_a_token_is_read_as_it_was_written(still: Service, store: ManagedStore) -> None:
    created = await create(
        still,
        "CI déploiement",
        description="büild\nand \x00 ship",
        scopes=("a:*", "b"),
        networks=("10.0.0.0/8", "::1/128"),
        metadata={"team": "ops", "ünï": '"'},
        max_uses=7,
        subject="bob",
    )
    record = await store.get(created.token.token_id)
    assert record is not None
    assert record.token == created.token
    assert len(record.seal) == 32


async def test_what_is_asked_for_ahead_serves_that_token_alone_and_once(still: Service, store: ManagedStore) -> None:
    one, other = [(await create(still, name)).token for name in ("one", "other")]
    aheads = [store.ahead(one.token_id) for _ in range(2)]
    # Asked behind them, so that they are here by then.
    record_of_other = await store.get(other.token_id)
    assert await store.get(other.token_id, aheads[0]) == record_of_other
    await still.rules.managed.tokens.update(one.token_id, {"description": "new"}, ADMIN)
    found = [record.token.description for _ in range(2) if (record := await store.get(one.token_id, aheads[1]))]
    assert found == ["", "new"]


async def test_a_taken_name_changes_nothing(still: Service, store: ManagedStore) -> None:
    token = (await create(still, "ci")).token
    before = await dump(still)
    other = msgspec.structs.replace(token, token_id=token.token_id[:2] + "0" * 14)
    assert not await store.create(other, seal="", sealed=b"x", entry=ENTRY)
    assert await dump(still) == before


async def test_of_fifty_creators_of_one_name_exactly_one_writes_anything(still: Service, store: ManagedStore) -> None:
    token = (await create(still, "other")).token
    name_shard = still.stores.shards.of_name("wanted").index
    rivals = [
        msgspec.structs.replace(
            token,
            token_id=f"{name_shard:02x}{number:014x}",
            name="wanted",
            digest=bytes([name_shard, number]) + b"d" * 30,
        )
        for number in range(50)
    ]
    writing = [store.create(rival, seal="", sealed=b"x", entry=ENTRY) for rival in rivals]
    assert sorted(await asyncio.gather(*writing)) == [False] * 49 + [True]
    held = [record for record in await store.get_many([rival.token_id for rival in rivals]) if record]
    assert len(held) == 1
    assert len([key for key in await all_keys(still) if b":c:" in key]) == 2
    assert [entry.target for entry in await audit(still)].count("t") == 1


@pytest.mark.parametrize(
    "token_id",
    ["", "zz", "00" * 7, "00" * 9, "ff" + "0" * 14, "00/../../../on00", "00\x00aaaaaaaaaaaaa", "0٠" + "0" * 14],
)
async def test_an_id_that_cannot_be_ours_is_not_asked_for(store: ManagedStore, token_id: str) -> None:
    assert await store.get(token_id) is None


async def test_records_come_in_the_order_of_their_ids(still: Service, store: ManagedStore) -> None:
    ids = [(await create(still, f"token {number}")).token.token_id for number in range(5)]
    wanted = [ids[3], "00" + "f" * 14, ids[0], ids[3]]
    found = await store.get_many(wanted)
    assert [record and record.token.token_id for record in found] == [ids[3], None, ids[0], ids[3]]


async def test_a_record_that_was_read_before_is_read_as_it_is_now(still: Service, store: ManagedStore) -> None:
    token_id = (await create(still, "ci")).token.token_id
    shard = still.stores.shards.of_id(token_id)
    assert shard is not None
    key = shard.keys.metadata(token_id)
    first = await store.get(token_id)
    assert first is not None
    assert await store.get(token_id) == first
    await shard.link.execute("HSET", key, LETTERS["last_used_at"], 1000)
    used = await store.get(token_id)
    assert used is not None
    assert used.token == msgspec.structs.replace(first.token, last_used_at=1000)
    await shard.link.execute("DEL", key)
    assert await store.get(token_id) is None


async def test_more_records_than_are_remembered_are_read_again(still: Service, store: ManagedStore) -> None:
    token_id = (await create(still, "ci")).token.token_id
    shard = still.stores.shards.of_id(token_id)
    assert shard is not None
    ids = [f"{token_id[:2]}{number:014x}" for number in range(300)]
    for number, other in enumerate(ids):
        digest = bytes([shard.index]) + number.to_bytes(31, "big")
        fields = LETTERS["digest"], digest, LETTERS["last_used_at"], number
        await shard.link.execute("HSET", shard.keys.metadata(other), *fields)
    for _ in range(2):
        found = await store.get_many(ids)
        assert [record and record.token.last_used_at for record in found] == list(range(300))


async def test_of_what_is_remembered_the_oldest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.store.managed.records._REMEMBERED", 2)
    made: list[str] = []

    def make(token_id: str, given: int) -> int:
        made.append(token_id)
        return given

    remembered = Remembered(make)
    assert [remembered.of(token_id, 7) for token_id in ("a", "b", "c", "c", "a")] == [7] * 5
    assert made == ["a", "b", "c", "a"]


async def test_what_is_forgotten_goes_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Made:
        """What is made of a token."""

    monkeypatch.setattr("service.store.managed.records._REMEMBERED", 8)
    remembered, alive, counts = Remembered[int, Made](lambda *_: Made()), WeakSet[Made](), [0]
    for number in range(40):
        alive.add(remembered.of(str(number), number))
        counts.append(len(alive))
    assert counts[:9] == [*range(9)]
    assert set(counts[9:]) == {9}


async def test_a_record_of_a_shard_this_namespace_has_not_cannot_be_written(
    still: Service, store: ManagedStore
) -> None:
    token = msgspec.structs.replace((await create(still, "ci")).token, token_id="77" + "0" * 14)
    before = await dump(still)
    with pytest.raises(StoreUnavailable):
        await store.end([End(token, token, "", ENTRY)], 1)
    assert await dump(still) == before


@pytest.mark.parametrize("state", ["inactive", "revoked"])
@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({}, 1),
        ({"digest": b"other" * 6 + b"xx"}, -1),
        ({"version": 0}, -1),
        # By a primary that the change before has not reached.
        ({"version": 7}, 1),
        ({"token_id": "00" + "0" * 14}, -2),
    ],
)
async def test_an_end_says_what_it_found(
    still: Service, store: ManagedStore, state: str, change: dict[str, Any], answer: int
) -> None:
    created = (await create(still, "ci")).token
    token, now = msgspec.structs.replace(created, **change), int(still.clock())
    before = await dump(still)
    ended = msgspec.structs.replace(token, active=False, revoked_at=now if state == "revoked" else 0)
    assert await store.end([End(token, ended, "ab" * 16, ENTRY)], now) == [answer]
    assert (await dump(still) == before) is (answer < 0)
    record = await store.get(created.token_id)
    assert record is not None
    if answer == 1:
        # Only what was read as it is now is sealed as it is then.
        assert (record.seal, record.token.version) == ("" if change else "ab" * 16, 2)


@pytest.mark.parametrize(("version", "seal"), [(1, "ab" * 16), (0, "")])
async def test_a_revocation_that_insists_seals_what_did_not_change(
    still: Service, store: ManagedStore, version: int, seal: str
) -> None:
    token, now = msgspec.structs.replace((await create(still, "ci")).token, version=version), int(still.clock())
    ended = msgspec.structs.replace(token, active=False, revoked_at=now)
    assert await store.end([End(token, ended, "ab" * 16, ENTRY)], now, insist=True) == [1]
    record = await store.get(token.token_id)
    assert record is not None
    assert (record.seal, record.token.version) == (seal, 2)


@pytest.mark.parametrize("state", ["inactive", "revoked"])
async def test_of_fifty_ends_exactly_one_is_written(still: Service, store: ManagedStore, state: str) -> None:
    token = (await create(still, "ci")).token
    now = int(still.clock())
    ended = msgspec.structs.replace(token, active=False, revoked_at=now if state == "revoked" else 0)
    asked = [store.end([End(token, ended, "", ENTRY)], now) for _ in range(50)]
    assert sorted(await asyncio.gather(*asked)) == [[0]] * 49 + [[1]]
    assert len(await audit(still)) == 2


async def test_the_member_of_names_says_who_bears_the_name(still: Service) -> None:
    token = (await create(still, "ci")).token
    name, token_id = member(token).decode().split("\x00")
    assert (name, token_id) == ("ci", token.token_id)
