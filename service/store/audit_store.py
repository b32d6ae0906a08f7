"""The audit stream: entries come in by the scripts that make a change, or alone where nothing else is written."""

from __future__ import annotations

from typing import NamedTuple

from service.store.shards import Shard


class Entry(NamedTuple):
    """One audit entry as a script takes it: how many to keep, the JSON, its seal."""

    keep: int
    body: bytes
    seal: str


async def append(shard: Shard, entry: Entry) -> None:
    """Write an entry that goes with no other change: a refused sign-in, a reload."""
    await shard.link.execute(
        "XADD", shard.keys.events, "MAXLEN", "~", entry.keep, "*", "e", entry.body, "s", entry.seal
    )
