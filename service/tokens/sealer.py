"""Seals the audit trail: every second a checkpoint over what was written since the last one."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from service.model import AuditEntry
from service.store.audit_store import START, AuditStore, Checkpoint, Stored
from service.store.shards import Shard, Shards
from service.tokens import chain
from service.tokens.secret import Keyring

log = logging.getLogger(__name__)
_decode = msgspec.json.Decoder(AuditEntry).decode


class Sealer:
    """Seals shard after shard. Of two processes that seal at once one is refused, which does no harm."""

    def __init__(
        self, store: AuditStore, shards: Shards, keyrings: tuple[Keyring, ...], *, keep: int,
        count: Callable[[str], None], head: Callable[[int], None],
    ) -> None:  # fmt: skip
        """`keep`: entries kept in a shard. `count` gets the action of each entry, once, in one process.

        `head` is told how many entries were ever sealed; a number that falls tells of a trail that was set back.
        """
        self._store = store
        self._shards = shards
        self._keyrings = keyrings
        self._keep = keep
        self._count = count
        self._head = head
        self._heads: dict[int, Checkpoint] = {}
        self.rolled_back: dict[int, str] = {}

    async def seal(self) -> int:
        """One pass over all shards; how many entries were sealed. Raises StoreUnavailable."""
        sealed = sum([await self._seal(shard) for shard in self._shards])
        self._head(sum(chain.sealed_with(head) for head in self._heads.values()))
        return sealed

    async def _seal(self, shard: Shard) -> int:
        sealed = 0
        while True:
            last = await self.head(shard)
            known = last.entry_id if last else START
            entries = await self._store.oldest(shard, known, chain.LONGEST)
            if not entries:
                return sealed
            checkpoint = chain.forge(self._keyrings[0], shard.keys.events, entries, last, keep=self._keep)
            if not await self._store.seal(shard, known, checkpoint):
                return sealed
            self._heads[shard.index] = checkpoint
            sealed += len(entries)
            self._tell(entries)
            await self._store.forget(shard)
            if len(entries) < chain.LONGEST:
                return sealed

    async def head(self, shard: Shard) -> Checkpoint | None:
        """The newest checkpoint, kept in mind: if it goes, somebody put an older trail in its place."""
        known = self._heads.get(shard.index)
        last = await self._store.last_checkpoint(shard)
        if known is not None and chain.sealed_with(last) < chain.sealed_with(known):
            self.rolled_back[shard.index] = known.entry_id
            log.error("the audit trail of shard %d was set back behind %s", shard.index, known.entry_id)
        if last is not None:
            self._heads[shard.index] = last
        return last

    def _tell(self, entries: list[Stored]) -> None:
        """Count what was written by this service: actions come from a closed set."""
        for entry in entries:
            if chain.genuine(self._keyrings, entry):
                self._count(_decode(entry.body).action)
