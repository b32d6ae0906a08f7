"""What time ends: tokens whose date has passed, records past their retention, index members of gone keys."""

from __future__ import annotations

from service.model import ManagedToken
from service.store.audit_store import Entry
from service.store.managed_store import Retention, freed_member, member
from service.store.name_search import Blocks, name_row
from service.store.scripts import Script
from service.store.shards import Shard, Shards

BATCH = 200


class ExpiryStore:
    """Bounded steps of the sweep, each harmless if two processes take it at once."""

    def __init__(self, shards: Shards, retention: Retention) -> None:
        self._shards = shards
        self._retention = retention
        self._blocks = Blocks(len(shards))
        self._expire = Script("expire_tokens", retry=True)
        self._purge = Script("purge_token", retry=True)

    async def due(self, shard: Shard, now: int) -> list[str]:
        """Ids whose date has passed and that still stand among the active or inactive ones, at most 200."""
        active = await shard.link.execute("ZRANGEBYSCORE", shard.keys.expiry, 1, now, "LIMIT", 0, BATCH, retry=True)
        inactive = await shard.link.execute("ZRANGEBYSCORE", shard.keys.expiry, -now, -1, "LIMIT", 0, BATCH, retry=True)
        return [token_id.decode() for token_id in (active + inactive)[:BATCH]]

    async def expire(self, shard: Shard, now: int, entries: dict[str, Entry]) -> int:
        """Move tokens to the expired ones and write each one's entry, once; how many were moved."""
        keys = shard.keys
        arguments = [part for token_id, entry in entries.items() for part in (token_id, entry.body, entry.seal)]
        keep = next(iter(entries.values())).keep
        moved: int = await self._expire.run(
            shard.link, (keys.on, keys.off, keys.dead, keys.expiry, keys.purge, keys.occurrences),
            now, self._retention.seconds, keep, *arguments,
        )  # fmt: skip
        return moved

    async def purgeable(self, shard: Shard, now: int) -> list[str]:
        """Ids whose retention is over, at most 200."""
        ids = await shard.link.execute("ZRANGEBYSCORE", shard.keys.purge, "-inf", now, "LIMIT", 0, BATCH, retry=True)
        return [token_id.decode() for token_id in ids]

    async def purge(self, shard: Shard, token: ManagedToken, now: int) -> None:
        """Remove a record for good."""
        keys = shard.keys
        await self._purge.run(
            shard.link,
            (keys.metadata(token.token_id), keys.usage_by_day(token.token_id), keys.off, keys.dead, keys.purge,
             keys.names, keys.owner(token.created_by), keys.foreign, keys.last_uses, keys.name_blocks),
            token.token_id, now, member(token), freed_member(token), self._blocks.of(token.token_id), name_row(token),
        )  # fmt: skip
        name_shard = self._shards.of_name(token.name)
        if name_shard is not shard:
            await name_shard.link.execute("ZREM", name_shard.keys.names, member(token), freed_member(token), retry=True)

    async def forget(self, shard: Shard, token_id: str) -> None:
        """Drop what still points at a record that is gone."""
        for index in (shard.keys.purge, shard.keys.off, shard.keys.dead):
            await shard.link.execute("ZREM", index, token_id, retry=True)

    async def trim(self, shard: Shard, now: int) -> None:
        """Drop index members of one-time and session tokens that have expired."""
        for index in (shard.keys.one_time_index, shard.keys.session_index):
            await shard.link.execute("ZREMRANGEBYSCORE", index, "-inf", now, retry=True)
