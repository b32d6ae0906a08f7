"""What became of deliveries, for people: those that wait, were made or were given up, and what is still to come."""

import asyncio
import re
from typing import NamedTuple

from service.errors import NotFound
from service.store.driver.shards import Shard, Shards
from service.store.outbox import GIVEN_UP_KEPT, MADE_KEPT, Outbox, Standing
from service.tokens.webhooks.delivery import Delivery, DeliverySeal

PENDING, DELIVERED, DEAD = "pending", "delivered", "dead"
_EVENT_ID = re.compile(r"[0-9]{1,19}-[0-9]{1,19}\.([0-9]{1,2})[a-z]?")
# A delivery, its state, and when it is due in epoch seconds if it waits.
Logged = tuple[Delivery, str, int]


class Found(NamedTuple):
    """A delivery with its sealed record, and the shard that has it."""

    shard: Shard
    delivery: Delivery
    record: bytes


class DeliveryLog:
    """Reads the outboxes of all shards."""

    def __init__(self, outbox: Outbox, shards: Shards, seal: DeliverySeal) -> None:
        self._outbox = outbox
        self._shards = shards
        self._seal = seal

    async def standing(self, webhook_id: str) -> Standing:
        """How many deliveries of a webhook wait, events it has not read, and events it lost, in all shards."""
        each = await asyncio.gather(*[self._outbox.standing(shard, webhook_id) for shard in self._shards])
        return Standing(*map(sum, zip(*each, strict=True)))

    async def read(self, webhook_id: str, status: str | None, count: int) -> list[Logged]:
        """Deliveries of one webhook, in one state or in any.

        Those that wait come first, the next due before the others; then those that ended, the last before the others.
        """
        found: list[Logged] = []
        # Sorted apart: what waits by when it is due, what ended by when it was tried last.
        if status in (None, PENDING):
            pending = [self._pending(shard, webhook_id, count) for shard in self._shards]
            found += sorted(_flat(await asyncio.gather(*pending)), key=lambda logged: logged[2])
        ended = [
            self._ended(shard, webhook_id, count, state)
            for state in (DELIVERED, DEAD)
            if status in (None, state)
            for shard in self._shards
        ]
        found += sorted(_flat(await asyncio.gather(*ended)), key=lambda logged: logged[0].last_at, reverse=True)
        return found[:count]

    async def find(self, webhook_id: str, event_id: str) -> Found:
        """One delivery by its id. Raises NotFound."""
        if shard := self._shard_of(event_id):
            waiting = await self._outbox.record(shard, webhook_id, event_id)
            given_up = await self._outbox.ended(shard, webhook_id, GIVEN_UP_KEPT, given_up=True)
            made = await self._outbox.ended(shard, webhook_id, MADE_KEPT, given_up=False)
            for record in (waiting, *given_up, *made):
                # Opening all of a thousand would keep the loop.
                delivery = self._seal.open(webhook_id, record) if event_id.encode() in record else None
                if delivery is not None and delivery.event_id == event_id:
                    return Found(shard, delivery, record)
        raise NotFound("No delivery with this ID. Those that ended are kept while they are among the last.")

    def _shard_of(self, event_id: str) -> Shard | None:
        found = _EVENT_ID.fullmatch(event_id)
        index = int(found[1]) if found else len(self._shards)
        return self._shards[index] if index < len(self._shards) else None

    async def _pending(self, shard: Shard, webhook_id: str, count: int) -> list[Logged]:
        waiting = await self._outbox.waiting(shard, webhook_id, count)
        decoded = [(self._seal.open(webhook_id, one.record), one.due) for one in waiting]
        return [(delivery, PENDING, due // 1000) for delivery, due in decoded if delivery is not None]

    async def _ended(self, shard: Shard, webhook_id: str, count: int, state: str) -> list[Logged]:
        records = await self._outbox.ended(shard, webhook_id, count, given_up=state == DEAD)
        decoded = [self._seal.open(webhook_id, record) for record in records]
        return [(delivery, state, 0) for delivery in decoded if delivery is not None]


def _flat(parts: list[list[Logged]]) -> list[Logged]:
    return [logged for part in parts for logged in part]
