"""Outboxes: how far a webhook has read the events of a shard, and its deliveries that wait, were made or given up.

The streams of events are the buffer: a webhook that accepts nothing keeps its place in them, and delays no other one.
"""

import asyncio
import re
from typing import NamedTuple

import msgspec

from service.store.audit import Stored, stored
from service.store.decoding import in_pairs, whole
from service.store.driver.scripts import Script
from service.store.driver.shards import Shard, Shards

LOCK_MILLISECONDS = 10_000
MADE_KEPT = 100
GIVEN_UP_KEPT = 1000
_KEEP_SECONDS = 30 * 86400
UNKNOWN = -1
_DROPPED = "dropped"
_hold = Script("hold_lock", retry=True)
_begin = Script("begin_webhook", retry=True)
_read = Script("read_events", retry=True)
# An entry id of Redis, two numbers of 64 bits each, and a count that a double holds exactly.
_PLACE = rb"([0-9]{1,19}-[0-9]{1,19}) (-1|[0-9]{1,16})"


class Waiting(msgspec.Struct, frozen=True):
    """A delivery that waits: its event's id, its sealed record, and when it is due, epoch milliseconds."""

    event_id: str
    record: bytes
    due: int = 0


class Place(msgspec.Struct, frozen=True):
    """How far a webhook has read one stream: the last entry's id, and how many entries were ever added up to it.

    The number is -1 if it is not known: on servers before 7.0, and before the first page.
    """

    entry_id: str
    added: int


class Page(msgspec.Struct, frozen=True):
    """Events in the order they happened, the place after them, and how many were trimmed before they were read."""

    events: list[Stored]
    place: Place
    dropped: int


class Standing(NamedTuple):
    """Counts of one webhook in one shard: deliveries that wait to be sent again, events to read, events dropped."""

    waiting: int
    unread: int
    dropped: int


async def hold(shard: Shard, holder: str) -> bool:
    """Take or keep the right to make a shard's deliveries; False if another process has it."""
    return bool(await _hold.run(shard.link, (shard.keys.delivery_lock,), holder, LOCK_MILLISECONDS))


async def let_go(shard: Shard, holder: str) -> None:
    """Give that right up, so that another process need not wait."""
    await _hold.run(shard.link, (shard.keys.delivery_lock,), holder, 0)


