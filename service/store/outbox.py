"""The outbox of a shard: how far each webhook has read the events, and its deliveries that wait, were made or given up.

The streams of events are the buffer: a webhook that takes nothing keeps its place in them, and no other one waits.
"""

import asyncio
import re
from typing import NamedTuple

from service.store.audit import Stored, stored
from service.store.driver.scripts import Script
from service.store.driver.shards import Shard, Shards
from service.store.forms import in_pairs, whole

LOCK_MILLISECONDS = 10_000
MADE_KEPT = 100
GIVEN_UP_KEPT = 1000
_KEEP_SECONDS = 30 * 86400
UNKNOWN = -1
_DROPPED = "dropped"
# An id as Redis makes them, two numbers of 64 bits each, and a count that a double holds exactly.
_PLACE = re.compile(rb"([0-9]{1,19}-[0-9]{1,19}) (-1|[0-9]{1,16})")


class Waiting(NamedTuple):
    """A delivery that waits: of which event, its sealed record, and when it is due in epoch milliseconds."""

    event_id: str
    record: bytes
    due: int = 0


class Place(NamedTuple):
    """How far a webhook has read one stream: the last entry's id, and how many entries had been added with it.

    The number is -1 where it is not known: on servers before 7.0, and before the first page.
    """

    entry_id: str
    added: int


class Page(NamedTuple):
    """Events in the order they happened, the place behind them, and how many were trimmed before they were read."""

    events: list[Stored]
    place: Place
    dropped: int


class Standing(NamedTuple):
    """Of one webhook in one shard: deliveries that wait to be sent again, events not read yet, events dropped."""

    waiting: int
    unread: int
    dropped: int


