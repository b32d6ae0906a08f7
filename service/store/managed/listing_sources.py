"""Which sorted sets a list is read from, and the place in it that a record has."""

from math import inf

from service.model import ManagedToken, Status
from service.store.driver.keys import FIRST_USE
from service.store.driver.many_tokens import all_of
from service.store.driver.shards import Shard, Shards
from service.store.managed.listing_slices import Index, Indexed, Names, Row, Source, flipped
from service.store.managed.names import freed_member, member
from service.store.managed.query import Query
from service.store.managed.records import Retention

# Above every creation: never used comes before every use.
_ABOVE = 2**62


class Sources:
    """Chooses the sets for an order, in each shard."""

    def __init__(self, shards: Shards, retention: Retention) -> None:
        self._shards = shards
        self._retention = retention

    async def of(self, query: Query, now: float) -> list[Source]:
        """What a query is read from; at most a round trip to each node."""
        parts = await all_of([self._of(shard, query, now) for shard in self._shards])
        return [source for part in parts for source in part]

    async def _of(self, shard: Shard, query: Query, now: float) -> list[Source]:
        if query.sort == "name":
            return [Names(shard)]
        if query.sort == "created_at":
            return await by_creation(shard, query, now)
        keys, listed = shard.keys, await _listed(shard, query, now)
        if query.sort == "last_used_at":
            used = [] if query.never_used else [Indexed(shard, (Index(keys.last_uses, offset=_ABOVE),))]
            return [*used, *map(_never_used, _lists(shard, listed))]
        before = query.expires_before or inf
        found: list[Index] = []
        if Status.ACTIVE in listed:
            found.append(Index(keys.expiry, greatest=before))
        if Status.INACTIVE in listed:
            found.append(Index(keys.expiry, negative=True, greatest=before))
        if listed & {Status.EXPIRED, Status.REVOKED}:
            # Up to no date: a revoked token stands where it was revoked, and what had ended before a change of the
            # retention somewhere else.
            found.append(Index(keys.purge, offset=-self._retention.seconds))
        return [Indexed(shard, (index,)) for index in found]


async def by_creation(shard: Shard, query: Query, now: float) -> list[Source]:
    """The sets of a shard with the tokens of some statuses, or of one creator."""
    if query.created_by:
        return [Indexed(shard, (Index(shard.keys.owner(query.created_by)),))]
    lists = _lists(shard, await _listed(shard, query, now))
    return [*map(_never_used, lists)] if query.never_used else [*lists]


async def _listed(shard: Shard, query: Query, now: float) -> frozenset[Status]:
    """The statuses whose lists have what is wanted. A token that expired a moment ago may still be in its old one."""
    wanted = query.wanted
    if Status.EXPIRED not in wanted or wanted.issuperset({Status.ACTIVE, Status.INACTIVE}):
        return wanted
    ask, keys = shard.link.execute, shard.keys
    due = ("ZCOUNT", keys.expiry, 1, int(now)), ("ZCOUNT", keys.expiry, -int(now), -1)
    active, inactive = await all_of([ask(*command, retry=True) for command in due])
    return wanted | ({Status.ACTIVE} if active else set()) | ({Status.INACTIVE} if inactive else set())


def _lists(shard: Shard, listed: frozenset[Status]) -> list[Indexed]:
    """The lists of these statuses: the tokens that were never used, and those that were."""
    keys = shard.keys
    lists = {Status.ACTIVE: keys.on, Status.INACTIVE: keys.off, Status.EXPIRED: keys.dead}
    found = [Indexed(shard, (_far(key), _near(key))) for status, key in lists.items() if status in listed]
    if Status.REVOKED in listed:
        # The first use takes from a negative score as well, which is further below 0 then.
        found.append(Indexed(shard, (_near(keys.off, negative=True), _far(keys.off, negative=True))))
    return found


def _near(key: bytes, *, negative: bool = False) -> Index:
    return Index(key, negative, greatest=FIRST_USE)


def _far(key: bytes, *, negative: bool = False) -> Index:
    return Index(key, negative, offset=-FIRST_USE, least=FIRST_USE)


def _never_used(source: Indexed) -> Indexed:
    return source._replace(parts=source.parts[:1])


def row_of(token: ManagedToken, sort: str) -> Row:
    """The row of a record, as the sources give it. By expiry a revoked token stands where it was revoked."""
    token_id, created = token.token_id, token.created_micros
    if sort == "name":
        return Row((freed_member if token.revoked_at else member)(token).decode(), token_id, token_id)
    if sort == "created_at":
        return Row(created, flipped(token_id) if token.revoked_at else token_id, token_id)
    if sort == "last_used_at":
        return Row(_ABOVE + token.last_used_at if token.last_used_at else created, token_id, token_id)
    # Without a date behind every date, by creation: microseconds are above all seconds.
    position = token.revoked_at or token.expires_at or created
    return Row(position, token_id if token.active or token.revoked_at else flipped(token_id), token_id)


# The fields that it takes to know a record's row.
PLACED_BY = {
    "created_at": ("created_micros", "revoked_at"),
    "name": ("name", "revoked_at"),
    "last_used_at": ("last_used_at", "created_micros", "revoked_at"),
    "expires_at": ("expires_at", "created_micros", "revoked_at", "active"),
}
