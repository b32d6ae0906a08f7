"""What others wrote among our ids is passed over, however it looks once many are read together."""

import pytest

from service.store.decoding import own_members
from service.store.driver.keys import shard_of_id, shards_of_ids

OURS, NEXT = b"0012345678abcdef", b"00fedcba98765432"
STRANGE = (b"", b"x", OURS.upper(), OURS + b"\n", OURS + b" " + NEXT, OURS[:-1], OURS + b" ", b"5", b"\xff" * 16)


@pytest.mark.parametrize("member", STRANGE)
def test_a_member_that_is_no_id_takes_no_other_with_it(member: bytes) -> None:
    found = own_members((OURS, b"7", member, b"5", NEXT, b"-9"))
    assert [(one.token_id.encode(), one.score) for one in found] == [(OURS, 7), (NEXT, -9)]


@pytest.mark.parametrize("score", [b"0", b"1.5", b"inf", b"1e+17", b"-", b"12345678901234567"])
def test_a_score_that_is_no_whole_number_takes_no_other_with_it(score: bytes) -> None:
    found = own_members((OURS, score, NEXT, b"-9"))
    assert [(one.token_id.encode(), one.score) for one in found] == [(NEXT, -9)]


def test_members_are_told_apart_though_together_they_read_as_ids() -> None:
    assert own_members((OURS[:-1], b"5", b"f " + NEXT[:-1], b"6", b"", b"8")) == []


@pytest.mark.parametrize("shards", [1, 16])
@pytest.mark.parametrize("strange", [*(one.decode("latin-1") for one in STRANGE), "0112345678abcdef"])
def test_the_shards_of_many_ids_are_those_of_each(strange: str, shards: int) -> None:
    ids = [OURS.decode(), strange, NEXT.decode()]
    assert shards_of_ids(ids, shards) == [shard_of_id(one, shards) for one in ids] != [0, 0, 0]
