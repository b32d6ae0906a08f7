"""The sweep: what time has ended is moved, told once and at last removed. Runs in the background of every process."""

from __future__ import annotations

from collections.abc import Callable

from service.model import Origin
from service.store.expiry_store import ExpiryStore
from service.store.managed_store import ManagedStore
from service.store.shards import Shard, Shards
from service.tokens.trail import Trail

# So many at once leave a line among the changes, which stays when their own entries are pushed out by more.
MASS = 1000
_CLOCK = Origin(actor="clock", address="", channel="sweep", request_id="")


class Sweeper:
    """Sweeps shard after shard in bounded steps; two sweepers at once do no harm."""

    def __init__(
        self, expiry: ExpiryStore, tokens: ManagedStore, shards: Shards, trail: Trail, clock: Callable[[], float]
    ) -> None:
        self._expiry = expiry
        self._tokens = tokens
        self._shards = shards
        self._trail = trail
        self._clock = clock

    async def sweep(self) -> int:
        """One pass over all shards; how many tokens were moved to the expired ones. Raises StoreUnavailable."""
        moved = sum([await self._sweep(shard) for shard in self._shards])
        if moved >= MASS:
            await self._trail.write("sweep.made", _CLOCK, "tokens", after={"expired": moved})
        return moved

    async def _sweep(self, shard: Shard) -> int:
        now, moved = int(self._clock()), 0
        while due := await self._expiry.due(shard, now):
            entries = {token_id: self._trail.entry("token.expired", _CLOCK, token_id) for token_id in due}
            moved += await self._expiry.expire(shard, now, entries)
        while purgeable := await self._expiry.purgeable(shard, now):
            records = await self._tokens.get_many(purgeable)
            for token_id, record in zip(purgeable, records, strict=True):
                if record is None:
                    await self._expiry.forget(shard, token_id)
                else:
                    await self._expiry.purge(shard, record.token, now)
        await self._expiry.trim(shard, now)
        return moved
