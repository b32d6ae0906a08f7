"""Deliveries: every event to every webhook that wants it, at least once, for a day.

Only one process at a time delivers for a shard. Each webhook has its own place in the streams of events, which moves
on when a page of them is sent or waits for a retry. If a process dies, its successor reads the rest again.
"""

import asyncio
import logging

from service.errors import StoreUnavailable
from service.identifiers import random_id
from service.store.driver.shards import Shard
from service.store.outbox import Outbox, hold, let_go
from service.store.webhooks import NOTICES_KEPT
from service.tokens.webhooks.delivery import Dispatcher
from service.tokens.webhooks.notices import Notices
from service.tokens.webhooks.receiver import Receiver
from service.tokens.webhooks.registry import Webhooks

log = logging.getLogger(__name__)
_ANNOUNCE_SECONDS = 15.0
# However many receivers lose events, the log has one line about it per minute.
_SAY_SECONDS = 60.0


class Deliveries:
    def __init__(self, webhooks: Webhooks, notices: Notices, dispatcher: Dispatcher) -> None:
        self._webhooks = webhooks
        self._notices = notices
        self._dispatcher = dispatcher
        self._shards = dispatcher.shards
        self._clock = dispatcher.clock
        self._holder = random_id()
        self._held: set[int] = set()
        self._receivers: dict[str, Receiver] = {}
        self._busy: dict[tuple[int, str], asyncio.Task[None]] = {}
        self._announced_at = 0.0
        self._dropped = 0
        self._said_at = 0.0

    async def work(self) -> None:
        """One pass: write notices, and start a task for each receiver in each shard that this process serves.

        Raises StoreUnavailable.
        """
        await self._webhooks.refresh()
        gone = self._update_receivers()
        await self._notices.flush()
        self._say_what_was_dropped()
        # Without a webhook the shards are not asked for anything.
        if not (gone or self._receivers):
            return
        is_due = self._clock() - self._announced_at >= _ANNOUNCE_SECONDS
        more = False
        for shard in self._shards:
            if not await self._hold(shard):
                continue
            for webhook_id in gone:
                await Outbox(shard, webhook_id).forget()
            if is_due:
                more |= not await self._has_room(shard) or await self._notices.announce_expiring(shard)
            for webhook_id, receiver in self._receivers.items():
                self._start(shard, webhook_id, receiver)
        # Remaining notices are written in the next pass, not a quarter of a minute later.
        if is_due and not more:
            self._announced_at = self._clock()
        self._dispatcher.sender.tidy()

    def _update_receivers(self) -> list[str]:
        """Update the receivers. Returns the ids of those that no longer exist."""
        known = self._webhooks.known
        unknown = [webhook_id for webhook_id in self._receivers if webhook_id not in known]
        for webhook_id in unknown:
            # Tells tasks under way that the webhook is gone.
            self._receivers.pop(webhook_id).known = None
        for webhook_id, one in known.items():
            if (receiver := self._receivers.get(webhook_id)) is None:
                self._receivers[webhook_id] = Receiver(one, self._dispatcher, self._drop)
            else:
                receiver.known = one
        # A webhook with a tampered record keeps its place, because the record may be repaired.
        return [webhook_id for webhook_id in unknown if webhook_id not in self._webhooks.tampered]

    async def _hold(self, shard: Shard) -> bool:
        held = await hold(shard, self._holder)
        (self._held.add if held else self._held.discard)(shard.index)
        return held

    async def _has_room(self, shard: Shard) -> bool:
        """True if more notices may be written. The fastest receiver decides, so that a stuck one stops no other."""
        unread = [await Outbox(shard, webhook_id).unread("notices") for webhook_id in self._receivers]
        return min(unread, default=0) <= NOTICES_KEPT // 2

    def _start(self, shard: Shard, webhook_id: str, receiver: Receiver) -> None:
        key = (shard.index, webhook_id)
        # A second task would send the same page again.
        if key not in self._busy:
            task = asyncio.get_running_loop().create_task(self._serve(Outbox(shard, webhook_id), receiver))
            self._busy[key] = task
            task.add_done_callback(lambda _: self._busy.pop(key, None))

    async def _serve(self, outbox: Outbox, receiver: Receiver) -> None:
        try:
            await receiver.serve(outbox, lambda: outbox.shard.index in self._held)
        except StoreUnavailable as error:
            log.debug("deliveries wait: %s", error.detail)

    def _drop(self, events: int) -> None:
        self._dropped += events

    def _say_what_was_dropped(self) -> None:
        if self._dropped and self._clock() - self._said_at >= _SAY_SECONDS:
            log.warning(
                "%d events were trimmed before a webhook took them: see `token-service webhooks list`", self._dropped
            )
            self._dispatcher.attempts.inc("dropped", by=self._dropped)
            self._dropped, self._said_at = 0, self._clock()

    async def aclose(self) -> None:
        """Cancel the tasks under way and let other processes deliver."""
        # A copy, because each task removes itself when it ends.
        tasks = list(self._busy.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._dispatcher.sender.aclose()
        try:
            for shard in self._shards:
                # Otherwise the next process has to wait until the lock expires.
                if shard.index in self._held:
                    await let_go(shard, self._holder)
        except StoreUnavailable:
            log.debug("the shards are let go by themselves")
