"""One webhook's receiver: gets what is due again and what is new, until it accepts no more.

The result of the last messages decides how much is sent next. A receiver that accepts nothing gets one message at a
time after growing pauses, while its events stay in their streams.
"""

import asyncio
from collections.abc import Callable

from service.store.batch_size import BatchSize
from service.store.outbox import UNKNOWN, Outbox, Place, Waiting
from service.store.pacing import give_way, paced_list
from service.tokens.webhooks.delivery import GIVE_UP_SECONDS, Delivery, Dispatcher, Outcome, doubled, pause
from service.tokens.webhooks.registry import Known

# Deliveries of one webhook that may wait for a retry in one shard; beyond them no more events are read.
MOST_WAITING = 10_000
_PAGE = 100
_AT_ONCE = 16
# A receiver that works again gets new events within this time.
_LONGEST_PAUSE_SECONDS = 300


class Receiver:
    """The receiver of one webhook. `known` is replaced when the webhook is read again, and None once it is deleted."""

    def __init__(self, known: Known, dispatcher: Dispatcher, on_dropped: Callable[[int], None]) -> None:
        self.known: Known | None = known
        self._id = known.webhook.webhook_id
        self._dispatcher = dispatcher
        self._on_dropped = on_dropped
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._batch = BatchSize(_PAGE)
        self._failures = 0
        self._next_at = 0.0
        # The receiver asked for a pause until then.
        self._quiet_until = 0.0

    async def serve(self, outbox: Outbox, held: Callable[[], bool]) -> None:
        """Send what one shard has until nothing is left, nothing is accepted, or another process has the shard.

        Raises StoreUnavailable.
        """
        if self.known is not None and not self.known.webhook.active:
            # After a repair somebody switches it on again, and then it gets messages at once.
            self._failures, self._next_at, self._quiet_until = 0, 0.0, 0.0
        while self.known is not None and self.known.webhook.active and held():
            again = await self._send_again(outbox)
            told = [await self._tell(outbox, stream) for stream in outbox.shard.keys.event_streams]
            if not (again or any(told)):
                return

    async def _send_again(self, outbox: Outbox) -> bool:
        """Retry what is due. True if there may be more."""
        if self._dispatcher.clock() < self._quiet_until:
            return False
        count = self._most()
        due = await outbox.due(int(self._dispatcher.clock() * 1000), count)
        if not due:
            return False
        read = await paced_list((one, self._dispatcher.open(self._id, one.record)) for one in due)
        good = [delivery for one, delivery in read if delivery is not None and delivery.event_id == one.event_id]
        await self._send(outbox, good)
        # Somebody else wrote or removed these records: nothing in them may be sent.
        if bad := {one.event_id for one in due} - {one.event_id for one in good}:
            await outbox.take_out(list(bad))
        return len(due) == count and not self._failures

    async def _tell(self, outbox: Outbox, stream: str) -> bool:
        """Send what is new. True if there may be more. What is not accepted waits for a retry."""
        known = self.known
        # Events wait in their streams meanwhile, without any extra room.
        if known is None or self._dispatcher.clock() < max(self._next_at, self._quiet_until):
            return False
        count = min(self._most(), MOST_WAITING - await outbox.length())
        if count <= 0:
            return False
        place = await outbox.place(stream) or Place(f"{known.webhook.since}-0", UNKNOWN)
        page = await outbox.read(stream, place, count)
        if not page.events:
            return False
        self._batch.note([len(event.body) for event in page.events])
        await self._send(outbox, await self._dispatcher.deliveries(outbox.shard, stream, page.events, known.webhook))
        # Moved after the sending: if this process dies in between, the page is sent again and not lost.
        if self.known is not None:
            await outbox.move(stream, page)
            self._on_dropped(page.dropped)
        return len(page.events) == count

    def _most(self) -> int:
        return 1 if self._failures else self._batch.count

    async def _send(self, outbox: Outbox, deliveries: list[Delivery]) -> None:
        """Try each delivery once and store the result. A deleted webhook leaves nothing behind."""
        if not deliveries:
            return
        # Beginning a hundred attempts takes half as long as writing as many messages.
        await give_way()
        tried = await asyncio.gather(*[self._attempt(one) for one in deliveries])
        sealed = await paced_list((outcome, one, self._dispatcher.seal(self._id, one)) for outcome, one in tried)
        # If the webhook was deleted meanwhile, anything written now would stay forever.
        if self.known is None:
            return
        by_outcome = {
            outcome: [(one, record) for found, one, record in sealed if found is outcome] for outcome in Outcome
        }
        wait = max((one.wait for one, _ in by_outcome[Outcome.FAILED]), default=0)
        self._learn(taken=bool(by_outcome[Outcome.DELIVERED]), wait=min(wait, GIVE_UP_SECONDS))
        for outcome, ended in by_outcome.items():
            if not ended:
                continue
            self._dispatcher.attempts.inc(outcome.value, by=len(ended))
            if outcome is Outcome.FAILED:
                await outbox.queue(
                    [Waiting(one.event_id, record, int((one.last_at + pause(one)) * 1000)) for one, record in ended]
                )
            else:
                await outbox.remember([record for _, record in ended], given_up=outcome is Outcome.GIVEN_UP)
                # First attempts never waited, so there is nothing to remove.
                if again := [one.event_id for one, _ in ended if one.attempts > 1]:
                    await outbox.take_out(again)

    async def _attempt(self, delivery: Delivery) -> tuple[Outcome, Delivery]:
        """Try once. Returns the result, and the delivery updated with the answer."""
        async with self._slots:
            known, now = self.known, self._dispatcher.clock()
            if known is None:
                return Outcome.FAILED, delivery
            sent, delivery = await self._dispatcher.attempt(known, delivery, now)
        if sent.taken:
            return Outcome.DELIVERED, delivery
        # Given up now if the next attempt would be too late.
        given_up = sent.final or delivery.last_at + pause(delivery) > delivery.created_at + GIVE_UP_SECONDS
        return Outcome.GIVEN_UP if given_up else Outcome.FAILED, delivery

    def _learn(self, *, taken: bool, wait: int) -> None:
        """Speed up if the receiver accepts anything, slow down if it accepts nothing, and pause if it asks for that."""
        self._failures = 0 if taken else self._failures + 1
        pause_seconds = min(doubled(self._failures), _LONGEST_PAUSE_SECONDS) if self._failures else 0
        self._next_at = self._dispatcher.clock() + pause_seconds
        self._quiet_until = self._dispatcher.clock() + wait
