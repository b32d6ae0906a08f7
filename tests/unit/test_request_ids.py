"""Ids for requests that bring none."""

from itertools import islice

import pytest

from service.api.http.application import RequestIds, _numbered


@pytest.mark.parametrize("number", [1, 0xFF, 1 << 32, (1 << 40) + 5])
def test_ids_keep_their_length_however_many_there_were(number: int) -> None:
    """An answer prepared beforehand has its length counted with them."""
    later = [*islice(_numbered(b"5a9c17e4b2", number), 600)]
    assert {len(one) for one in later} == {len(RequestIds().new())}
    assert len({*later}) == len(later)


@pytest.mark.parametrize(
    ("given", "is_kept"), [(b"aZ09._-", True), (b"a" * 64, True), (b"a" * 65, False), (b"", False), (b"a b", False)]
)
def test_an_id_that_was_given_is_kept_if_it_is_one(given: bytes, is_kept: bool) -> None:
    assert (RequestIds().of(given) == given) is is_kept
