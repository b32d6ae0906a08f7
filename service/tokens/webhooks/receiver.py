"""One webhook's receiver: what is due again and what happened since, sent until it takes no more.

How it took what it was sent last decides how much it is sent next: a receiver that takes nothing is asked with
one message at a time and after growing pauses, while its events stay in their streams.
"""

import asyncio
from collections.abc import Callable

from service.store.batch_size import BatchSize
from service.store.outbox import UNKNOWN, Outbox, Place, Waiting
from service.store.pacing import give_way, paced_list
from service.tokens.webhooks.delivery import GIVE_UP_SECONDS, Delivery, Dispatcher, Outcome, doubled, pause
from service.tokens.webhooks.registry import Known

# Deliveries of one webhook that may wait in one shard to be sent again; beyond them no more events are read.
MOST_WAITING = 10_000
_PAGE = 100
_AT_ONCE = 16
# A receiver that is back takes what is new within this time.
_LONGEST_PAUSE_SECONDS = 300


class Receiver:
    """Where one webhook leads. `known` is replaced when the webhook is read anew, None once it is no more."""

    def __init__(self, known: Known, dispatcher: Dispatcher, on_dropped: Callable[[int], None]) -> None:
        self.known: Known | None = known
        self._id = known.webhook.webhook_id
        self._dispatcher = dispatcher
        self._on_dropped = on_dropped
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._batch = BatchSize(_PAGE)
        self._failures = 0
        self._next_at = 0.0
        # It asked to be left alone until then.
        self._quiet_until = 0.0

    async def serve(self, outbox: Outbox, held: Callable[[], bool]) -> None:
        """Send what one shard has until nothing is left, it takes nothing, or the shard is another process's.

        Raises StoreUnavailable.
        """
        if self.known is not None and not self.known.webhook.active:
            # Whoever mends it and switches it on has it asked at once.
            self._failures, self._next_at, self._quiet_until = 0, 0.0, 0.0
        while self.known is not None and self.known.webhook.active and held():
            again = await self._send_again(outbox)
            told = [await self._tell(outbox, stream) for stream in outbox.shard.keys.event_streams]
            if not (again or any(told)):
                return

    async def _send_again(self, outbox: Outbox) -> bool:
        """Send what is due once more; True if there may be more."""
        if self._dispatcher.clock() < self._quiet_until:
            return False
        count = self._most()
        due = await outbox.due(int(self._dispatcher.clock() * 1000), count)
        if not due:
            return False
        read = await paced_list((one, self._dispatcher.open(self._id, one.record)) for one in due)
        good = [delivery for one, delivery in read if delivery is not None and delivery.event_id == one.event_id]
        await self._send(outbox, good)
        # Somebody else wrote or removed these records: there is nothing that could be sent in good faith.
        if bad := {one.event_id for one in due} - {one.event_id for one in good}:
            await outbox.take_out(list(bad))
        return len(due) == count and not self._failures

    async def _tell(self, outbox: Outbox, stream: str) -> bool:
        """Send what happened since; True if there may be more. What is not taken waits to be sent again."""
        known = self.known
        # Events wait in their streams meanwhile, where they take no room of their own.
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
        # Moved on after the sending: should this process die in between, the page is sent once more and not lost.
        if self.known is not None:
            await outbox.move(stream, page)
            self._on_dropped(page.dropped)
        return len(page.events) == count

    def _most(self) -> int:
        return 1 if self._failures else self._batch.count

    async def _send(self, outbox: Outbox, deliveries: list[Delivery]) -> None:
        """Try each once, and write down how that went. A deleted webhook leaves nothing behind."""
        if not deliveries:
            return
        # To begin a hundred attempts takes half as long as to write as many messages.
        await give_way()
        tried = await asyncio.gather(*[self._attempt(one) for one in deliveries])
        sealed = await paced_list((outcome, one, self._dispatcher.seal(self._id, one)) for outcome, one in tried)
        # Deleted while it was sent to: what is written now would never go away.
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
                # Those that never waited are not there to be taken out.
                if again := [one.event_id for one, _ in ended if one.attempts > 1]:
                    await outbox.take_out(again)

    async def _attempt(self, delivery: Delivery) -> tuple[Outcome, Delivery]:
        """Try once: how it went, and the delivery with what was answered."""
        async with self._slots:
            known, now = self.known, self._dispatcher.clock()
            if known is None:
                return Outcome.FAILED, delivery
            sent, delivery = await self._dispatcher.attempt(known, delivery, now)
        if sent.taken:
            return Outcome.DELIVERED, delivery
        # Given up now where the next attempt would come too late.
        given_up = sent.final or delivery.last_at + pause(delivery) > delivery.created_at + GIVE_UP_SECONDS
        return Outcome.GIVEN_UP if given_up else Outcome.FAILED, delivery

    def _learn(self, *, taken: bool, wait: int) -> None:
        """Be quick again with who takes anything, slower with who takes nothing, and wait where it asks for it."""
        self._failures = 0 if taken else self._failures + 1
        pause_seconds = min(doubled(self._failures), _LONGEST_PAUSE_SECONDS) if self._failures else 0
        self._next_at = self._dispatcher.clock() + pause_seconds
        self._quiet_until = self._dispatcher.clock() + wait
