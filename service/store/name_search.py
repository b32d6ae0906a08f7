"""Searching names: ZSCAN of every shard's `names`, and the places in a list that its members stand for."""

from __future__ import annotations

import asyncio
import heapq
from typing import NamedTuple

from service.store.shards import Shard, Shards

_CHUNK = 1000
# A creation in epoch microseconds, the end of every member, keeps this length until the year 2286.
_CREATION = 16
_HEX = frozenset("0123456789abcdefABCDEF~")


class Row(NamedTuple):
    """A place in the list: what it is sorted by, as text for the cursor, and the id."""

    position: str
    token_id: str


async def find(shards: Shards, text: str) -> list[bytes]:
    """The members of `names` whose name has this text in it, in any case, or whose secret ends in it.

    Some too many, for a glob knows bytes alone: whoever reads the records compares again.
    """
    parts = await asyncio.gather(*[_scan(shard, _glob(text)) for shard in shards])
    members = [member for part in parts for member in part]
    if not _HEX.issuperset(text):
        return members
    # Such a text is found in ids and dates as well.
    return [member for member in members if _speaks_of(member, text)]


async def _scan(shard: Shard, pattern: bytes) -> list[bytes]:
    cursor, members = b"0", []
    while True:
        cursor, reply = await shard.link.execute(
            "ZSCAN", shard.keys.names, cursor, "MATCH", pattern, "COUNT", _CHUNK, retry=True
        )
        members += reply[::2]
        if cursor == b"0":
            return members


def _speaks_of(member: bytes, text: str) -> bool:
    name, _, tail, _ = member.decode().split("\x00")
    return text.casefold() in name.casefold() or tail.casefold().endswith(text.casefold())


def best_by_creation(
    members: list[bytes], count: int, *, descending: bool, bound: str
) -> tuple[list[Row], list[bytes]]:
    """The rows that come first, up to `count` of them, and the members behind those, in no order.

    `bound`: the creation of the cursor's row, empty without one. All that share an instant stay together.
    """
    if bound:
        mark = bound.encode()
        members = [m for m in members if (m[-_CREATION:] <= mark if descending else m[-_CREATION:] >= mark)]
    if len(members) <= count:
        return [by_creation(member) for member in members], []
    choose = heapq.nlargest if descending else heapq.nsmallest
    edge = choose(count + 1, members, key=_creation)[-1][-_CREATION:]
    best = [m for m in members if (m[-_CREATION:] > edge if descending else m[-_CREATION:] < edge)]
    rest = [m for m in members if not (m[-_CREATION:] > edge if descending else m[-_CREATION:] < edge)]
    return [by_creation(member) for member in best], rest


def _creation(member: bytes) -> bytes:
    return member[-_CREATION:]


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
