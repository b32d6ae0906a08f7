"""The hash of a record: letters for names, values in pieces, and the same record whatever way it came about."""

from typing import Any

import msgspec
import pytest

from service.model import ManagedToken, RateLimit
from service.store.managed import records
from service.store.managed.records import Record
from tests.builders import ADMIN, create
from tests.conftest import MakeService

DIGEST = bytes(range(32))
TOKEN = ManagedToken("00a1b2c3d4e5f607", "ci", "89abcdef", DIGEST, "admin", 1_700_000_000_000_001)
VALUES: dict[str, Any] = {
    "description": "a note\n" * 70,
    "metadata": {"team": "x" * 256, "é": "\n"},
    "scopes": ("a:read",) * 50,
    "networks": ("10.0.0.0/8", "2001:db8::/32"),
    "rate_limits": (RateLimit(5, 60, 2),),
    "predecessor": DIGEST,
    "name": "é" * 80,
    "subject": "s" * 128,
    "last_agent": "a" * 64,
}


def hash_of(fields: list[Any]) -> dict[bytes, bytes]:
    """What is in the hash then."""
    texts = [str(one).encode() if isinstance(one, int | str) else one for one in fields]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def row_of(fields: list[Any]) -> tuple[bytes, ...]:
    """The same as Redis returns it."""
    return tuple(part for pair in hash_of(fields).items() for part in pair)


def test_each_field_has_a_letter_of_its_own_but_the_id() -> None:
    stored = {*records.LETTERS} - {"seal"}
    assert stored == {*ManagedToken.__struct_fields__} - {"token_id"}
    assert len({*records.LETTERS.values()}) == len(records.LETTERS)
    assert {len(letter) for letter in records.LETTERS.values()} == {1}
    assert not any(letter.isdigit() for letter in records.LETTERS.values())


@pytest.mark.parametrize("field", msgspec.structs.fields(ManagedToken)[1:], ids=lambda field: field.name)
def test_a_record_comes_back_as_it_was_written(field: Any) -> None:
    value = VALUES.get(field.name, {int: 7, bool: False}.get(field.type, "x"))
    token = msgspec.structs.replace(TOKEN, **{field.name: value if field.name != "digest" else DIGEST})
    assert records.decode(token.token_id, row_of(records.encode(token, seal="ab" * 16))) == Record(token, "ab" * 16)


def test_a_seal_is_made_over_what_a_record_says() -> None:
    """By the names of its fields, without those at their defaults, so that a new field breaks no seal."""
    assert msgspec.msgpack.decode(records.sealed_part(TOKEN)) == {
        "token_id": "00a1b2c3d4e5f607",
        "name": "ci",
        "last_eight": "89abcdef",
        "digest": DIGEST,
        "created_by": "admin",
        "created_micros": 1_700_000_000_000_001,
    }
    rotated = msgspec.structs.replace(TOKEN, predecessor=DIGEST)
    assert msgspec.msgpack.decode(records.sealed_part(rotated))["predecessor"] == DIGEST


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 2000])
def test_a_value_of_any_size_takes_the_place_of_any_other(size: int) -> None:
    for before in (0, 64, 128, 700, 1024, 1500):
        old = msgspec.structs.replace(TOKEN, description="b" * before)
        new = msgspec.structs.replace(TOKEN, description="n" * size)
        fields = records.encode(old, seal="")
        fields += records.encode_changes(old, new, seal="")
        assert records.decode(TOKEN.token_id, row_of(fields)) == Record(new, "")


def test_no_value_up_to_a_kibibyte_is_longer_than_a_compact_hash_bears() -> None:
    long = {
        "name": "\U0001f600" * 80,
        "description": "d" * 500,
        "metadata": {"k" * 64: "v" * 256},
        "subject": "s" * 128,
    }
    token = msgspec.structs.replace(TOKEN, **long)
    assert max(map(len, hash_of(records.encode(token, seal="ab" * 16)).values())) <= 64


async def test_a_record_stays_compact_whatever_its_client_calls_itself(make_service: MakeService) -> None:
    still = await make_service(background=False)
    created = await create(
        still, "n" * 80, description="d" * 500, metadata={"team": "t" * 256}, scopes=("orders:read",) * 20
    )
    shard = still.stores.shards.of_id(created.token.token_id)
    assert shard is not None
    agent = (
        b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 \xe9 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
    )
    await still.rules.authority.verify(created.secret.encode(), ("managed",), agent=agent)  # type: ignore[arg-type]
    await still.rules.usage.flush()
    assert len((await still.rules.managed.tokens.get(created.token.token_id)).last_agent.encode()) == 64
    await still.rules.managed.tokens.update(created.token.token_id, {"description": "e" * 300}, ADMIN)
    assert await shard.link.execute("OBJECT", "ENCODING", shard.keys.metadata(created.token.token_id)) in (
        b"listpack",
        b"ziplist",  # as Redis before 7 has it
    )


async def test_an_ordinary_record_takes_less_than_a_quarter_of_a_kibibyte(make_service: MakeService) -> None:
    still = await make_service(background=False)
    token = (await create(still, "ci for the shop", scopes=("orders:read",))).token
    shard = still.stores.shards.of_id(token.token_id)
    assert shard is not None
    assert await shard.link.execute("MEMORY", "USAGE", shard.keys.metadata(token.token_id)) <= 256