class Outbox:
    """What the one process does that delivers for a shard, one of `shards`."""

    def __init__(self, shards: Shards) -> None:
        self.shards = shards
        self._hold = Script("hold_lock", retry=True)
        self._begin = Script("begin_webhook", retry=True)
        self._read = Script("read_events", retry=True)

    async def hold(self, shard: Shard, holder: str) -> bool:
        """Take or keep the shard for this process; False if another process has it."""
        held: int = await self._hold.run(shard.link, (shard.keys.delivery_lock,), holder, LOCK_MILLISECONDS)
        return held > 0

    async def let_go(self, shard: Shard, holder: str) -> None:
        """Give the shard up, so that another process need not wait."""
        await self._hold.run(shard.link, (shard.keys.delivery_lock,), holder, 0)

    async def begin(self, shard: Shard, webhook_id: str) -> int:
        """Let a webhook be told what happens from now on; now by the shard's clock, epoch milliseconds."""
        streams = shard.keys.event_streams
        keys = (shard.keys.webhook_places(webhook_id), *streams.values())
        now: int = await self._begin.run(shard.link, keys, *streams)
        return now

    async def place(self, shard: Shard, webhook_id: str, stream: str) -> Place | None:
        """How far a webhook has read a stream; None if the shard does not know, because it lost its data."""
        reply = await shard.link.execute("HGET", shard.keys.webhook_places(webhook_id), stream, retry=True)
        found = _PLACE.fullmatch(reply or b"")
        return None if found is None else Place(found[1].decode(), int(found[2]))

    async def read(self, shard: Shard, stream: str, place: Place, count: int) -> Page:
        """The events behind a place, at most so many."""
        key = shard.keys.event_streams[stream]
        added, length, first, items = await self._read.run(shard.link, (key,), place.entry_id, count)
        if not items:
            return Page([], place, 0)
        events = [stored(item) for item in items]
        # Whatever was trimmed lay before the first entry there is; ids alone do not tell how much it was.
        before = place.added
        if events[0].entry_id == first.decode() and added != UNKNOWN:
            before = added - length
        dropped = before - place.added if UNKNOWN not in (before, place.added) else 0
        behind = before + len(events) if before != UNKNOWN else UNKNOWN
        # Below 0 where the stream was lost and begun anew, and counts from the start.
        return Page(events, Place(events[-1].entry_id, behind), max(0, dropped))

    async def move(self, shard: Shard, webhook_id: str, stream: str, page: Page) -> None:
        """What a page brought is sent or waits: go on behind it the next time."""
        places, place = shard.keys.webhook_places(webhook_id), page.place
        await shard.link.execute("HSET", places, stream, f"{place.entry_id} {place.added}", retry=True)
        if page.dropped:
            # Not marked for a retry, which could count twice.
            await shard.link.execute("HINCRBY", places, _DROPPED, page.dropped)

    async def unread(self, shard: Shard, webhook_id: str, stream: str) -> int:
        """How many events of a stream a webhook has not read yet, 0 where the server cannot tell."""
        place = await self.place(shard, webhook_id, stream)
        if place is None or place.added == UNKNOWN:
            return 0
        added: int = (await self._read.run(shard.link, (shard.keys.event_streams[stream],), place.entry_id, 0))[0]
        # The stream may have been lost and begun anew, and then counts from the start.
        return max(0, added - place.added)

    async def standing(self, shard: Shard, webhook_id: str) -> Standing:
        """How a webhook stands with its events."""
        dropped = await shard.link.execute("HGET", shard.keys.webhook_places(webhook_id), _DROPPED, retry=True)
        unread = [await self.unread(shard, webhook_id, stream) for stream in shard.keys.event_streams]
        return Standing(await self.length(shard, webhook_id), sum(unread), whole(dropped))

    async def length(self, shard: Shard, webhook_id: str) -> int:
        waiting: int = await shard.link.execute("ZCARD", shard.keys.deliveries_due(webhook_id), retry=True)
        return waiting

    async def queue(self, shard: Shard, webhook_id: str, deliveries: list[Waiting]) -> None:
        """Let deliveries wait until they are due. The records are written first."""
        records = [part for one in deliveries for part in (one.event_id, one.record)]
        due = [part for one in deliveries for part in (one.due, one.event_id)]
        await asyncio.gather(
            shard.link.execute("HSET", shard.keys.deliveries(webhook_id), *records, retry=True),
            shard.link.execute("ZADD", shard.keys.deliveries_due(webhook_id), *due, retry=True),
        )

    async def due(self, shard: Shard, webhook_id: str, now: int, count: int) -> list[Waiting]:
        """Deliveries whose time has come, the longest due first; `now` in epoch milliseconds."""
        reply = await shard.link.execute(
            "ZRANGEBYSCORE",
            shard.keys.deliveries_due(webhook_id),
            "-inf",
            now,
            "WITHSCORES",
            "LIMIT",
            0,
            count,
            retry=True,
        )
        return await self._with_records(shard, webhook_id, reply)

    async def waiting(self, shard: Shard, webhook_id: str, count: int) -> list[Waiting]:
        """Deliveries that wait, the next due first."""
        reply = await shard.link.execute(
            "ZRANGE", shard.keys.deliveries_due(webhook_id), 0, count - 1, "WITHSCORES", retry=True
        )
        return await self._with_records(shard, webhook_id, reply)

    async def _with_records(self, shard: Shard, webhook_id: str, ids_and_dues: list[bytes]) -> list[Waiting]:
        pairs = in_pairs(ids_and_dues)
        if not pairs:
            return []
        ids = [event_id for event_id, _ in pairs]
        records = await shard.link.execute("HMGET", shard.keys.deliveries(webhook_id), *ids, retry=True)
        # Any bytes can be taken out again by what Latin-1 makes of them.
        return [
            Waiting(event_id.decode("latin-1"), record or b"", whole(due))
            for (event_id, due), record in zip(pairs, records, strict=True)
        ]

    async def remember(self, shard: Shard, webhook_id: str, records: list[bytes], *, given_up: bool) -> None:
        """Keep the sealed records of deliveries that ended, for a while: the last made, more of those given up."""
        keys, ask = shard.keys, shard.link.execute
        ended = (keys.deliveries_given_up if given_up else keys.deliveries_made)(webhook_id)
        kept = GIVEN_UP_KEPT if given_up else MADE_KEPT
        # Not marked for a retry: what is pushed twice is listed twice.
        await ask("LPUSH", ended, *records[-kept:])
        await asyncio.gather(
            ask("LTRIM", ended, 0, kept - 1, retry=True), ask("EXPIRE", ended, _KEEP_SECONDS, retry=True)
        )

    async def take_out(self, shard: Shard, webhook_id: str, event_ids: list[str]) -> None:
        """Deliveries that waited have ended."""
        ask, members = shard.link.execute, [event_id.encode("latin-1") for event_id in event_ids]
        await asyncio.gather(
            ask("ZREM", shard.keys.deliveries_due(webhook_id), *members, retry=True),
            ask("HDEL", shard.keys.deliveries(webhook_id), *members, retry=True),
        )

    async def record(self, shard: Shard, webhook_id: str, event_id: str) -> bytes:
        """The sealed record of a delivery that waits, empty if there is none."""
        record: bytes | None = await shard.link.execute(
            "HGET", shard.keys.deliveries(webhook_id), event_id.encode(), retry=True
        )
        return record or b""

    async def replace(self, shard: Shard, webhook_id: str, event_id: str, old: bytes, made: bytes) -> None:
        """A delivery that waited, was made or was given up has been made now."""
        await self.take_out(shard, webhook_id, [event_id])
        # It may stand in either list, and which one may have changed since it was shown.
        for ended in (shard.keys.deliveries_made(webhook_id), shard.keys.deliveries_given_up(webhook_id)):
            await shard.link.execute("LREM", ended, 1, old, retry=True)
        await self.remember(shard, webhook_id, [made], given_up=False)

    async def ended(self, shard: Shard, webhook_id: str, count: int, *, given_up: bool) -> list[bytes]:
        """Sealed records of deliveries that were made or given up, the last first."""
        keys = shard.keys
        key = (keys.deliveries_given_up if given_up else keys.deliveries_made)(webhook_id)
        records: list[bytes] = await shard.link.execute("LRANGE", key, 0, count - 1, retry=True)
        return records

    async def forget(self, shard: Shard, webhook_id: str) -> None:
        """Drop a webhook's place, all that waits for it and what is remembered of it."""
        keys = shard.keys
        await shard.link.execute(
            # Freed aside: up to 10,000 deliveries may wait in one of these.
            "UNLINK",
            keys.webhook_places(webhook_id),
            keys.deliveries_due(webhook_id),
            keys.deliveries(webhook_id),
            keys.deliveries_made(webhook_id),
            keys.deliveries_given_up(webhook_id),
            retry=True,
        )
