"""Webhooks in Redis: their records in the first shard, and in each shard the notices that are no audit entries."""

from service.store.audit import Entry
from service.store.decoding import in_pairs, own_members
from service.store.driver.scripts import Script
from service.store.driver.shards import Shard, Shards
from service.store.idempotency import KEEP_MILLISECONDS

NOTICES_KEPT = 10_000


class WebhookStore:
    """The records of webhooks, and what they are told beside the audit log."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        # Without `retry`: asked again after a lost reply it would take its own change for somebody else's.
        self._put = Script("put_webhook")
        self._notice = Script("write_notice", retry=True)
        self._announce = Script("announce_expiries")

    async def all(self) -> dict[str, bytes]:
        """The sealed records by id; any bytes that stand there as an id are named by what Latin-1 makes of them."""
        shard = self._shards[0]
        reply = await shard.link.execute("HGETALL", shard.keys.webhooks, retry=True)
        return {webhook_id.decode("latin-1"): record for webhook_id, record in in_pairs(reply)}

    async def put(self, webhook_id: str, record: bytes, *, seen: bytes = b"", most: int, entry: Entry) -> int:
        """Write a record, empty to take it away; `seen` is the one that it changes.

        1 done, 0 there is none, another one than was seen, or it was taken away, -1 there are too many.
        """
        # Whoever asks may name anything: what is no Latin-1 names no webhook.
        shard, name = self._shards[0], webhook_id.encode("latin-1", "replace")
        done: int = await self._put.run(
            shard.link,
            (shard.keys.webhooks, shard.keys.changes, shard.keys.webhook_ended(webhook_id)),
            name,
            record,
            seen,
            most,
            # As long as a repeat of the request that made it could come.
            KEEP_MILLISECONDS,
            *entry,
        )
        return done

    async def notice(self, name: str, entry: Entry, *, hold_milliseconds: int) -> bool:
        """Tell of something that happened to `name`; False if it was told a moment ago."""
        shard = self._shards.of_name(name)
        keys = (shard.keys.noticed(name), shard.keys.notices)
        return bool(await self._notice.run(shard.link, keys, hold_milliseconds, NOTICES_KEPT, entry.body, entry.seal))

    async def reached(self, shard: Shard, window: str) -> bytes:
        """How far notices of expiries went in this shard, as it was written there; empty for never."""
        reply: bytes | None = await shard.link.execute("HGET", shard.keys.notices_reached, window, retry=True)
        return reply or b""

    async def expiring(self, shard: Shard, after: tuple[int, str], until: int, count: int) -> list[tuple[int, str]]:
        """Expiry and id of active tokens in order, behind `after` and up to `until`."""
        fresh: list[tuple[int, str]] = []
        start, page = 0, 500
        while len(fresh) < count:
            reply = await shard.link.execute(
                "ZRANGEBYSCORE", shard.keys.expiry, after[0], until, "WITHSCORES", "LIMIT", start, page, retry=True
            )
            found = [(member.score, member.token_id) for member in own_members(reply)]
            # Those of the second that `after` names come again, in the order of their ids.
            fresh += [pair for pair in found if pair > after]
            if len(reply) < 2 * page:
                break
            start += page
        return fresh[:count]

    async def announce(self, shard: Shard, window: str, seen: bytes, upto: str, entries: list[Entry]) -> bool:
        """Write notices of expiries and how far they go; False if another process did so since."""
        words = [part for entry in entries for part in (entry.body, entry.seal)]
        keys = (shard.keys.notices_reached, shard.keys.notices)
        return bool(await self._announce.run(shard.link, keys, window, seen, upto, NOTICES_KEPT, *words))
