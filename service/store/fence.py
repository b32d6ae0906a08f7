"""One use also across failovers: a one-time token is void once another primary answers than the one that issued it."""

from service.store.driver.connection import Link
from service.store.driver.shards import Shard

# As long as a replication id, so that every record begins at the same place.
_NOT_TOLD = bytes(20)
# What takes the place of a record that is void; no sealed record is so short.
VOID = b"void"


class Fence:
    """Marks each record with the replication id of the data it was issued in, and compares that with the answer's.

    Redis replicates without waiting, so a token that was spent may be there again after a failover; the promoted
    server's data has another id. Slots that move are told apart the same way, and so is a restart. The price: what is
    outstanding then is void, spent or not. A record issued without a fence, or where INFO is forbidden, has none, nor
    has the answer kept for a retry of what was spent in the data that it was issued in.
    """

    def __init__(self, *, stands: bool = True) -> None:
        """Without `stands` records are neither marked nor compared."""
        self._stands = stands

    def known_mark(self, shard: Shard) -> bytes | None:
        """What to put before a record that is about to be sent to this shard, None while that is not known."""
        return (shard.link.replication_id or None) if self._stands else _NOT_TOLD

    async def mark(self, shard: Shard) -> bytes:
        """The same, asked for where it is not known. Raises StoreUnavailable."""
        if not self._stands:
            return _NOT_TOLD
        if not shard.link.replication_id:
            # With a key, so that where the shard is now has been connected to.
            await shard.link.execute("EXISTS", shard.keys.mark, retry=True)
        return shard.link.replication_id or _NOT_TOLD

    def holds(self, link: Link, mark: bytes) -> bool:
        """Is a record with this mark good where it arrived?"""
        return mark in (_NOT_TOLD, link.replication_id)

    def admitted(self, link: Link, sent_elsewhere: int, stored: bytes) -> bytes:
        """The record in what a link brought, or VOID. `sent_elsewhere` is the link's from before it was asked."""
        mark, record = stored[: len(_NOT_TOLD)], stored[len(_NOT_TOLD) :]
        is_here = mark == link.replication_id and sent_elsewhere == link.sent_elsewhere
        return record if is_here or mark == _NOT_TOLD or not self._stands else VOID
