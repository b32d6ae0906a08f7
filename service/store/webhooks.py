"""Webhooks in Redis: their records in the first shard, and in each shard the notices that are not audit entries."""

from service.store.audit import Entry
from service.store.decoding import in_pairs, own_members
from service.store.driver.scripts import Script
from service.store.driver.shards import Shard, Shards
from service.store.idempotency import KEEP_MILLISECONDS

NOTICES_KEPT = 10_000


class WebhookStore:
    """The records of webhooks, and the notices that they get beside the entries of the audit log."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        # Without `retry`: repeated after a lost reply it would take its own change for another one.
        self._put = Script("put_webhook")
        self._notice = Script("write_notice", retry=True)
        self._announce = Script("announce_expiries")

    async def all(self) -> dict[str, bytes]:
        """The sealed records by id. An id is decoded as Latin-1, because somebody else may have written any bytes."""
        shard = self._shards[0]
        reply = await shard.link.execute("HGETALL", shard.keys.webhooks, retry=True)
        return {webhook_id.decode("latin-1"): record for webhook_id, record in in_pairs(reply)}

    async def put(self, webhook_id: str, record: bytes, *, seen: bytes = b"", most: int, entry: Entry) -> int:
        """Write a record, or remove it if `record` is empty; `seen` is the record to change.

        Returns 1 done; 0 if there is no record, another one than `seen`, or it was removed; -1 if there are too many.
        """
        # A client may send any text as an id; what is not Latin-1 names no webhook.
        shard, name = self._shards[0], webhook_id.encode("latin-1", "replace")
        done: int = await self._put.run(
            shard.link,
            (shard.keys.webhooks, shard.keys.changes, shard.keys.webhook_ended(webhook_id)),
            name,
            record,
            seen,
            most,
            # As long as the request that created it could be repeated.
            KEEP_MILLISECONDS,
            *entry,
        )
        return done

    async def notice(self, name: str, entry: Entry, *, hold_milliseconds: int) -> bool:
        """Write a notice about `name`; False if the same was written within the last `hold_milliseconds`."""
        shard = self._shards.of_name(name)
        keys = (shard.keys.noticed(name), shard.keys.notices)
        return bool(await self._notice.run(shard.link, keys, hold_milliseconds, NOTICES_KEPT, entry.body, entry.seal))

    async def reached(self, shard: Shard, window: str) -> bytes:
        """How far notices of expiries have come in this shard, as `announce` wrote it; empty if there were none yet."""
        reply: bytes | None = await shard.link.execute("HGET", shard.keys.notices_reached, window, retry=True)
        return reply or b""

    async def expiring(self, shard: Shard, after: tuple[int, str], until: int, count: int) -> list[tuple[int, str]]:
        """Expiry and id of active tokens in order, after `after` and up to `until`."""
        fresh: list[tuple[int, str]] = []
        start, page = 0, 500
        while len(fresh) < count:
            reply = await shard.link.execute(
                "ZRANGEBYSCORE", shard.keys.expiry, after[0], until, "WITHSCORES", "LIMIT", start, page, retry=True
            )
            found = [(member.score, member.token_id) for member in own_members(reply)]
            # The tokens of `after`'s second are read again, in the order of their ids.
            fresh += [pair for pair in found if pair > after]
            if len(reply) < 2 * page:
                break
            start += page
        return fresh[:count]

    async def announce(self, shard: Shard, window: str, seen: bytes, upto: str, entries: list[Entry]) -> bool:
        """Write notices of expiries and how far they have come; False if another process has done so since `seen`."""
        words = [part for entry in entries for part in (entry.body, entry.seal)]
        keys = (shard.keys.notices_reached, shard.keys.notices)
        return bool(await self._announce.run(shard.link, keys, window, seen, upto, NOTICES_KEPT, *words))
