"""What this service writes into Redis, read again. Whatever has another form somebody else wrote: it is passed over."""

import re
from collections.abc import Iterable

import msgspec

from service.identifiers import TOKEN_ID

_ID = re.compile(TOKEN_ID.pattern.encode())
# An id and a whole score, a line of each.
_MEMBERS = re.compile(rf"^({TOKEN_ID.pattern}) (-?[0-9]{{1,16}})$", re.MULTILINE)
# As many digits as a sorted set keeps of a number.
_WHOLE = re.compile(rb"-?[0-9]{1,16}")


class Member(msgspec.Struct, frozen=True, gc=False):
    """A token's id in a sorted set, and its score."""

    token_id: str
    score: int


def whole(text: bytes | None, absent: int = 0) -> int:
    """A count or an instant; `absent` for none, and for what is no whole number."""
    return int(text) if text and _WHOLE.fullmatch(text) else absent


def own_id(text: bytes) -> str | None:
    """The id of a token, None for what cannot be one."""
    return text.decode() if _ID.fullmatch(text) else None


def own_member(member: bytes, score: bytes) -> Member | None:
    """A member of a set that has ids and whole scores other than 0, None for any other."""
    return next(iter(own_members([(member, score)])), None)


def own_members(pairs: Iterable[tuple[bytes, bytes]]) -> list[Member]:
    """Those that can be ours, in their order."""
    # In one go, for lists read hundreds of them at once.
    found = _MEMBERS.findall(b"\n".join(map(b" ".join, pairs)).decode("latin-1"))
    return [Member(token_id, number) for token_id, score in found if (number := int(score))]


def in_pairs(reply: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Members and scores, or fields and values, that Redis sends in turn."""
    return list(zip(reply[::2], reply[1::2], strict=True))
