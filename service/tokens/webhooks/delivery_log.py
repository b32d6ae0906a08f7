"""For people: deliveries that wait, succeeded or were given up; and messages sent at once, with their answer."""

import asyncio
import re
from collections.abc import Callable
from itertools import chain

import msgspec

from service.errors import NotFound
from service.identifiers import random_id
from service.store.outbox import GIVEN_UP_KEPT, MADE_KEPT, Outbox, Standing, outboxes
from service.store.pacing import paced_list
from service.tokens.webhooks.delivery import Delivery, Dispatcher, Outcome
from service.tokens.webhooks.registry import Webhooks
from service.tokens.webhooks.sender import Sent

PENDING, DELIVERED, DEAD = "pending", "delivered", "dead"
_EVENT_ID = r"[0-9]{1,19}-[0-9]{1,19}\.([0-9]{1,2})[a-z]?"
# A delivery, its state, and when it is due in epoch seconds if it waits.
Logged = tuple[Delivery, str, int]
# Makes the body of a test message from its id and the instant in epoch seconds.
DescribeTest = Callable[[str, int], str]


class _Found(msgspec.Struct, frozen=True):
    """A delivery with its sealed record, and the outbox that has it."""

    outbox: Outbox
    delivery: Delivery
    record: bytes


class DeliveryLog:
    """Reads the outboxes of all shards, and sends messages on request, signed like any other message."""

    def __init__(self, webhooks: Webhooks, dispatcher: Dispatcher, describe: DescribeTest) -> None:
        self._webhooks = webhooks
        self._dispatcher = dispatcher
        self._describe = describe

    async def standing(self, webhook_id: str) -> Standing:
        """How many deliveries of a webhook wait, how many events it has not read and how many it lost, in total."""
        each = await asyncio.gather(*[outbox.standing() for outbox in outboxes(self._dispatcher.shards, webhook_id)])
        return Standing(*map(sum, zip(*each, strict=True)))

    async def read(self, webhook_id: str, status: str | None, count: int) -> list[Logged]:
        """Deliveries of one webhook, in one state or in any.

        Waiting ones come first, the next due one at the top; then ended ones, the latest one at the top.
        """
        found: list[Logged] = []
        boxes = outboxes(self._dispatcher.shards, webhook_id)
        # Sorted separately: waiting ones by when they are due, ended ones by the last attempt.
        if status in (None, PENDING):
            pending = [self._pending(outbox, webhook_id, count) for outbox in boxes]
            found += sorted(chain(*await asyncio.gather(*pending)), key=lambda logged: logged[2])
        ended = [
            self._ended(outbox, webhook_id, count, state)
            for state in (DELIVERED, DEAD)
            if status in (None, state)
            for outbox in boxes
        ]
        found += sorted(chain(*await asyncio.gather(*ended)), key=lambda logged: logged[0].last_at, reverse=True)
        return found[:count]

    async def _find(self, webhook_id: str, event_id: str) -> _Found:
        named, boxes = re.fullmatch(_EVENT_ID, event_id), outboxes(self._dispatcher.shards, webhook_id)
        if named and int(named[1]) < len(boxes):
            outbox = boxes[int(named[1])]
            waiting = await outbox.record(event_id)
            given_up = await outbox.ended(GIVEN_UP_KEPT, given_up=True)
            made = await outbox.ended(MADE_KEPT, given_up=False)
            for record in (waiting, *given_up, *made):
                # Only if the id is in the record: decoding all of a thousand records would block the event loop.
                delivery = self._dispatcher.open(webhook_id, record) if event_id.encode() in record else None
                if delivery is not None and delivery.event_id == event_id:
                    return _Found(outbox, delivery, record)
        raise NotFound("No delivery with this ID. Those that ended are kept while they are among the last.")

    async def _pending(self, outbox: Outbox, webhook_id: str, count: int) -> list[Logged]:
        waiting = await outbox.waiting(count)
        read = await paced_list((self._dispatcher.open(webhook_id, one.record), one.due) for one in waiting)
        return [(delivery, PENDING, due // 1000) for delivery, due in read if delivery is not None]

    async def _ended(self, outbox: Outbox, webhook_id: str, count: int, state: str) -> list[Logged]:
        records = await outbox.ended(count, given_up=state == DEAD)
        read = await paced_list(self._dispatcher.open(webhook_id, record) for record in records)
        return [(delivery, state, 0) for delivery in read if delivery is not None]

    async def test(self, webhook_id: str) -> Sent:
        """Send a test message, which is not stored, and report the receiver's answer; at most five seconds.

        Also to a receiver that is switched off. Raises NotFound, Conflict `record_tampered`.
        """
        known = await self._webhooks.find(webhook_id)
        message_id, now = f"test.{random_id()}", self._dispatcher.clock()
        body = self._describe(message_id, int(now))
        return await self._dispatcher.sender.send(known.webhook.url, known.secrets(now), message_id, body, now)

    async def send_again(self, webhook_id: str, event_id: str) -> Sent:
        """Send a delivery again, whatever its state, and report the receiver's answer.

        If accepted, it counts as delivered; otherwise nothing changes. Raises NotFound, Conflict `record_tampered`.
        """
        known = await self._webhooks.find(webhook_id)
        found = await self._find(webhook_id, event_id)
        sent, delivery = await self._dispatcher.attempt(known, found.delivery, self._dispatcher.clock())
        self._dispatcher.attempts.inc(Outcome.DELIVERED if sent.taken else Outcome.FAILED)
        # If the webhook was deleted meanwhile, anything written now would stay forever.
        if sent.taken and webhook_id in self._webhooks.known:
            made = self._dispatcher.seal(webhook_id, delivery)
            await found.outbox.replace(event_id, found.record, made)
        return sent
