"""The sorted sets that a list is read from, and the place of a record in it."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from math import inf
from typing import NamedTuple

import msgspec

from service.model import ManagedToken, Status
from service.store.decoding import own_scores, whole
from service.store.driver.keys import FIRST_USE
from service.store.driver.many_tokens import all_of
from service.store.driver.replies import Argument
from service.store.driver.shards import Shard, Shards
from service.store.managed.names import freed_member, member
from service.store.managed.query import Query
from service.store.managed.records import Retention

# Above every creation: tokens that were never used come before all uses.
_ABOVE = 2**62
_TURNED = str.maketrans("0123456789abcdef", "fedcba9876543210")
# The text before every id and the text after every id; flipping exchanges them.
_ENDS = {"": "g", "g": ""}
# Score and member.
Place = tuple[Argument, Argument]


# Not a named tuple: a search keeps 20,000 rows at once, and the garbage collector would visit each of them.
class Row(msgspec.Struct, frozen=True, order=True, gc=False):
    """A place in a list, by which rows compare, and the id found there.

    The position is the name or number by which the list is sorted. `tie` orders rows of the same position: the id,
    or for a set that is read backwards the flipped id (see `flipped`).
    """

    position: str | int
    tie: str
    token_id: str


class Slice(msgspec.Struct, frozen=True):
    """Rows in order, how far they reach (None if there was nothing to read), and whether that was the end."""

    rows: list[Row]
    reached: Row | None
    is_last: bool


class Index(msgspec.Struct, frozen=True):
    """A part of a sorted set: the scores of one sign whose absolute values are between `least` and `greatest`.

    A row's position is the absolute value of its score plus `offset`.
    """

    key: bytes
    negative: bool = False
    offset: int = 0
    least: int = 0
    greatest: float = inf

    def how(self, most: int, *, descending: bool) -> tuple[Argument, ...]:
        """The script's arguments after a place, to read on from there."""
        way = "up" if descending == self.negative else "down"
        return way, most, self._signed(self.least if descending else self.greatest)

    def found(self, reply: list[bytes], most: int, *, descending: bool, edge: Row | None = None) -> Slice:
        """The slice of a reply of the script, only up to the edge if there is one."""
        # Most lists have six parts, of which four are empty.
        if not reply:
            return Slice([], None, True)
        near = reply if edge is None else self._up_to(edge, reply, descending=descending)
        rows = self._rows(own_scores(near))
        if descending != self.negative:
            rows.reverse()
        if len(near) < len(reply):
            return Slice(rows, edge, False)
        return Slice(rows, rows[-1] if rows else None, len(reply) < 2 * most)

    def position_in(self, reply: list[bytes], place: int, *, descending: bool) -> int:
        """The position of the row number `place`, counted from 0."""
        score = whole(reply[-1 - 2 * place] if descending != self.negative else reply[1 + 2 * place])
        return (-score if self.negative else score) + self.offset

    def _up_to(self, edge: Row, reply: list[bytes], *, descending: bool) -> list[bytes]:
        score, scores = int(edge.position) - self.offset, reply[1::2]
        bound = float(-score if self.negative else score)
        # Compared as numbers, as Redis sorts them: others may have written any scores between ours.
        if descending != self.negative:
            return reply[2 * bisect_left(scores, bound, key=float) :]
        return reply[: 2 * bisect_right(scores, bound, key=float)]

    def place(self, after: Row | None, *, descending: bool) -> Place:
        """Score and member after which to go on. No score equals one of the bounds."""
        # By score and member instead of an offset, which takes Redis 42 ms at half a million.
        if after is None:
            return self._signed(self.greatest if descending else self.least), ""
        score = int(after.position) - self.offset
        if not self.least < score < self.greatest:
            return self._signed(min(self.greatest, max(self.least, score))), ""
        return self._signed(score), flipped(after.tie) if self.negative else after.tie

    def end(self, reply: list[bytes], *, descending: bool) -> Place:
        """The place after all members of a reply."""
        member, score = reply[-2:] if descending == self.negative else reply[:2]
        return score, member

    def _signed(self, score: float) -> str:
        return f"{'-' if self.negative else ''}{score}"

    def _rows(self, scores: Iterable[tuple[str, int]]) -> list[Row]:
        """The rows of this part, without positions that no cursor can name."""
        sign, offset, least, greatest = -1 if self.negative else 1, self.offset, self.least, self.greatest
        return [
            Row(position, flipped(token_id) if self.negative else token_id, token_id)
            for token_id, signed in scores
            if least < (score := signed * sign) < greatest and (position := score + offset) > 0
        ]


