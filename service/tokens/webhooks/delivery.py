"""One event on its way to one webhook: its message, its sealed record, the result of an attempt, and the next time."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from zlib import crc32

import msgspec

from service.counters import BufferedCounter
from service.keyring import Keyring
from service.model import ManagedToken
from service.store.audit import Stored
from service.store.driver.keys import Stream
from service.store.driver.shards import Shard, Shards
from service.store.managed.tokens import ManagedStore
from service.store.pacing import give_way, paced, paced_list
from service.tokens.audit import macs
from service.tokens.audit.entries import AuditEntry
from service.tokens.webhooks.events import EventType
from service.tokens.webhooks.registry import Known, Webhook
from service.tokens.webhooks.sender import Sender, Sent

GIVE_UP_SECONDS = 86400
_FIRST_PAUSE_SECONDS = 5
_LONGEST_PAUSE_SECONDS = 7200
_decode_entry = msgspec.json.Decoder(AuditEntry).decode

# Makes the body of an event from its type, its public id, its entry, and its token if that has a record.
Describe = Callable[[EventType, str, AuditEntry, ManagedToken | None], str]
# The end of an event's public id, by stream; people find the audit entry by this id.
_SUFFIXES = {"changes": Stream.CHANGES, "occurrences": Stream.OCCURRENCES, "notices": "n"}


class Delivery(msgspec.Struct, frozen=True):
    """One event on its way to one webhook. Instants in epoch seconds; `status` is 0 without an answer.

    `wait`: for how many seconds the receiver asked for a pause.
    """

    event_id: str
    event: str
    body: str
    created_at: int
    attempts: int = 0
    last_at: int = 0
    status: int = 0
    error: str = ""
    wait: int = 0


class Outcome(StrEnum):
    """The result of an attempt: accepted, to be retried, or given up."""

    DELIVERED = "delivered"
    FAILED = "failed"
    GIVEN_UP = "given_up"


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Delivery).decode


def pause(delivery: Delivery) -> float:
    """Seconds until the next attempt: doubled each time, and not the same for all.

    Longer if the receiver asks for it, but not beyond the end of the delivery's day.
    """
    # Not a random number: it is computed more than once per attempt, and must have the same result.
    spread = crc32(f"{delivery.event_id} {delivery.attempts}".encode()) % 1000 / 5000
    left = delivery.created_at + GIVE_UP_SECONDS - delivery.last_at
    return max(doubled(delivery.attempts) * (0.9 + spread), min(delivery.wait, left))


def doubled(attempts: int) -> int:
    """Seconds to wait after this many failed attempts: five, doubled each time, at most two hours."""
    # Bounded before the shift, because a delivery may have very many attempts.
    return min(_FIRST_PAUSE_SECONDS << min(attempts - 1, 20), _LONGEST_PAUSE_SECONDS)


def _bound(webhook_id: str) -> bytes:
    return b"delivery\x00" + webhook_id.encode()


@dataclass(eq=False, repr=False)
class Dispatcher:
    """Makes deliveries from events, stores them and sends them. Ignores anything that this service did not write.

    `attempts` counts by result: delivered, failed or given_up; `dropped` counts events that were never tried, because
    their stream was trimmed before a receiver had room for them.
    """

    shards: Shards
    sender: Sender
    clock: Callable[[], float]
    attempts: BufferedCounter
    _tokens: ManagedStore
    _keyring: Keyring
    _describe: Describe

    def seal(self, webhook_id: str, delivery: Delivery) -> bytes:
        """The sealed record of a delivery, bound to its webhook."""
        return self._keyring.seal(_bound(webhook_id), _encode(delivery))

    def open(self, webhook_id: str, record: bytes) -> Delivery | None:
        """The delivery in a record, None if somebody else wrote it."""
        body = self._keyring.unseal(_bound(webhook_id), record)
        return None if body is None else _decode(body)

    async def attempt(self, known: Known, delivery: Delivery, now: float) -> tuple[Sent, Delivery]:
        """Try once. Returns the answer, and the delivery updated with it."""
        sent = await self.sender.send(known.webhook.url, known.secrets(now), delivery.event_id, delivery.body, now)
        return sent, msgspec.structs.replace(
            delivery,
            attempts=delivery.attempts + 1,
            last_at=int(now),
            status=sent.status,
            error=sent.error,
            wait=sent.wait,
        )

    async def deliveries(self, shard: Shard, stream: str, events: list[Stored], webhook: Webhook) -> list[Delivery]:
        """The deliveries of the events that a webhook wants, in order. One round trip, none if it wants none."""
        # The id of a stream entry begins with its time in milliseconds.
        later = [event for event in events if int(event.entry_id.partition("-")[0]) >= webhook.since]
        entries = await paced_list((event, self._entry(event)) for event in later)
        told = [(event, entry) for event, entry in entries if entry is not None and entry.action in webhook.events]
        if not told:
            return []
        # Asking for a hundred tokens takes half as long as decoding as many entries.
        await give_way()
        records = await self._tokens.get_many([entry.target for _, entry in told])
        now, deliveries = int(self.clock()), []
        async for (event, entry), record in paced(zip(told, records, strict=True)):
            kind, event_id = EventType(entry.action), f"{event.entry_id}.{shard.index}{_SUFFIXES[stream]}"
            body = self._describe(kind, event_id, entry, record.token if record else None)
            deliveries.append(Delivery(event_id, kind, body, now))
        return deliveries

    def _entry(self, event: Stored) -> AuditEntry | None:
        return _decode_entry(event.body) if macs.genuine(self._keyring, event) else None
