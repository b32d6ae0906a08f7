"""The outbox of a shard: events read for webhooks, and deliveries that wait, were made or were given up."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from service.store.audit_store import Stored, stored
from service.store.scripts import Script
from service.store.shards import Shard
from service.store.webhook_store import GROUP

CONSUMER = "deliverer"
LOCK_MILLISECONDS = 10_000
MADE_KEPT = 100
GIVEN_UP_KEPT = 1000
_KEEP_SECONDS = 30 * 86400


class Waiting(NamedTuple):
    """A delivery: of which event, to whom, and its sealed record."""

    event_id: str
    webhook_id: str
    record: bytes


class Outbox:
    """What the one process does that delivers for a shard."""

    def __init__(self) -> None:
        self._hold = Script("hold_lock", retry=True)

    async def hold(self, shard: Shard, holder: str) -> int:
        """Take or keep the shard for this process: 2 taken, 1 kept, 0 another process has it."""
        held: int = await self._hold.run(shard.link, (shard.keys.delivery_lock,), holder, LOCK_MILLISECONDS)
        return held

    async def let_go(self, shard: Shard, holder: str) -> None:
        """Give the shard up, so that another process need not wait."""
        await self._hold.run(shard.link, (shard.keys.delivery_lock,), holder, 0)

    async def read(self, shard: Shard, count: int, *, again: bool) -> dict[bytes, list[Stored]]:
        """Events by stream that were not read yet; `again`: those that a process read and did not finish."""
        mark = "0" if again else ">"
        reply = await shard.link.execute(
            "XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", count,
            "STREAMS", shard.keys.changes, shard.keys.occurrences, shard.keys.notices, mark, mark, mark,
        )  # fmt: skip
        return {stream: [stored(item) for item in items] for stream, items in reply or []}

    async def finish(self, shard: Shard, stream: bytes, events: list[Stored]) -> None:
        """Their deliveries are written: they need not be read again."""
        await shard.link.execute("XACK", stream, GROUP, *[event.entry_id for event in events], retry=True)

    async def length(self, shard: Shard, webhook_id: str) -> int:
        """How many deliveries wait for a webhook."""
        waiting: int = await shard.link.execute("ZCARD", shard.keys.deliveries_due(webhook_id), retry=True)
        return waiting

    async def queue(self, shard: Shard, deliveries: list[Waiting], due: int) -> None:
        """Let deliveries wait until `due`, epoch milliseconds. The record is written first."""
        ask = shard.link.execute
        await asyncio.gather(
            *[ask("HSET", shard.keys.deliveries(one.webhook_id), one.event_id, one.record) for one in deliveries],
            *[ask("ZADD", shard.keys.deliveries_due(one.webhook_id), due, one.event_id) for one in deliveries],
        )

    async def due(self, shard: Shard, webhook_id: str, now: int, count: int) -> list[Waiting]:
        """Deliveries whose time has come, the longest due first; `now` in epoch milliseconds."""
        ids = await shard.link.execute(
            "ZRANGEBYSCORE", shard.keys.deliveries_due(webhook_id), "-inf", now, "LIMIT", 0, count, retry=True
        )
        return await self._with_records(shard, webhook_id, ids)

    async def waiting(self, shard: Shard, webhook_id: str, count: int) -> list[tuple[Waiting, int]]:
        """Deliveries that wait and when each is due, the next first."""
        reply = await shard.link.execute(
            "ZRANGE", shard.keys.deliveries_due(webhook_id), 0, count - 1, "WITHSCORES", retry=True
        )
        found = await self._with_records(shard, webhook_id, reply[::2])
        return [(one, int(float(score))) for one, score in zip(found, reply[1::2], strict=True)]

    async def _with_records(self, shard: Shard, webhook_id: str, ids: list[bytes]) -> list[Waiting]:
        if not ids:
            return []
        records = await shard.link.execute("HMGET", shard.keys.deliveries(webhook_id), *ids, retry=True)
        return [
            Waiting(event_id.decode(), webhook_id, record or b"") for event_id, record in zip(ids, records, strict=True)
        ]

    async def end(self, shard: Shard, delivery: Waiting, *, given_up: bool) -> None:
        """Take a delivery out and remember how it ended. Made ones are remembered for a while, the last alone."""
        keys, ask = shard.keys, shard.link.execute
        ended = (keys.deliveries_given_up if given_up else keys.deliveries_made)(delivery.webhook_id)
        await ask("LPUSH", ended, delivery.record)
        await asyncio.gather(
            ask("LTRIM", ended, 0, (GIVEN_UP_KEPT if given_up else MADE_KEPT) - 1, retry=True),
            ask("EXPIRE", ended, _KEEP_SECONDS, retry=True),
            ask("ZREM", keys.deliveries_due(delivery.webhook_id), delivery.event_id, retry=True),
            ask("HDEL", keys.deliveries(delivery.webhook_id), delivery.event_id, retry=True),
        )

    async def ended(self, shard: Shard, webhook_id: str, count: int, *, given_up: bool) -> list[bytes]:
        """Sealed records of deliveries that were made or given up, the last first."""
        keys = shard.keys
        key = (keys.deliveries_given_up if given_up else keys.deliveries_made)(webhook_id)
        records: list[bytes] = await shard.link.execute("LRANGE", key, 0, count - 1, retry=True)
        return records

    async def forget(self, shard: Shard, webhook_id: str) -> None:
        """Drop all that waits for a webhook or is remembered of it."""
        keys = shard.keys
        await shard.link.execute(
            "DEL", keys.deliveries_due(webhook_id), keys.deliveries(webhook_id), keys.deliveries_made(webhook_id),
            keys.deliveries_given_up(webhook_id), retry=True,
        )  # fmt: skip