class Indexed(NamedTuple):
    """A list in one or two parts of an index. Members move between them only from the first to the second."""

    shard: Shard
    parts: tuple[Index, ...]


class Names(msgspec.Struct, frozen=True):
    """All names of a shard, including those of revoked tokens, of which several may have had the same name."""

    shard: Shard


# A part of a list that is sorted by itself; all sources of a query have the same type.
Source = Indexed | Names


def flipped(token_id: str) -> str:
    """The id with each digit replaced by fifteen minus it, so that the order is reversed."""
    return _ENDS.get(token_id, token_id.translate(_TURNED))


class Sources:
    """Chooses the sorted sets for an order, in each shard."""

    def __init__(self, shards: Shards, retention: Retention) -> None:
        self._shards = shards
        self._retention = retention

    async def of(self, query: Query, now: float) -> list[Source]:
        """The sources of a query; at most one round trip to each node."""
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
            # Without the bound `before`: a revoked token is placed at its revocation, and one that ended before a
            # change of the retention at another time.
            found.append(Index(keys.purge, offset=-self._retention.seconds))
        return [Indexed(shard, (index,)) for index in found]


async def by_creation(shard: Shard, query: Query, now: float) -> list[Source]:
    """The sources by creation in a shard: tokens of some statuses, or of one creator."""
    if query.created_by:
        return [Indexed(shard, (Index(shard.keys.owner(query.created_by)),))]
    lists = _lists(shard, await _listed(shard, query, now))
    return [*map(_never_used, lists)] if query.never_used else [*lists]


async def _listed(shard: Shard, query: Query, now: float) -> frozenset[Status]:
    """The statuses whose lists hold the wanted tokens. One that expired just now may still be in its old list."""
    wanted = query.wanted
    if Status.EXPIRED not in wanted or wanted.issuperset({Status.ACTIVE, Status.INACTIVE}):
        return wanted
    ask, keys = shard.link.execute, shard.keys
    due = ("ZCOUNT", keys.expiry, 1, int(now)), ("ZCOUNT", keys.expiry, -int(now), -1)
    active, inactive = await all_of([ask(*command, retry=True) for command in due])
    return wanted | ({Status.ACTIVE} if active else set()) | ({Status.INACTIVE} if inactive else set())


def _lists(shard: Shard, listed: frozenset[Status]) -> list[Indexed]:
    """The lists of these statuses, each with its unused tokens as the first part and its used ones as the second."""
    keys = shard.keys
    lists = {Status.ACTIVE: keys.on, Status.INACTIVE: keys.off, Status.EXPIRED: keys.dead}
    found = [Indexed(shard, (_far(key), _near(key))) for status, key in lists.items() if status in listed]
    if Status.REVOKED in listed:
        # The first use subtracts from a negative score, too, which moves it further below 0.
        found.append(Indexed(shard, (_near(keys.off, negative=True), _far(keys.off, negative=True))))
    return found


def _near(key: bytes, *, negative: bool = False) -> Index:
    return Index(key, negative, greatest=FIRST_USE)


def _far(key: bytes, *, negative: bool = False) -> Index:
    return Index(key, negative, offset=-FIRST_USE, least=FIRST_USE)


def _never_used(source: Indexed) -> Indexed:
    return source._replace(parts=source.parts[:1])


def row_of(token: ManagedToken, sort: str) -> Row:
    """The row of a record, as the sources give it. By expiry a revoked token is placed at its revocation."""
    token_id, created = token.token_id, token.created_micros
    if sort == "name":
        return Row((freed_member if token.revoked_at else member)(token).decode(), token_id, token_id)
    if sort == "created_at":
        return Row(created, flipped(token_id) if token.revoked_at else token_id, token_id)
    if sort == "last_used_at":
        return Row(_ABOVE + token.last_used_at if token.last_used_at else created, token_id, token_id)
    # Tokens without a date come after all dates, by creation: microseconds are greater than all seconds.
    position = token.revoked_at or token.expires_at or created
    return Row(position, token_id if token.active or token.revoked_at else flipped(token_id), token_id)


def row_before(query: Query) -> Row | None:
    """The row of the query's cursor, after which the list goes on."""
    if query.after is None:
        return None
    position, tie = query.after
    return Row(position if query.sort == "name" else int(position), tie, "")


# The fields that a record's row depends on, by the order.
PLACED_BY = {
    "created_at": ("created_micros", "revoked_at"),
    "name": ("name", "revoked_at"),
    "last_used_at": ("last_used_at", "created_micros", "revoked_at"),
    "expires_at": ("expires_at", "created_micros", "revoked_at", "active"),
}