class Outbox:
    """What one shard stores for one webhook."""

    def __init__(self, shard: Shard, webhook_id: str) -> None:
        self.shard = shard
        self._ask = shard.link.execute
        keys = shard.keys
        self._places = keys.webhook_places(webhook_id)
        self._due = keys.deliveries_due(webhook_id)
        self._records = keys.deliveries(webhook_id)
        self._made = keys.deliveries_made(webhook_id)
        self._given_up = keys.deliveries_given_up(webhook_id)

    async def begin(self) -> int:
        """Begin with the events from now on. Returns the present time by the shard's clock, epoch milliseconds."""
        streams = self.shard.keys.event_streams
        now: int = await _begin.run(self.shard.link, (self._places, *streams.values()), *streams)
        return now

    async def place(self, stream: str) -> Place | None:
        """How far a stream has been read; None if the shard does not know, because it lost its data."""
        found = re.fullmatch(_PLACE, await self._ask("HGET", self._places, stream, retry=True) or b"")
        return None if found is None else Place(found[1].decode(), int(found[2]))

    async def read(self, stream: str, place: Place, count: int) -> Page:
        """The events after a place, at most `count`."""
        key = self.shard.keys.event_streams[stream]
        added, length, first, items = await _read.run(self.shard.link, (key,), place.entry_id, count)
        if not items:
            return Page([], place, 0)
        events = [stored(item) for item in items]
        # Trimmed entries were before the first one that is left; only the counts tell how many they were.
        before = place.added
        if events[0].entry_id == first.decode() and added != UNKNOWN:
            before = added - length
        dropped = before - place.added if UNKNOWN not in (before, place.added) else 0
        behind = before + len(events) if before != UNKNOWN else UNKNOWN
        # Negative if the stream was lost, because a new one counts from the start.
        return Page(events, Place(events[-1].entry_id, behind), max(0, dropped))

    async def move(self, stream: str, page: Page) -> None:
        """Note that all events of a page were sent or wait, so that the next page begins after them."""
        place = page.place
        await self._ask("HSET", self._places, stream, f"{place.entry_id} {place.added}", retry=True)
        if page.dropped:
            # Without `retry`, which could count twice.
            await self._ask("HINCRBY", self._places, _DROPPED, page.dropped)

    async def unread(self, stream: str) -> int:
        """How many events of a stream have not been read yet, 0 if the server cannot tell."""
        place = await self.place(stream)
        if place is None or place.added == UNKNOWN:
            return 0
        key = self.shard.keys.event_streams[stream]
        added: int = (await _read.run(self.shard.link, (key,), place.entry_id, 0))[0]
        # Negative if the stream was lost, because a new one counts from the start.
        return max(0, added - place.added)

    async def standing(self) -> Standing:
        dropped = await self._ask("HGET", self._places, _DROPPED, retry=True)
        unread = [await self.unread(stream) for stream in self.shard.keys.event_streams]
        return Standing(await self.length(), sum(unread), whole(dropped))

    async def length(self) -> int:
        """How many deliveries wait."""
        waiting: int = await self._ask("ZCARD", self._due, retry=True)
        return waiting

    async def queue(self, deliveries: list[Waiting]) -> None:
        """Let deliveries wait until they are due. The records are written first."""
        records = [part for one in deliveries for part in (one.event_id, one.record)]
        due = [part for one in deliveries for part in (one.due, one.event_id)]
        await asyncio.gather(
            self._ask("HSET", self._records, *records, retry=True), self._ask("ZADD", self._due, *due, retry=True)
        )

    async def due(self, now: int, count: int) -> list[Waiting]:
        """Deliveries whose time has come, the longest due first; `now` in epoch milliseconds."""
        limits = "-inf", now, "WITHSCORES", "LIMIT", 0, count
        return await self._with_records(await self._ask("ZRANGEBYSCORE", self._due, *limits, retry=True))

    async def waiting(self, count: int) -> list[Waiting]:
        """Deliveries that wait, the next due first."""
        return await self._with_records(await self._ask("ZRANGE", self._due, 0, count - 1, "WITHSCORES", retry=True))

    async def _with_records(self, ids_and_dues: list[bytes]) -> list[Waiting]:
        pairs = in_pairs(ids_and_dues)
        if not pairs:
            return []
        records = await self._ask("HMGET", self._records, *[event_id for event_id, _ in pairs], retry=True)
        # Latin-1 decodes any bytes, and encoding gives the same bytes back to `take_out`.
        return [
            Waiting(event_id.decode("latin-1"), record or b"", whole(due))
            for (event_id, due), record in zip(pairs, records, strict=True)
        ]

    async def remember(self, records: list[bytes], *, given_up: bool) -> None:
        """Keep the sealed records of the last deliveries that were made or given up, for 30 days at most."""
        ended, kept = (self._given_up, GIVEN_UP_KEPT) if given_up else (self._made, MADE_KEPT)
        # Without `retry`: a record that is pushed twice is listed twice.
        await self._ask("LPUSH", ended, *records[-kept:])
        await asyncio.gather(
            self._ask("LTRIM", ended, 0, kept - 1, retry=True), self._ask("EXPIRE", ended, _KEEP_SECONDS, retry=True)
        )

    async def take_out(self, event_ids: list[str]) -> None:
        """Remove waiting deliveries, because they have ended."""
        members = [event_id.encode("latin-1") for event_id in event_ids]
        await asyncio.gather(
            self._ask("ZREM", self._due, *members, retry=True), self._ask("HDEL", self._records, *members, retry=True)
        )

    async def record(self, event_id: str) -> bytes:
        """The sealed record of a delivery that waits, empty if there is none."""
        return await self._ask("HGET", self._records, event_id.encode(), retry=True) or b""

    async def replace(self, event_id: str, old: bytes, made: bytes) -> None:
        """List a delivery as made that waited, was made or was given up before; `old` is its former record."""
        await self.take_out([event_id])
        # It may be in either list, and may have moved since it was shown.
        for ended in (self._made, self._given_up):
            await self._ask("LREM", ended, 1, old, retry=True)
        await self.remember([made], given_up=False)

    async def ended(self, count: int, *, given_up: bool) -> list[bytes]:
        """Sealed records of deliveries that were made or given up, the last first."""
        ended = self._given_up if given_up else self._made
        records: list[bytes] = await self._ask("LRANGE", ended, 0, count - 1, retry=True)
        return records

    async def forget(self) -> None:
        """Remove the webhook's place, its waiting deliveries and its lists."""
        # UNLINK frees in another thread of Redis: up to 10,000 deliveries may wait in one of these.
        keys = self._places, self._due, self._records, self._made, self._given_up
        await self._ask("UNLINK", *keys, retry=True)


def outboxes(shards: Shards, webhook_id: str) -> list[Outbox]:
    """The outboxes of a webhook in all shards."""
    return [Outbox(shard, webhook_id) for shard in shards]
