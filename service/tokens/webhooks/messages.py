"""Messages: events of the streams, as one webhook is told of them."""

from collections.abc import Callable

import msgspec

from service.keyring import Keyring
from service.model import AuditEntry, ManagedToken
from service.store.audit import Stored
from service.store.driver.keys import Stream
from service.store.driver.shards import Shard
from service.store.managed.tokens import ManagedStore
from service.store.pacing import give_way
from service.tokens.audit import macs
from service.tokens.webhooks.delivery import Delivery
from service.tokens.webhooks.events import EventType, event_type
from service.tokens.webhooks.registry import Webhook

# To write so many messages keeps the loop for half a millisecond.
_AT_ONCE = 15
_decode_entry = msgspec.json.Decoder(AuditEntry).decode

# Makes the body of an event: its type, its public id, its entry, and the token it is about if there is a record.
Describe = Callable[[EventType, str, AuditEntry, ManagedToken | None], str]
# How an event's public id ends, by the stream it stands in: entries of the audit log are found by it.
_SUFFIXES = {"changes": Stream.CHANGES, "occurrences": Stream.OCCURRENCES, "notices": "n"}


class Messages:
    """Turns events into deliveries. What another one than this service wrote is passed over."""

    def __init__(self, tokens: ManagedStore, keyring: Keyring, describe: Describe, clock: Callable[[], float]) -> None:
        self._tokens = tokens
        self._keyring = keyring
        self._describe = describe
        self._clock = clock

    async def deliveries(self, shard: Shard, stream: str, events: list[Stored], webhook: Webhook) -> list[Delivery]:
        """What a webhook wants to know of these events, in their order. One round trip, none if it is nothing."""
        told = [
            (event, entry, kind)
            for event in events
            # An id of a stream begins with the milliseconds of its entry.
            if int(event.entry_id.partition("-")[0]) >= webhook.since
            and (entry := self._entry(event)) is not None
            and (kind := event_type(entry.action)) in webhook.events
            and kind is not None
        ]
        if not told:
            return []
        records = await self._tokens.get_many([entry.target for _, entry, _ in told])
        now = int(self._clock())
        deliveries = []
        for place, ((event, entry, kind), record) in enumerate(zip(told, records, strict=True)):
            if place % _AT_ONCE == 0:
                await give_way()
            event_id = f"{event.entry_id}.{shard.index}{_SUFFIXES[stream]}"
            body = self._describe(kind, event_id, entry, record.token if record else None)
            deliveries.append(Delivery(event_id, kind, body, now))
        return deliveries

    def _entry(self, event: Stored) -> AuditEntry | None:
        return _decode_entry(event.body) if macs.genuine(self._keyring, event) else None
