"""Deliveries: every event to every webhook that wants it, at least once, for a day.

One process delivers for a shard at a time. It reads events by a consumer group, writes one delivery for each
receiver, and only then calls the event read; what it leaves behind when it dies its successor reads again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple, Protocol
from zlib import crc32

import msgspec

from service.errors import StoreUnavailable
from service.model import AuditEntry, ManagedToken
from service.store.audit_store import Stored
from service.store.keys import Stream
from service.store.managed_store import ManagedStore
from service.store.outbox import Outbox, Waiting
from service.store.shards import Shard, Shards
from service.store.webhook_store import WebhookStore
from service.tokens import chain
from service.tokens.events import EventType, event_type
from service.tokens.notices import Notices
from service.tokens.secret import Keyring, random_id
from service.tokens.webhooks import Known, Webhooks

log = logging.getLogger(__name__)
GIVE_UP_SECONDS = 86400
MOST_WAITING = 10_000
_FIRST_PAUSE_SECONDS = 5
_LONGEST_PAUSE_SECONDS = 7200
_READ = 100
_AT_ONCE = 4
_LOOK_AHEAD_SECONDS = 15.0
_decode_entry = msgspec.json.Decoder(AuditEntry).decode
_encode = msgspec.msgpack.Encoder().encode

# Makes the body of an event: its type, its public id, its entry, and the token it is about if there is a record.
Describe = Callable[[EventType, str, AuditEntry, ManagedToken | None], str]


class Sent(NamedTuple):
    """How an attempt ended: taken by the receiver or not, whether another one makes sense, and what to say of it."""

    taken: bool
    final: bool
    status: int
    error: str


class Courier(Protocol):
    """Carries one message to a receiver."""

    async def send(self, url: str, secret: str, message_id: str, body: str, now: float) -> Sent: ...


class Delivery(msgspec.Struct, frozen=True):
    """One event on its way to one webhook. Instants in epoch seconds; `status` 0 without an answer."""

    event_id: str
    event: str
    body: str
    created_at: int
    attempts: int = 0
    last_at: int = 0
    status: int = 0
    error: str = ""


_decode = msgspec.msgpack.Decoder(Delivery).decode


class Deliveries:
    """Delivers in the background. `count` is told how each attempt ended: delivered, failed or given_up."""

    def __init__(
        self, webhooks: Webhooks, notices: Notices, store: WebhookStore, outbox: Outbox, tokens: ManagedStore,
        shards: Shards, keyrings: tuple[Keyring, ...], courier: Courier, describe: Describe,
        clock: Callable[[], float], *, count: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._webhooks = webhooks
        self._notices = notices
        self._store = store
        self._outbox = outbox
        self._tokens = tokens
        self._shards = shards
        self._keyrings = keyrings
        self.courier = courier
        self._describe = describe
        self._clock = clock
        self._count = count
        self._holder = random_id()
        self._seen: set[str] = set()
        self._looked_at = 0.0
        self._unfinished: set[int] = set()
        self._busy: dict[tuple[int, str], asyncio.Task[None]] = {}

    async def work(self) -> None:
        """One pass: write notices, read events, and start a task for each receiver with something due.

        Raises StoreUnavailable.
        """
        await self._webhooks.refresh()
        gone, self._seen = self._seen - set(self._webhooks.known), set(self._webhooks.known)
        await self._notices.flush()
        if not (gone or self._seen):
            return
        looks_ahead = self._clock() - self._looked_at >= _LOOK_AHEAD_SECONDS
        for shard in self._shards:
            held = await self._outbox.hold(shard, self._holder)
            if not held:
                continue
            for webhook_id in gone:
                await self._outbox.forget(shard, webhook_id)
            if looks_ahead:
                await self._notices.look_ahead(shard)
            await self._take_in(shard, taken_over=held == 2)
            for known in self._webhooks.known.values():
                self._start(shard, known)
        self._looked_at = self._clock() if looks_ahead else self._looked_at

    async def _take_in(self, shard: Shard, *, taken_over: bool) -> None:
        """Turn events into deliveries; first those that were read and not finished, by a predecessor or here."""
        if taken_over:
            await self._store.open_one(shard)
            self._unfinished.add(shard.index)
        if shard.index in self._unfinished:
            while await self._read(shard, again=True):
                pass
        # Should Redis go in between, what it gave out is known by nobody but itself.
        self._unfinished.add(shard.index)
        while await self._read(shard, again=False):
            pass
        self._unfinished.remove(shard.index)

    async def _read(self, shard: Shard, *, again: bool) -> bool:
        """One page of events; True if there may be more."""
        read = await self._outbox.read(shard, _READ, again=again)
        for stream, events in read.items():
            if events:
                await self._queue(shard, events, suffix=_suffix(shard, stream))
                await self._outbox.finish(shard, stream, events)
        return any(len(events) == _READ for events in read.values())

    async def _queue(self, shard: Shard, events: list[Stored], *, suffix: str) -> None:
        now = self._clock()
        told = [(event, entry, kind) for event in events if (entry := self._entry(event)) is not None
                and (kind := event_type(entry.action)) is not None and self._webhooks.wants(kind)]  # fmt: skip
        records = await self._tokens.get_many([entry.target for _, entry, _ in told])
        waiting: list[Waiting] = []
        for (event, entry, kind), record in zip(told, records, strict=True):
            event_id = f"{event.entry_id}.{shard.index}{suffix}"
            body = self._describe(kind, event_id, entry, record.token if record else None)
            delivery = Delivery(event_id, kind, body, int(now))
            milliseconds = int(event.entry_id.partition("-")[0])
            waiting += [
                Waiting(event_id, webhook_id, self._seal(webhook_id, delivery))
                for webhook_id, known in self._webhooks.known.items()
                if kind in known.webhook.events and milliseconds >= known.webhook.since
            ]
        for delivery_to in await self._within_bounds(shard, waiting):
            await self._outbox.end(shard, delivery_to, given_up=True)
            self._count("given_up")
        if waiting:
            await self._outbox.queue(shard, waiting, int(now * 1000))

    async def _within_bounds(self, shard: Shard, waiting: list[Waiting]) -> list[Waiting]:
        """Take out of `waiting` what a receiver that takes nothing has no room for any more."""
        over = []
        for webhook_id in {one.webhook_id for one in waiting}:
            room = MOST_WAITING - await self._outbox.length(shard, webhook_id)
            its_own = [one for one in waiting if one.webhook_id == webhook_id]
            over += its_own[max(0, room) :]
        for one in over:
            waiting.remove(one)
        return over

    def _entry(self, event: Stored) -> AuditEntry | None:
        """What an event says, None if this service did not write it."""
        return _decode_entry(event.body) if chain.genuine(self._keyrings, event) else None

    def _start(self, shard: Shard, known: Known) -> None:
        key = (shard.index, known.webhook.webhook_id)
        if key not in self._busy:
            task = asyncio.get_running_loop().create_task(self._deliver(shard, known))
            self._busy[key] = task
            task.add_done_callback(lambda _: self._busy.pop(key, None))

    async def _deliver(self, shard: Shard, known: Known) -> None:
        """Send what is due to one receiver until nothing is, or one attempt fails."""
        webhook_id = known.webhook.webhook_id
        try:
            while webhook_id in self._webhooks.known:
                due = await self._outbox.due(shard, webhook_id, int(self._clock() * 1000), _AT_ONCE)
                done = await asyncio.gather(*[self._attempt(shard, known, one) for one in due])
                if len(due) < _AT_ONCE or not all(done):
                    return
        except StoreUnavailable as error:
            log.debug("deliveries wait: %s", error.detail)

    async def _attempt(self, shard: Shard, known: Known, waiting: Waiting) -> bool:
        """Try once; True if the receiver took it."""
        delivery = self.open(waiting.webhook_id, waiting.record)
        if delivery is None or delivery.event_id != waiting.event_id:
            # Somebody else wrote or removed the record: there is nothing that could be sent in good faith.
            await self._outbox.end(shard, waiting._replace(record=b""), given_up=True)
            return True
        now = self._clock()
        sent = await self.courier.send(known.webhook.url, known.secret, delivery.event_id, delivery.body, now)
        delivery = msgspec.structs.replace(
            delivery, attempts=delivery.attempts + 1, last_at=int(now), status=sent.status, error=sent.error
        )
        waiting = waiting._replace(record=self._seal(waiting.webhook_id, delivery))
        next_at = now + pause(delivery)
        given_up = not sent.taken and (sent.final or next_at > delivery.created_at + GIVE_UP_SECONDS)
        self._count("delivered" if sent.taken else "given_up" if given_up else "failed")
        if sent.taken or given_up:
            await self._outbox.end(shard, waiting, given_up=given_up)
        else:
            await self._outbox.queue(shard, [waiting], int(next_at * 1000))
        return sent.taken

    def _seal(self, webhook_id: str, delivery: Delivery) -> bytes:
        return self._keyrings[0].seal(_bound(webhook_id), _encode(delivery))

    def open(self, webhook_id: str, record: bytes) -> Delivery | None:
        """A sealed record, None for one that somebody else wrote."""
        for keyring in self._keyrings:
            if (body := keyring.unseal(_bound(webhook_id), record)) is not None:
                return _decode(body)
        return None

    async def aclose(self) -> None:
        """End what is under way and let other processes deliver."""
        tasks = list(self._busy.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._seen:
            try:
                for shard in self._shards:
                    await self._outbox.let_go(shard, self._holder)
            except StoreUnavailable:
                log.debug("the shards are let go by themselves")


def pause(delivery: Delivery) -> float:
    """Seconds until the next attempt: twice as long each time, and not the same for all."""
    doubled = 1 << min(delivery.attempts - 1, 20)
    spread = crc32(f"{delivery.event_id} {delivery.attempts}".encode()) % 1000 / 5000
    return min(_FIRST_PAUSE_SECONDS * doubled, _LONGEST_PAUSE_SECONDS) * (0.9 + spread)


def _suffix(shard: Shard, stream: bytes) -> str:
    """What tells an event's id from one of another stream."""
    of_trail = (one for one in Stream if shard.keys.entries(one) == stream)
    return next(of_trail, "n")


def _bound(webhook_id: str) -> bytes:
    """What the seal of a record binds it to."""
    return b"delivery\x00" + webhook_id.encode()
