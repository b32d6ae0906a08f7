"""Reads what this service wrote into Redis. Anything in another form was written by others, and is skipped."""

import re
from collections.abc import Iterable, Sequence
from itertools import chain

import msgspec

from service.identifiers import TOKEN_ID

_ID = re.compile(TOKEN_ID.pattern.encode())
# As many digits as a sorted set keeps of a number.
_WHOLE = re.compile(rb"-?[0-9]{1,16}")
# Any number of ids or numbers, each followed by a space.
_IDS, _SCORES = (re.compile(rb"(?:%b )*" % one.pattern) for one in (_ID, _WHOLE))
_ID_AND_SPACE = 17


class Member(msgspec.Struct, frozen=True, gc=False):
    """A token's id in a sorted set, and its score."""

    token_id: str
    score: int


def whole(text: bytes | None, absent: int = 0) -> int:
    """A count or an instant; `absent` if there is none, or if it is no whole number."""
    return int(text) if text and _WHOLE.fullmatch(text) else absent


def own_id(text: bytes) -> str | None:
    """The id of a token, None for bytes that cannot be one."""
    return text.decode() if _ID.fullmatch(text) else None


def own_members(reply: Sequence[bytes]) -> list[Member]:
    """From members and scores in turn those that can be ours, in order: token ids with whole scores other than 0."""
    return [Member(token_id, score) for token_id, score in own_scores(reply) if score]


def own_scores(reply: Sequence[bytes]) -> Iterable[tuple[str, int]]:
    """The same with scores of 0, and as pairs, which are cheaper: a page has fifty of them."""
    members, scores = reply[::2], reply[1::2]
    # All at once, because lists read hundreds of them, and one by one takes twice as long.
    ids, numbers = b" ".join((*members, b"")), b" ".join((*scores, b""))
    if len(ids) != _ID_AND_SPACE * len(members) or not (_IDS.fullmatch(ids) and _SCORES.fullmatch(numbers)):
        own = [pair for pair in in_pairs(reply) if _ID.fullmatch(pair[0]) and _WHOLE.fullmatch(pair[1])]
        return own_scores([*chain.from_iterable(own)])
    return zip(ids.decode().split(), map(int, scores), strict=True)


def in_pairs(reply: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    """Members and scores, or fields and values, that Redis sends in turn."""
    return list(zip(reply[::2], reply[1::2], strict=True))
