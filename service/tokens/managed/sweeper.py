"""The sweep: expired tokens are moved, announced once and finally removed. Runs in the background of every process."""

import asyncio
import logging

from service.model import ManagedToken, Origin
from service.store.driver.shards import Shard, Shards
from service.store.managed.expiry import BATCH, ExpiryStore
from service.store.managed.records import REASON_AHEAD_SECONDS
from service.store.managed.tokens import ManagedStore
from service.tokens.audit.log import AuditLog

log = logging.getLogger(__name__)
# If this many expire at once, one entry among the changes says so; it stays when their own entries are trimmed.
MASS = 1000
_CLOCK = Origin(actor="clock", address="", channel="sweep", request_id="")


class Sweeper:
    """Sweeps one shard after the other in bounded steps; two sweepers at once do no harm."""

    def __init__(self, expiry: ExpiryStore, tokens: ManagedStore, shards: Shards, audit_log: AuditLog) -> None:
        self._expiry = expiry
        self._tokens = tokens
        self._shards = shards
        self._audit_log = audit_log
        self._checked_to = [0] * len(shards)
        # For each shard: in which data, and up to which expiry, reasons are written. Repeating a walk does no harm.
        self._reasons_until = [(b"", 0)] * len(shards)

    async def sweep(self) -> int:
        """Sweep all shards once. Returns how many tokens were moved to the expired ones. Raises StoreUnavailable."""
        moved = sum(await asyncio.gather(*[self._sweep(shard) for shard in self._shards]))
        if moved >= MASS:
            await self._audit_log.write("sweep.made", _CLOCK, "tokens", after={"expired": moved})
        return moved

    async def catch_up(self, digest: bytes) -> None:
        """Write reasons in the shard of a digest where no sweep did: after an outage there may be none."""
        shard = self._shards.of_digest(digest)
        await self._write_reasons(shard, await self._expiry.now(shard) + REASON_AHEAD_SECONDS)

    async def _sweep(self, shard: Shard) -> int:
        now = await self._expiry.now(shard)
        # Before anything is moved, because a token among the expired ones is no longer found by its expiry.
        await self._write_reasons(shard, now + REASON_AHEAD_SECONDS)
        moved = await self._expire(shard, now)
        await self._purge(shard, now)
        await self._mend(shard, now)
        await self._expiry.trim(shard, now)
        return moved

    async def _write_reasons(self, shard: Shard, until: int) -> None:
        """Before credentials expire, record what they were; otherwise their secrets would be unknown afterwards."""
        data, (known, reached) = shard.link.replication_id, self._reasons_until[shard.index]
        # From the start after a failover or a restart, which may have lost some reasons.
        start, behind = reached if data == known else 0, ""
        while ending := await self._expiry.ending(shard, start, until, behind):
            await self._expiry.write_reasons(shard, ending)
            behind = ending[-1].token_id
        self._reasons_until[shard.index] = data, until

    # By expiry and not by Redis' notifications: beside 100,000 long-lived keys 5 % of these came within 22 s.
    async def _expire(self, shard: Shard, now: int) -> int:
        moved = 0
        while due := await self._expiry.due(shard, now):
            entries = {token_id: self._audit_log.entry("token.expired", _CLOCK, token_id) for token_id in due}
            done = await self._expiry.expire(shard, entries)
            moved += done
            if not done:
                # Another sweeper was faster, or the clock of Redis was set back.
                break
        return moved

    async def _purge(self, shard: Shard, now: int) -> None:
        while purgeable := await self._expiry.purgeable(shard, now):
            records = await self._tokens.get_many(purgeable)
            settled = [
                await self._expiry.forget(shard, token_id) if record is None else await self._end(shard, record.token)
                for token_id, record in zip(purgeable, records, strict=True)
            ]
            if not any(settled):
                # Another sweeper was faster, or the clock of Redis was set back.
                break

    async def _end(self, shard: Shard, token: ManagedToken) -> bool:
        """Remove a record that is due; list one that has not ended in its right place again."""
        done = await self._expiry.purge(shard, token)
        return done == 1 or (done == -1 and await self._expiry.mend(shard, token))

    async def _mend(self, shard: Shard, now: int) -> None:
        """Check one slice of the tokens that seem to end in the future, and more while some do: a wrong clock listed
        them as ended.
        """
        mended, fixed = 0, 1
        while fixed:
            found = await self._expiry.kept_too_long(shard, now, self._checked_to[shard.index])
            records = await self._tokens.get_many([member.token_id for member in found])
            fixed = sum([await self._expiry.mend(shard, record.token) for record in records if record])
            mended += fixed
        self._checked_to[shard.index] = found[-1].score if len(found) == BATCH else 0
        if mended:
            log.warning("%d tokens that have not ended were listed as ended: listed as they are again", mended)
            # Their expiry may lie before the one up to which reasons are written.
            self._reasons_until[shard.index] = b"", 0
