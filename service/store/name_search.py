"""Searching names: ZSCAN of every shard's `names`, and the places in a list that its members stand for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

from service.store.shards import Shard

_CHUNK = 1000
_HEX = frozenset("0123456789abcdefABCDEF~")


class Row(NamedTuple):
    """A place in the list: what it is sorted by, as text for the cursor, and the id."""

    position: str
    token_id: str


async def find(shards: Iterable[Shard], text: str) -> AsyncIterator[list[bytes]]:
    """The members of `names` whose name has this text in it, in any case, or whose secret ends in it, part by part.

    Some too many, for a glob knows bytes alone, and some twice: whoever reads the records compares again.
    """
    pattern, is_hex = _glob(text), _HEX.issuperset(text)
    for shard in shards:
        cursor = b""
        while cursor != b"0":
            cursor, reply = await shard.link.execute(
                "ZSCAN", shard.keys.names, cursor or b"0", "MATCH", pattern, "COUNT", _CHUNK, retry=True
            )
            # Such a text is found in ids and dates as well.
            yield [member for member in reply[::2] if not is_hex or _speaks_of(member, text)]


def _speaks_of(member: bytes, text: str) -> bool:
    name, _, tail, _ = member.decode().split("\x00")
    return text.casefold() in name.casefold() or tail.casefold().endswith(text.casefold())


def by_creation(member: bytes) -> Row:
    """Its row in a list by creation."""
    _, token_id, _, created = member.decode().split("\x00")
    return Row(created, token_id.removeprefix("~"))


def by_place(member: bytes) -> Row:
    """Its row in a list by name. Several revoked tokens may have had one name."""
    name, token_id, _, _ = member.decode().split("\x00")
    return Row(f"{name}\x00{token_id}", token_id.removeprefix("~"))


def _glob(text: str) -> bytes:
    """A glob that finds the text in any case; what a glob would read as its own signs is escaped.

    A glob knows bytes, so any sign beyond ASCII is left open.
    """
    signs = [
        "*" if not sign.isascii() else f"[{sign.lower()}{sign.upper()}]" if sign.isalpha() else
        (sign if sign.isdigit() else f"\\{sign}")
        for sign in text
    ]  # fmt: skip
    return f"*{''.join(signs)}*".encode()
