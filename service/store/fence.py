"""Single use across failovers: a one-time token is void when another primary answers than the one that issued it."""

from service.store.driver.connection import Link
from service.store.driver.shards import Shard

# As long as a replication id, so that every record begins at the same place.
_NOT_TOLD = bytes(20)
# Takes the place of a record that is void; no sealed record is so short.
VOID = b"void"


class Fence:
    """Marks each record with the replication id of the data it was issued in, and compares that with the reply's id.

    Redis replicates asynchronously, so a spent token may be there again after a failover; the data of the promoted
    server has another id. So has the data after a restart, and that of the node to which a slot moves. The price: all
    outstanding tokens are void then, spent or not. A record has no mark if it was issued without a fence or if INFO is
    forbidden; nor has the answer that is kept for a retry, if the token was spent in the data it was issued in.
    """

    def __init__(self, *, stands: bool = True) -> None:
        """If not `stands`, records are neither marked nor compared."""
        self._stands = stands

    def known_mark(self, shard: Shard) -> bytes | None:
        """The mark to put before a record that is about to be sent to this shard; None while it is not known."""
        return (shard.link.replication_id or None) if self._stands else _NOT_TOLD

    async def mark(self, shard: Shard) -> bytes:
        """The same; asks Redis if it is not known. Raises StoreUnavailable."""
        if not self._stands:
            return _NOT_TOLD
        if not shard.link.replication_id:
            # A command with a key, so that the link connects to the node that now holds the shard.
            await shard.link.execute("EXISTS", shard.keys.mark, retry=True)
        return shard.link.replication_id or _NOT_TOLD

    def holds(self, link: Link, mark: bytes) -> bool:
        """True if a record with this mark is valid in the data of this link."""
        return mark in (_NOT_TOLD, link.replication_id)

    def admitted(self, link: Link, sent_elsewhere: int, stored: bytes) -> bytes:
        """The record in a link's reply, or VOID. `sent_elsewhere` is the link's count before the command was sent."""
        mark, record = stored[: len(_NOT_TOLD)], stored[len(_NOT_TOLD) :]
        is_here = mark == link.replication_id and sent_elsewhere == link.sent_elsewhere
        return record if is_here or mark == _NOT_TOLD or not self._stands else VOID
