"""Slices of one shard's sorted sets, of which a list is put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

from service.model import Status
from service.store import name_search
from service.store.name_search import Row
from service.store.query import Query
from service.store.shards import Shard


class Slice(NamedTuple):
    """Rows of one sorted set in order, and whether there may be more of them."""

    rows: list[Row]
    goes_on: bool


async def creation_slice(
    shard: Shard, key: bytes, *, revoked: bool, after: tuple[str, str] | None, need: int, descending: bool
) -> Slice:
    """Rows by creation: all of the cursor's own microsecond and `need` behind it; the negative half if `revoked`."""
    command = "ZREVRANGEBYSCORE" if descending != revoked else "ZRANGEBYSCORE"
    near, far = ("+inf", "(0") if descending else ("(0", "+inf")
    if revoked:
        near, far = ("-inf", "(0") if descending else ("(0", "-inf")
    ask = shard.link.execute
    reply: list[bytes] = []
    if after is not None:
        mark = f"-{after[0]}" if revoked else after[0]
        near = f"({mark}"
        # All that share the microsecond of the cursor's row: some lie before it, some behind.
        reply = await ask("ZRANGEBYSCORE", key, mark, mark, "WITHSCORES", retry=True)
    behind = await ask(command, key, near, far, "WITHSCORES", "LIMIT", 0, need, retry=True)
    reply += behind
    pairs = zip(reply[::2], reply[1::2], strict=True)
    rows = [Row(f"{abs(int(float(score)))}", token_id.decode()) for token_id, score in pairs]
    return Slice(rows, len(behind) >= 2 * need)


async def slices(shard: Shard, key: bytes, *, revoked: bool, size: int) -> AsyncIterator[list[str]]:
    """All ids, slice by slice of about `size`, some of them twice.

    By score, for ranks shift when others come and go between two slices.
    """
    near, far = ("-inf", "(0") if revoked else ("(0", "+inf")
    while True:
        reply = await shard.link.execute("ZRANGEBYSCORE", key, near, far, "WITHSCORES", "LIMIT", 0, size, retry=True)
        yield [token_id.decode() for token_id in reply[::2]]
        if len(reply) < 2 * size:
            return
        last = reply[-1].decode()
        if last == near:
            size *= 2  # as many share one microsecond as a slice holds
        near = last


async def name_slice(shard: Shard, after: tuple[str, str] | None, need: int, descending: bool) -> list[Row]:
    """Rows behind a cursor by name."""
    # The place of a row is followed by NUL in its member: `place NUL` is before it and `place 0x01` behind.
    place = after[0].encode() if after else b""
    if descending:
        command, near, far = "ZREVRANGEBYLEX", b"(" + place + b"\x00" if after else b"+", b"-"
    else:
        command, near, far = "ZRANGEBYLEX", b"(" + place + b"\x01" if after else b"-", b"+"
    reply = await shard.link.execute(command, shard.keys.names, near, far, "LIMIT", 0, need, retry=True)
    return [name_search.by_place(member) for member in reply]


def sources(shard: Shard, query: Query) -> list[tuple[bytes, bool]]:
    """The sorted sets to page through, and whether it is their negative, revoked half."""
    if query.created_by:
        return [(shard.keys.owner(query.created_by), False)]
    keys = shard.keys
    # A token that expired a moment ago may still be in `on` or `off`; the row's own state decides.
    active = {Status.ACTIVE, Status.EXPIRED}
    inactive = {Status.INACTIVE, Status.EXPIRED}
    found = []
    if query.wanted & active:
        found.append((keys.on, False))
    if query.wanted & inactive:
        found.append((keys.off, False))
    if Status.EXPIRED in query.wanted:
        found.append((keys.dead, False))
    if Status.REVOKED in query.wanted:
        found.append((keys.off, True))
    return found
