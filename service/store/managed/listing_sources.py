"""Which sorted sets a list is read from, and the place in it that a record has."""

from service.model import ManagedToken, Status
from service.store.driver.many_tokens import all_of
from service.store.driver.scripts import Script
from service.store.driver.shards import Shard, Shards
from service.store.managed.listing_slices import Index, Names, Row, Source, flipped
from service.store.managed.names import freed_member, member
from service.store.managed.query import Query
from service.store.managed.records import Retention

# Above every instant. Never used comes before every use, and never expiring after every date; both by creation.
_ABOVE = 2**62


class Sources:
    """Chooses the sets for an order, in each shard."""

    def __init__(self, shards: Shards, retention: Retention) -> None:
        self._shards = shards
        self._retention = retention
        self._outside = Script("count_outside", retry=True)

    async def of(self, query: Query) -> list[Source]:
        """What a query is read from; a round trip to each node where some tokens are in no index of that order."""
        parts = await all_of([self._of(shard, query) for shard in self._shards])
        return [source for part in parts for source in part]

    async def _of(self, shard: Shard, query: Query) -> list[Source]:
        keys, wanted = shard.keys, query.wanted
        if query.sort == "name":
            return [Names(shard)]
        if query.sort == "created_at":
            return list(by_creation(shard, query))
        if query.sort == "last_used_at":
            used = Index(shard, keys.last_uses, offset=_ABOVE)
            return [used, *await self._others(shard, query, (keys.last_uses,), offset=0)]
        # Positive expiries belong to active tokens, negative ones to inactive; both may be over, and not swept yet.
        found = []
        if wanted & {Status.ACTIVE, Status.EXPIRED}:
            found.append(Index(shard, keys.expiry))
        if wanted & {Status.INACTIVE, Status.EXPIRED}:
            found.append(Index(shard, keys.expiry, negative=True))
        if wanted & {Status.EXPIRED, Status.REVOKED}:
            found.append(Index(shard, keys.purge, offset=-self._retention.seconds))
        return [*found, *await self._others(shard, query, (keys.expiry, keys.purge), offset=_ABOVE)]

    async def _others(self, shard: Shard, query: Query, indexes: tuple[bytes, ...], *, offset: int) -> list[Index]:
        """By creation, those that no index of the order holds; nothing where it holds all."""
        keys = shard.keys
        whole = (keys.on, keys.off, keys.dead)
        # Where every token has been used or has a date, that spares a walk through all of them.
        if await self._outside.run(shard.link, (*whole, *indexes), len(whole)) < 1:
            return []
        return [source._replace(offset=offset, unless=indexes) for source in by_creation(shard, query)]


def by_creation(shard: Shard, query: Query) -> list[Index]:
    """The sets of a shard with the tokens of some statuses, or of one creator."""
    keys, wanted = shard.keys, query.wanted
    if query.created_by:
        return [Index(shard, keys.owner(query.created_by))]
    # A token that expired a moment ago may still be in `on` or `off`; the row's own state decides.
    found = []
    if wanted & {Status.ACTIVE, Status.EXPIRED}:
        found.append(Index(shard, keys.on))
    if wanted & {Status.INACTIVE, Status.EXPIRED}:
        found.append(Index(shard, keys.off))
    if Status.EXPIRED in wanted:
        found.append(Index(shard, keys.dead))
    if Status.REVOKED in wanted:
        found.append(Index(shard, keys.off, negative=True))
    return found


def row_of(token: ManagedToken, sort: str) -> Row:
    """The row of a record, as the sources give it. By expiry a revoked token stands where it was revoked."""
    token_id, created = token.token_id, token.created_micros
    if sort == "name":
        return Row((freed_member if token.revoked_at else member)(token).decode(), token_id, token_id)
    if sort == "created_at":
        return Row(created, flipped(token_id) if token.revoked_at else token_id, token_id)
    if sort == "last_used_at":
        return Row(_ABOVE + token.last_used_at if token.last_used_at else created, token_id, token_id)
    is_backwards = not (token.active or token.revoked_at) and token.expires_at
    position = token.revoked_at or token.expires_at or _ABOVE + created
    return Row(position, flipped(token_id) if is_backwards else token_id, token_id)


# The fields that it takes to know a record's row.
PLACED_BY = {
    "created_at": ("created_micros", "revoked_at"),
    "name": ("name", "revoked_at"),
    "last_used_at": ("last_used_at", "created_micros", "revoked_at"),
    "expires_at": ("expires_at", "created_micros", "revoked_at", "active"),
}
